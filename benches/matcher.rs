//! Measures the matching index beside a linear scan and the plain formula over roaring bitmaps.
//!
//! ```text
//! cargo bench --bench matcher                     # every workload at 1k, 10k, 100k and 1M: about ten minutes
//! cargo bench --bench matcher -- --test           # every workload once, small: seconds
//! MATCHER_SIZES=100000 MATCHER_WORKLOADS=skewed cargo bench --bench matcher
//! ```
//! The index's answers to the first events are compared with both scans' and the formula's before anything is timed.
//! A latency is the least of several passes over thousands of different events, so that each pass finds the caches
//! cold and the noise of other processes is left out. The index and the scan by names get an event as it comes in; the
//! scan by numbers and the formula are handed numbers that somebody else looked up.
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
use postrider::model::subscription::SubscriptionSpec;
use postrider::model::time::Timestamp;
use postrider::rules::bitset::{Kernel, force_kernel};
use postrider::rules::matcher::{Candidate, Index, IndexWriter, Matches, Presence};

use plain::{Formula, NameScan, Scan};
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
    /// The least of the builds, and of the processor's time that they took.
    took: f64,
    took_cpu: f64,
    bytes: f64,
}

/// The seconds that this thread has had a processor, where the system tells.
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
        let (took, took_cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - start_cpu);
        let bytes = memory::live().saturating_sub(before) as f64 / specs.len() as f64;
        Built { index, writer, took, took_cpu, bytes }
    };
    let mut built = once();
    for _ in 1..times {
        let Built { took, took_cpu, .. } = built;
        built = once();
        (built.took, built.took_cpu) = (built.took.min(took), built.took_cpu.min(took_cpu));
    }
    built
}

/// The ways beside the index.
struct Plain {
    by_names: NameScan,
    by_numbers: Scan,
    formula: Formula,
}

/// Compares the index with the plain ways on the first queries; returns the mean number of matches over all.
fn check(built: &Built, plain: &Plain, queries: &[Query], compared: usize) -> f64 {
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
            plain.by_names.match_into(&query.event, &mut by_names);
            assert_eq!(found, by_names, "the index differs from the scan on {:?}", query.event);
            assert_eq!(
                found,
                plain.by_numbers.matches(&query.key),
                "the index differs from the scan by numbers"
            );
            assert_eq!(found, plain.formula.matches(&query.key), "the index differs from the formula");
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

/// What a scan takes: the middle of the times, or the processor's time for each if that is less, since a scan of
/// a million lasts so long that other processes come between.
fn time_scan(queries: &[Query], mut scan: impl FnMut(&Query)) -> f64 {
    let start = cpu_seconds();
    let passes = 2;
    let middle = measure(queries, passes, &mut scan).p50;
    let cpu = (cpu_seconds() - start) * 1e9 / (passes * queries.len()) as f64;
    if cpu > 1e6 { middle.min(cpu) } else { middle }
}

fn row(kind: workload::Kind, size: u32, quick: bool, criterion: &mut Criterion) {
    let workload = Workload::generate(kind, size);
    let specs = workload.specs();
    let mut built = build(&specs, if quick { 1 } else { 3 });
    let by_names = NameScan::new(&specs);
    drop(specs);
    let plain = Plain { by_names, by_numbers: Scan::new(&workload), formula: Formula::new(&workload) };
    let queries = workload.queries(if quick { 200 } else { 20_000 });
    let compared = if quick { 50 } else { (40_000_000 / size as usize).clamp(40, 2000) };
    let mean = check(&built, &plain, &queries, compared);

    let passes = if quick { 1 } else { 7 };
    let ours = time_index(&built, &queries, passes);
    let few = (20_000_000 / size as usize).clamp(20, 2000).min(queries.len());
    let mut ids = Vec::new();
    let names = time_scan(&queries[..few], |query| plain.by_names.match_into(&query.event, &mut ids));
    let numbers = time_scan(&queries[..few], |query| plain.by_numbers.match_into(&query.key, &mut ids));
    let many = (4 * few).min(queries.len());
    let roaring =
        measure(&queries[..many], passes.min(3), |query| plain.formula.match_into(&query.key, &mut ids));
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
        built.took,
        built.took_cpu,
    );
    drop(plain);
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

/// Prints what each way of decoding bitmaps takes for a match.
fn kernels(built: &Built, queries: &[Query], passes: usize, mean: f64) {
    let queries = &queries[..queries.len().min(2000)];
    for kernel in Kernel::ALL {
        if !kernel.is_present() {
            println!("           {kernel:?} is missing here");
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
