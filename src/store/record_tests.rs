//! Records at their limits, and as earlier versions wrote them.
use std::fs;
use std::num::NonZeroU32;
use std::path::Path;

use super::*;
use crate::model::attempt::EXCERPT_BYTES_MAX;
use crate::model::tls::ClientIdentity;
use crate::store::rig;

fn text(length: usize) -> String {
    "n".repeat(length)
}

fn time(ms: u64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn small_event() -> EventContent {
    EventContent { company: None, occurred_at: None, ..rig::content(Some("order-1"), 3) }
}

fn large_event() -> EventContent {
    EventContent {
        event_type: text(128).parse().unwrap(),
        project: text(128).parse().unwrap(),
        company: Some(text(128).parse().unwrap()),
        sender_id: Some(text(128).parse().unwrap()),
        occurred_at: Some(time(u64::MAX)),
        data: Some(Bytes::from(vec![b'x'; 300_000])),
    }
}

fn attempts() -> Vec<Attempt> {
    let rejected = Outcome::Rejected { status: 503, retry_after: Some(Duration::from_secs(30)) };
    let failed = ErrorClass::ALL.map(|class| Outcome::Failed { class, detail: "no answer".to_owned() });
    let outcomes = failed.into_iter().chain([rejected, Outcome::Success { status: 204 }]);
    (1..)
        .zip(outcomes)
        .map(|(number, outcome)| Attempt {
            number,
            started_at: time(1_700_000_000_000 + u64::from(number)),
            duration: Duration::from_micros(1500),
            outcome,
            excerpt: vec![b'e'; if number == 1 { EXCERPT_BYTES_MAX } else { 2 }],
        })
        .collect()
}

fn a_delivery(progress: Progress) -> Delivery {
    let (event, subscription) = (EventId::from_bits(6), SubscriptionId::from_bits(9));
    let id = DeliveryId::from_bits(7);
    Delivery { id, event, subscription, progress, attempts: attempts(), attempts_before: 3 }
}

fn full_subscription() -> Subscription {
    let mut full = rig::subscription(9);
    let secret = |expires_at| SigningSecret {
        secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap(),
        expires_at,
    };
    full.spec.events = EventSelector::parse(&["TODO_*", "!TODO_DELETED"]).unwrap();
    full.spec.projects = ProjectSelector::parse(&["acme/website", "acme/*", "!site"]).unwrap();
    full.spec.filter = Some("data.amount > 3".to_owned());
    full.spec.format = Format::CloudEvents;
    full.spec.headers = BTreeMap::from([("authorization".to_owned(), "Bearer x".to_owned())]);
    full.spec.timeout = Some(Interval::from_millis(250));
    full.spec.retry_schedule = Some(vec![Interval::from_secs(5), Interval::from_secs(60)]);
    full.spec.max_in_flight = NonZeroU32::new(3);
    full.spec.rate_limit = Some("100/m".parse().unwrap());
    full.spec.ordering = Ordering::Fifo;
    full.managed_by = ManagedBy::Config;
    full.secrets = vec![secret(None), secret(Some(time(5)))];
    full.deleted_at = Some(time(1_700_000_000_009));
    full
}

/// The same with TLS settings of its own; the certificate and its key are part of the fixture.
fn tls_subscription() -> Subscription {
    let pem = include_str!("../../tests/store_fixtures/client_certificate.pem");
    let key = include_str!("../../tests/store_fixtures/client_key.pem");
    let client = ClientIdentity::new(pem.parse().unwrap(), key.parse().unwrap()).unwrap();
    let mut value = full_subscription();
    value.spec.tls = Tls::new(Some(pem.parse().unwrap()), Some(client));
    value
}

fn full_standing() -> Standing {
    Standing {
        disabled: Some(Disabled { reason: DisabledReason::Gone, at: time(4), detail: "410".to_owned() }),
        failing_since: Some(time(1)),
        last_success_at: Some(time(2)),
        last_failure_at: Some(time(3)),
        probe: Some(DeliveryId::from_bits(8)),
    }
}

fn a_meta() -> Meta {
    Meta {
        format: 1,
        commit_seq: 300,
        tables: [(1, 2), (3, 4), (5, 6), (7, 8), (9, u64::MAX), (0, 0)],
        fresh_floor: [7; 16],
    }
}

#[test]
fn every_record_comes_back_at_its_limits() {
    let id = EventId::from_bits(6);
    for content in [small_event(), large_event(), EventContent { data: None, ..small_event() }] {
        for targets in [0, 1, 1000] {
            let targets: Vec<_> = (0..targets).map(SubscriptionId::from_bits).collect();
            let record = event(&content, &targets);
            assert_eq!(length(&record), Ok(record.len()));
            assert_eq!(read_event(id, &record), Ok((content.clone(), targets)));
            let (head, _) = read_event_head(id, &record[..record.len().min(CHUNK_BYTES)]).unwrap();
            assert_eq!(head.content, EventContent { data: None, ..content.clone() });
        }
    }
    let due = Progress::Waiting { due: time(8) };
    for progress in [due, Progress::Succeeded, Progress::Exhausted, Progress::Cancelled] {
        let (value, record) = (a_delivery(progress), delivery(&a_delivery(progress)));
        assert_eq!(read_delivery(value.id, &record), Ok(value.clone()));
        assert_eq!(read_progress(&record[..60]), Ok((value.subscription, progress)));
    }
    let mut authorities_only = tls_subscription();
    authorities_only.spec.tls = Tls::new(authorities_only.spec.tls.authorities().cloned(), None);
    for value in [rig::subscription(9), full_subscription(), tls_subscription(), authorities_only] {
        assert_eq!(read_subscription(value.id, &subscription(&value)), Ok(value));
    }
    for value in [Standing::default(), full_standing()] {
        assert_eq!(read_standing(&standing(&value)), Ok(value));
    }
    assert_eq!(read_meta(&meta(&a_meta())), Ok(a_meta()));
}

#[test]
fn a_subscription_of_the_most_terms_comes_back() {
    let terms: Vec<_> = (0..10_000).map(|n| format!("{n:0>120}/{n:0>120}")).collect();
    let mut value = rig::subscription(1);
    value.spec.projects = ProjectSelector::parse(&terms).unwrap();
    let record = subscription(&value);
    assert_eq!(read_subscription(value.id, &record), Ok(value));
    assert_eq!(usize::from(chunk_count(record.len())), record.len().div_ceil(CHUNK_BYTES));
}

#[test]
fn what_is_not_a_record_is_refused() {
    let id = DeliveryId::from_bits(7);
    let good = delivery(&a_delivery(Progress::Succeeded));
    for cut in 0..good.len() {
        assert!(read_delivery(id, &good[..cut]).is_err(), "{cut}");
    }
    let longer = [good.as_slice(), &[0]].concat();
    assert_eq!(read_delivery(id, &longer), Err("1 bytes are left over".to_owned()));
    let mut later = good;
    later[0] = 2;
    assert_eq!(read_delivery(id, &later), Err("version 2 is not known".to_owned()));
    let hostile = [&[VERSION, 0, 0, 0, 9][..], &[253; 40]].concat();
    assert!(read_subscription(SubscriptionId::from_bits(1), &hostile).is_err());
    let event = event(&small_event(), &[]);
    assert!(read_event(EventId::from_bits(1), &event[..event.len() - 1]).is_err());
}

/// The record as it is written, and as it was by the version that the fixture is named after.
///
/// `BLESS=1` writes those that are missing; a fixture is never changed once it was released.
#[track_caller]
fn fixture(name: &str, written: &[u8]) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/store_fixtures").join(name);
    if std::env::var_os("BLESS").is_some() && !path.exists() {
        fs::write(&path, written).unwrap();
    }
    let stored = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(stored == written, "{name} is written differently: that needs a new version");
    stored
}

#[test]
fn records_of_version_1_are_written_and_read_as_ever() {
    let targets = [SubscriptionId::from_bits(9), SubscriptionId::from_bits(10)];
    let stored = fixture("event_v1.bin", &event(&small_event(), &targets));
    assert_eq!(read_event(EventId::from_bits(6), &stored), Ok((small_event(), targets.to_vec())));

    let value = a_delivery(Progress::Waiting { due: time(1_700_000_000_008) });
    let stored = fixture("delivery_v1.bin", &delivery(&value));
    assert_eq!(read_delivery(value.id, &stored), Ok(value));

    let stored = fixture("subscription_v1.bin", &subscription(&full_subscription()));
    assert_eq!(read_subscription(full_subscription().id, &stored), Ok(full_subscription()));

    let stored = fixture("standing_v1.bin", &standing(&full_standing()));
    assert_eq!(read_standing(&stored), Ok(full_standing()));

    let stored = fixture("meta_v1.bin", &meta(&a_meta()));
    assert_eq!(read_meta(&stored), Ok(a_meta()));
}

#[test]
fn tls_settings_make_a_record_of_version_2() {
    let value = tls_subscription();
    let stored = fixture("subscription_v2.bin", &subscription(&value));
    assert_eq!(stored[0], 2);
    assert_eq!(read_subscription(value.id, &stored), Ok(value));
    let id = SubscriptionId::from_bits(1);
    for cut in 0..stored.len() {
        assert!(read_subscription(id, &stored[..cut]).is_err(), "{cut}");
    }
    assert_eq!(read_subscription(id, &[&stored[..], &[0]].concat()), Err("1 bytes are left over".to_owned()));
}
