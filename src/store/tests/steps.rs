//! Steps and queries of the store through its public methods.

use std::collections::BTreeSet;
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::advance;

use crate::model::delivery::{Delivery, Progress};
use crate::model::id::DeliveryId;
use crate::model::time::Clock;
use crate::store::rows::key;
use crate::store::tests::test_store::*;
use crate::store::*;

fn one(sender_id: Option<&str>, data: usize, targets: Vec<Target>) -> Vec<Append> {
    vec![Append { content: content(sender_id, data), targets }]
}

#[tokio::test(start_paused = true)]
async fn events_of_every_size_are_read_back_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::starting_at(EPOCH);
    let (rig, _) = TestStore::open(dir.path(), &clock, 1);
    let subscription = rig.subscribe(1).await;
    for (data, targets) in [(0, 0), (1, 1), (5_900, 1), (6_144, 1), (12_288, 3), (300_000, 2), (10, 1_000)] {
        let list = one(None, data, vec![to(subscription, false); targets]);
        let appended = rig.append(list.clone()).await.unwrap().remove(0);
        let event = rig.reader.event(appended.event.id).unwrap().unwrap();
        assert_eq!((&event, &event.content), (&*appended.event, &list[0].content), "{data} bytes");
        let deliveries = rig.reader.deliveries_of(event.id).unwrap();
        assert_eq!(deliveries.iter().map(|d| d.id).collect::<Vec<_>>(), appended.deliveries);
        for id in appended.deliveries.iter().take(5).copied() {
            let fresh = Delivery::new(id, event.id, subscription);
            assert_eq!(rig.reader.delivery(id).unwrap(), Some(fresh));
        }
        let beyond = DeliveryId::from_bits(event.id.bits() + 1 + targets as u128);
        assert_eq!(rig.reader.delivery(beyond).unwrap(), None);
    }
    rig.close().await.unwrap();
    assert!(
        !dir.path().join("log/blobs").exists()
            || fs::read_dir(dir.path().join("log/blobs")).unwrap().next().is_none()
    );
}

#[tokio::test(start_paused = true)]
async fn a_repeated_sender_id_within_the_window_is_a_duplicate() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::starting_at(EPOCH);
    let (rig, _) = TestStore::open(dir.path(), &clock, 1);
    let subscription = rig.subscribe(1).await;
    let twice = [one(Some("a"), 3, vec![to(subscription, false)]), one(Some("a"), 4, Vec::new())].concat();
    let appended = rig.append(twice).await.unwrap();
    assert_eq!(appended.iter().map(|a| a.duplicate).collect::<Vec<_>>(), [false, true]);
    assert_eq!(appended[0].event, appended[1].event);
    assert_eq!(appended[0].deliveries, appended[1].deliveries);

    let (first, second) =
        tokio::join!(rig.append(one(Some("b"), 1, Vec::new())), rig.append(one(Some("b"), 1, Vec::new())));
    let (first, second) = (first.unwrap().remove(0), second.unwrap().remove(0));
    assert_eq!((first.duplicate, second.duplicate, &first.event), (false, true, &second.event));

    rig.close().await.unwrap();
    let (rig, _) = TestStore::open(dir.path(), &clock, 2);
    advance(WINDOW.checked_sub(Duration::from_millis(1)).unwrap()).await;
    let again = rig.append(one(Some("a"), 3, Vec::new())).await.unwrap();
    assert_eq!((again[0].duplicate, ids(&again)), (true, ids(&appended[..1])));
    advance(Duration::from_secs(1)).await;
    let later = rig.append(one(Some("a"), 3, Vec::new())).await.unwrap();
    assert!(!later[0].duplicate && later[0].event.id > first.event.id);
    let mut other = content(Some("a"), 3);
    other.company = None;
    let other = rig.append(vec![Append { content: other, targets: Vec::new() }]).await.unwrap();
    assert!(!other[0].duplicate, "another company's id is another id");
    rig.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn rows_of_sender_ids_are_removed_after_the_window() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::starting_at(EPOCH);
    let (rig, _) = TestStore::open(dir.path(), &clock, 1);
    for n in 0..10 {
        rig.append(one(Some(&n.to_string()), 1, Vec::new())).await.unwrap();
    }
    let rows = || rig.reader.tables.tree(key::Table::Dedup).iter().count();
    let sweep = Sweep { events_before: EPOCH, held_before: EPOCH, bytes_max: u64::MAX, limit: 4 };
    assert!(!rig.step(|place, done| place.sweep(sweep, done)).await.unwrap().more);
    assert_eq!(rows(), 10);
    advance(WINDOW * 2).await;
    for left in [6, 2, 0] {
        let swept = rig.step(|place, done| place.sweep(sweep, done)).await.unwrap();
        assert_eq!((rows(), swept.more, swept.events), (left, left > 0, 0));
    }
    rig.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn each_acknowledgement_comes_after_a_sync() {
    let dir = tempfile::tempdir().unwrap();
    let (rig, _) = TestStore::open(dir.path(), &Clock::starting_at(EPOCH), 1);
    for _ in 0..20 {
        let before = rig.reader.counts().flushes;
        let syncs = rig.reader.syncs();
        rig.append(one(None, 10, Vec::new())).await.unwrap();
        assert!(rig.reader.syncs() > syncs && rig.reader.counts().flushes > before);
    }
    rig.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn after_a_failed_flush_nothing_is_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = try_open(dir.path(), &Clock::starting_at(EPOCH), 1).unwrap();
    opened.committer.writer.fail_flush_after = Some(2);
    let (mut rig, _) = start(opened);
    for _ in 0..2 {
        rig.append(one(None, 1, Vec::new())).await.unwrap();
    }
    let kept = rig.store.reserve().await.unwrap();
    let failed = rig.append(one(None, 1, Vec::new())).await.unwrap_err();
    assert!(matches!(&failed, StoreError::Poisoned { cause } if cause.contains("injected")), "{failed}");
    let ended = rig.running.join_next().await.unwrap().unwrap().unwrap_err();
    assert!(ended.to_string().contains("injected"), "{ended}");
    assert!(matches!(rig.store.reserve().await, Err(StoreError::Poisoned { .. })));
    assert_eq!(rig.store.try_reserve().unwrap_err(), QueueFull::Closed);
    let (sender, answer) = tokio::sync::oneshot::channel();
    kept.append(one(None, 1, Vec::new()), move |result| drop(sender.send(result)));
    drop(rig);
    assert!(matches!(answer.await.unwrap(), Err(StoreError::Poisoned { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_delivery_is_in_no_lane_before_it_is_durable() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = try_open(dir.path(), &Clock::starting_at(EPOCH), 1).unwrap();
    // The subscription and the first event are flushed; the second event is not.
    opened.committer.writer.fail_flush_after = Some(2);
    let (rig, _) = start(opened);
    let subscription = rig.subscribe(1).await;
    let first = rig.append(one(None, 1, vec![to(subscription, true)])).await.unwrap();
    rig.append(one(None, 1, vec![to(subscription, true)])).await.unwrap_err();
    assert_eq!(
        rig.reader
            .deliveries(&DeliveryQuery { limit: 9, ..DeliveryQuery::default() }, |_| true)
            .unwrap()
            .items
            .len(),
        2,
        "both are written"
    );
    let page = rig.reader.due_page(subscription, None, 10).unwrap();
    assert_eq!(page.into_iter().map(|(_, id)| id).collect::<Vec<_>>(), first[0].deliveries);
}

#[tokio::test(start_paused = true)]
async fn slots_are_bounded_and_served_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let (rig, _) = TestStore::open(dir.path(), &Clock::starting_at(EPOCH), 1);
    let places: Vec<WriteSlot> = (0..64).map(|_| rig.store.try_reserve().unwrap()).collect();
    assert_eq!(rig.store.try_reserve().unwrap_err(), QueueFull::Full);
    let (sender, mut answers) = tokio::sync::mpsc::channel(64);
    for (number, place) in places.into_iter().enumerate() {
        let sender = sender.clone();
        place.append(one(None, 1, Vec::new()), move |result| {
            sender.try_send((number, result.unwrap()[0].event.id)).unwrap();
        });
    }
    let mut got = Vec::new();
    for _ in 0..64 {
        got.push(answers.recv().await.unwrap());
    }
    assert!(got.is_sorted(), "{got:?}");
    assert!(rig.store.reserve().await.is_ok());
    rig.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_store_with_a_missing_part_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::starting_at(EPOCH);
    let refused = || try_open(dir.path(), &clock, 1).unwrap_err();
    let (rig, _) = TestStore::open(dir.path(), &clock, 1);
    rig.append(one(None, 10, Vec::new())).await.unwrap();
    let locked = refused().to_string();
    assert!(locked.contains(&format!("process {}", std::process::id())), "{locked}");
    rig.close().await.unwrap();

    let snapshot = dir.path().join("log/snap.0000000000000000.generating");
    fs::write(&snapshot, "").unwrap();
    let seq = fs::read_to_string(dir.path().join("witness")).unwrap();
    let opened = try_open(dir.path(), &clock, 1).unwrap();
    assert!(!snapshot.exists());
    assert!(opened.committer.writer.feed.meta().commit_seq > seq.trim().parse().unwrap());
    let tables = opened.reader.tables.clone();
    drop(opened);

    fs::write(dir.path().join("witness"), "1000000\n").unwrap();
    drop(tables);
    assert!(matches!(refused(), OpenError::Behind { witnessed: 1_000_000, .. }));
    fs::write(dir.path().join("witness"), "many").unwrap();
    assert!(refused().to_string().contains("'many' is not the number"));
    fs::remove_file(dir.path().join("witness")).unwrap();

    let opened = try_open(dir.path(), &clock, 1).unwrap();
    let events = opened.reader.tables.sled_tree(key::Table::Events).clone();
    let (row, value) = events.first().unwrap().unwrap();
    events.remove(&row).unwrap();
    drop((opened, events));
    let damaged = refused().to_string();
    assert!(damaged.contains("tree events has 0 rows instead of 1"), "{damaged}");
    let db = sled::open(dir.path().join("log")).unwrap();
    db.open_tree("events").unwrap().insert(&row, value).unwrap();
    drop(db);
    drop(try_open(dir.path(), &clock, 1).unwrap());

    fs::rename(dir.path().join("log/db"), dir.path().join("away")).unwrap();
    assert!(matches!(refused(), OpenError::Missing { missing: "db", .. }));
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_first_start_does_not_prevent_a_later_one() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::starting_at(EPOCH);
    let (log, aside) = (dir.path().join("log"), dir.path().join("log.unfinished"));
    // The second time, the leftover of the first is in the way.
    for text in ["half a page", "half another"] {
        fs::create_dir(&log).unwrap();
        fs::write(log.join("conf"), text).unwrap();
        drop(try_open(dir.path(), &clock, 1).unwrap());
        assert_eq!(fs::read_to_string(aside.join("conf")).unwrap(), text);
        fs::remove_file(dir.path().join("format")).unwrap();
        fs::remove_dir_all(&log).unwrap();
    }
    // After a complete opening, an event may have been acknowledged.
    drop(try_open(dir.path(), &clock, 1).unwrap());
    fs::write(log.join("conf"), "half a page").unwrap();
    assert!(matches!(try_open(dir.path(), &clock, 1), Err(OpenError::Unreadable { .. })));
    assert!(log.join("db").exists());
}

#[tokio::test(start_paused = true)]
async fn a_release_makes_every_waiting_delivery_due() {
    let dir = tempfile::tempdir().unwrap();
    let (rig, _) = TestStore::open(dir.path(), &Clock::starting_at(EPOCH), 1);
    let subscription = rig.subscribe(1).await;
    let mut deliveries = Vec::new();
    for wait in [50, 10, 30, 20, 40] {
        let appended = rig.append(one(None, 1, vec![to(subscription, false)])).await.unwrap();
        let mut delivery = Delivery::new(appended[0].deliveries[0], appended[0].event.id, subscription);
        delivery.progress = Progress::Waiting { due: EPOCH.after(Duration::from_secs(wait)) };
        deliveries.push(delivery.id);
        let settlement = Settlement { delivery, due_was: None, health: None };
        rig.step(|place, done| place.settle(settlement, done)).await.unwrap();
    }
    let mut more = true;
    let mut calls = 0;
    while more {
        more = rig.step(|place, done| place.release(subscription, 2, done)).await.unwrap();
        calls += 1;
    }
    assert_eq!(calls, 3);
    let page = rig.reader.due_page(subscription, None, 10).unwrap();
    assert_eq!(page, deliveries.iter().map(|id| (id.time(), *id)).collect::<Vec<_>>());
    for id in deliveries {
        let shown = rig.reader.delivery(id).unwrap().unwrap().progress;
        assert_eq!(shown, Progress::Waiting { due: id.time() });
    }
    assert_eq!(rig.reader.oldest_waiting(subscription).unwrap(), Some(EPOCH));
    rig.close().await.unwrap();
}

/// Reads lists of waiting deliveries as long as `known` is written to. Each list must contain every delivery
/// that was known when it began.
fn list_what_waits(reader: &Reader, known: &Arc<Mutex<BTreeSet<DeliveryId>>>) -> u32 {
    let mut lists = 0;
    while Arc::strong_count(known) > 1 {
        let before = known.lock().unwrap().clone();
        let progress = vec![ProgressKind::Waiting];
        let mut query = DeliveryQuery { progress, limit: 300, ..DeliveryQuery::default() };
        let mut listed = Vec::new();
        loop {
            let page = reader.deliveries(&query, |_| true).unwrap();
            listed.extend(page.items.into_iter().map(|one| one.id));
            query.before = page.next;
            if page.next.is_none() {
                break;
            }
        }
        assert!(listed.is_sorted_by(|a, b| a > b), "{listed:?}");
        let listed: BTreeSet<_> = listed.into_iter().collect();
        let missed: Vec<_> = before.difference(&listed).collect();
        assert!(missed.is_empty(), "list {lists} misses {missed:?}");
        lists += 1;
    }
    lists
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_deliveries_are_listed_while_they_move() {
    let dir = tempfile::tempdir().unwrap();
    let (rig, _) = TestStore::open(dir.path(), &Clock::starting_at(EPOCH), 1);
    let of = rig.subscribe(1).await;
    let known = Arc::new(Mutex::new(BTreeSet::new()));
    let (reader, shared) = (rig.reader.clone(), Arc::clone(&known));
    let reading = tokio::task::spawn_blocking(move || list_what_waits(&reader, &shared));
    for _ in 0..60 {
        let list = (0..8).map(|n| Append { content: content(None, 1), targets: vec![to(of, n % 2 == 0)] });
        let appended = rig.append(list.collect()).await.unwrap();
        let made: Vec<_> =
            appended.iter().map(|one| Delivery::new(one.deliveries[0], one.event.id, of)).collect();
        known.lock().unwrap().extend(made.iter().map(|one| one.id));
        // Deliveries move from memory to the lane, and from either to the tried ones.
        let parked = made[..4].to_vec();
        rig.step(|place, done| place.enqueue(parked, done)).await.unwrap();
        for delivery in made {
            let due = EPOCH.after(Duration::from_secs(1000));
            let delivery = Delivery { progress: Progress::Waiting { due }, ..delivery };
            let settlement = Settlement { delivery, due_was: None, health: None };
            rig.step(|place, done| place.settle(settlement, done)).await.unwrap();
        }
    }
    drop(known);
    assert!(reading.await.unwrap() > 20, "too few lists to tell anything");
    rig.close().await.unwrap();
}
