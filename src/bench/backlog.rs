//! The mode backlog: many deliveries wait for failing receivers, then the daemon is killed and started again.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use bytes::Bytes;
use serde_json::json;

use super::daemon::{Daemon, DaemonDirectory, Usage};
use super::figures::{Figures, approximate};
use super::receiver::{ReceiverBehaviour, Receivers};
use super::scoreboard::Scoreboard;
use crate::model::time::Clock;

/// Failing receivers stay enabled.
pub(super) const SETTINGS: &str = "[health]\ndisable = \"never\"\n";

/// The number of events in one request.
const BATCH: u64 = 200;
/// The longest time from the start to the first request.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_mins(5);
/// The time between the kill and the start.
const RESTART_DELAY: Duration = Duration::from_millis(200);

/// The backlog to create.
#[derive(Clone, Debug)]
pub(super) struct Backlog {
    /// The number of deliveries.
    pub(super) deliveries: u64,
    /// The number of subscriptions, which all match the same events.
    pub(super) subscriptions: usize,
    /// The project of the events.
    pub(super) project: String,
    /// The approximate size of `data` in bytes.
    pub(super) data_bytes: usize,
}

impl Backlog {
    /// Creates the backlog, measures its memory, kills the daemon, and measures the time from its start to the first retry.
    pub(super) async fn run(&self, site: &DaemonDirectory) -> anyhow::Result<Figures> {
        let clock = Clock::system();
        let mut figures = Figures::default();
        let daemon = site.start().await?;
        let board = Arc::new(Scoreboard::new(1, 1));
        let receivers = Receivers::start(Arc::clone(&board)).await?;
        let subscriptions = self.subscribe(&daemon, &receivers).await?;
        let began = clock.instant();
        self.fill(&daemon, &board).await?;
        figures.add("piled up in", "s", (clock.instant() - began).as_secs_f64());
        let mut waiting = 0;
        for id in &subscriptions {
            waiting += daemon.api.unfinished(id).await?;
        }
        if waiting < self.deliveries {
            bail!("{waiting} deliveries wait, expected {}", self.deliveries);
        }
        figures.add_count("waiting deliveries", "", waiting);
        add_memory(&mut figures, "RSS before the kill", &daemon)?;
        daemon.kill()?;
        // The last requests of the killed daemon may still arrive.
        tokio::time::sleep(RESTART_DELAY).await;
        let started = clock.instant();
        let (daemon, first) = tokio::join!(site.start(), async {
            tokio::time::timeout(FIRST_REQUEST_TIMEOUT, receivers.next_failed())
                .await
                .map(|()| clock.instant())
        });
        let daemon = daemon?;
        let Ok(first) = first else {
            bail!("no request came within {} s of the start after the kill", FIRST_REQUEST_TIMEOUT.as_secs());
        };
        figures.add("start to first retry", "s", (first - started).as_secs_f64());
        add_memory(&mut figures, "RSS after the start", &daemon)?;
        daemon.kill()?;
        Ok(figures)
    }

    async fn subscribe(&self, daemon: &Daemon, receivers: &Receivers) -> anyhow::Result<Vec<String>> {
        let mut ids = Vec::with_capacity(self.subscriptions);
        for number in 0..self.subscriptions {
            let settings = json!({
                "name": format!("backlog {number}"),
                "url": receivers.url(ReceiverBehaviour::Fail, number),
                "projects": [self.project],
                // Short delays keep the schedule out of the measured time.
                "retry_schedule": vec!["1s"; 30],
            });
            ids.push(daemon.api.subscribe(&settings).await?);
        }
        Ok(ids)
    }

    async fn fill(&self, daemon: &Daemon, board: &Scoreboard) -> anyhow::Result<()> {
        let mut left = self.deliveries.div_ceil(self.subscriptions.max(1) as u64);
        while left > 0 {
            let mut lines = String::new();
            for _ in 0..left.min(BATCH) {
                lines.push_str("{\"type\":\"LOAD\",\"project\":\"");
                lines.push_str(&self.project);
                lines.push_str("\",\"data\":");
                board.next_data(self.data_bytes, &mut lines);
                lines.push_str("}\n");
            }
            daemon.api.submit_lines(Bytes::from(lines)).await?;
            left -= left.min(BATCH);
        }
        Ok(())
    }
}

fn add_memory(figures: &mut Figures, name: &str, daemon: &Daemon) -> anyhow::Result<()> {
    if let Some(usage) = daemon.process().map(Usage::of).transpose()? {
        figures.add(name, "MiB", approximate(usage.resident_bytes) / 1_048_576.0);
    }
    Ok(())
}
