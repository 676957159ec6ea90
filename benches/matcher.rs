//! Measures the matching index, two linear scans, and a formula over roaring bitmaps.
//!
//! ```text
//! cargo bench --bench matcher                     # every workload at 1k, 10k, 100k and 1M: about ten minutes
//! cargo bench --bench matcher -- --test           # every workload once, small: seconds
//! MATCHER_SIZES=100000 MATCHER_WORKLOADS=skewed cargo bench --bench matcher
//! ```
//! Before any measurement, the index's matches of the first events are compared with those of the three
//! baselines.
//!
//! Each latency is the smallest of several passes. A pass covers thousands of different events, so that it
//! finds the caches cold, and the minimum leaves out the noise of other processes. The index and the scan by
//! names get an event with its names. The scan by numbers and the formula get numbers that were looked up
//! before.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark may panic")]
#![expect(clippy::cast_precision_loss, reason = "the figures are rounded")]
#![expect(unreachable_pub, reason = "nothing outside uses a benchmark")]

#[path = "matcher/baselines.rs"]
mod baselines;
#[path = "matcher/filters.rs"]
mod filters;
#[path = "matcher/memory.rs"]
mod memory;
#[path = "matcher/updates.rs"]
mod updates;
#[path = "matcher/workload.rs"]
mod workload;

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::Criterion;
use postrider::model::event::EventContent;
use postrider::model::id::SubscriptionId;
use postrider::model::subscription::SubscriptionSpec;
use postrider::model::time::Timestamp;
use postrider::rules::bitset::{Kernel, force_kernel};
use postrider::rules::matcher::{Candidate, Index, IndexWriter, Matches, Presence};

use baselines::{Formula, NameScan, Scan};
use workload::{Query, Workload};

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

/// The median and the 99th percentile, in nanoseconds.
#[derive(Clone, Copy)]
struct Latency {
    p50: f64,
    p99: f64,
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures the real time")]
fn now() -> Instant {
    Instant::now()
}

/// Returns the cost of reading the clock twice, in nanoseconds.
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

/// Measures `run` on every query several times, and takes the best time of each query.
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

/// Loads an event's own names into the cache, because the daemon has just read them there.
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
    /// The smallest build time and CPU time, in seconds.
    build_s: f64,
    cpu_s: f64,
    bytes: f64,
}

/// Returns the CPU time of this thread in seconds, or NaN if the system does not report it.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|nanos| nanos.parse::<f64>().ok()).map_or(f64::NAN, |nanos| nanos / 1e9)
}

fn build(specs: &[SubscriptionSpec], times: usize) -> Built {
    let once = || {
        let before = memory::live();
        let (start, start_cpu) = (now(), cpu_seconds());
        let (index, writer) = Index::build(
            (0..).zip(specs).map(|(n, spec)| (SubscriptionId::from_bits(n), spec, Presence::Active)),
        );
        let (build_s, cpu_s) = (start.elapsed().as_secs_f64(), cpu_seconds() - start_cpu);
        let bytes = memory::live().saturating_sub(before) as f64 / specs.len() as f64;
        Built { index, writer, build_s, cpu_s, bytes }
    };
    let mut built = once();
    for _ in 1..times {
        let Built { build_s, cpu_s, .. } = built;
        built = once();
        (built.build_s, built.cpu_s) = (built.build_s.min(build_s), built.cpu_s.min(cpu_s));
    }
    built
}

/// The simple implementations that the index is compared with.
struct Baselines {
    by_names: NameScan,
    by_numbers: Scan,
    formula: Formula,
}

/// Compares the index with the baselines on the first queries. Returns the mean number of matches of all
/// queries.
fn check(built: &Built, baselines: &Baselines, queries: &[Query], compared: usize) -> f64 {
    let snapshot = built.index.snapshot();
    let mut matches = Matches::default();
    let mut total = 0;
    let mut by_names = Vec::new();
    for (at, query) in queries.iter().enumerate() {
        let found = snapshot.match_into(&candidate(query), &mut matches);
        total += found.len();
        if at < compared {
            let mut found: Vec<u32> = found.iter().map(|id| u32::try_from(id.bits()).unwrap()).collect();
            found.sort_unstable();
            baselines.by_names.match_into(&query.event, &mut by_names);
            assert_eq!(found, by_names, "the index differs from the scan on {:?}", query.event);
            assert_eq!(
                found,
                baselines.by_numbers.matches(&query.key),
                "the index differs from the scan by numbers"
            );
            assert_eq!(found, baselines.formula.matches(&query.key), "the index differs from the formula");
        }
    }
    total as f64 / queries.len() as f64
}

fn time_index(built: &Built, queries: &[Query], passes: usize) -> Latency {
    let mut matches = Matches::default();
    let snapshot = built.index.snapshot();
    measure(queries, passes, |query| {
        black_box(snapshot.match_into(&candidate(query), &mut matches).len());
    })
}

/// Returns the time of a scan in nanoseconds: the median, or the mean CPU time if that is smaller.
///
/// A scan of a million subscriptions takes so long that other processes interrupt it.
fn time_scan(queries: &[Query], mut scan: impl FnMut(&Query)) -> f64 {
    let start = cpu_seconds();
    let passes = 2;
    let middle = measure(queries, passes, &mut scan).p50;
    let cpu = (cpu_seconds() - start) * 1e9 / (passes * queries.len()) as f64;
    if cpu > 1e5 { middle.min(cpu) } else { middle }
}

fn row(kind: workload::Kind, size: u32, quick: bool, criterion: &mut Criterion) {
    let workload = Workload::generate(kind, size);
    let specs = workload.specs();
    let mut built = build(&specs, if quick { 1 } else { 3 });
    let by_names = NameScan::new(&specs);
    drop(specs);
    let baselines =
        Baselines { by_names, by_numbers: Scan::new(&workload), formula: Formula::new(&workload) };
    let queries = workload.queries(if quick { 200 } else { 20_000 });
    let compared = if quick { 50 } else { (40_000_000 / size as usize).clamp(40, 2000) };
    let mean = check(&built, &baselines, &queries, compared);

    let passes = if quick { 1 } else { 7 };
    let ours = time_index(&built, &queries, passes);
    let few = (20_000_000 / size as usize).clamp(20, 2000).min(queries.len());
    let mut ids = Vec::new();
    let names = time_scan(&queries[..few], |query| baselines.by_names.match_into(&query.event, &mut ids));
    let numbers = time_scan(&queries[..few], |query| baselines.by_numbers.match_into(&query.key, &mut ids));
    let many = (4 * few).min(queries.len());
    let roaring =
        measure(&queries[..many], passes.min(3), |query| baselines.formula.match_into(&query.key, &mut ids));
    let footprint = built.index.snapshot().footprint();
    let per = |bytes: usize| bytes as f64 / f64::from(size);
    println!(
        "{:<10} {:>8} {:>8} {:>9.1} {:>10.0} {:>10.0} {:>9.2} {:>8.0}x {:>8.0}x {:>7.1}x {:>7.1}x {:>7.1} {:>6.1} {:>6.1} {:>6.1} {:>8.3} {:>8.3}",
        kind.name(),
        size,
        kind.projects(),
        mean,
        ours.p50,
        ours.p99,
        ours.p50 / mean.max(1.0),
        names / ours.p50,
        numbers / ours.p50,
        roaring.p50 / ours.p50,
        roaring.p99 / ours.p99,
        per(footprint.postings),
        per(footprint.names),
        per(footprint.ids),
        built.bytes,
        built.build_s,
        built.cpu_s,
    );
    drop(baselines);
    if kind == workload::Kind::Half {
        kernels(&built, &queries, passes.min(3), mean);
    }
    updates::measure(&mut built.index, &mut built.writer, &workload, &queries, quick);
    let snapshot = built.index.snapshot();
    let mut matches = Matches::default();
    let mut turn = queries.iter().cycle();
    criterion.bench_function(&format!("{}/{size}", kind.name()), |bencher| {
        bencher.iter(|| {
            let query = turn.next().unwrap();
            snapshot.match_into(&candidate(query), &mut matches).len()
        });
    });
}

/// Prints the time per match of each kernel that decodes bitmaps.
fn kernels(built: &Built, queries: &[Query], passes: usize, mean: f64) {
    let queries = &queries[..queries.len().min(2000)];
    for kernel in Kernel::ALL {
        if !kernel.is_present() {
            println!("           {kernel:?} is not supported by this processor");
            continue;
        }
        force_kernel(Some(kernel));
        let latency = time_index(built, queries, passes);
        println!("           {kernel:?}: {:.0} ns, {:.3} ns for each match", latency.p50, latency.p50 / mean);
    }
    force_kernel(None);
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
    println!(
        "latencies in ns; ratios: how many times longer the scans by names and by numbers (p50) \
         and the formula (p50, p99) take"
    );
    println!(
        "{:<10} {:>8} {:>8} {:>9} {:>10} {:>10} {:>9} {:>9} {:>9} {:>8} {:>8} {:>7} {:>6} {:>6} {:>6} {:>8} {:>8}",
        "workload",
        "subs",
        "projects",
        "matches",
        "p50",
        "p99",
        "ns/match",
        "scan",
        "by number",
        "roaring",
        "roar.99",
        "post.B",
        "names",
        "ids",
        "all B",
        "build s",
        "cpu s",
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
