//! Runs steps of every kind on a store and records which were acknowledged, and so must be found later.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use postrider::model::attempt::{Attempt, Outcome};
use postrider::model::delivery::{Delivery, Progress};
use postrider::model::event::EventContent;
use postrider::model::id::{DeliveryId, EventId, SubscriptionId};
use postrider::model::secret::{Secret, SigningSecret};
use postrider::model::subscription::{HealthState, Subscription, SubscriptionSpec};
use postrider::model::time::{Clock, Timestamp};
use postrider::store::{
    Append, Appended, DeliveryQuery, EventQuery, OpenError, Opened, Reader, Redelivery, Replay, Settlement,
    Store, StoreError, StoreOptions, Sweep, Target, WriteSlot, open,
};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::advance;

pub(crate) const EPOCH: Timestamp = Timestamp::from_millis(1_767_600_000_000);
const KEPT: Duration = Duration::from_secs(90);
/// The number of events in a burst. Some bursts fill a segment of the index.
const BURST: usize = 300;
const SUBSCRIPTIONS: u128 = 4;
/// The number of newest events and replays that later steps still work on.
const NEWEST: usize = 60;

/// The positions in the disk record at which a step was submitted and acknowledged.
#[derive(Clone, Copy, Debug)]
struct Span {
    handed: usize,
    acked: usize,
}

impl Span {
    /// Returns whether a disk cut at this position must hold the step's result.
    fn is_due(self, cut: usize) -> bool {
        self.acked <= cut
    }

    /// Returns whether a disk cut at this position may hold the step's result.
    fn is_possible(self, cut: usize) -> bool {
        self.handed < cut
    }
}

#[derive(Clone, Debug)]
struct Written {
    span: Span,
    id: EventId,
    content: EventContent,
    deliveries: Vec<(DeliveryId, SubscriptionId)>,
}

/// A delivery that a replay created.
#[derive(Clone, Copy, Debug)]
struct Replayed {
    span: Span,
    id: DeliveryId,
    event: EventId,
    subscription: SubscriptionId,
}

/// Receives the result of a step.
type Answer<T> = oneshot::Receiver<(Span, Result<T, StoreError>)>;

/// A submitted replay and the receiver of its result.
type Replaying = (Vec<Redelivery>, Answer<Vec<Option<DeliveryId>>>);

/// The acknowledged steps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    subscriptions: Vec<(Span, Subscription)>,
    events: Vec<Written>,
    replayed: Vec<Replayed>,
    /// The settled states of each delivery, in the order of the steps.
    settled: BTreeMap<DeliveryId, Vec<(Span, Delivery)>>,
    sweeps: Vec<(Span, Timestamp)>,
}

/// An open store with its committer running.
pub(crate) struct Bench {
    pub(crate) store: Store,
    pub(crate) reader: Reader,
    running: JoinSet<Result<(), StoreError>>,
    /// Deliveries found at the opening that have no row of their own yet.
    fresh: BTreeSet<DeliveryId>,
}

pub(crate) fn options(path: &Path) -> StoreOptions {
    StoreOptions {
        path: path.to_owned(),
        key_file: None,
        cache_bytes: 16 << 20,
        dedup_window: Duration::from_hours(1),
        queue_steps_max: 64,
    }
}

impl Bench {
    pub(crate) fn open(path: &Path, clock: &Clock, seed: u64) -> Result<Self, OpenError> {
        let opened = open(&options(path), clock.clone(), StdRng::seed_from_u64(seed), &mut |_| {})?;
        let Opened { store, reader, committer, fresh, .. } = opened;
        let mut running = JoinSet::new();
        running.spawn(committer.run());
        let fresh = fresh.into_iter().map(|fresh| fresh.id).collect();
        Ok(Self { store, reader, running, fresh })
    }

    pub(crate) async fn close(self) -> Result<(), StoreError> {
        let Self { store, reader, mut running, .. } = self;
        drop((store, reader));
        running.join_next().await.unwrap().unwrap()
    }

    /// Submits a step. The answer arrives with its span.
    async fn hand<T: Send + 'static>(
        &self,
        send: impl FnOnce(WriteSlot, Box<dyn FnOnce(Result<T, StoreError>) + Send>),
    ) -> Result<Answer<T>, StoreError> {
        let (sender, answer) = oneshot::channel();
        let place = self.store.reserve().await?;
        let handed = super::position();
        let answer_with = move |result| {
            let span = Span { handed, acked: super::position() };
            // The requester may have been dropped.
            drop(sender.send((span, result)));
        };
        send(place, Box::new(answer_with));
        Ok(answer)
    }

    async fn append(&self, list: Vec<Append>) -> Result<Vec<Appended>, StoreError> {
        self.hand(|place, done| place.append(list, done)).await?.await.unwrap().1
    }
}

fn subscription(id: u128) -> Subscription {
    let members = serde_json::json!({ "name": format!("sub {id}"), "url": "https://example.com/hook" });
    let secret = SigningSecret { secret: Secret::from_random([7; 32]), created_at: EPOCH, expires_at: None };
    Subscription {
        secrets: vec![secret],
        ..Subscription::new(SubscriptionId::from_bits(id), SubscriptionSpec::read(&members).unwrap(), EPOCH)
    }
}

/// Random steps, many of them in the queue at once.
pub(crate) struct Work {
    pub(crate) clock: Clock,
    pub(crate) facts: Facts,
    rng: StdRng,
    count: u64,
}

impl Work {
    pub(crate) fn new(seed: u64) -> Self {
        let clock = Clock::starting_at(EPOCH);
        Self { clock, facts: Facts::default(), rng: StdRng::seed_from_u64(seed), count: 0 }
    }

    pub(crate) async fn subscribe(&mut self, bench: &Bench) -> Result<(), StoreError> {
        for id in 1..=SUBSCRIPTIONS {
            let value = subscription(id);
            let copy = value.clone();
            let answer = bench.hand(|place, done| place.put_subscription(copy, None, done)).await?;
            let (span, result) = answer.await.unwrap();
            result?;
            self.facts.subscriptions.push((span, value));
        }
        Ok(())
    }

    fn content(&mut self) -> EventContent {
        self.count += 1;
        let size = match self.rng.random_range(0..40) {
            0 => 40_000,
            1..4 => 7_000,
            _ => self.rng.random_range(0..600),
        };
        let text = format!("\"{}-{}\"", self.count, "x".repeat(size));
        EventContent {
            event_type: "TODO_CREATED".parse().unwrap(),
            project: "website".parse().unwrap(),
            company: None,
            sender_id: self.rng.random_bool(0.5).then(|| format!("own-{}", self.count).parse().unwrap()),
            occurred_at: None,
            data: Some(Bytes::from(text)),
            trace: None,
        }
    }

    /// Runs a round of concurrent steps. Ends at the first one that is not acknowledged.
    pub(crate) async fn round(&mut self, bench: &Bench) -> Result<(), StoreError> {
        advance(Duration::from_millis(self.rng.random_range(0..4_000))).await;
        let mut appends = Vec::new();
        for _ in 0..self.rng.random_range(1..10) {
            let count = if self.rng.random_bool(0.02) { BURST } else { self.rng.random_range(1..6) };
            let list: Vec<Append> = (0..count).map(|_| self.append()).collect();
            let copy = list.clone();
            appends.push((list, bench.hand(|place, done| place.append(copy, done)).await?));
        }
        let parked = self.park(bench).await?;
        let replays = self.replay(bench).await?;
        let settles = self.settle(bench).await?;
        let mut done = Ok(());
        for (list, answer) in appends {
            let (span, result) = answer.await.unwrap();
            match result {
                Ok(appended) => self.note(span, list, appended),
                Err(error) => done = Err(error),
            }
        }
        for (list, answer) in replays {
            let (span, result) = answer.await.unwrap();
            match result {
                Ok(ids) => self.note_replay(span, &list, &ids),
                Err(error) => done = Err(error),
            }
        }
        done = done.and(parked.await.unwrap().1);
        for (id, answer) in settles {
            let (span, result) = answer.await.unwrap();
            if result.is_ok()
                && let Some((last, _)) = self.facts.settled.get_mut(&id).and_then(|list| list.last_mut())
            {
                *last = span;
            }
            done = done.and(result);
        }
        done?;
        if self.rng.random_range(0..4) == 0 { self.sweep(bench).await } else { Ok(()) }
    }

    fn append(&mut self) -> Append {
        let content = self.content();
        let count = self.rng.random_range(0..=SUBSCRIPTIONS);
        let target =
            |id| Target { subscription: SubscriptionId::from_bits(id), queued: self.rng.random_bool(0.3) };
        Append { content, targets: (1..=count).map(target).collect() }
    }

    fn note(&mut self, span: Span, list: Vec<Append>, appended: Vec<Appended>) {
        for (append, appended) in list.into_iter().zip(appended) {
            let targets = append.targets.iter().map(|target| target.subscription);
            for (id, target) in
                appended.deliveries.iter().zip(&append.targets).filter(|(_, target)| target.queued)
            {
                // The place of a delivery decides how it is settled.
                let waiting = Delivery::new(*id, appended.event.id, target.subscription);
                self.facts.settled.insert(*id, vec![(span, waiting)]);
            }
            let deliveries = appended.deliveries.iter().copied().zip(targets).collect();
            self.facts.events.push(Written {
                span,
                id: appended.event.id,
                content: append.content,
                deliveries,
            });
        }
    }

    /// Returns the newest deliveries, each with its event and its subscription.
    fn newest(&self) -> Vec<(DeliveryId, EventId, SubscriptionId)> {
        let newest = self.facts.events.iter().rev().take(NEWEST);
        let newest = newest.flat_map(|event| event.deliveries.iter().map(|(id, of)| (*id, event.id, *of)));
        let replayed = self.facts.replayed.iter().rev().take(NEWEST);
        newest.chain(replayed.map(|one| (one.id, one.event, one.subscription))).collect()
    }

    /// Writes rows into the lanes for some deliveries that have none.
    async fn park(&mut self, bench: &Bench) -> Result<Answer<()>, StoreError> {
        let mut list = Vec::new();
        for (id, event, of) in self.newest() {
            if !self.facts.settled.contains_key(&id) && self.rng.random_bool(0.2) {
                list.push(Delivery::new(id, event, of));
            }
        }
        bench.hand(|place, done| place.enqueue(list, done)).await
    }

    /// Delivers some events again.
    async fn replay(&mut self, bench: &Bench) -> Result<Vec<Replaying>, StoreError> {
        let mut answers = Vec::new();
        let newest: Vec<EventId> = self.facts.events.iter().rev().take(NEWEST).map(|one| one.id).collect();
        while !newest.is_empty() && self.rng.random_bool(0.4) {
            let mut again = || Redelivery {
                event: newest[self.rng.random_range(0..newest.len())],
                subscription: SubscriptionId::from_bits(self.rng.random_range(1..=SUBSCRIPTIONS)),
                queued: self.rng.random_bool(0.5),
            };
            let deliveries: Vec<_> = (0..3).map(|_| again()).collect();
            let replay = Replay { deliveries: deliveries.clone(), ..Replay::default() };
            answers.push((deliveries, bench.hand(|place, done| place.replay(replay, done)).await?));
        }
        Ok(answers)
    }

    fn note_replay(&mut self, span: Span, list: &[Redelivery], ids: &[Option<DeliveryId>]) {
        for (one, id) in list.iter().zip(ids) {
            let (Redelivery { event, subscription, queued }, Some(id)) = (*one, *id) else { continue };
            if queued {
                let waiting = Delivery::new(id, event, subscription);
                self.facts.settled.insert(id, vec![(span, waiting)]);
            }
            self.facts.replayed.push(Replayed { span, id, event, subscription });
        }
    }

    /// Settles some of the newest waiting deliveries once each.
    async fn settle(&mut self, bench: &Bench) -> Result<Vec<(DeliveryId, Answer<()>)>, StoreError> {
        let mut answers = Vec::new();
        for (id, event, of) in self.newest() {
            let last = self.facts.settled.get(&id).and_then(|list| list.last()).map(|(_, last)| last.clone());
            let due_was = last.as_ref().map(|last| last.progress);
            let mut delivery = last.unwrap_or_else(|| Delivery::new(id, event, of));
            if delivery.progress.is_final() || self.rng.random_bool(0.4) {
                continue;
            }
            let due_was =
                due_was.and_then(|was| if let Progress::Waiting { due } = was { Some(due) } else { None });
            self.attempt(&mut delivery);
            let settlement = Settlement { delivery: delivery.clone(), due_was, health: self.health() };
            let answer = bench.hand(|place, done| place.settle(settlement, done)).await?;
            // The span stays open until the step is acknowledged.
            let span = Span { handed: super::position(), acked: usize::MAX };
            self.facts.settled.entry(id).or_default().push((span, delivery));
            answers.push((id, answer));
        }
        Ok(answers)
    }

    fn health(&mut self) -> Option<HealthState> {
        self.rng.random_bool(0.1).then(Default::default)
    }

    fn attempt(&mut self, delivery: &mut Delivery) {
        let now = self.clock.now();
        let status = if self.rng.random_bool(0.7) { 200 } else { 500 };
        let outcome = match status {
            200 => Outcome::Success { status },
            _ => Outcome::Rejected { status, retry_after: None },
        };
        let (number, duration) = (delivery.next_attempt(), Duration::from_millis(3));
        delivery.attempts.push(Attempt {
            number,
            started_at: now,
            duration,
            outcome,
            excerpt: b"ok".to_vec(),
        });
        delivery.progress = match status {
            200 => Progress::Succeeded,
            _ if number > 1 => Progress::Exhausted,
            _ => Progress::Waiting { due: now.after(Duration::from_secs(5)) },
        };
    }

    async fn sweep(&mut self, bench: &Bench) -> Result<(), StoreError> {
        let before = self.clock.now().before(KEPT);
        loop {
            let sweep = Sweep { events_before: before, held_before: before, bytes_max: u64::MAX, limit: 200 };
            let (span, swept) = bench.hand(|place, done| place.sweep(sweep, done)).await?.await.unwrap();
            self.facts.sweeps.push((span, before));
            if !swept?.more {
                return Ok(());
            }
        }
    }
}

impl Facts {
    pub(crate) fn events(&self) -> usize {
        self.events.len()
    }

    /// Returns the number of events acknowledged before the cut.
    pub(crate) fn acked_by(&self, cut: usize) -> usize {
        self.events.iter().filter(|event| event.span.is_due(cut)).count()
    }

    /// Compares an opened store with the steps acknowledged before the cut. Returns the first difference.
    pub(crate) fn check(&self, bench: &Bench, cut: usize) -> Result<(), String> {
        let fail = |error: StoreError| error.to_string();
        let reader = &bench.reader;
        for (span, value) in &self.subscriptions {
            let found = reader.subscription(value.id).map_err(fail)?;
            if span.is_due(cut) && found.as_ref() != Some(value) {
                return Err(format!("subscription {} is {found:?}", value.id));
            }
        }
        let may_be_swept =
            self.sweeps.iter().filter(|(span, _)| span.is_possible(cut)).map(|(_, at)| *at).max();
        let horizon = may_be_swept.unwrap_or(Timestamp::from_millis(0));
        let mut lanes = lanes(reader).map_err(fail)?;
        for event in &self.events {
            let found = reader.event(event.id).map_err(fail)?;
            match found {
                None if event.span.is_due(cut) && event.id.time() >= horizon => {
                    return Err(format!("acknowledged event {} is lost", event.id));
                }
                None => continue,
                Some(_) if !event.span.is_possible(cut) => {
                    return Err(format!("event {} is there before it was submitted", event.id));
                }
                Some(found) if found.content != event.content => {
                    return Err(format!("event {} is not as it was submitted", event.id));
                }
                Some(_) => {}
            }
            self.check_deliveries(bench, &mut lanes, event, (cut, horizon))?;
        }
        if let Some(id) = lanes.first() {
            return Err(format!("a lane has {id}, which does not wait"));
        }
        self.check_no_stranger(reader, cut)
    }

    /// Checks that an event has its own deliveries and those of its replays, and removes them from the lanes.
    fn check_deliveries(
        &self,
        bench: &Bench,
        lanes: &mut BTreeSet<DeliveryId>,
        event: &Written,
        (cut, horizon): (usize, Timestamp),
    ) -> Result<(), String> {
        let found = bench.reader.deliveries_of(event.id).map_err(|error| error.to_string())?;
        let ids: Vec<_> = found.iter().map(|delivery| (delivery.id, delivery.subscription)).collect();
        let replayed = self.replayed.iter().filter(|one| one.event == event.id);
        let mut left: Vec<_> = ids.clone();
        left.retain(|one| !event.deliveries.contains(one));
        for one in replayed {
            let known = left.iter().position(|(id, of)| *id == one.id && *of == one.subscription);
            match known {
                Some(at) if one.span.is_possible(cut) => drop(left.swap_remove(at)),
                None if !one.span.is_due(cut) || one.id.time() < horizon => {}
                _ => return Err(format!("replayed delivery {} of {} is lost, or early", one.id, event.id)),
            }
        }
        if !left.is_empty() || !event.deliveries.iter().all(|one| ids.contains(one)) {
            return Err(format!("event {} has not the deliveries that it was given", event.id));
        }
        for delivery in found {
            let steps = self.settled.get(&delivery.id).map_or(&[][..], Vec::as_slice);
            let last_due = steps.iter().rposition(|(span, _)| span.is_due(cut));
            let fresh = Delivery::new(delivery.id, event.id, delivery.subscription);
            let mut allowed: Vec<&Delivery> = steps
                .iter()
                .skip(last_due.unwrap_or_default())
                .filter(|(span, _)| span.is_possible(cut))
                .map(|(_, delivery)| delivery)
                .collect();
            if last_due.is_none() {
                allowed.push(&fresh);
            }
            if !allowed.contains(&&delivery) {
                return Err(format!("delivery {} is {delivery:?}, not one of {allowed:?}", delivery.id));
            }
            let waits = !delivery.progress.is_final();
            let is_fresh = bench.fresh.contains(&delivery.id);
            let is_in_lane = lanes.remove(&delivery.id);
            if is_in_lane != (waits && !is_fresh) || is_fresh && !waits {
                return Err(format!(
                    "delivery {} is not where it waits, or waits where it should not",
                    delivery.id
                ));
            }
        }
        Ok(())
    }

    /// Checks that every event in the log was submitted and occurs once.
    fn check_no_stranger(&self, reader: &Reader, cut: usize) -> Result<(), String> {
        let fail = |error: StoreError| error.to_string();
        let mut seen = BTreeSet::new();
        let mut before = None;
        let known: BTreeMap<EventId, Span> = self.events.iter().map(|event| (event.id, event.span)).collect();
        loop {
            let page =
                reader.events(&EventQuery { before, limit: 500, ..EventQuery::default() }).map_err(fail)?;
            for head in &page.items {
                let event = reader.event(head.id).map_err(fail)?.ok_or("a listed event is gone")?;
                let data = event.content.data.unwrap_or_default();
                let marker: Vec<u8> = data.iter().copied().take_while(|byte| *byte != b'-').collect();
                if !seen.insert(marker.clone()) {
                    return Err(format!("{} is there twice", String::from_utf8_lossy(&marker)));
                }
                if known.get(&head.id).is_none_or(|span| !span.is_possible(cut)) {
                    return Err(format!("event {} comes from nowhere", head.id));
                }
            }
            match page.next {
                Some(next) => before = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// Checks that the store still works: it recognises acknowledged sender ids and accepts new events.
    pub(crate) async fn go_on(&self, bench: &Bench, cut: usize) -> Result<(), String> {
        let fail = |error: StoreError| error.to_string();
        let own = self.events.iter().rev().filter(|event| event.span.is_due(cut));
        let own = own.filter(|event| event.content.sender_id.is_some()).take(3);
        for event in own {
            let again = Append { content: event.content.clone(), targets: Vec::new() };
            let again = bench.append(vec![again]).await.map_err(fail)?;
            if again.iter().any(|one| !one.duplicate || one.event.id != event.id) {
                return Err(format!("{} was taken for a new event", event.id));
            }
        }
        let content = EventContent { data: Some(Bytes::from_static(b"\"new-\"")), ..plain() };
        let new = bench.append(vec![Append { content, targets: Vec::new() }]).await.map_err(fail)?;
        let listed = bench.reader.event(new.first().ok_or("no answer")?.event.id).map_err(fail)?;
        let query = DeliveryQuery { limit: 5, ..DeliveryQuery::default() };
        bench.reader.deliveries(&query, |_| true).map_err(fail)?;
        listed.map(drop).ok_or_else(|| "a new event is not there".to_owned())
    }
}

/// Returns every delivery in the lanes and checks that each occurs once.
fn lanes(reader: &Reader) -> Result<BTreeSet<DeliveryId>, StoreError> {
    let mut found = BTreeSet::new();
    for of in 1..=SUBSCRIPTIONS {
        let of = SubscriptionId::from_bits(of);
        let page = reader.due_page(of, None, usize::MAX)?;
        let count = found.len() + page.len();
        found.extend(page.into_iter().map(|(_, id)| id));
        assert_eq!(found.len(), count, "a delivery is twice in the lane of {of}");
    }
    Ok(found)
}

fn plain() -> EventContent {
    EventContent {
        event_type: "TODO_CREATED".parse().unwrap(),
        project: "website".parse().unwrap(),
        company: None,
        sender_id: None,
        occurred_at: None,
        data: None,
        trace: None,
    }
}
