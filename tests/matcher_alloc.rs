//! Checks that matching allocates no memory, neither for a matching event nor for unknown names.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(unsafe_code, reason = "an allocator is unsafe by its trait; this one only counts")]

use postrider::model::event::EventContent;
use postrider::model::id::SubscriptionId;
use postrider::model::selector::{EventSelector, ProjectSelector};
use postrider::model::subscription::SubscriptionSpec;
use postrider::model::time::Timestamp;
use postrider::rules::matcher::{Candidate, Index, Matches, Presence};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call is passed unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's guarantees are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's guarantees are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn spec(events: &[String], projects: &[String]) -> SubscriptionSpec {
    SubscriptionSpec {
        events: EventSelector::parse(events).unwrap(),
        projects: ProjectSelector::parse(projects).unwrap(),
        ..SubscriptionSpec::example()
    }
}

fn event(event_type: &str, project: &str) -> EventContent {
    EventContent {
        event_type: event_type.parse().unwrap(),
        project: project.parse().unwrap(),
        company: Some("acme".parse().unwrap()),
        sender_id: None,
        occurred_at: None,
        data: None,
        trace: None,
    }
}

/// Returns selectors of every shape: narrow, broad, prefixes, exclusions, companies, pairs and everything.
fn specs() -> Vec<SubscriptionSpec> {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let all = || texts(&["*"]);
    (0..5000)
        .map(|n| match n % 6 {
            0 => spec(&[format!("t{}", n % 20)], &[format!("p{}", n % 50)]),
            1 => spec(&texts(&["t1*", "!t11"]), &[format!("acme/p{}", n % 50)]),
            2 => spec(&all(), &texts(&["acme/*", "p1", "!p2"])),
            3 => {
                let types: Vec<_> = (0..20).map(|t| format!("t{t}")).collect();
                spec(&types, &(0..n % 50).chain([7]).map(|p| format!("p{p}")).collect::<Vec<_>>())
            }
            4 => spec(&[format!("t{}*", n % 20)], &all()),
            _ => spec(&all(), &[format!("p{}", n % 50), format!("!acme/p{}", n % 49)]),
        })
        .collect()
}

#[test]
fn matching_allocates_nothing_once_it_has_grown() {
    let specs = specs();
    let subscriptions =
        (0..).zip(&specs).map(|(n, spec)| (SubscriptionId::from_bits(n), spec, Presence::Active));
    let (index, _writer) = Index::build(subscriptions);
    let known: Vec<_> = (0..1000).map(|n| event(&format!("t{}", n % 23), &format!("p{}", n % 53))).collect();
    let unknown: Vec<_> = (0..20_000).map(|n| event(&format!("t1new{n}"), &format!("never{n}"))).collect();
    let mut matches = Matches::default();
    let mut run = |events: &[EventContent]| {
        let before = ALLOCATIONS.with(Cell::get);
        let mut total = 0;
        for content in events {
            let candidate = Candidate { content, arrived_at: Timestamp::default() };
            total += index.snapshot().match_into(&candidate, &mut matches).iter().count();
        }
        (total, ALLOCATIONS.with(Cell::get) - before)
    };
    let (first, growth) = run(&known);
    assert!(first > 100_000 && growth > 0, "{first} matches, {growth} allocations: the count does not count");
    assert_eq!(run(&known), (first, 0));

    let footprint = index.snapshot().footprint();
    let (found, allocations) = run(&unknown);
    assert!(found > 0, "prefixes match types that were never seen");
    assert_eq!(
        (allocations, index.snapshot().footprint()),
        (0, footprint),
        "a flood of new names grew the index"
    );
}
