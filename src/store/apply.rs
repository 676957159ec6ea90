//! Applies steps: decides which rows each changes, and writes them in short transactions.
//!
//! The committer is the only writer, so that what it reads before a transaction still holds in it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::dedup::Dedup;
use super::error::StoreError;
use super::key::{self, Table, delivery_of};
use super::ledger::{Fresh, ProgressKind};
use super::pulse::Pulse;
use super::reader::{Reader, lane};
use super::record::{self, Meta};
use super::step::{Append, Appended, Done, Poison, Settlement, Step};
use super::table::{Draft, corrupt};
use crate::model::delivery::{Delivery, Progress};
use crate::model::event::Event;
use crate::model::id::{DeliveryId, EventId, IdSequence, SubscriptionId};
use crate::model::subscription::{Standing, Subscription};
use crate::model::time::{Clock, Timestamp};

/// The most events in one transaction: it holds a lock that readers wait for.
const EVENTS_MAX: usize = 32;
/// The most bytes of rows in one transaction, unless a single event has more.
const BYTES_MAX: usize = 256 * 1024;
/// The most rows changed in one transaction, unless a single event or step changes more.
const ROWS_MAX: usize = 128;

/// Acknowledges a step that has become durable.
pub(super) type Ack = Box<dyn FnOnce() + Send>;

fn ack<T: Send + 'static>(
    poison: &Poison,
    done: Done<T>,
    result: Result<T, StoreError>,
) -> Result<Ack, StoreError> {
    match result {
        Ok(value) => Ok(Box::new(move || done.ok(value))),
        Err(error) => {
            poison.set(&error);
            Err(error)
        }
    }
}

/// The writing half of an open log.
#[derive(Debug)]
pub(super) struct Applier {
    pub(super) reader: Reader,
    pub(super) meta: Meta,
    pub(super) ids: IdSequence,
    pub(super) last_id: u128,
    pub(super) clock: Clock,
    pub(super) dedup: Dedup,
    pub(super) draft: Draft,
    pub(super) events_in_draft: usize,
    /// Where the release of a lane stopped.
    pub(super) releases: HashMap<SubscriptionId, key::DueKey>,
    /// Every event before this one was passed by a sweep.
    pub(super) swept_to: u128,
    /// Passed events that have had a delivery finished since.
    pub(super) revisit: BTreeSet<EventId>,
    pub(super) pulse: Arc<Pulse>,
    pub(super) poison: Poison,
    #[cfg(test)]
    pub(super) fail_flush_after: Option<u64>,
}

impl Applier {
    /// Does the steps and makes them durable; the acknowledgements are to be called in order.
    ///
    /// After an error nothing more may be written.
    pub(super) fn commit(&mut self, steps: Vec<Step>) -> Result<Vec<Ack>, StoreError> {
        let mut acks = Vec::with_capacity(steps.len());
        let mut steps = steps.into_iter();
        let done = self.commit_steps(&mut steps, &mut acks);
        // Before the rest is dropped, and with that answered: whoever asks must hear of the failure.
        done.inspect_err(|error| self.poison.set(error)).map(|()| acks)
    }

    fn commit_steps(
        &mut self,
        steps: &mut impl Iterator<Item = Step>,
        acks: &mut Vec<Ack>,
    ) -> Result<(), StoreError> {
        for step in steps {
            acks.push(self.step(step)?);
            self.cut_if_full()?;
        }
        self.cut()?;
        self.flush()
    }

    fn step(&mut self, step: Step) -> Result<Ack, StoreError> {
        let poison = self.poison.clone();
        match step {
            Step::Append(list, done) => {
                let appended = list.into_iter().map(|append| self.append(append)).collect();
                ack(&poison, done, appended)
            }
            Step::Settle(settlement, done) => ack(&poison, done, self.settle(&settlement)),
            Step::Park(deliveries, done) => {
                self.park(&deliveries);
                ack(&poison, done, Ok(()))
            }
            Step::PutSubscription(subscription, standing, done) => {
                ack(&poison, done, self.put_subscription(&subscription, standing.as_ref()))
            }
            Step::PutStanding(id, standing, done) => {
                self.put_standing(id, &standing);
                ack(&poison, done, Ok(()))
            }
            Step::Release(id, limit, done) => ack(&poison, done, self.release(id, limit)),
            Step::ClearLane(id, limit, done) => ack(&poison, done, self.clear_lane(id, limit)),
            Step::Sweep(sweep, done) => ack(&poison, done, self.sweep(sweep)),
        }
    }

    /// Writes the draft in one transaction.
    pub(super) fn cut(&mut self) -> Result<(), StoreError> {
        if self.draft.len() > 0 {
            self.write()?;
        }
        Ok(())
    }

    pub(super) fn cut_if_full(&mut self) -> Result<(), StoreError> {
        let full = self.events_in_draft >= EVENTS_MAX
            || self.draft.len() >= ROWS_MAX
            || self.draft.bytes() >= BYTES_MAX;
        if full { self.cut() } else { Ok(()) }
    }

    /// Writes the draft, even if it is empty: then only the meta row.
    pub(super) fn write(&mut self) -> Result<(), StoreError> {
        let floor = self.reader.ledger.state().floor();
        let floor = floor.unwrap_or_else(|| EventId::from_bits(self.last_id.saturating_add(1)));
        self.meta.fresh_floor = floor.to_bytes();
        self.meta = self.reader.tables.apply(&self.draft, &self.meta)?;
        self.draft = Draft::default();
        self.events_in_draft = 0;
        self.reader.ledger.commits.fetch_add(1, Ordering::Relaxed);
        self.pulse.beat();
        Ok(())
    }

    /// Makes every transaction so far durable.
    pub(super) fn flush(&mut self) -> Result<(), StoreError> {
        #[cfg(test)]
        if let Some(left) = &mut self.fail_flush_after {
            *left =
                left.checked_sub(1).ok_or(StoreError::Sled(sled::Error::Unsupported("injected".into())))?;
        }
        self.reader.tables.db().flush()?;
        self.reader.ledger.flushes.fetch_add(1, Ordering::Relaxed);
        self.pulse.beat();
        Ok(())
    }

    fn append(&mut self, append: Append) -> Result<Appended, StoreError> {
        let now = self.clock.now();
        let hash = super::dedup::hash(&append.content);
        if let Some(hash) = hash
            && let Some(found) = self.dedup.find(&self.reader.tables, &self.draft, now, hash)?
        {
            return self.duplicate(found, append);
        }
        let targets: Vec<_> = append.targets.iter().map(|target| target.subscription).collect();
        let record = record::event(&append.content, &targets);
        if self.draft.bytes() + record.len() > BYTES_MAX {
            self.cut()?;
        }
        let event = EventId::from_bits(self.ids.block(now, 1 + targets.len() as u64));
        let deliveries: Vec<_> = (0..targets.len()).map(|index| delivery_of(event, index)).collect();
        self.last_id = deliveries.last().map_or(event.bits(), |id| id.bits());
        self.draft.put_long(Table::Events, event.bits(), &record, 0);
        if let Some(hash) = hash {
            self.dedup.add(&mut self.draft, event, hash);
        }
        self.add_deliveries(event, &append, &deliveries);
        self.events_in_draft += 1;
        self.reader.ledger.events.fetch_add(1, Ordering::Relaxed);
        self.cut_if_full()?;
        let event = Arc::new(Event { id: event, content: append.content });
        Ok(Appended { event, duplicate: false, deliveries })
    }

    fn add_deliveries(&mut self, event: EventId, append: &Append, ids: &[DeliveryId]) {
        let mut state = self.reader.ledger.state();
        for (target, id) in append.targets.iter().zip(ids.iter().copied()) {
            let subscription = target.subscription;
            if !state.is_live(subscription) {
                // Written down, so that no later opening takes it for fresh.
                let progress = Progress::Cancelled;
                let delivery = Delivery { progress, ..Delivery::fresh(id, event, subscription) };
                self.draft.put_long(Table::Deliveries, id.bits(), &record::delivery(&delivery), 0);
                state.tally(subscription).add(ProgressKind::Cancelled);
                continue;
            }
            state.tally(subscription).add(ProgressKind::Waiting);
            if target.queued {
                self.draft.put(Table::Due, &key::due(subscription, id.time(), id), Vec::new());
            } else {
                state.add_fresh(Fresh { id, event, subscription });
            }
        }
    }

    /// The event of before; what was submitted now if retention has already taken it.
    fn duplicate(&mut self, found: EventId, append: Append) -> Result<Appended, StoreError> {
        self.cut()?;
        let (event, targets) = self
            .reader
            .event_with_targets(found)?
            .unwrap_or_else(|| (Event { id: found, content: append.content }, Vec::new()));
        let deliveries = (0..targets.len()).map(|index| delivery_of(found, index)).collect();
        Ok(Appended { event: Arc::new(event), duplicate: true, deliveries })
    }

    fn settle(&mut self, settlement: &Settlement) -> Result<(), StoreError> {
        let delivery = &settlement.delivery;
        if let Some(standing) = &settlement.standing {
            self.put_standing(delivery.subscription, standing);
        }
        let Some((before, length_was)) = self.take_place(delivery, settlement.due_was)? else {
            // Retention took the event while the request was out: there is nothing left to write to.
            return Ok(());
        };
        let mut after = ProgressKind::from(delivery.progress);
        let mut state = self.reader.ledger.state();
        if let Progress::Waiting { due } = delivery.progress {
            if state.is_live(delivery.subscription) {
                self.draft.put(Table::Due, &key::due(delivery.subscription, due, delivery.id), Vec::new());
            } else {
                after = ProgressKind::Cancelled;
            }
        }
        state.shift(delivery.subscription, before, after);
        drop(state);
        self.draft.put_long(Table::Deliveries, delivery.id.bits(), &record::delivery(delivery), length_was);
        if after != ProgressKind::Waiting && delivery.event.bits() < self.swept_to {
            self.revisit.insert(delivery.event);
        }
        Ok(())
    }

    /// Takes a delivery from where it waits; answers how it stood and how long its record is.
    fn take_place(
        &mut self,
        delivery: &Delivery,
        due_was: Option<Timestamp>,
    ) -> Result<Option<(ProgressKind, usize)>, StoreError> {
        if self.reader.ledger.state().take_fresh(delivery.id).is_some() {
            return Ok(Some((ProgressKind::Waiting, 0)));
        }
        let tables = &self.reader.tables;
        let bits = delivery.id.bits();
        let row = self.draft.get(tables, Table::Deliveries, &key::chunk(bits, 0))?;
        let (length, progress) = match &row {
            Some(first) => read_row(bits, first)?,
            None => (0, Progress::Waiting { due: delivery.id.time() }),
        };
        let due_is = match progress {
            Progress::Waiting { due } => Some(due),
            _ => None,
        };
        let mut waited = false;
        for at in [due_was, due_is, Some(delivery.id.time())].into_iter().flatten() {
            let key = key::due(delivery.subscription, at, delivery.id);
            if self.draft.get(tables, Table::Due, &key)?.is_some() {
                self.draft.remove(Table::Due, &key);
                waited = true;
            }
        }
        Ok(match ProgressKind::from(progress) {
            _ if waited => Some((ProgressKind::Waiting, length)),
            ProgressKind::Waiting if row.is_none() && !self.is_listed(delivery)? => None,
            ProgressKind::Waiting => Some((ProgressKind::Cancelled, length)),
            kind => Some((kind, length)),
        })
    }

    /// Whether the log has the event that the delivery says it is of.
    fn is_listed(&self, delivery: &Delivery) -> Result<bool, StoreError> {
        let first = key::chunk(delivery.event.bits(), 0);
        Ok(self.draft.get(&self.reader.tables, Table::Events, &first)?.is_some())
    }

    fn park(&mut self, deliveries: &[Delivery]) {
        let mut state = self.reader.ledger.state();
        for fresh in deliveries.iter().filter_map(|delivery| state.take_fresh(delivery.id)) {
            self.draft.put(Table::Due, &key::due(fresh.subscription, fresh.id.time(), fresh.id), Vec::new());
        }
    }

    pub(super) fn put_subscription(
        &mut self,
        subscription: &Subscription,
        standing: Option<&Standing>,
    ) -> Result<(), StoreError> {
        let bits = subscription.id.bits();
        let old = self.draft.get(&self.reader.tables, Table::Subscriptions, &key::chunk(bits, 0))?;
        let length = |first: sled::IVec| record::length(&first);
        let length_was = old.map(length).transpose().map_err(|p| corrupt(Table::Subscriptions, bits, p))?;
        let record = record::subscription(subscription, &self.reader.vault)?;
        self.draft.put_long(Table::Subscriptions, bits, &record, length_was.unwrap_or(0));
        if let Some(standing) = standing {
            self.put_standing(subscription.id, standing);
        }
        let mut state = self.reader.ledger.state();
        state.subscriptions.insert(subscription.id, subscription.deleted_at);
        if subscription.deleted_at.is_some() {
            state.cancel_fresh(subscription.id);
            // What it left unfinished keeps no event any longer.
            self.swept_to = 0;
        }
        Ok(())
    }

    fn put_standing(&mut self, id: SubscriptionId, standing: &Standing) {
        self.draft.put(Table::Standings, &id.to_bytes(), record::standing(standing));
        // A lane that was switched off in the middle of a release is looked at from the start by the next.
        self.releases.remove(&id);
    }

    fn release(&mut self, id: SubscriptionId, limit: usize) -> Result<bool, StoreError> {
        self.cut()?;
        let (first, last) = lane(id);
        let from = self.releases.remove(&id).unwrap_or(first);
        let rows = self.reader.tables.tree(Table::Due).range(from..=last).keys();
        let mut rows = rows.take(limit.saturating_add(1)).collect::<sled::Result<Vec<_>>>()?;
        let next = if rows.len() > limit { rows.pop() } else { None };
        for row in rows {
            let (_, at, delivery) = key::read_due(&row)?;
            if at > delivery.time() {
                self.draft.remove(Table::Due, &row);
                self.draft.put(Table::Due, &key::due(id, delivery.time(), delivery), Vec::new());
            }
            self.cut_if_full()?;
        }
        if let Some(next) = &next {
            let (_, at, delivery) = key::read_due(next)?;
            self.releases.insert(id, key::due(id, at, delivery));
        }
        Ok(next.is_some())
    }

    fn clear_lane(&mut self, id: SubscriptionId, limit: usize) -> Result<bool, StoreError> {
        self.cut()?;
        let (first, last) = lane(id);
        let rows = self.reader.tables.tree(Table::Due).range(first..=last).keys();
        let rows = rows.take(limit.saturating_add(1)).collect::<sled::Result<Vec<_>>>()?;
        for row in rows.iter().take(limit) {
            self.draft.remove(Table::Due, row);
            self.reader.ledger.state().shift(id, ProgressKind::Waiting, ProgressKind::Cancelled);
            self.cut_if_full()?;
        }
        Ok(rows.len() > limit)
    }
}

/// The length and progress that the first chunk of a delivery tells.
pub(super) fn read_row(bits: u128, first: &[u8]) -> Result<(usize, Progress), StoreError> {
    let read = || Ok::<_, record::Problem>((record::length(first)?, record::read_progress(first)?.1));
    read().map_err(|problem| corrupt(Table::Deliveries, bits, problem))
}
