//! Steady load: warm up, measure, stop, and see that everything arrived.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::board::{Board, Score};
use super::daemon::{Daemon, Usage};
use super::figures::{Figures, approximate};
use super::load::{self, Plan};
use super::receiver::{Manner, Receivers};

/// How long the rest may take to arrive once nothing more is sent.
const DRAIN: Duration = Duration::from_mins(2);

/// A stretch of load.
#[derive(Clone, Debug)]
pub(super) struct Stretch {
    /// What is sent.
    pub(super) plan: Plan,
    /// How many receivers get each event; with none, no subscription matches.
    pub(super) receivers: usize,
    /// The most events on their way, where the pace asks for it.
    pub(super) window: usize,
    /// How long before it counts.
    pub(super) warm_up: Duration,
    /// How long it counts.
    pub(super) measured: Duration,
}

impl Stretch {
    /// An empty board for it.
    pub(super) fn board(&self) -> Arc<Board> {
        Arc::new(Board::new(self.receivers as u64, self.window))
    }

    /// Makes the subscriptions, puts on the load, and deletes them again.
    pub(super) async fn run(&self, daemon: &Daemon) -> anyhow::Result<Figures> {
        let board = self.board();
        let receivers = Receivers::start(Arc::clone(&board)).await?;
        let urls = (0..self.receivers).map(|number| receivers.url(Manner::Take, number));
        let subscriptions = subscribe(daemon, &self.plan.project, urls).await?;
        let figures = self.load(daemon, &board).await?;
        unsubscribe(daemon, subscriptions).await?;
        Ok(figures)
    }

    /// Puts on the load; what it is delivered to is there already.
    pub(super) async fn load(&self, daemon: &Daemon, board: &Arc<Board>) -> anyhow::Result<Figures> {
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

/// Makes a subscription to each URL for all events of the project.
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

/// Deletes subscriptions.
pub(super) async fn unsubscribe(daemon: &Daemon, subscriptions: Vec<String>) -> anyhow::Result<()> {
    for id in subscriptions {
        daemon.api.unsubscribe(&id).await?;
    }
    Ok(())
}

/// What happened while it counted.
#[derive(Debug)]
pub(super) struct Measured {
    from: Score,
    to: Score,
    usage: Option<(Usage, Usage)>,
}

impl Measured {
    /// Waits for the warm-up, measures, and stops the load, however it ends.
    pub(super) async fn of(
        stretch: &Stretch,
        board: &Board,
        process: Option<u32>,
        stop: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let _guard = stop.clone().drop_guard();
        let usage = || process.map(Usage::of).transpose();
        tokio::time::sleep(stretch.warm_up).await;
        let (before, from) = (usage()?, board.begin_measuring());
        tokio::time::sleep(stretch.measured).await;
        let (to, after) = (board.score(), usage()?);
        Ok(Self { from, to, usage: before.zip(after) })
    }

    /// The figures of it, per delivery where there are any, else per event.
    pub(super) fn figures(&self, delivers: bool, board: &Board) -> Figures {
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
