//! The daemon's log: text, JSON or journal entries, with a limit on repeated warnings.

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::Instant;
use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use super::journal::Journal;
use crate::config;
use crate::config::LogFormat;
use crate::model::time::Clock;

/// The most warnings and errors from one callsite within [`WINDOW`].
const LINES_MAX: u32 = 10;
/// The window of the limit. After it, the number of suppressed lines is logged.
pub(super) const WINDOW: Duration = Duration::from_mins(1);

/// The running log.
#[derive(Debug)]
pub(super) struct Log {
    level: reload::Handle<EnvFilter, Registry>,
    limit: Limit,
}

impl Log {
    /// Starts the log of the whole process.
    ///
    /// Under systemd, text goes to the journal with its fields. JSON always goes to standard error.
    ///
    /// # Errors
    /// The level is invalid, or a log has already been started.
    pub(super) fn start(log: &config::Log) -> anyhow::Result<Self> {
        let filter = EnvFilter::try_new(&log.level).context("failed to read log.level")?;
        let (filter, level) = reload::Layer::new(filter);
        let limit = Limit::new(Clock::system());
        let registry = Registry::default().with(filter).with(limit.clone());
        let journal = match log.format {
            LogFormat::Text if is_journal(std::env::var("JOURNAL_STREAM").ok().as_deref()) => {
                Some(Journal::new())
            }
            _ => None,
        };
        let started = match (log.format, journal) {
            (_, Some(journal)) => registry.with(journal).try_init(),
            (LogFormat::Text, None) => {
                let layer = fmt::layer().with_writer(std::io::stderr).with_target(false);
                registry.with(layer.with_ansi(std::io::stderr().is_terminal())).try_init()
            }
            (LogFormat::Json, None) => {
                registry.with(fmt::layer().with_writer(std::io::stderr).json()).try_init()
            }
        };
        started.context("failed to start the log")?;
        Ok(Self { level, limit })
    }

    /// Changes the level.
    ///
    /// # Errors
    /// The level is invalid. Then the previous level stays.
    pub(super) fn set_level(&self, directive: &str) -> anyhow::Result<()> {
        Ok(self.level.reload(EnvFilter::try_new(directive)?)?)
    }

    /// Logs how many lines were suppressed since the last call.
    pub(super) fn report_suppressed(&self) {
        self.limit.report_suppressed();
    }
}

/// Returns whether standard error is connected to the journal. systemd passes its device and inode in `JOURNAL_STREAM`.
fn is_journal(stream: Option<&str>) -> bool {
    let Some((device, inode)) = stream.and_then(|stream| stream.split_once(':')) else { return false };
    let Ok(stat) = rustix::fs::fstat(std::io::stderr()) else { return false };
    device.parse() == Ok(stat.st_dev) && inode.parse() == Ok(stat.st_ino)
}

/// Limits the warnings and errors of each callsite, and counts those that it suppresses.
#[derive(Clone, Debug)]
struct Limit {
    clock: Clock,
    callsites: Arc<Mutex<HashMap<Identifier, Callsite>>>,
}

/// The state of one callsite in the current window.
#[derive(Debug)]
struct Callsite {
    since: Instant,
    passed: u32,
    suppressed: u64,
    /// The message of the first suppressed line.
    message: String,
}

impl Limit {
    fn new(clock: Clock) -> Self {
        Self { clock, callsites: Arc::default() }
    }

    fn callsites(&self) -> MutexGuard<'_, HashMap<Identifier, Callsite>> {
        // A panic while the lock was held leaves counts that are at most off by one.
        self.callsites.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admits(&self, metadata: &Metadata<'_>, event: impl FnOnce() -> String) -> bool {
        if *metadata.level() > Level::WARN {
            return true;
        }
        let now = self.clock.instant();
        let mut callsites = self.callsites();
        let begun = || Callsite { since: now, passed: 0, suppressed: 0, message: String::new() };
        let site = callsites.entry(metadata.callsite()).or_insert_with(begun);
        if now.duration_since(site.since) >= WINDOW {
            (site.since, site.passed) = (now, 0);
        }
        if site.passed < LINES_MAX {
            site.passed += 1;
            return true;
        }
        if site.suppressed == 0 {
            site.message = event();
        }
        site.suppressed += 1;
        false
    }

    fn report_suppressed(&self) {
        let suppressed: Vec<(u64, String)> = self
            .callsites()
            .values_mut()
            .filter(|site| site.suppressed > 0)
            .map(|site| (std::mem::take(&mut site.suppressed), std::mem::take(&mut site.message)))
            .collect();
        for (lines, first) in suppressed {
            tracing::info!(lines, first, "suppressed repeated log lines");
        }
    }
}

impl<S: Subscriber> Layer<S> for Limit {
    fn event_enabled(&self, event: &Event<'_>, _context: Context<'_, S>) -> bool {
        self.admits(event.metadata(), || {
            let mut message = Message::default();
            event.record(&mut message);
            message.0
        })
    }
}

/// Collects the message of an event.
#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::linux::fs::MetadataExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Lines {
        fn take(&self) -> Vec<serde_json::Value> {
            let bytes = std::mem::take(&mut *self.0.lock().unwrap());
            let text = String::from_utf8(bytes).unwrap();
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_callsite_logs_ten_lines_a_minute_and_reports_the_suppressed_ones() {
        let (lines, limit) = (Lines::default(), Limit::new(Clock::system()));
        let to = lines.clone();
        let layer = fmt::layer().json().with_writer(move || to.clone());
        let _log = tracing::subscriber::set_default(Registry::default().with(limit.clone()).with(layer));
        let say = |n: u64| tracing::warn!(n, "the receiver is dead");
        (0..500).for_each(say);
        tracing::error!("something else");
        (0..100).for_each(|n| tracing::info!(n, "life goes on"));
        let said = lines.take();
        let of = |message: &str| said.iter().filter(|line| line["fields"]["message"] == message).count();
        assert_eq!((of("the receiver is dead"), of("something else"), of("life goes on")), (10, 1, 100));
        limit.report_suppressed();
        limit.report_suppressed();
        let said = lines.take();
        assert_eq!(said.len(), 1);
        assert_eq!(said[0]["fields"]["lines"], 490);
        assert_eq!(said[0]["fields"]["first"], "the receiver is dead");
        tokio::time::advance(Duration::from_secs(59)).await;
        say(500);
        assert_eq!(lines.take().len(), 0);
        tokio::time::advance(Duration::from_secs(1)).await;
        say(501);
        assert_eq!(lines.take().len(), 1);
    }

    #[test]
    fn the_journal_is_recognised_by_device_and_inode() {
        let stderr = std::fs::metadata("/proc/self/fd/2").unwrap();
        let (device, inode) = (stderr.st_dev(), stderr.st_ino());
        assert!(is_journal(Some(&format!("{device}:{inode}"))));
        for other in [
            format!("{device}:{}", inode + 1),
            format!("{}:{inode}", device + 1),
            "8:x".to_owned(),
            "8".to_owned(),
        ] {
            assert!(!is_journal(Some(&other)), "{other}");
        }
        assert!(!is_journal(None));
    }
}
