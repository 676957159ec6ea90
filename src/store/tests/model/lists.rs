//! Compares lists with the model: every filter on an unchanging log, and page by page while the log changes.

use super::*;

/// The ids on a page of events or deliveries.
type Ids = Vec<u128>;

/// A list that is read page by page.
enum List {
    Events(EventQuery),
    Deliveries(DeliveryQuery),
}

impl List {
    /// Reads the next page and compares it with the model. Returns the page and whether more follow.
    fn page(&mut self, reader: &Reader, model: &Model) -> (Ids, bool) {
        match self {
            Self::Events(query) => {
                let page = reader.events(query).unwrap();
                query.before = page.next;
                (page.items.iter().map(|head| head.id.bits()).collect(), page.next.is_some())
            }
            Self::Deliveries(query) => {
                let page = reader.deliveries(query, |_| true).unwrap();
                query.before = page.next;
                assert!(page.items.iter().all(|one| model.deliveries[&one.id].delivery == *one));
                (page.items.iter().map(|one| one.id.bits()).collect(), page.next.is_some())
            }
        }
    }

    /// Returns the list according to the model, newest first.
    fn expected(&self, model: &Model) -> Ids {
        match self {
            Self::Events(query) => {
                let all = model.events.values().rev().map(|(event, _)| event);
                all.filter(|event| wants_event(query, event)).map(|event| event.id.bits()).collect()
            }
            Self::Deliveries(query) => {
                let all = model.deliveries.values().rev().map(|known| &known.delivery);
                all.filter(|one| wants_delivery(query, one)).map(|one| one.id.bits()).collect()
            }
        }
    }
}

fn wants_event(query: &EventQuery, event: &Event) -> bool {
    let content = &event.content;
    query.event_type.as_ref().is_none_or(|wanted| *wanted == content.event_type)
        && query.project.as_ref().is_none_or(|wanted| *wanted == content.project)
        && query.company.is_none_or_is(&content.company)
        && query.sender_id.is_none_or_is(&content.sender_id)
        && query.since.is_none_or(|at| event.id.time() >= at)
        && query.until.is_none_or(|at| event.id.time() < at)
}

trait IsNoneOr {
    fn is_none_or_is(&self, of: &Self) -> bool;
}

impl<T: PartialEq> IsNoneOr for Option<T> {
    fn is_none_or_is(&self, of: &Self) -> bool {
        self.is_none() || self == of
    }
}

fn wants_delivery(query: &DeliveryQuery, delivery: &Delivery) -> bool {
    let kind = ProgressKind::from(delivery.progress);
    let is_waiting_one = |list: &Vec<SubscriptionId>| {
        list.contains(&delivery.subscription) || query.waiting_also.contains(&delivery.id)
    };
    query.subscription.is_none_or(|id| id == delivery.subscription)
        && query.event.is_none_or(|id| id == delivery.event)
        && query.since.is_none_or(|at| delivery.id.time() >= at)
        && query.until.is_none_or(|at| delivery.id.time() < at)
        && (query.progress.is_empty() || query.progress.contains(&kind))
        && (kind != ProgressKind::Waiting || query.waiting_of.as_ref().is_none_or(is_waiting_one))
}

impl Model {
    pub(super) fn check_log(&self, reader: &Reader) {
        for (id, (event, targets)) in &self.events {
            assert_eq!(reader.event(*id).unwrap().as_ref(), Some(event));
            let of = self.deliveries.values().map(|known| &known.delivery).filter(|one| one.event == *id);
            let of: Vec<Delivery> = of.cloned().collect();
            assert!(of.len() >= *targets as usize);
            assert_eq!(reader.deliveries_of(*id).unwrap(), of);
            if let [first, rest @ ..] = of.as_slice() {
                assert_eq!(
                    reader.deliveries_after(*id, Some(first.id), 2).unwrap(),
                    rest[..rest.len().min(2)]
                );
            }
            for subscription in (1..=6).map(SubscriptionId::from_bits) {
                let waits = |one: &Delivery| one.subscription == subscription && !one.progress.is_final();
                assert_eq!(reader.is_under_way(*id, subscription).unwrap(), of.iter().any(waits));
            }
        }
        let forwards = reader.events_from(EventId::from_bits(0), None, usize::MAX).unwrap();
        assert!(forwards.iter().eq(self.events.values().map(|(event, _)| event)));
        let of = SubscriptionId::from_bits(3);
        let start = (DeliveryId::from_bits(0), None);
        let forwards = reader.deliveries_from(of, start, usize::MAX).unwrap();
        let expected =
            self.deliveries.values().map(|known| &known.delivery).filter(|one| one.subscription == of);
        assert!(forwards.iter().eq(expected));
        if let Some(middle) = forwards.get(forwards.len() / 2) {
            let rest = reader.deliveries_from(of, (middle.id, None), 3).unwrap();
            assert!(rest.iter().eq(forwards.iter().filter(|one| one.id > middle.id).take(3)));
        }
    }

    pub(super) fn check_seen(&self, reader: &Reader) {
        let mut types: BTreeMap<_, Seen> = BTreeMap::new();
        let mut projects: BTreeMap<SeenProject, Seen> = BTreeMap::new();
        for (event, _) in self.events.values() {
            let (content, last_at) = (&event.content, event.id.time());
            let count = |seen: &mut Seen| *seen = Seen { events: seen.events + 1, last_at };
            let new = Seen { events: 0, last_at };
            count(types.entry(content.event_type.clone()).or_insert(new));
            count(projects.entry((content.company.clone(), content.project.clone())).or_insert(new));
        }
        let page = reader.seen_types(None, 100);
        // Events that were swept count for the time of the newest event too.
        let counts = |(name, seen): (_, Seen)| (name, seen.events);
        assert!(page.is_complete && page.items.into_iter().map(counts).eq(types.into_iter().map(counts)));
        let page = reader.seen_projects(None, 100).items;
        let counts = |(name, seen): (_, Seen)| (name, seen.events);
        assert!(page.into_iter().map(counts).eq(projects.into_iter().map(counts)));
    }
}

impl Run {
    fn event_list(&mut self) -> List {
        let rng = &mut self.rng;
        let now = self.clock.now();
        let mut query = EventQuery { limit: rng.random_range(1..9), ..EventQuery::default() };
        query.event_type = rng.random_bool(0.4).then(|| name(TYPES, rng));
        query.project = rng.random_bool(0.4).then(|| name(PROJECTS, rng));
        query.company = rng.random_bool(0.3).then(|| name(COMPANIES, rng));
        query.sender_id = rng.random_bool(0.3).then(|| name(SENDERS, rng));
        query.since = rng.random_bool(0.2).then(|| now.before(Duration::from_secs(rng.random_range(0..300))));
        query.until = rng.random_bool(0.2).then(|| now.before(Duration::from_secs(rng.random_range(0..200))));
        List::Events(query)
    }

    fn delivery_list(&mut self) -> List {
        let (now, any, one) = (self.clock.now(), self.any(), self.any());
        let rng = &mut self.rng;
        let mut query = DeliveryQuery { limit: rng.random_range(1..9), ..DeliveryQuery::default() };
        let mut some =
            |share| (1..=6).map(SubscriptionId::from_bits).filter(|_| rng.random_bool(share)).collect();
        let (of, waiting_of): (Vec<_>, Vec<_>) = (some(0.2), some(0.5));
        let rng = &mut self.rng;
        query.subscription = of.first().copied().filter(|_| rng.random_bool(0.5));
        query.event = any.map(|known| known.delivery.event).filter(|_| rng.random_bool(0.2));
        let kinds = [
            ProgressKind::Waiting,
            ProgressKind::Succeeded,
            ProgressKind::Exhausted,
            ProgressKind::Cancelled,
        ];
        if rng.random_bool(0.8) {
            query.progress = kinds.into_iter().filter(|_| rng.random_bool(0.5)).collect();
        }
        if rng.random_bool(0.4) {
            query.waiting_of = Some(waiting_of);
            query.waiting_also = one.into_iter().map(|known| known.delivery.id).collect();
        }
        query.since = rng.random_bool(0.2).then(|| now.before(Duration::from_secs(rng.random_range(0..300))));
        query.until = rng.random_bool(0.2).then(|| now.before(Duration::from_secs(rng.random_range(0..200))));
        List::Deliveries(query)
    }

    /// Checks some lists on an unchanging log, and one while the log changes between its pages.
    pub(super) async fn check_pages(&mut self) {
        for _ in 0..6 {
            for mut list in [self.event_list(), self.delivery_list()] {
                let expected = list.expected(&self.model);
                let mut listed = Vec::new();
                loop {
                    let (page, has_more) = list.page(&self.rig.reader, &self.model);
                    listed.extend(page);
                    if !has_more {
                        break;
                    }
                }
                assert_eq!(listed, expected);
            }
        }
        let mut list = if self.rng.random_bool(0.3) { self.event_list() } else { self.delivery_list() };
        let mut throughout: BTreeSet<u128> = list.expected(&self.model).into_iter().collect();
        let mut listed = Vec::new();
        loop {
            let (page, has_more) = list.page(&self.rig.reader, &self.model);
            let now: BTreeSet<u128> = list.expected(&self.model).into_iter().collect();
            assert!(page.iter().all(|id| now.contains(id)), "what is listed is so");
            listed.extend(page);
            if !has_more {
                break;
            }
            for _ in 0..self.rng.random_range(0..4) {
                self.step().await;
                let now: BTreeSet<u128> = list.expected(&self.model).into_iter().collect();
                throughout.retain(|id| now.contains(id));
            }
        }
        assert!(listed.is_sorted_by(|a, b| a > b), "newest first, and nothing twice");
        let listed: BTreeSet<u128> = listed.into_iter().collect();
        assert!(throughout.is_subset(&listed), "what was there throughout is listed");
    }
}
