//! Measures the matching index beside a linear scan and the plain formula over roaring bitmaps.
//!
//! ```text
//! cargo bench --bench matcher                     # every workload at 1k, 10k, 100k and 1M: about ten minutes
//! cargo bench --bench matcher -- --test           # every workload once, small: seconds
//! MATCHER_SIZES=100000 MATCHER_WORKLOADS=skewed cargo bench --bench matcher
//! ```
//! Every answer that is timed at the end of a row was compared with the scan's and the formula's before. A latency is
//! the least of several passes over thousands of different events, so that each pass finds the caches cold and
//! the noise of other processes is left out; names are looked up within it.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark may panic")]
#![expect(clippy::cast_precision_loss, reason = "figures are rounded anyway")]
#![expect(unreachable_pub, reason = "nothing outside reaches into a benchmark")]

#[path = "matcher/filters.rs"]
mod filters;
#[path = "matcher/memory.rs"]
mod memory;
#[path = "matcher/plain.rs"]
mod plain;
#[path = "matcher/updates.rs"]
mod updates;
#[path = "matcher/workload.rs"]
mod workload;

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::Criterion;
use postrider::model::event::EventContent;
use postrider::model::id::SubscriptionId;
use postrider::model::time::Timestamp;
use postrider::rules::matcher::{Candidate, Index, IndexWriter, Matches, Presence};

use plain::{Formula, Scan};
use workload::{Query, Workload};

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

/// The middle and the hundredth from the top, in nanoseconds.
#[derive(Clone, Copy)]
struct Latency {
    p50: f64,
    p99: f64,
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures the real time")]
fn now() -> Instant {
    Instant::now()
}

/// What asking the time twice costs.
fn timer_ns() -> f64 {
    let mut least = f64::MAX;
    for _ in 0..10_000 {
        let start = now();
        least = least.min(nanos(start.elapsed()));
    }
    least
}

fn nanos(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e9
}

/// Times `run` on every query, several times over, and takes each query's best.
fn measure(queries: &[Query], passes: usize, mut run: impl FnMut(&Query)) -> Latency {
    let timer = timer_ns();
    let mut best = vec![f64::MAX; queries.len()];
    for _ in 0..passes {
        for (query, best) in queries.iter().zip(&mut best) {
            warm(query);
            let start = now();
            run(query);
            *best = best.min((nanos(start.elapsed()) - timer).max(1.0));
        }
    }
    best.sort_by(f64::total_cmp);
    Latency { p50: best[best.len() / 2], p99: best[best.len() * 99 / 100] }
}

/// Brings an event's own names into the cache: the daemon has just read them.
fn warm(query: &Query) {
    let EventContent { event_type, project, company, .. } = &query.event;
    let company = company.as_ref().map_or("", |company| company.as_str());
    for name in [event_type.as_str(), project.as_str(), company] {
        black_box(name.bytes().fold(0, u8::wrapping_add));
    }
}

fn candidate(query: &Query) -> Candidate<'_> {
    Candidate { content: &query.event, arrived_at: Timestamp::default() }
}

struct Built {
    index: Index,
    writer: IndexWriter,
    took: Duration,
    bytes: f64,
}

fn build(workload: &Workload) -> Built {
    let specs = workload.specs();
    let before = memory::live();
    let start = now();
    let (index, writer) = Index::build(
        (0..).zip(&specs).map(|(n, spec)| (SubscriptionId::from_bits(n), spec, Presence::Active)),
    );
    let took = start.elapsed();
    let bytes = memory::live().saturating_sub(before) as f64 / specs.len() as f64;
    Built { index, writer, took, bytes }
}

/// Compares index, scan and formula on the first queries; returns the mean number of matches over all.
fn check(built: &Built, scan: &Scan, formula: &Formula, queries: &[Query], compared: usize) -> f64 {
    let snapshot = built.index.snapshot();
    let mut matches = Matches::default();
    let mut total = 0;
    for (at, query) in queries.iter().enumerate() {
        let found = snapshot.match_into(&candidate(query), &mut matches);
        total += found.len();
        if at < compared {
            let mut found: Vec<u32> = found.iter().map(|id| u32::try_from(id.bits()).unwrap()).collect();
            found.sort_unstable();
            assert_eq!(
                found,
                scan.matches(&query.key),
                "the index differs from the scan on {:?}",
                query.event
            );
            assert_eq!(found, formula.matches(&query.key), "the index differs from the formula");
        }
    }
    total as f64 / queries.len() as f64
}

fn row(kind: workload::Kind, size: u32, quick: bool, criterion: &mut Criterion) {
    let workload = Workload::generate(kind, size);
    let mut built = build(&workload);
    let (scan, formula) = (Scan::new(&workload), Formula::new(&workload));
    let queries = workload.queries(if quick { 200 } else { 20_000 });
    let compared = if quick { 50 } else { (40_000_000 / size as usize).clamp(40, 2000) };
    let mean = check(&built, &scan, &formula, &queries, compared);

    let passes = if quick { 1 } else { 7 };
    let mut matches = Matches::default();
    let ours = {
        let snapshot = built.index.snapshot();
        measure(&queries, passes, |query| {
            black_box(snapshot.match_into(&candidate(query), &mut matches).len());
        })
    };
    let few = (20_000_000 / size as usize).clamp(20, 2000).min(queries.len());
    let mut ids = Vec::new();
    let plain = measure(&queries[..few], 2, |query| scan.match_into(&query.key, &mut ids));
    let many = (4 * few).min(queries.len());
    let roaring = measure(&queries[..many], passes.min(3), |query| formula.match_into(&query.key, &mut ids));
    let footprint = built.index.snapshot().footprint();
    let per = |bytes: usize| bytes as f64 / f64::from(size);
    println!(
        "{:<10} {:>8} {:>8} {:>9.1} {:>10.0} {:>10.0} {:>9.2} {:>8.0}x {:>7.1}x {:>7.1}x {:>7.1} {:>6.1} {:>6.1} {:>6.1} {:>9.3}",
        kind.name(),
        size,
        kind.projects(),
        mean,
        ours.p50,
        ours.p99,
        ours.p50 / mean.max(1.0),
        plain.p50 / ours.p50,
        roaring.p50 / ours.p50,
        roaring.p99 / ours.p99,
        per(footprint.postings),
        per(footprint.names),
        per(footprint.ids),
        built.bytes,
        built.took.as_secs_f64(),
    );
    drop((scan, formula));
    updates::measure(&mut built.index, &mut built.writer, &workload, &queries, quick);
    let snapshot = built.index.snapshot();
    let mut turn = queries.iter().cycle();
    criterion.bench_function(&format!("{}/{size}", kind.name()), |bencher| {
        bencher.iter(|| {
            let query = turn.next().unwrap();
            snapshot.match_into(&candidate(query), &mut matches).len()
        });
    });
}

fn list<T: std::str::FromStr>(variable: &str) -> Option<Vec<T>> {
    let text = std::env::var(variable).ok()?;
    Some(text.split(',').filter_map(|part| part.trim().parse().ok()).collect())
}

fn main() {
    let quick = std::env::args().any(|argument| argument == "--test");
    let default = if quick { vec![1000] } else { vec![1000, 10_000, 100_000, 1_000_000] };
    let sizes: Vec<u32> = list("MATCHER_SIZES").unwrap_or(default);
    let names: Option<Vec<String>> = list("MATCHER_WORKLOADS");
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    filters::measure(quick);
    println!("latencies in ns; ratios: how many times longer the scan (p50) and the formula (p50, p99) take");
    println!(
        "{:<10} {:>8} {:>8} {:>9} {:>10} {:>10} {:>9} {:>9} {:>8} {:>8} {:>7} {:>6} {:>6} {:>6} {:>9}",
        "workload",
        "subs",
        "projects",
        "matches",
        "p50",
        "p99",
        "ns/match",
        "scan",
        "roaring",
        "roar.99",
        "post.B",
        "names",
        "ids",
        "all B",
        "build s",
    );
    for kind in workload::Kind::ALL {
        if names.as_ref().is_some_and(|names| !names.iter().any(|name| name == kind.name())) {
            continue;
        }
        for size in &sizes {
            row(kind, *size, quick, &mut criterion);
        }
    }
    criterion.final_summary();
}
