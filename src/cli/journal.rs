//! Writes log events to systemd's journal. Fields are searchable, and they also stand in the message, because
//! `journalctl` shows the message alone.

use std::fmt::{Debug, Write as _};

use libsystemd::logging::{Priority, journal_send};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// The prefix of the field names.
const PREFIX: &str = "POSTRIDER_";

/// Writes lines to the journal, or to standard error if the journal fails.
pub(super) struct Journal<W = fn(&Line)> {
    write: W,
}

impl Journal {
    /// Returns a layer that writes to the journal of this machine.
    pub(super) fn new() -> Self {
        Self { write: send }
    }
}

fn send(line: &Line) {
    if let Err(error) = journal_send(line.priority, &line.text, line.fields.iter().map(|(k, v)| (k, v))) {
        eprintln!("{} (failed to write to the journal: {error})", line.text);
    }
}

impl<S: Subscriber, W: Fn(&Line) + 'static> Layer<S> for Journal<W> {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        (self.write)(&Line::of(event));
    }
}

/// A journal entry.
#[derive(Debug)]
pub(super) struct Line {
    priority: Priority,
    /// The message, followed by the fields as the text format writes them.
    text: String,
    fields: Vec<(String, String)>,
}

impl Line {
    fn of(event: &Event<'_>) -> Self {
        let metadata = event.metadata();
        let mut fields = vec![
            ("SYSLOG_IDENTIFIER".to_owned(), env!("CARGO_PKG_NAME").to_owned()),
            ("TARGET".to_owned(), metadata.target().to_owned()),
        ];
        let file = metadata.file().map(|file| ("CODE_FILE".to_owned(), file.to_owned()));
        let line = metadata.line().map(|line| ("CODE_LINE".to_owned(), line.to_string()));
        fields.extend(file.into_iter().chain(line));
        let priority = match *metadata.level() {
            Level::ERROR => Priority::Error,
            Level::WARN => Priority::Warning,
            Level::INFO => Priority::Notice,
            Level::DEBUG => Priority::Info,
            Level::TRACE => Priority::Debug,
        };
        let mut event_text = EventText { message: String::new(), rest: String::new(), fields };
        event.record(&mut event_text);
        Self { priority, text: event_text.message + &event_text.rest, fields: event_text.fields }
    }
}

/// Collects the message and the fields of an event.
struct EventText {
    message: String,
    rest: String,
    fields: Vec<(String, String)>,
}

impl EventText {
    fn add(&mut self, name: &str, value: String, shown: &dyn Debug) {
        if name == "message" {
            self.message = value;
            return;
        }
        // Writing to a string cannot fail.
        let _ = write!(self.rest, " {name}={shown:?}");
        let name = name.replace(|letter: char| !letter.is_ascii_alphanumeric(), "_").to_ascii_uppercase();
        self.fields.push((format!("{PREFIX}{name}"), value));
    }
}

impl Visit for EventText {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field.name(), format!("{value:?}"), value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field.name(), value.to_owned(), &value);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::Registry;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[test]
    fn a_journal_message_contains_its_fields() {
        let lines: Arc<Mutex<Vec<Line>>> = Arc::default();
        let to = Arc::clone(&lines);
        let write = move |line: &Line| {
            let Line { priority, text, fields } = line;
            let (priority, text, fields) = (*priority, text.clone(), fields.clone());
            to.lock().unwrap().push(Line { priority, text, fields });
        };
        let _log = tracing::subscriber::set_default(Registry::default().with(Journal { write }));
        let subscription = std::net::Ipv4Addr::LOCALHOST;
        tracing::warn!(%subscription, name = "a crm", http.status = 503, "a receiver fails");
        tracing::info!("ready");
        let lines = lines.lock().unwrap();
        let [warning, ready] = &lines[..] else { panic!("{lines:?}") };
        assert_eq!(warning.text, "a receiver fails subscription=127.0.0.1 name=\"a crm\" http.status=503");
        let of = |name: &str| {
            warning.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
        };
        for (name, value) in [
            ("POSTRIDER_SUBSCRIPTION", "127.0.0.1"),
            ("POSTRIDER_NAME", "a crm"),
            ("POSTRIDER_HTTP_STATUS", "503"),
            ("SYSLOG_IDENTIFIER", "postrider"),
            ("TARGET", "postrider::cli::journal::tests"),
            ("CODE_FILE", "src/cli/journal.rs"),
        ] {
            assert_eq!(of(name), Some(value), "{name}");
        }
        assert!(matches!((warning.priority, ready.priority), (Priority::Warning, Priority::Notice)));
        assert_eq!(ready.text, "ready");
    }
}
