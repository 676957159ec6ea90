//! The summary of the demo: expected and delivered events, and latencies.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::ensure;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::page::{FAINT, GOOD, STRONG, ms, paint};
use super::receiver::{Arrival, TIMEOUT};
use super::script::RECEIVERS;
use super::story::Story;

/// The time between two requests while deliveries finish.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// The summary of all deliveries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tally {
    events: usize,
    requests: usize,
    receivers: Vec<Count>,
    p50: Duration,
    p99: Duration,
    undelayed: usize,
    elapsed: Duration,
}

/// The summary of one receiver's deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Count {
    name: &'static str,
    wanted: usize,
    delivered: usize,
    lost: usize,
    twice: usize,
    unwanted: usize,
}

impl Story {
    /// Shows the summary after all deliveries have finished.
    ///
    /// # Errors
    /// A delivery is lost or unexpected, or the log contradicts the receivers.
    pub(super) async fn close(&mut self) -> anyhow::Result<Tally> {
        self.page.chapter("Summary");
        self.check_the_log().await?;
        let tally = self.tally();
        self.page.say(&tally);
        let wrong = tally.receivers.iter().find(|count| count.lost + count.unwanted > 0);
        ensure!(wrong.is_none(), "deliveries are lost or unexpected: {wrong:?}");
        Ok(tally)
    }

    fn tally(&mut self) -> Tally {
        let taken = self.ledger.all(|arrival| arrival.is_delivery && arrival.is_taken());
        let receivers = RECEIVERS.map(|name| self.count(name, &taken)).to_vec();
        self.undelayed.sort_unstable();
        Tally {
            events: self.submitted.len(),
            requests: self.ledger.len(),
            receivers,
            p50: percentile(&self.undelayed, 50),
            p99: percentile(&self.undelayed, 99),
            undelayed: self.undelayed.len(),
            elapsed: self.elapsed(),
        }
    }

    fn count(&self, name: &'static str, taken: &[Arrival]) -> Count {
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        for arrival in taken.iter().filter(|arrival| arrival.receiver == name) {
            *times.entry(&arrival.event).or_default() += 1;
        }
        let wanted: Vec<_> = self.submitted.iter().filter(|one| one.event.is_for(name)).collect();
        let delivered = wanted.iter().filter(|one| times.contains_key(one.id.as_str())).count();
        Count {
            name,
            wanted: wanted.len(),
            delivered,
            lost: wanted.len() - delivered,
            twice: times.values().map(|times| times - 1).sum(),
            unwanted: times.len() - delivered,
        }
    }

    /// Waits until no delivery is unfinished, and checks that the log agrees with the receivers.
    async fn check_the_log(&self) -> anyhow::Result<()> {
        let patience = self.clock.instant() + TIMEOUT;
        loop {
            let all = self.api.subscriptions().await?;
            if all.iter().all(|one| one.stats.unfinished() == 0) {
                for one in all {
                    let wanted = self.submitted.iter().filter(|sent| sent.event.is_for(&one.name)).count();
                    let (name, stats) = (&one.name, one.stats);
                    ensure!(
                        stats.succeeded == wanted && stats.exhausted + stats.cancelled == 0,
                        "the log has {stats:?} for {name}: expected {wanted} succeeded and nothing else"
                    );
                }
                return Ok(());
            }
            ensure!(self.clock.instant() < patience, "the log still has unfinished deliveries: {all:?}");
            sleep(POLL_INTERVAL).await;
        }
    }
}

/// Returns the nearest-rank percentile of sorted values.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

impl Tally {
    fn sum(&self, of: impl Fn(&Count) -> usize) -> usize {
        self.receivers.iter().map(of).sum()
    }

    /// Returns the summary as JSON.
    pub(super) fn to_json(&self) -> Value {
        json!({
            "events": self.events,
            "wanted": self.sum(|count| count.wanted),
            "delivered": self.sum(|count| count.delivered),
            "lost": self.sum(|count| count.lost),
            "duplicates": self.sum(|count| count.twice),
            "unwanted": self.sum(|count| count.unwanted),
            "p50_ms": self.p50.as_secs_f64() * 1000.0,
            "p99_ms": self.p99.as_secs_f64() * 1000.0,
            "elapsed_ms": self.elapsed.as_secs_f64() * 1000.0,
        })
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = format!(
            "  {:<12}{:>10}{:>12}{:>8}{:>10}{:>14}",
            "", "expected", "delivered", "lost", "twice", "unexpected"
        );
        writeln!(f, "{}", paint(FAINT, head))?;
        for one in &self.receivers {
            let Count { name, wanted, delivered, lost, twice, unwanted } = one;
            writeln!(f, "  {name:<12}{wanted:>10}{delivered:>12}{lost:>8}{twice:>10}{unwanted:>14}")?;
        }
        let (events, requests) = (self.events, self.requests);
        let (wanted, delivered) = (self.sum(|count| count.wanted), self.sum(|count| count.delivered));
        let (lost, twice) = (self.sum(|count| count.lost), self.sum(|count| count.twice));
        let sums =
            format!("{wanted} deliveries accepted = {delivered} delivered, {lost} lost, {twice} duplicates");
        writeln!(f, "\n  {events} events: {}", paint(GOOD, sums))?;
        writeln!(f, "  {requests} requests to the receivers, all signatures verified")?;
        let latency = paint(STRONG, format_args!("p50 {}, p99 {}", ms(self.p50), ms(self.p99)));
        let build = if cfg!(debug_assertions) { " with an unoptimised build" } else { "" };
        writeln!(
            f,
            "  {latency} from POST to arrival, over the {} deliveries that did not wait for their receiver",
            self.undelayed
        )?;
        write!(f, "  total time {:.1} s{build}", self.elapsed.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_measured_values() {
        let values: Vec<_> = (1..=200).map(Duration::from_millis).collect();
        let table = [(50, 100), (99, 198), (100, 200), (1, 2)];
        for (percent, expected) in table {
            assert_eq!(percentile(&values, percent), Duration::from_millis(expected), "p{percent}");
        }
        assert_eq!(percentile(&values[..1], 99), Duration::from_millis(1));
        assert_eq!(percentile(&[], 50), Duration::ZERO);
    }
}
