//! Gauges: how far each limit is used and which subscriptions lag. `/metrics` exports them with
//! [`daemon_stats`](super::daemon_stats).

use crate::flow::inner::Flow;
use crate::flow::schedule::slots::SlotUsage;
use crate::model::id::SubscriptionId;
use crate::model::time::Timestamp;
use crate::store::StoreError;

/// The most rows of a queue that are read to find its oldest delivery.
const ROWS_MAX: usize = 64;
/// For how many subscriptions the oldest delivery is looked up, those with the longest queues first.
const LOOKS_MAX: usize = 10_000;

/// The waiting deliveries of a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// The id of the subscription.
    pub id: SubscriptionId,
    /// The name of the subscription.
    pub name: String,
    /// The number of deliveries that wait or are being attempted.
    pub waiting: u64,
    /// When the oldest of them was created, as far as the queue was read.
    pub oldest: Option<Timestamp>,
}

/// The use of each limit, and the subscriptions that lag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gauges {
    /// The enabled subscriptions with the longest queues and those with the oldest deliveries.
    pub worst: Vec<Backlog>,
    /// All other enabled subscriptions together: the number of deliveries, and when the oldest was created.
    pub other: (u64, Option<Timestamp>),
    /// The number of lanes that send only a probe.
    pub in_trouble: u64,
    /// The number of steps that wait for the committer, and its limit.
    pub steps: (usize, usize),
    /// The bytes of request bodies in memory, and their limit.
    pub bodies: (usize, usize),
    /// The number of requests in flight, and its limit.
    pub requests: (usize, usize),
    /// The number of lanes that wait for a slot.
    pub lanes_waiting: usize,
    /// The bytes of events kept in memory for their first attempts, and their limit.
    pub carried: (u64, u64),
    /// The number of replay jobs that are running.
    pub replays: usize,
    /// The number of failures of filters since the start of the daemon.
    pub filter_errors: u64,
}

impl Flow {
    /// Returns the gauges. At most `worst_max` subscriptions are named for the length of their queue, and as
    /// many for the age of their deliveries.
    ///
    /// Blocks: passes over every subscription, and reads some rows of each queue.
    pub fn gauges(&self, worst_max: usize) -> Result<Gauges, StoreError> {
        let (mut backlogs, mut in_trouble, mut filter_errors) = (Vec::new(), 0, 0);
        for lane in self.lanes.all() {
            filter_errors += self.index.filter_errors(lane.id).map_or(0, |errors| errors.count);
            let state = lane.lock();
            if state.health.disabled.is_some() {
                continue;
            }
            in_trouble += u64::from(state.is_probing());
            let name = state.subscription.spec.name.clone();
            drop(state);
            let waiting = self.reader.waiting(lane.id);
            if waiting > 0 {
                backlogs.push(Backlog { id: lane.id, name, waiting, oldest: None });
            }
        }
        backlogs.sort_unstable_by_key(|one| std::cmp::Reverse(one.waiting));
        for one in backlogs.iter_mut().take(LOOKS_MAX) {
            one.oldest = self.reader.oldest_waiting_within(one.id, ROWS_MAX)?;
        }
        let (worst, other) = split(backlogs, worst_max);
        let SlotUsage { used, slots, lanes_waiting } = self.scheduler.usage();
        Ok(Gauges {
            worst,
            other,
            in_trouble,
            steps: self.store.queued(),
            bodies: self.intake.bodies().usage(),
            requests: (used, slots),
            lanes_waiting,
            carried: self.event_cache.usage(),
            replays: self.replays.count(),
            filter_errors,
        })
    }
}

/// Splits the backlogs into the `most` longest with the `most` oldest, and the sum of all others.
fn split(mut backlogs: Vec<Backlog>, most: usize) -> (Vec<Backlog>, (u64, Option<Timestamp>)) {
    let mut rest = backlogs.split_off(most.min(backlogs.len()));
    rest.sort_unstable_by_key(|one| (one.oldest.is_none(), one.oldest));
    let others = rest.split_off(most.min(rest.len()));
    backlogs.append(&mut rest);
    let waiting = others.iter().map(|one| one.waiting).sum();
    let oldest = others.iter().filter_map(|one| one.oldest).min();
    (backlogs, (waiting, oldest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_and_the_oldest_are_told_of_and_the_others_summed_up() {
        let backlog = |id: u128, waiting, made: Option<u64>| Backlog {
            id: SubscriptionId::from_bits(id),
            name: format!("s{id}"),
            waiting,
            oldest: made.map(Timestamp::from_millis),
        };
        let all = vec![
            backlog(1, 90, Some(50)),
            backlog(2, 80, Some(40)),
            backlog(3, 9, Some(30)),
            backlog(4, 3, Some(10)),
            backlog(5, 2, Some(20)),
            backlog(6, 1, None),
        ];
        let (worst, other) = split(all.clone(), 2);
        let ids: Vec<_> = worst.iter().map(|one| one.id.bits()).collect();
        assert_eq!(ids, [1, 2, 4, 5]);
        assert_eq!(other, (10, Some(Timestamp::from_millis(30))));
        assert_eq!(split(all.clone(), 6), (all.clone(), (0, None)));
        assert_eq!(split(all, 0), (Vec::new(), (185, Some(Timestamp::from_millis(10)))));
    }
}
