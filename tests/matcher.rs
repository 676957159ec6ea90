//! The matching index against its definition: a linear scan over the selectors.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::collections::BTreeMap;

use postrider::model::event::EventContent;
use postrider::model::id::SubscriptionId;
use postrider::model::selector::{EventSelector, ProjectSelector};
use postrider::model::subscription::{Format, Ordering, SubscriptionSpec};
use postrider::model::time::Timestamp;
use postrider::rules::matcher::{Candidate, Index, Matches, Presence, Verdict};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

type Oracle = BTreeMap<SubscriptionId, (SubscriptionSpec, Presence)>;

fn spec(events: EventSelector, projects: ProjectSelector, filter: Option<String>) -> SubscriptionSpec {
    SubscriptionSpec {
        name: "any".to_owned(),
        url: "https://receiver.example/hook".parse().unwrap(),
        events,
        projects,
        filter,
        format: Format::Standard,
        headers: BTreeMap::new(),
        timeout: None,
        retry_schedule: None,
        max_in_flight: None,
        rate_limit: None,
        ordering: Ordering::None,
    }
}

/// A small world of names, so that every kind of overlap between terms comes up.
struct World {
    types: Vec<String>,
    projects: Vec<String>,
    companies: Vec<String>,
}

impl World {
    fn new(size: usize) -> Self {
        let stems = ["TODO_", "TODO_TAG_", "TODO_TAG_A", "invoice.", "invoice.paid.", "x", "xx", "xxx"];
        let types = (0..size).map(|n| format!("{}{}", stems[n % stems.len()], n / stems.len())).collect();
        let names = |stem: &str, count: usize| (0..count).map(|n| format!("{stem}{n}")).collect();
        Self { types, projects: names("p", size * 2), companies: names("p", size / 2 + 1) }
    }

    fn events(&self, rng: &mut StdRng) -> EventSelector {
        let count = if rng.random_bool(0.05) { 60 } else { rng.random_range(1..5) };
        let terms: Vec<String> = (0..count)
            .map(|_| {
                let name = self.types.choose(rng).unwrap();
                let pattern = match rng.random_range(0..12) {
                    0 => "*".to_owned(),
                    1..5 => format!("{}*", &name[..rng.random_range(1..=name.len())]),
                    _ => name.clone(),
                };
                if pattern != "*" && rng.random_bool(0.2) { format!("!{pattern}") } else { pattern }
            })
            .collect();
        EventSelector::parse(&terms).unwrap()
    }

    fn projects(&self, rng: &mut StdRng) -> ProjectSelector {
        let count = if rng.random_bool(0.05) { 40 } else { rng.random_range(1..5) };
        let terms: Vec<String> = (0..count)
            .map(|_| {
                let (project, company) =
                    (self.projects.choose(rng).unwrap(), self.companies.choose(rng).unwrap());
                let pattern = match rng.random_range(0..12) {
                    0 => "*".to_owned(),
                    1..4 => format!("{company}/*"),
                    4..7 => format!("{company}/{project}"),
                    _ => project.clone(),
                };
                if pattern != "*" && rng.random_bool(0.2) { format!("!{pattern}") } else { pattern }
            })
            .collect();
        ProjectSelector::parse(&terms).unwrap()
    }

    fn spec(&self, rng: &mut StdRng) -> SubscriptionSpec {
        let (events, projects) = (self.events(rng), self.projects(rng));
        let filter = rng.random_bool(0.1).then(|| format!("event.data.n < {}", rng.random_range(0..10)));
        spec(events, projects, filter)
    }

    fn event(&self, rng: &mut StdRng) -> EventContent {
        let name = |rng: &mut StdRng, names: &[String]| {
            let known = names.choose(rng).unwrap();
            if rng.random_bool(0.1) { format!("{known}{}", rng.random_range(0..100)) } else { known.clone() }
        };
        EventContent {
            event_type: name(rng, &self.types).parse().unwrap(),
            project: name(rng, &self.projects).parse().unwrap(),
            company: rng.random_bool(0.7).then(|| name(rng, &self.companies).parse().unwrap()),
            sender_id: None,
            occurred_at: None,
            data: Some(format!("{{\"n\":{}}}", rng.random_range(0..10)).into()),
        }
    }
}

/// The definition.
fn verdict((spec, presence): &(SubscriptionSpec, Presence), event: &EventContent) -> Verdict {
    let number = |text: &str| text.trim_matches(|c: char| !c.is_ascii_digit()).parse::<u32>().unwrap();
    let passes =
        |filter: &String| number(std::str::from_utf8(event.data.as_ref().unwrap()).unwrap()) < number(filter);
    if *presence == Presence::Disabled {
        Verdict::Disabled
    } else if !spec.events.contains(&event.event_type) {
        Verdict::Events
    } else if !spec.projects.contains(&event.project, event.company.as_ref()) {
        Verdict::Projects
    } else if !spec.filter.as_ref().is_none_or(passes) {
        Verdict::Filter
    } else {
        Verdict::Matches
    }
}

fn compare(index: &Index, oracle: &Oracle, event: &EventContent, matches: &mut Matches, seed: u64) -> usize {
    let candidate = Candidate { content: event, arrived_at: Timestamp::default() };
    let snapshot = index.snapshot();
    let mut found: Vec<_> = snapshot.match_into(&candidate, matches).iter().collect();
    found.sort_unstable();
    let wanted = oracle.iter().filter(|(_, entry)| verdict(entry, event) == Verdict::Matches);
    assert_eq!(found, wanted.map(|(id, _)| *id).collect::<Vec<_>>(), "SEED={seed} {event:?}");
    found.len()
}

fn explain_all(index: &Index, oracle: &Oracle, event: &EventContent, seed: u64) {
    let candidate = Candidate { content: event, arrived_at: Timestamp::default() };
    for (id, entry) in oracle {
        let explained = index.snapshot().explain(*id, &candidate);
        assert_eq!(explained, verdict(entry, event), "SEED={seed} {id} {:?} {event:?}", entry.0);
    }
}

fn seeds() -> Vec<u64> {
    std::env::var("SEED").map_or_else(|_| (1..=4).collect(), |seed| vec![seed.parse().unwrap()])
}

#[test]
fn the_index_says_what_the_scan_says() {
    for seed in seeds() {
        let mut rng = StdRng::seed_from_u64(seed);
        let world = World::new(24);
        let presence =
            |rng: &mut StdRng| if rng.random_bool(0.1) { Presence::Disabled } else { Presence::Active };
        let mut oracle: Oracle = (0..300)
            .map(|n| (SubscriptionId::from_bits(n), (world.spec(&mut rng), presence(&mut rng))))
            .collect();
        let (index, mut writer) = Index::build(oracle.iter().map(|(id, (spec, on))| (*id, spec, *on)));
        let mut matches = Matches::default();
        let mut total = 0;
        for round in 0..60 {
            for _ in 0..rng.random_range(0..40) {
                let id = SubscriptionId::from_bits(rng.random_range(0..400));
                if rng.random_bool(0.4) {
                    writer.remove(id);
                    oracle.remove(&id);
                } else {
                    let (spec, on) = (world.spec(&mut rng), presence(&mut rng));
                    writer.put(id, &spec, on);
                    oracle.insert(id, (spec, on));
                }
            }
            writer.commit();
            for _ in 0..50 {
                total += compare(&index, &oracle, &world.event(&mut rng), &mut matches, seed);
            }
            if round % 10 == 0 {
                explain_all(&index, &oracle, &world.event(&mut rng), seed);
            }
        }
        assert!(total > 10_000, "the worlds hardly match: {total}");
        for id in std::mem::take(&mut oracle).keys() {
            writer.remove(*id);
        }
        writer.commit();
        assert_eq!(compare(&index, &oracle, &world.event(&mut rng), &mut matches, seed), 0);
    }
}
