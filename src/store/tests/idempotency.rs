//! Idempotency keys and replay jobs.

use std::time::Duration;

use tokio::time::advance;

use crate::model::id::{EventId, ReplayId, SubscriptionId};
use crate::model::replay::{JobState, ReplayJob};
use crate::model::time::Clock;
use crate::store::rows::idempotency::{Idempotent, IdempotentRequest, RecordedEvent, RecordedResult};
use crate::store::rows::key;
use crate::store::tests::test_store::*;
use crate::store::*;

const KEY: IdempotentRequest = IdempotentRequest { key: [7; 16], fingerprint: [1; 16] };
const OTHER_BODY: IdempotentRequest = IdempotentRequest { fingerprint: [2; 16], ..KEY };

fn events(count: usize, to: &[Target]) -> Vec<Append> {
    vec![Append { content: content(None, 100), targets: to.to_vec() }; count]
}

async fn append_idempotent(
    rig: &TestStore,
    once: IdempotentRequest,
    list: Vec<Append>,
) -> Idempotent<Vec<Appended>> {
    rig.step(|place, done| place.append_idempotent(once, list, done)).await.unwrap()
}

fn made<T>(once: Idempotent<T>) -> T {
    match once {
        Idempotent::Made(made) => made,
        Idempotent::Repeated(_) | Idempotent::Mismatch => panic!("nothing was made"),
    }
}

fn earlier(appended: &[Appended]) -> Vec<RecordedEvent> {
    let one = |one: &Appended| {
        let matched = u32::try_from(one.deliveries.len()).unwrap();
        RecordedEvent { id: one.event.id, matched, duplicate: one.duplicate }
    };
    appended.iter().map(one).collect()
}

fn count(rig: &TestStore) -> usize {
    rig.reader.events_from(EventId::from_bits(0), None, usize::MAX).unwrap().len()
}

fn job(id: u128, state: JobState) -> ReplayJob {
    ReplayJob {
        id: ReplayId::from_bits(u128::from(EPOCH.as_millis()) << 80 | id),
        subscription: SubscriptionId::from_bits(1),
        since: None,
        until: None,
        states: Vec::new(),
        state,
        failure: None,
        total: 3,
        looked_at: 0,
        made: 0,
        skipped: 0,
        cursor: None,
        created_at: EPOCH,
        finished_at: (state != JobState::Running).then_some(EPOCH),
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_keeps_the_result_of_an_event_list_for_a_day() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::starting_at(EPOCH);
    let (rig, _) = TestStore::open(dir.path(), &clock, 1);
    let to = [to(rig.subscribe(1).await, false)];
    // The list is long enough for several transactions and a record of several chunks.
    let first = made(append_idempotent(&rig, KEY, events(400, &to)).await);
    assert_eq!((first.len(), count(&rig)), (400, 400));
    for reopened in [false, true] {
        let again = append_idempotent(&rig, KEY, events(400, &to)).await;
        assert_eq!(again, Idempotent::Repeated(RecordedResult::Events(earlier(&first))), "{reopened}");
        assert_eq!(append_idempotent(&rig, OTHER_BODY, events(1, &to)).await, Idempotent::Mismatch);
        if !reopened {
            advance(Duration::from_hours(24) - Duration::from_millis(1)).await;
        }
    }
    rig.close().await.unwrap();
    let (rig, _) = TestStore::open(dir.path(), &clock, 2);
    assert!(matches!(append_idempotent(&rig, KEY, events(1, &to)).await, Idempotent::Repeated(_)));
    advance(Duration::from_millis(1)).await;
    assert_eq!(made(append_idempotent(&rig, OTHER_BODY, events(1, &to)).await).len(), 1);
    assert_eq!(count(&rig), 401);

    let rows = |table| rig.reader.tables.tree(table).iter().count();
    advance(Duration::from_hours(31)).await;
    let sweep = Sweep { events_before: EPOCH, held_before: EPOCH, bytes_max: u64::MAX, limit: 2 };
    while rig.step(|place, done| place.sweep(sweep, done)).await.unwrap().more {}
    assert_eq!(rows(key::Table::Idempotency), 0);
    rig.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_list_that_a_crash_interrupted_is_completed() {
    let clock = Clock::starting_at(EPOCH);
    for fail_after in 0..8 {
        let dir = tempfile::tempdir().unwrap();
        let mut opened = try_open(dir.path(), &clock, 1).unwrap();
        opened.committer.writer.fail_write_after = Some(fail_after);
        let (rig, _) = start(opened);
        let failed = rig.step(|place, done| place.append_idempotent(KEY, events(150, &[]), done)).await;
        let written = count(&rig);
        let was_cut_short = failed.is_err();
        drop(rig);
        let (rig, _) = reopen(dir.path(), &clock).await;
        assert_eq!(count(&rig), written);
        let again = append_idempotent(&rig, KEY, events(150, &[])).await;
        assert_eq!(count(&rig), 150);
        match again {
            Idempotent::Made(appended) => {
                assert!(was_cut_short);
                assert_eq!(appended.iter().filter(|one| one.earlier).count(), written);
                let ids = ids(&appended);
                assert!(ids.is_sorted() && ids.iter().all(|id| rig.reader.event(*id).unwrap().is_some()));
            }
            Idempotent::Repeated(RecordedResult::Events(list)) => {
                assert_eq!((was_cut_short, list.len()), (false, 150));
            }
            other => panic!("{other:?}"),
        }
        rig.close().await.unwrap();
    }
}

/// Opens the store again while an interrupted run may still be closing it.
async fn reopen(path: &std::path::Path, clock: &Clock) -> (TestStore, Found) {
    loop {
        match try_open(path, clock, 2) {
            Err(OpenError::Locked { .. }) => tokio::task::yield_now().await,
            opened => return start(opened.unwrap()),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_keeps_the_result_of_a_subscription_a_replay_or_a_job() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::starting_at(EPOCH);
    let (rig, _) = TestStore::open(dir.path(), &clock, 1);
    let put = |id| {
        rig.step(move |place, done| place.put_subscription_idempotent(KEY, subscription(id), None, done))
    };
    assert_eq!(put(1).await.unwrap(), Idempotent::Made(()));
    let of = SubscriptionId::from_bits(1);
    assert_eq!(put(2).await.unwrap(), Idempotent::Repeated(RecordedResult::Subscription(of)));
    assert!(rig.reader.subscription(SubscriptionId::from_bits(2)).unwrap().is_none());

    let event = rig.append(events(1, &[])).await.unwrap().remove(0).event.id;
    let key = IdempotentRequest { key: [8; 16], ..KEY };
    let replay = Replay {
        deliveries: vec![Redelivery { event, subscription: of, queued: false }],
        job: None,
        skipped: vec![SubscriptionId::from_bits(5)],
    };
    let send = |replay: Replay| rig.step(move |place, done| place.replay_idempotent(key, replay, done));
    let deliveries: Vec<_> = made(send(replay.clone()).await.unwrap()).into_iter().flatten().collect();
    assert_eq!(deliveries.len(), 1);
    let skipped = replay.skipped.clone();
    assert_eq!(
        send(replay).await.unwrap(),
        Idempotent::Repeated(RecordedResult::Replayed { deliveries, skipped })
    );

    let (key, job) = (IdempotentRequest { key: [9; 16], ..KEY }, job(1, JobState::Running));
    let put = |job: &ReplayJob| {
        let job = job.clone();
        rig.step(move |place, done| place.put_job_idempotent(key, job, done))
    };
    assert_eq!(put(&job).await.unwrap(), Idempotent::Made(()));
    assert_eq!(put(&job).await.unwrap(), Idempotent::Repeated(RecordedResult::Job(job.id)));
    assert_eq!(rig.reader.job(job.id).unwrap(), Some(job));
    rig.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_job_is_written_with_its_deliveries_and_removed_with_its_log() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::starting_at(EPOCH);
    let (rig, _) = TestStore::open(dir.path(), &clock, 1);
    let of = rig.subscribe(1).await;
    let ids = ids(&rig.append(events(2, &[])).await.unwrap());
    let gone = EventId::from_bits(3);
    let list = [ids[0], gone, ids[1]];
    let redelivery = |event| Redelivery { event, subscription: of, queued: true };
    let wanted = ReplayJob { made: 3, looked_at: 3, cursor: Some(ids[1]), ..job(1, JobState::Running) };
    let replay =
        Replay { deliveries: list.map(redelivery).to_vec(), job: Some(wanted.clone()), skipped: Vec::new() };
    let made = rig.step(|place, done| place.replay(replay, done)).await.unwrap();
    assert_eq!(made.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
    let running = ReplayJob { made: 2, skipped: 1, ..wanted };
    assert_eq!(rig.reader.job(running.id).unwrap(), Some(running.clone()));

    let done = job(2, JobState::Done);
    let put = done.clone();
    rig.step(|place, done| place.put_job(put, done)).await.unwrap();
    assert_eq!(rig.reader.jobs(None, 10).unwrap(), [done.clone(), running.clone()]);
    assert_eq!(rig.reader.jobs(Some(done.id), 10).unwrap(), std::slice::from_ref(&running));
    assert_eq!(rig.reader.jobs(None, 1).unwrap(), [done]);
    let before = EPOCH.after(Duration::from_secs(1));
    let sweep = Sweep { events_before: before, held_before: EPOCH, bytes_max: u64::MAX, limit: 10 };
    rig.step(|place, done| place.sweep(sweep, done)).await.unwrap();
    assert_eq!(rig.reader.jobs(None, 10).unwrap(), [running], "one that is not finished stays");
    rig.close().await.unwrap();
}
