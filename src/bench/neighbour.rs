//! Slow neighbours: what a fast receiver feels of receivers that never answer, drip, or refuse.
//!
//! Every event goes to all of them. The same stretch is measured without and with the neighbours.

use std::sync::Arc;

use anyhow::Context as _;

use super::board::Board;
use super::daemon::Daemon;
use super::figures::Figures;
use super::receiver::{Manner, Receivers};
use super::steady::{Stretch, subscribe, unsubscribe};

/// How many neighbours of each kind there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Neighbours {
    /// Those that never answer.
    pub(super) hanging: usize,
    /// Those whose answer never ends.
    pub(super) dripping: usize,
    /// Those where nobody listens.
    pub(super) refusing: usize,
}

impl Neighbours {
    /// Measures the fast receiver without them and with them.
    pub(super) async fn run(self, stretch: &Stretch, daemon: &Daemon) -> anyhow::Result<Figures> {
        let mut figures = Figures::default();
        let alone = self.arrivals(stretch, daemon, false).await?;
        let beside = self.arrivals(stretch, daemon, true).await?;
        for percentile in ["p50", "p99", "max"] {
            let name = format!("arrival {percentile}");
            let of = |measured: &Figures| measured.get(&name).with_context(|| format!("there is no {name}"));
            let (alone, beside) = (of(&alone)?, of(&beside)?);
            figures.add(&format!("{percentile} alone"), "ms", alone);
            figures.add(&format!("{percentile} with neighbours"), "ms", beside);
            figures.add(&format!("{percentile} ratio"), "", beside / alone);
        }
        Ok(figures)
    }

    async fn arrivals(
        self,
        stretch: &Stretch,
        daemon: &Daemon,
        has_neighbours: bool,
    ) -> anyhow::Result<Figures> {
        let board = Arc::new(Board::new(1, stretch.window));
        let receivers = Receivers::start(Arc::clone(&board)).await?;
        let project = &stretch.plan.project;
        let fast = std::iter::once(receivers.url(Manner::Take, 0));
        let mut subscriptions = subscribe(daemon, project, fast).await?;
        if has_neighbours {
            let refusing = refusing_url()?;
            let hanging = (0..self.hanging).map(|number| receivers.url(Manner::Hang, number));
            let dripping = (0..self.dripping).map(|number| receivers.url(Manner::Drip, number));
            let refusing = (0..self.refusing).map(|number| format!("{refusing}/{number}"));
            let urls = hanging.chain(dripping).chain(refusing);
            subscriptions.extend(subscribe(daemon, project, urls).await?);
        }
        let figures = stretch.load(daemon, &board).await?;
        unsubscribe(daemon, subscriptions).await?;
        Ok(figures)
    }
}

/// A port where nobody listens: one that was free a moment ago.
fn refusing_url() -> anyhow::Result<String> {
    let free = std::net::TcpListener::bind("127.0.0.1:0").context("failed to find a free port")?;
    Ok(format!("http://{}", free.local_addr()?))
}
