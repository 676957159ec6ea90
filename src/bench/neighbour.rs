//! The mode slow-neighbour: the latency of a fast receiver beside receivers that never answer, drip or refuse.
//!
//! Every event goes to all receivers. The same load is measured without and with the slow ones.

use std::sync::Arc;

use anyhow::Context as _;

use super::daemon::Daemon;
use super::figures::Figures;
use super::receiver::{ReceiverBehaviour, Receivers};
use super::scoreboard::Scoreboard;
use super::steady::{MeasurementWindow, subscribe, unsubscribe};

/// The number of slow receivers of each kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct SlowNeighbours {
    /// Receivers that never answer.
    pub(super) hanging: usize,
    /// Receivers whose response never ends.
    pub(super) dripping: usize,
    /// Receivers that refuse connections.
    pub(super) refusing: usize,
}

impl SlowNeighbours {
    /// Measures the fast receiver without and with the slow ones.
    pub(super) async fn run(
        self,
        measurement: &MeasurementWindow,
        daemon: &Daemon,
    ) -> anyhow::Result<Figures> {
        let mut figures = Figures::default();
        let alone = self.arrivals(measurement, daemon, false).await?;
        let beside = self.arrivals(measurement, daemon, true).await?;
        for percentile in ["p50", "p99", "max"] {
            let name = format!("arrival {percentile}");
            let of = |measured: &Figures| {
                measured.get(&name).with_context(|| format!("the run has no figure '{name}'"))
            };
            let (alone, beside) = (of(&alone)?, of(&beside)?);
            figures.add(&format!("{percentile} alone"), "ms", alone);
            figures.add(&format!("{percentile} with neighbours"), "ms", beside);
            figures.add(&format!("{percentile} ratio"), "", beside / alone);
        }
        Ok(figures)
    }

    async fn arrivals(
        self,
        measurement: &MeasurementWindow,
        daemon: &Daemon,
        has_neighbours: bool,
    ) -> anyhow::Result<Figures> {
        let board = Arc::new(Scoreboard::new(1, measurement.window));
        let receivers = Receivers::start(Arc::clone(&board)).await?;
        let project = &measurement.plan.project;
        let fast = std::iter::once(receivers.url(ReceiverBehaviour::Take, 0));
        let mut subscriptions = subscribe(daemon, project, fast).await?;
        if has_neighbours {
            let refusing = refusing_url()?;
            let hanging = (0..self.hanging).map(|number| receivers.url(ReceiverBehaviour::Hang, number));
            let dripping = (0..self.dripping).map(|number| receivers.url(ReceiverBehaviour::Drip, number));
            let refusing = (0..self.refusing).map(|number| format!("{refusing}/{number}"));
            let urls = hanging.chain(dripping).chain(refusing);
            subscriptions.extend(subscribe(daemon, project, urls).await?);
        }
        let figures = measurement.load(daemon, &board).await?;
        unsubscribe(daemon, subscriptions).await?;
        Ok(figures)
    }
}

/// Returns the URL of a port that refuses connections: one that was free a moment ago.
fn refusing_url() -> anyhow::Result<String> {
    let free = std::net::TcpListener::bind("127.0.0.1:0").context("failed to find a free port")?;
    Ok(format!("http://{}", free.local_addr()?))
}
