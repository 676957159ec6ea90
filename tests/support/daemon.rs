//! The whole daemon in the test's process, on tokio's paused clock.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use postrider::app::{Daemon, Options};
use postrider::config::Config;
use postrider::flow::Flow;
use postrider::model::time::{Clock, Timestamp};
use postrider::store::Reader;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::client::ApiClient;
use super::receiver::{Receiver, Reply, Script, always};

/// The start of virtual time: 2026-01-05T08:00:00Z, a Monday.
const EPOCH: Timestamp = Timestamp::from_millis(1_767_600_000_000);

/// A daemon with its data directory, its clock and a client.
pub(crate) struct TestDaemon {
    pub(crate) clock: Clock,
    pub(crate) api: ApiClient,
    pub(crate) dir: TempDir,
    /// Settings that are appended to those of every test.
    pub(crate) settings: String,
    seed: u64,
    starts: u64,
    daemon: Option<Daemon>,
}

impl TestDaemon {
    /// Starts a daemon with the default config on a free port. It may call loopback addresses.
    pub(crate) async fn start() -> Self {
        Self::start_with("", 1).await
    }

    /// Starts a daemon with additional settings in the syntax of the config file.
    pub(crate) async fn start_with(settings: &str, seed: u64) -> Self {
        let mut daemon = Self {
            clock: Clock::starting_at(EPOCH),
            api: ApiClient::new(SocketAddr::from(([127, 0, 0, 1], 1))),
            dir: super::memory_dir(),
            settings: settings.to_owned(),
            seed,
            starts: 0,
            daemon: None,
        };
        daemon.run().await;
        daemon
    }

    async fn run(&mut self) {
        let text = config(&self.dir.path().join("data"), &self.settings);
        let config =
            Config::parse(&text, "test.toml", std::iter::empty()).unwrap_or_else(|error| panic!("{error}"));
        self.starts += 1;
        let seed = self.seed.wrapping_mul(1_000_003).wrapping_add(self.starts);
        let options = Options::seeded(self.clock.clone(), seed);
        let daemon = Daemon::start(config, options).await.unwrap();
        self.api = ApiClient::new(daemon.addresses()[0]);
        self.daemon = Some(daemon);
    }

    /// Stops the daemon cleanly and starts it again on the same data directory.
    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        self.run().await;
    }

    /// Stops the daemon cleanly.
    pub(crate) async fn stop(&mut self) {
        self.daemon.take().unwrap().stop().await.unwrap();
    }

    /// Ends the daemon without a clean stop.
    pub(crate) async fn kill(&mut self) {
        self.daemon.take().unwrap().kill().await;
    }

    /// Starts the daemon again on the same data directory.
    pub(crate) async fn revive(&mut self) {
        self.run().await;
    }

    /// Returns the daemon's flow.
    pub(crate) fn flow(&self) -> &Flow {
        self.daemon.as_ref().unwrap().flow()
    }

    /// Returns the reader of the daemon's log.
    pub(crate) fn reader(&self) -> &Reader {
        self.flow().reader()
    }

    /// Returns the number of times that the store has synced its data file, by the store's own count.
    pub(crate) fn syncs(&self) -> u64 {
        self.reader().syncs()
    }

    /// Starts a receiver that answers by `script`.
    pub(crate) async fn receiver(&self, script: Script) -> Receiver {
        Receiver::start(self.clock.clone(), script).await
    }

    /// Starts a receiver that answers 200, and subscribes it with these members.
    pub(crate) async fn subscribed(&self, members: Value) -> (Receiver, Value) {
        let receiver = self.receiver(always(Reply::Status(200))).await;
        let subscription = self.subscribe(&receiver, members).await;
        (receiver, subscription)
    }

    /// Creates a subscription with the receiver's URL and these members.
    pub(crate) async fn subscribe(&self, receiver: &Receiver, mut members: Value) -> Value {
        members["url"] = json!(receiver.url());
        self.api.subscribe(&members).await
    }

    /// Waits up to a day of virtual time until `ask` returns a value.
    pub(crate) async fn until<T>(&self, what: &str, ask: impl AsyncFnMut() -> Option<T>) -> T {
        super::eventually(what, Duration::from_hours(24), Duration::from_secs(1), ask).await
    }

    /// Lets virtual time pass.
    pub(crate) async fn pass(&self, secs: u64) {
        super::passes(Duration::from_secs(secs)).await;
    }
}

/// Returns the text of a config file: the settings of every test, then `settings`.
pub(crate) fn config(data: &Path, settings: &str) -> String {
    let data = data.display();
    let delivery =
        if settings.contains("[delivery]") { "" } else { "[delivery]\nallow_networks = [\"127.0.0.0/8\"]\n" };
    format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\n[storage]\npath = \"{data}\"\ncache = \"16MiB\"\ndisk_reserve = \"1MiB\"\n\
         {delivery}{settings}"
    )
}
