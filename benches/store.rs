//! Measures durable appends and settlements per second, with 1, 64 and 1,024 of them in flight.
#![expect(clippy::unwrap_used, reason = "a benchmark that fails has nothing to report")]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use postrider::model::delivery::{Delivery, Progress};
use postrider::model::event::EventContent;
use postrider::model::id::SubscriptionId;
use postrider::model::subscription::{Subscription, SubscriptionSpec};
use postrider::model::time::Clock;
use postrider::store::{Append, Appended, Settlement, Store, StoreOptions, Target, open};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const WAITING: [usize; 3] = [1, 64, 1024];

fn content() -> EventContent {
    EventContent {
        event_type: "TODO_CREATED".parse().unwrap(),
        project: "website".parse().unwrap(),
        company: None,
        sender_id: None,
        occurred_at: None,
        data: Some(Bytes::from(vec![b'7'; 1024])),
        trace: None,
    }
}

fn subscription(id: SubscriptionId, clock: &Clock) -> Subscription {
    let members = serde_json::json!({ "name": "bench", "url": "https://example.com/hook" });
    Subscription::new(id, SubscriptionSpec::read(&members).unwrap(), clock.now())
}

async fn append(store: &Store, subscription: SubscriptionId, count: usize) -> Vec<Appended> {
    let (sender, mut answers) = mpsc::channel(count);
    for _ in 0..count {
        let sender = sender.clone();
        let targets = vec![Target { subscription, queued: false }];
        let events = vec![Append { content: content(), targets }];
        let place = store.reserve().await.unwrap();
        place.append(events, move |result| sender.try_send(result.unwrap().remove(0)).unwrap());
    }
    let mut appended = Vec::with_capacity(count);
    answers.recv_many(&mut appended, count).await;
    while appended.len() < count {
        appended.push(answers.recv().await.unwrap());
    }
    appended
}

async fn settle(store: &Store, subscription: SubscriptionId, appended: &[Appended]) {
    let (sender, mut answers) = mpsc::channel(appended.len());
    for one in appended {
        let sender = sender.clone();
        let mut delivery = Delivery::new(*one.deliveries.first().unwrap(), one.event.id, subscription);
        delivery.progress = Progress::Succeeded;
        let settlement = Settlement { delivery, due_was: None, health: None };
        let place = store.reserve().await.unwrap();
        place.settle(settlement, move |result| sender.try_send(result).unwrap());
    }
    for _ in appended {
        answers.recv().await.unwrap().unwrap();
    }
}

fn benches(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let clock = Clock::system();
    let options = StoreOptions {
        key_file: None,
        path: dir.path().join("store"),
        cache_bytes: 64 << 20,
        dedup_window: std::time::Duration::from_mins(1),
        queue_steps_max: 4096,
    };
    let opened = open(&options, clock.clone(), StdRng::seed_from_u64(1), &mut |_| {}).unwrap();
    let (store, id) = (opened.store, SubscriptionId::from_bits(1));
    let mut running = JoinSet::new();
    running.spawn_on(opened.committer.run(), runtime.handle());
    runtime.block_on(async {
        store
            .reserve()
            .await
            .unwrap()
            .put_subscription(subscription(id, &clock), None, |result| result.unwrap());
    });
    for waiting in WAITING {
        let mut group = criterion.benchmark_group(format!("{waiting} waiting"));
        group.throughput(Throughput::Elements(waiting as u64)).sample_size(20);
        group.bench_function("append", |bencher| {
            bencher.iter(|| black_box(runtime.block_on(append(&store, id, waiting))));
        });
        group.bench_function("settle", |bencher| {
            bencher.iter_batched(
                || runtime.block_on(append(&store, id, waiting)),
                |appended| runtime.block_on(settle(&store, id, &appended)),
                criterion::BatchSize::PerIteration,
            );
        });
        group.finish();
    }
    drop((store, opened.reader));
    while runtime.block_on(running.join_next()).is_some() {}
}

criterion_group!(store, benches);
criterion_main!(store);
