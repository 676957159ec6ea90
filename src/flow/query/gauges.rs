//! How full everything is, and who waits most: what `/metrics` shows beside [`numbers`](super::numbers).

use crate::model::id::SubscriptionId;
use crate::model::time::Timestamp;
use crate::store::StoreError;

use crate::flow::inner::Flow;
use crate::flow::schedule::slots::SlotUsage;

/// How many rows of a lane are looked at for the oldest delivery in it.
const ROWS_MAX: usize = 64;
/// How many subscriptions are looked at for it, those with most waiting first.
const LOOKS_MAX: usize = 10_000;

/// What one subscription has waiting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// The subscription.
    pub id: SubscriptionId,
    /// Its name.
    pub name: String,
    /// How many of its deliveries wait or are being attempted.
    pub waiting: u64,
    /// When the oldest of them was made, as far as was looked.
    pub oldest: Option<Timestamp>,
}

/// How full things are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gauges {
    /// The subscriptions that are on and whose deliveries wait longest, or in greatest number.
    pub worst: Vec<Backlog>,
    /// All others that are on, together: how many deliveries, and when the oldest was made.
    pub other: (u64, Option<Timestamp>),
    /// Lanes where only the probe goes.
    pub in_trouble: u64,
    /// Steps that wait for the committer, and how many may.
    pub steps: (usize, usize),
    /// Bytes of request bodies in memory, and how many may be.
    pub bodies: (usize, usize),
    /// Requests out, and how many may be.
    pub requests: (usize, usize),
    /// Lanes that wait for a slot.
    pub lanes_waiting: usize,
    /// Bytes of events in memory on their way to their first attempt, and how many may be.
    pub carried: (u64, u64),
    /// Replays of subscriptions that are under way.
    pub replays: usize,
    /// How often filters failed while running.
    pub filter_errors: u64,
}

impl Flow {
    /// Looks at everything; at most `worst_max` subscriptions are told of by name for each of the two reasons.
    ///
    /// Blocks: passes over every subscription, and reads some rows of those with deliveries waiting.
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

/// The `most` with the greatest backlogs and the `most` with the oldest, and the others together.
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
