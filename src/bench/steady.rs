//! Steady load: warms up, measures, stops, and checks that everything arrived.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::daemon::{Daemon, Usage};
use super::figures::{Figures, approximate};
use super::load::{self, LoadPlan};
use super::receiver::{ReceiverBehaviour, Receivers};
use super::scoreboard::{Score, Scoreboard};

/// The longest time until the last events arrive after the load stops.
const DRAIN: Duration = Duration::from_mins(2);

/// A period of load with a warm-up and a measured part.
#[derive(Clone, Debug)]
pub(super) struct MeasurementWindow {
    /// The load.
    pub(super) plan: LoadPlan,
    /// The number of receivers of each event. With 0, no subscription matches.
    pub(super) receivers: usize,
    /// The most undelivered events, if the send rate uses a window.
    pub(super) window: usize,
    /// The time before the measurement.
    pub(super) warm_up: Duration,
    /// The time of the measurement.
    pub(super) measured: Duration,
}

impl MeasurementWindow {
    /// Returns an empty scoreboard for this load.
    pub(super) fn board(&self) -> Arc<Scoreboard> {
        Arc::new(Scoreboard::new(self.receivers as u64, self.window))
    }

    /// Creates the subscriptions, runs the load, and deletes the subscriptions.
    pub(super) async fn run(&self, daemon: &Daemon) -> anyhow::Result<Figures> {
        let board = self.board();
        let receivers = Receivers::start(Arc::clone(&board)).await?;
        let urls = (0..self.receivers).map(|number| receivers.url(ReceiverBehaviour::Take, number));
        let subscriptions = subscribe(daemon, &self.plan.project, urls).await?;
        let figures = self.load(daemon, &board).await?;
        unsubscribe(daemon, subscriptions).await?;
        Ok(figures)
    }

    /// Runs the load. The subscriptions must exist.
    pub(super) async fn load(&self, daemon: &Daemon, board: &Arc<Scoreboard>) -> anyhow::Result<Figures> {
        let stop = CancellationToken::new();
        let sending = load::send(daemon.api.client(), &self.plan, board, &stop);
        let measuring = Measured::of(self, board, daemon.process(), &stop);
        let ((), measured) = tokio::try_join!(sending, measuring)?;
        let missing = board.drained(DRAIN).await;
        if missing > 0 {
            bail!("{missing} deliveries of accepted events did not arrive within {} s", DRAIN.as_secs());
        }
        Ok(measured.figures(self.receivers > 0, board))
    }
}

/// Creates a subscription for each URL that matches all events of the project.
pub(super) async fn subscribe(
    daemon: &Daemon,
    project: &str,
    urls: impl Iterator<Item = String>,
) -> anyhow::Result<Vec<String>> {
    let mut subscriptions = Vec::new();
    for url in urls {
        let settings = json!({ "name": "bench", "url": url, "projects": [project] });
        subscriptions.push(daemon.api.subscribe(&settings).await?);
    }
    Ok(subscriptions)
}

/// Deletes the subscriptions.
pub(super) async fn unsubscribe(daemon: &Daemon, subscriptions: Vec<String>) -> anyhow::Result<()> {
    for id in subscriptions {
        daemon.api.unsubscribe(&id).await?;
    }
    Ok(())
}

/// The readings at the start and the end of the measurement.
#[derive(Debug)]
pub(super) struct Measured {
    from: Score,
    to: Score,
    usage: Option<(Usage, Usage)>,
}

impl Measured {
    /// Waits for the warm-up, measures, and stops the load, also on an error.
    pub(super) async fn of(
        measurement: &MeasurementWindow,
        board: &Scoreboard,
        process: Option<u32>,
        stop: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let _guard = stop.clone().drop_guard();
        let usage = || process.map(Usage::of).transpose();
        tokio::time::sleep(measurement.warm_up).await;
        let (before, from) = (usage()?, board.begin_measuring());
        tokio::time::sleep(measurement.measured).await;
        let (to, after) = (board.score(), usage()?);
        Ok(Self { from, to, usage: before.zip(after) })
    }

    /// Returns the figures, per delivery if there are deliveries, else per event.
    pub(super) fn figures(&self, delivers: bool, board: &Scoreboard) -> Figures {
        let Self { from, to, usage } = self;
        let secs = (to.at - from.at).as_secs_f64();
        let accepted = approximate(to.accepted - from.accepted);
        let delivered = approximate(to.arrived - from.arrived);
        let mut figures = Figures::default();
        figures.add("accepted", "/s", accepted / secs);
        figures.add_latency("ack", &board.take_answers());
        if delivers {
            figures.add("delivered", "/s", delivered / secs);
            figures.add_latency("arrival", &board.take_arrivals());
            figures.add_count("repeated", "", board.score().repeated);
        }
        if let Some((before, after)) = usage {
            let (count, what) = if delivers { (delivered, "delivery") } else { (accepted, "event") };
            let cpu = after.cpu.saturating_sub(before.cpu).as_secs_f64();
            let written = approximate(after.written_bytes - before.written_bytes);
            figures.add(&format!("CPU per {what}"), "ms", 1000.0 * cpu / count);
            figures.add("CPU", "cores", cpu / secs);
            figures.add(&format!("written per {what}"), "KiB", written / 1024.0 / count);
            figures.add("RSS", "MiB", approximate(after.resident_bytes) / 1_048_576.0);
        }
        figures
    }
}
