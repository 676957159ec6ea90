//! Opens a log that an earlier version wrote.
//!
//! `tests/store_fixtures/format_1` comes from a small run of the daemon that wrote format 1. It was killed
//! with a delivery in flight. `shown.json` contains the answers of its API just before.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::model::delivery::{Delivery, Progress};
use crate::model::id::{EventId, SubscriptionId};
use crate::model::time::Clock;
use crate::store::disk::{files, secret_cipher};
use crate::store::open::migration::Migration;
use crate::store::rows::tables::Tables;
use crate::store::rows::{key, record};
use crate::store::tests::test_store::*;
use crate::store::*;

/// The time at which the run ended.
const THEN: Timestamp = Timestamp::from_millis(1_767_600_513_000);

use crate::model::time::Timestamp;

/// Copies the log of format 1 to a temporary directory.
fn format_1() -> tempfile::TempDir {
    let (from, to) = (fixture(), tempfile::tempdir().unwrap());
    fs::create_dir_all(to.path().join("log/blobs")).unwrap();
    for name in ["format", "witness", "log/conf", "log/db"] {
        fs::copy(from.join(name), to.path().join(name)).unwrap();
    }
    to
}

fn fixture() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/store_fixtures/format_1")
}

fn shown() -> Value {
    serde_json::from_str(&fs::read_to_string(fixture().join("shown.json")).unwrap()).unwrap()
}

fn list<'a>(shown: &'a Value, name: &str) -> &'a [Value] {
    shown[name].as_array().unwrap()
}

fn kind(state: &Value) -> ProgressKind {
    match state.as_str().unwrap() {
        "succeeded" => ProgressKind::Succeeded,
        "exhausted" => ProgressKind::Exhausted,
        "cancelled" => ProgressKind::Cancelled,
        _ => ProgressKind::Waiting,
    }
}

fn check_delivery(delivery: &Delivery, shown: &Value) {
    assert_eq!(shown["event"], delivery.event.to_string());
    assert_eq!(shown["subscription"], delivery.subscription.to_string());
    assert_eq!(kind(&shown["state"]), delivery.progress.into(), "{shown}");
    if let Progress::Waiting { due } = delivery.progress {
        assert_eq!(shown["due_at"], due.to_string(), "{shown}");
    }
    let attempts = list(shown, "attempts");
    assert_eq!(attempts.len(), delivery.attempts.len());
    for (attempt, shown) in delivery.attempts.iter().zip(attempts) {
        assert_eq!(shown["number"], attempt.number);
        assert_eq!(shown["started_at"], attempt.started_at.to_string());
        assert_eq!(shown["response_excerpt"], String::from_utf8_lossy(&attempt.excerpt).as_ref());
    }
}

/// Compares the log with the answers of the earlier daemon.
fn check(reader: &Reader, found: &Found, shown: &Value) {
    let heads = reader.events(&EventQuery { limit: 500, ..EventQuery::default() }).unwrap().items;
    let events = list(shown, "events");
    assert_eq!(heads.len(), events.len());
    for (head, shown) in heads.iter().zip(events) {
        assert_eq!(shown["id"], head.id.to_string());
        let data = reader.event(head.id).unwrap().unwrap().content.data.unwrap();
        assert_eq!(shown["data"], serde_json::from_slice::<Value>(&data).unwrap());
    }
    let all = reader.deliveries(&DeliveryQuery { limit: 500, ..DeliveryQuery::default() }, |_| true);
    let deliveries = list(shown, "deliveries");
    let all = all.unwrap().items;
    assert_eq!(all.len(), deliveries.len());
    for (delivery, shown) in all.iter().zip(deliveries) {
        assert_eq!(shown["id"], delivery.id.to_string());
        check_delivery(delivery, shown);
        assert_eq!(reader.delivery(delivery.id).unwrap().as_ref(), Some(delivery));
    }
    check_lists(reader, shown);
    check_waiting(reader, found, shown);
}

/// Compares every filtered list with the answers of the earlier daemon.
fn check_lists(reader: &Reader, shown: &Value) {
    let mut wanted: HashMap<(ProgressKind, Option<SubscriptionId>), Vec<&Value>> = HashMap::new();
    for one in list(shown, "deliveries") {
        let of: SubscriptionId = one["subscription"].as_str().unwrap().parse().unwrap();
        wanted.entry((kind(&one["state"]), None)).or_default().push(&one["id"]);
        wanted.entry((kind(&one["state"]), Some(of))).or_default().push(&one["id"]);
    }
    for ((kind, subscription), ids) in wanted {
        let query =
            DeliveryQuery { progress: vec![kind], subscription, limit: 500, ..DeliveryQuery::default() };
        let listed = reader.deliveries(&query, |_| true).unwrap().items;
        assert!(listed.iter().map(|one| one.id.to_string()).eq(ids.iter().map(|id| id.as_str().unwrap())));
    }
    let query =
        EventQuery { event_type: Some("TODO_DELETED".parse().unwrap()), limit: 500, ..EventQuery::default() };
    let listed = reader.events(&query).unwrap().items;
    let ids = list(shown, "events").iter().filter(|one| one["type"] == "TODO_DELETED").map(|one| &one["id"]);
    assert!(listed.iter().map(|head| head.id.to_string()).eq(ids.map(|id| id.as_str().unwrap())));
    assert_eq!(listed.len(), 4);
}

/// Compares the waiting deliveries: one was in flight, so it is fresh, and the others are in their lanes.
fn check_waiting(reader: &Reader, found: &Found, shown: &Value) {
    let fresh: Vec<_> = found.fresh.iter().map(|one| one.id.to_string()).collect();
    let in_flight = list(shown, "deliveries").iter().filter(|one| one["state"] == "in_flight");
    assert!(fresh.iter().eq(in_flight.map(|one| one["id"].as_str().unwrap())));
    assert_eq!(fresh.len(), 1);
    let waiting = list(shown, "deliveries").iter().filter(|one| kind(&one["state"]) == ProgressKind::Waiting);
    let in_lanes: u64 = found.lanes.iter().map(|(_, rows)| rows).sum();
    assert_eq!(in_lanes + 1, waiting.count() as u64);
    for subscription in list(shown, "subscriptions") {
        let id: SubscriptionId = subscription["id"].as_str().unwrap().parse().unwrap();
        let stats = &subscription["stats"];
        let count = |names: &[&str]| names.iter().map(|name| stats[name].as_u64().unwrap()).sum::<u64>();
        let expected = ProgressCounts {
            waiting: count(&["pending", "held", "in_flight"]),
            succeeded: count(&["succeeded"]),
            exhausted: count(&["exhausted"]),
            cancelled: count(&["cancelled"]),
        };
        assert_eq!(reader.tally(id), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_of_format_1_is_migrated_and_answers_the_same() {
    let (dir, shown) = (format_1(), shown());
    let clock = Clock::starting_at(THEN);
    for _ in 0..2 {
        let (rig, found) = TestStore::open(dir.path(), &clock, 1);
        check(&rig.reader, &found, &shown);
        assert!(rig.reader.tables.sled_tree(key::Table::Deliveries).is_empty());
        assert!(rig.reader.tables.tree(key::Table::Segments).iter().count() >= 2);
        assert_eq!(fs::read_to_string(dir.path().join("format")).unwrap(), "2\n");
        rig.close().await.unwrap();
    }
    let (rig, _) = TestStore::open(dir.path(), &clock, 1);
    let known: EventId = list(&shown, "events").last().unwrap()["id"].as_str().unwrap().parse().unwrap();
    let mut again = rig.reader.event(known).unwrap().unwrap().content;
    assert_eq!(again.sender_id.as_ref().unwrap().as_str(), "order-0");
    again.data = None;
    rig.close().await.unwrap();
    let options = StoreOptions { dedup_window: std::time::Duration::from_hours(24), ..options(dir.path()) };
    let opened = open(&options, clock.clone(), rand::SeedableRng::seed_from_u64(2), &mut |_| {}).unwrap();
    let (rig, _) = start(opened);
    let appended = rig.append(vec![Append { content: again, targets: Vec::new() }]).await.unwrap();
    assert_eq!((appended[0].duplicate, appended[0].event.id), (true, known));
    rig.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_migration_is_continued() {
    let shown = shown();
    let clock = Clock::starting_at(THEN);
    let mut broke_off = 0;
    for writes in 0.. {
        let dir = format_1();
        let db = sled::Config::new().path(dir.path().join("log")).open().unwrap();
        let reader = Reader {
            tables: Tables::open(db.into()).unwrap(),
            shared: std::sync::Arc::default(),
            cipher: secret_cipher::SecretCipher::new(&[7; 32]),
            files: std::sync::Arc::new(files::Files::lock(dir.path()).unwrap()),
        };
        let meta = reader.tables.meta().unwrap().unwrap();
        assert_eq!(meta.format, 1);
        let mut progress = |_: &str| {};
        let mut migration = Migration::new(&reader, meta, &mut progress);
        migration.fail_write_after = Some(writes);
        let done = migration.run();
        drop(reader);
        broke_off += u32::from(done.is_err());
        let (rig, found) = TestStore::open(dir.path(), &clock, 1);
        check(&rig.reader, &found, &shown);
        rig.close().await.unwrap();
        if done.is_ok() {
            break;
        }
    }
    assert!(broke_off > 3, "{broke_off}");
}

#[tokio::test(start_paused = true)]
async fn a_later_format_is_refused_and_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::starting_at(THEN);
    let (rig, _) = TestStore::open(dir.path(), &clock, 1);
    rig.append(vec![Append { content: content(None, 10), targets: Vec::new() }]).await.unwrap();
    rig.close().await.unwrap();
    let later = record::FORMAT + 1;
    let refused = || {
        let error = try_open(dir.path(), &clock, 1).unwrap_err();
        assert!(matches!(error, OpenError::Format { found, .. } if found == later), "{error}");
        assert!(error.to_string().contains("use the version that wrote it"), "{error}");
    };
    let data = || fs::read(dir.path().join("log/db")).unwrap();
    let before = data();
    fs::write(dir.path().join("format"), format!("{later}\n")).unwrap();
    refused();
    assert!(data() == before, "the log was touched");
    // Only the log itself states the format now.
    fs::write(dir.path().join("format"), format!("{}\n", record::FORMAT)).unwrap();
    let db = sled::Config::new().path(dir.path().join("log")).open().unwrap();
    let meta = Tables::open(db.clone().into()).unwrap().meta().unwrap().unwrap();
    let row = record::meta(&record::Meta { format: later, ..meta.clone() });
    db.open_tree("meta").unwrap().insert("meta", row).unwrap();
    drop(db);
    refused();
    let db = sled::Config::new().path(dir.path().join("log")).open().unwrap();
    db.open_tree("meta").unwrap().insert("meta", record::meta(&meta)).unwrap();
    drop(db);
    TestStore::open(dir.path(), &clock, 1).0.close().await.unwrap();
}
