//! The daemon's log: JSON lines, a level that SIGHUP changes, and few lines about a dead receiver.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tracing_subscriber::EnvFilter;

use crate::support::client::event;
use crate::support::daemon::TestDaemon;
use crate::support::process::DaemonSetup;
use crate::support::receiver::{Reply, always};

const WITHIN: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(10);

fn lines(log: &str) -> Vec<Value> {
    log.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

#[tokio::test]
async fn sighup_changes_the_level_of_json_logs() {
    let log = |level: &str| format!("[log]\nformat = \"json\"\nlevel = \"{level}\"\n");
    let setup = DaemonSetup::new(crate::support::memory_dir(), &log("info"));
    let mut running = setup.spawn(&[]);
    let api = setup.ready(&mut running).await;
    let accepted = async |level: &str| {
        let said =
            |line: &Value| line["fields"]["message"] == "created a subscription" && line["level"] == level;
        api.subscribe(&json!({"url": "http://127.0.0.1:9/"})).await;
        lines(&setup.log()).iter().filter(|line| said(line)).count()
    };
    assert_eq!(accepted("DEBUG").await, 0);
    setup.configure(&log("debug"));
    running.hang_up();
    crate::support::eventually("the level is debug", WITHIN, PAUSE, async || {
        (accepted("DEBUG").await > 0).then_some(())
    })
    .await;
    // An invalid level changes nothing and is reported.
    setup.configure(&log("loud=?"));
    running.hang_up();
    crate::support::eventually("the mistake is said", WITHIN, PAUSE, async || {
        setup.log().contains("failed to reload the configuration").then_some(())
    })
    .await;
    let before = accepted("DEBUG").await;
    assert!(accepted("DEBUG").await > before);
    assert!(
        lines(&setup.log()).iter().all(|line| line["timestamp"].is_string() && line["target"].is_string())
    );
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_receiver_logs_at_most_one_line_a_minute() {
    let log = Log::default();
    let to = log.clone();
    let subscriber = tracing_subscriber::fmt().json().with_env_filter(EnvFilter::new("info"));
    let _log = tracing::subscriber::set_default(subscriber.with_writer(move || to.clone()).finish());
    let mut daemon = TestDaemon::start().await;
    let dead = daemon.receiver(always(Reply::Status(500))).await;
    let waits: Vec<&str> = std::iter::repeat_n("10s", 30).collect();
    let made = daemon.subscribe(&dead, json!({"name": "dead", "retry_schedule": waits})).await;
    let id = made["id"].as_str().unwrap();
    for n in 0..50 {
        daemon.api.accepted(&event("A", "p", n)).await;
    }
    daemon
        .until("it is switched off", async || {
            let shown = daemon.api.subscription(id).await;
            (shown["health"] == "disabled").then_some(())
        })
        .await;
    let said = lines(&String::from_utf8(log.0.lock().unwrap().clone()).unwrap());
    let fails: Vec<&Value> =
        said.iter().filter(|line| line["fields"]["message"] == "receiver is failing").collect();
    let attempts = dead.count();
    // Thirty retries ten seconds apart take five minutes.
    assert!((5..=7).contains(&fails.len()) && attempts > 30, "{} lines of {attempts} attempts", fails.len());
    assert!(fails.iter().all(|line| line["level"] == "WARN" && line["fields"]["subscription"] == id));
    let off = said
        .iter()
        .filter(|line| line["fields"]["message"].as_str().unwrap().starts_with("disabled a subscription"));
    assert_eq!(off.count(), 1);
    daemon.stop().await;
}
