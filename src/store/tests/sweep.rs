//! Retention by size. The tests of the model and of the whole daemon cover retention by age.

use std::time::Duration;

use tokio::time::advance;

use crate::model::delivery::{Delivery, Progress};
use crate::model::time::Clock;
use crate::store::tests::test_store::{EPOCH, TestStore, content, to};
use crate::store::*;

async fn settle(rig: &TestStore, appended: &Appended) {
    let subscription = crate::model::id::SubscriptionId::from_bits(1);
    let mut delivery = Delivery::new(appended.deliveries[0], appended.event.id, subscription);
    delivery.progress = Progress::Succeeded;
    let settlement = Settlement { delivery, due_was: None, health: None };
    rig.step(|place, done| place.settle(settlement, done)).await.unwrap();
}

async fn sweep(rig: &TestStore, bytes_max: u64) -> u64 {
    let sweep = Sweep { events_before: EPOCH, held_before: EPOCH, bytes_max, limit: 16 };
    let mut events = 0;
    loop {
        let swept = rig.step(|place, done| place.sweep(sweep, done)).await.unwrap();
        events += swept.events;
        if !swept.more {
            return events;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn above_the_size_limit_the_oldest_ended_events_are_removed_and_waiting_ones_stay() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::starting_at(EPOCH);
    let (rig, _) = TestStore::open(dir.path(), &clock, 1);
    let of = rig.subscribe(1).await;
    let empty = rig.reader.bytes();
    let mut events = Vec::new();
    for number in 0..400 {
        let append = Append { content: content(None, 1000), targets: vec![to(of, false)] };
        let appended = rig.append(vec![append]).await.unwrap().remove(0);
        // Every tenth delivery still waits.
        if number % 10 != 0 {
            settle(&rig, &appended).await;
        }
        events.push(appended);
        advance(Duration::from_millis(10)).await;
    }
    let full = rig.reader.bytes();
    assert!(full - empty > 400 * 1000, "{full}");
    assert_eq!(sweep(&rig, full).await, 0, "it is not larger than it may be");
    let gone = sweep(&rig, empty + (full - empty) / 2).await;
    assert!((180..300).contains(&gone), "{gone}");
    assert!(rig.reader.bytes() <= empty + (full - empty) / 2);
    let kept = |event: &Appended| rig.reader.event(event.event.id).unwrap().is_some();
    assert!(events.iter().step_by(10).all(kept), "an event that still has to be delivered is gone");
    let oldest = events.iter().enumerate().find(|(n, event)| n % 10 != 0 && kept(event)).unwrap().0;
    assert!(events[oldest..].iter().all(kept), "a younger event went before an older one");

    // An event that was passed is removed when it has ended, if the log is still too large.
    settle(&rig, &events[0]).await;
    assert_eq!(sweep(&rig, rig.reader.bytes()).await, 0);
    assert!(kept(&events[0]));
    assert_eq!(sweep(&rig, rig.reader.bytes() - 1).await, 1);
    assert!(!kept(&events[0]));
    let bytes = rig.reader.bytes();
    rig.close().await.unwrap();
    let (rig, _) = TestStore::open(dir.path(), &clock, 2);
    assert_eq!(rig.reader.bytes(), bytes);
    rig.close().await.unwrap();
}
