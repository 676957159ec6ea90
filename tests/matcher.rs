//! Compares the matching index with its definition: a linear scan over the selectors.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering as Atomic};

use postrider::model::event::EventContent;
use postrider::model::id::SubscriptionId;
use postrider::model::selector::{EventSelector, ProjectSelector};
use postrider::model::subscription::SubscriptionSpec;
use postrider::model::time::Timestamp;
use postrider::rules::matcher::{Candidate, Index, MatchOutcome, Matches, Presence};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

type Oracle = BTreeMap<SubscriptionId, (SubscriptionSpec, Presence)>;

fn spec(events: EventSelector, projects: ProjectSelector, filter: Option<String>) -> SubscriptionSpec {
    SubscriptionSpec { events, projects, filter, ..SubscriptionSpec::example() }
}

/// A small set of names, so that every kind of overlap between terms occurs.
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
            trace: None,
        }
    }
}

/// Returns the verdict by definition.
fn verdict((spec, presence): &(SubscriptionSpec, Presence), event: &EventContent) -> MatchOutcome {
    let number = |text: &str| text.trim_matches(|c: char| !c.is_ascii_digit()).parse::<u32>().unwrap();
    let passes =
        |filter: &String| number(std::str::from_utf8(event.data.as_ref().unwrap()).unwrap()) < number(filter);
    if *presence == Presence::Disabled {
        MatchOutcome::Disabled
    } else if !spec.events.contains(&event.event_type) {
        MatchOutcome::Events
    } else if !spec.projects.contains(&event.project, event.company.as_ref()) {
        MatchOutcome::Projects
    } else if !spec.filter.as_ref().is_none_or(passes) {
        MatchOutcome::Filter
    } else {
        MatchOutcome::Matches
    }
}

fn compare(index: &Index, oracle: &Oracle, event: &EventContent, matches: &mut Matches, seed: u64) -> usize {
    let candidate = Candidate { content: event, arrived_at: Timestamp::default() };
    let snapshot = index.snapshot();
    let mut found: Vec<_> = snapshot.match_into(&candidate, matches).iter().collect();
    found.sort_unstable();
    let wanted = oracle.iter().filter(|(_, entry)| verdict(entry, event) == MatchOutcome::Matches);
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

/// Reads the seeds from `SEED=7` or `SEED=7,8,9`.
fn seeds() -> Vec<u64> {
    let given = |text: String| text.split(',').map(|seed| seed.trim().parse().unwrap()).collect();
    let seeds: Vec<u64> = std::env::var("SEED").map_or_else(|_| (1..=4).collect(), given);
    println!("SEED={}", seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(","));
    seeds
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

/// `EVENTS=100000` runs the long version.
#[test]
fn two_thousand_subscriptions_against_the_scan() {
    let events = std::env::var("EVENTS").map_or(2000, |count| count.parse().unwrap());
    for seed in seeds() {
        let mut rng = StdRng::seed_from_u64(seed ^ 0xfeed);
        let world = World::new(80);
        let oracle: Oracle = (0..2000)
            .map(|n| (SubscriptionId::from_bits(n), (world.spec(&mut rng), Presence::Active)))
            .collect();
        let (index, _writer) = Index::build(oracle.iter().map(|(id, (spec, on))| (*id, spec, *on)));
        let mut matches = Matches::default();
        let total: usize =
            (0..events).map(|_| compare(&index, &oracle, &world.event(&mut rng), &mut matches, seed)).sum();
        assert!(total > 10 * events, "the worlds hardly match: {total}");
    }
}

fn one(event_type: &str, filter: Option<&str>) -> SubscriptionSpec {
    spec(EventSelector::parse(&[event_type]).unwrap(), ProjectSelector::all(), filter.map(ToOwned::to_owned))
}

fn event(event_type: &str, data: &str) -> EventContent {
    EventContent {
        event_type: event_type.parse().unwrap(),
        project: "p".parse().unwrap(),
        company: None,
        sender_id: None,
        occurred_at: None,
        data: Some(data.to_owned().into()),
        trace: None,
    }
}

#[test]
fn failures_of_a_filter_are_counted_and_outlive_snapshots() {
    let (good, other) = (SubscriptionId::from_bits(1), SubscriptionId::from_bits(2));
    let spec = one("a", Some("event.data.n > 1"));
    let (index, mut writer) = Index::build([(good, &spec, Presence::Active)]);
    let mut matches = Matches::default();
    let mut count = |data: &str| {
        let content = event("a", data);
        let candidate = Candidate { content: &content, arrived_at: Timestamp::default() };
        index.snapshot().match_into(&candidate, &mut matches).len()
    };
    assert_eq!((count("{\"n\":2}"), index.filter_errors(good)), (1, None));
    assert_eq!((count("{}"), count("{\"n\":1}"), count("{\"n\":\"x\"}")), (0, 0, 0));
    let errors = index.filter_errors(good).unwrap();
    assert_eq!(errors.count, 2);
    assert!(errors.last.contains("no matching overload"), "{}", errors.last);

    writer.put(other, &one("b", None), Presence::Active);
    writer.put(good, &spec, Presence::Active);
    writer.commit();
    assert_eq!(index.filter_errors(good).map(|errors| errors.count), Some(2), "same filter, same count");
    writer.put(good, &one("a", Some("event.data.n >")), Presence::Active);
    writer.commit();
    assert_eq!(index.filter_errors(good), None, "another filter, another count");
    assert_eq!(count("{\"n\":2}"), 0, "what does not compile does not match");
    assert!(index.filter_errors(good).unwrap().last.contains("line 1"));
    assert_eq!(index.filter_errors(other), None);
}

/// Every commit moves all subscriptions from one generation of types to the next. A reader that sees two
/// generations at once saw half a change.
#[test]
fn no_reader_sees_half_a_change() {
    const MEMBERS: u128 = 200;
    const GENERATIONS: usize = 5;
    let specs: Vec<_> = (0..GENERATIONS).map(|generation| one(&format!("g{generation}"), None)).collect();
    let events: Vec<_> = (0..GENERATIONS).map(|generation| event(&format!("g{generation}"), "1")).collect();
    let (index, mut writer) =
        Index::build((0..MEMBERS).map(|n| (SubscriptionId::from_bits(n), &specs[0], Presence::Active)));
    let checksum: u128 = (0..MEMBERS).map(|n| (n + 1) * (n + 1)).sum();
    let (is_over, looks) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut matches = Matches::default();
                let mut last = 0;
                while !is_over.load(Atomic::Relaxed) {
                    let snapshot = index.snapshot();
                    let mut sums = events.iter().map(|content| {
                        let candidate = Candidate { content, arrived_at: Timestamp::default() };
                        let found = snapshot.match_into(&candidate, &mut matches);
                        found.iter().map(|id| (id.bits() + 1) * (id.bits() + 1)).sum::<u128>()
                    });
                    let sums: [u128; GENERATIONS] = std::array::from_fn(|_| sums.next().unwrap());
                    assert_eq!(sums.iter().filter(|sum| **sum == checksum).count(), 1, "{sums:?}");
                    assert_eq!(sums.iter().sum::<u128>(), checksum, "{sums:?}");
                    assert!(snapshot.version() >= last, "a snapshot came back");
                    last = snapshot.version();
                    looks.fetch_add(1, Atomic::Relaxed);
                }
            });
        }
        let mut round = 0;
        while round < 400 || (round < 50_000 && looks.load(Atomic::Relaxed) < 1000) {
            round += 1;
            for n in 0..MEMBERS {
                let id = SubscriptionId::from_bits(n);
                if n % 3 == 0 {
                    writer.remove(id);
                }
                writer.put(id, &specs[round % GENERATIONS], Presence::Active);
            }
            writer.commit();
        }
        is_over.store(true, Atomic::Relaxed);
    });
    assert!(looks.into_inner() >= 1000);
}
