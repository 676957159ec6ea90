//! Measures changes of the index: their cost for the writer, and the writer's effect on readers.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use postrider::model::id::SubscriptionId;
use postrider::rules::matcher::{Index, IndexWriter, Matches, Presence};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::workload::{Query, Workload};
use super::{Latency, candidate, cpu_seconds, nanos, now};

/// Prints the cost of single changes and of 10,000 changes at once, and of reads with and without 1,000
/// changes a second.
pub fn measure(
    index: &mut Index,
    writer: &mut IndexWriter,
    workload: &Workload,
    queries: &[Query],
    quick: bool,
) {
    let size = workload.wishes.len() as u128;
    let mut rng = StdRng::seed_from_u64(3);
    let singles = if quick { 20 } else { 1000 };
    let mut times = Vec::new();
    for _ in 0..singles {
        let id = SubscriptionId::from_bits(rng.random_range(0..size));
        let spec = workload.another(&mut rng).spec();
        let start = now();
        writer.put(id, &spec, Presence::Active);
        writer.commit();
        times.push(nanos(start.elapsed()) / 1e3);
    }
    times.sort_by(f64::total_cmp);
    let (many, rounds) = if quick { (100, 1) } else { (10_000, 5) };
    let (mut at_once, mut at_once_cpu) = (f64::MAX, f64::MAX);
    for _ in 0..rounds {
        let specs: Vec<_> = (0..many).map(|_| workload.another(&mut rng).spec()).collect();
        let (start, start_cpu) = (now(), cpu_seconds());
        for spec in &specs {
            writer.put(SubscriptionId::from_bits(rng.random_range(0..size)), spec, Presence::Active);
        }
        writer.commit();
        at_once = at_once.min(nanos(start.elapsed()) / 1e6);
        at_once_cpu = at_once_cpu.min((cpu_seconds() - start_cpu) * 1e3);
    }
    println!(
        "           one change {:.0}/{:.0} us p50/p99; {many} at once {at_once:.1} ms, {at_once_cpu:.1} of a \
         processor's time, the least of {rounds}",
        times[times.len() / 2],
        times[times.len() * 99 / 100],
    );
    beside_a_writer(index, writer, workload, queries, quick);
}

/// Prints the latency of readers alone and with a writer.
///
/// The two take turns, so that other processes affect both equally.
fn beside_a_writer(
    index: &Index,
    writer: &mut IndexWriter,
    workload: &Workload,
    queries: &[Query],
    quick: bool,
) {
    let (turns, time) = if quick { (1, 20) } else { (9, 300) };
    let time = Duration::from_millis(time);
    let (mut quiet, mut busy) = (Vec::new(), Vec::new());
    for _ in 0..turns {
        quiet.push(read(index, queries, time));
        busy.push(under_writer(index, writer, workload, queries, time));
    }
    let middle = |passes: &[Latency], of: fn(&Latency) -> f64| {
        let mut figures: Vec<f64> = passes.iter().map(of).collect();
        figures.sort_by(f64::total_cmp);
        figures[figures.len() / 2]
    };
    let [a, b] = [&quiet, &busy]
        .map(|passes| Latency { p50: middle(passes, |pass| pass.p50), p99: middle(passes, |pass| pass.p99) });
    println!(
        "           readers quiet {:.0}/{:.0} ns, beside 1,000 changes/s {:.0}/{:.0} ns p50/p99: {:.2}/{:.2} times, \
         the medians of {turns} turns",
        a.p50,
        a.p99,
        b.p50,
        b.p99,
        b.p50 / a.p50,
        b.p99 / a.p99,
    );
}

/// Matches events for the given time, with a new snapshot for each event.
fn read(index: &Index, queries: &[Query], time: Duration) -> Latency {
    let mut matches = Matches::default();
    let mut times = Vec::with_capacity(1 << 20);
    let start = now();
    for query in queries.iter().cycle() {
        let before = now();
        black_box(index.snapshot().match_into(&candidate(query), &mut matches).len());
        times.push(nanos(before.elapsed()));
        if times.len() == times.capacity() || before.duration_since(start) > time {
            break;
        }
    }
    times.sort_by(f64::total_cmp);
    Latency { p50: times[times.len() / 2], p99: times[times.len() * 99 / 100] }
}

fn under_writer(
    index: &Index,
    writer: &mut IndexWriter,
    workload: &Workload,
    queries: &[Query],
    time: Duration,
) -> Latency {
    let size = workload.wishes.len() as u128;
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut rng = StdRng::seed_from_u64(4);
            let specs: Vec<_> = (0..1000).map(|_| workload.another(&mut rng).spec()).collect();
            for spec in specs.iter().cycle() {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                writer.put(SubscriptionId::from_bits(rng.random_range(0..size)), spec, Presence::Active);
                writer.commit();
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let latency = read(index, queries, time);
        is_over.store(true, Ordering::Relaxed);
        latency
    })
}
