//! The whole daemon in process, on tokio's paused clock.

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

/// When virtual time begins: 2026-01-05T08:00:00Z, a Monday.
const EPOCH: Timestamp = Timestamp::from_millis(1_767_600_000_000);

/// A daemon with its data directory, its clock and a client.
pub(crate) struct TestDaemon {
    pub(crate) clock: Clock,
    pub(crate) api: ApiClient,
    pub(crate) dir: TempDir,
    /// What comes after the settings that every test has.
    pub(crate) settings: String,
    seed: u64,
    starts: u64,
    daemon: Option<Daemon>,
}

impl TestDaemon {
    /// A daemon with the default config, except that it may call loopback and serves a free port.
    pub(crate) async fn start() -> Self {
        Self::start_with("", 1).await
    }

    /// The same with more settings, as text of the config file.
    pub(crate) async fn start_with(settings: &str, seed: u64) -> Self {
        let mut world = Self {
            clock: Clock::starting_at(EPOCH),
            api: ApiClient::new(SocketAddr::from(([127, 0, 0, 1], 1))),
            dir: super::memory_dir(),
            settings: settings.to_owned(),
            seed,
            starts: 0,
            daemon: None,
        };
        world.run().await;
        world
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

    /// A clean stop and a new start on the same data directory.
    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        self.run().await;
    }

    /// A clean stop.
    pub(crate) async fn stop(&mut self) {
        self.daemon.take().unwrap().stop().await.unwrap();
    }

    /// An end without a clean stop.
    pub(crate) async fn kill(&mut self) {
        self.daemon.take().unwrap().kill().await;
    }

    /// A new start on the same data directory.
    pub(crate) async fn revive(&mut self) {
        self.run().await;
    }

    /// The journey.
    pub(crate) fn flow(&self) -> &Flow {
        self.daemon.as_ref().unwrap().flow()
    }

    /// The log.
    pub(crate) fn reader(&self) -> &Reader {
        self.flow().reader()
    }

    /// How often the store has synced its data file, by its own count.
    pub(crate) fn syncs(&self) -> u64 {
        self.reader().syncs()
    }

    /// A receiver that answers by `script`.
    pub(crate) async fn receiver(&self, script: Script) -> Receiver {
        Receiver::start(self.clock.clone(), script).await
    }

    /// A receiver that answers 200, with a subscription that has these members besides its URL.
    pub(crate) async fn subscribed(&self, members: Value) -> (Receiver, Value) {
        let receiver = self.receiver(always(Reply::Status(200))).await;
        let subscription = self.subscribe(&receiver, members).await;
        (receiver, subscription)
    }

    /// Subscribes the receiver.
    pub(crate) async fn subscribe(&self, receiver: &Receiver, mut members: Value) -> Value {
        members["url"] = json!(receiver.url());
        self.api.subscribe(&members).await
    }

    /// Waits on virtual time until the answer is there, for a day at most.
    pub(crate) async fn until<T>(&self, what: &str, ask: impl AsyncFnMut() -> Option<T>) -> T {
        super::eventually(what, Duration::from_hours(24), Duration::from_secs(1), ask).await
    }

    /// Lets virtual time pass.
    pub(crate) async fn pass(&self, secs: u64) {
        super::passes(Duration::from_secs(secs)).await;
    }
}

/// A config file: what every test has, then `settings`.
pub(crate) fn config(data: &Path, settings: &str) -> String {
    let data = data.display();
    let delivery =
        if settings.contains("[delivery]") { "" } else { "[delivery]\nallow_networks = [\"127.0.0.0/8\"]\n" };
    format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\n[storage]\npath = \"{data}\"\ncache = \"16MiB\"\ndisk_reserve = \"1MiB\"\n\
         {delivery}{settings}"
    )
}
