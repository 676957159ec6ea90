//! Tests of records at their limits, and of the records that earlier versions wrote.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroU32;
use std::path::Path;

use super::*;
use crate::model::attempt::EXCERPT_BYTES_MAX;
use crate::model::delivery::DeliveryState;
use crate::model::id::ReplayId;
use crate::model::replay::{JobState, ReplayJob};
use crate::model::secret::{SigningKey, SigningSecret};
use crate::model::selector::{EventSelector, ProjectSelector};
use crate::model::subscription::{Format, ManagedBy, Ordering, Subscription};
use crate::model::time::Interval;
use crate::model::tls::{ClientIdentity, Tls};
use crate::store::disk::secret_cipher::SecretCipher;
use crate::store::rows::idempotency::{RecordedEvent, RecordedResult};
use crate::store::tests::test_store;

fn cipher() -> SecretCipher {
    SecretCipher::new(&[7; 32])
}

fn text(length: usize) -> String {
    "n".repeat(length)
}

fn time(ms: u64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn small_event() -> EventContent {
    EventContent { company: None, occurred_at: None, ..test_store::content(Some("order-1"), 3) }
}

fn large_event() -> EventContent {
    EventContent {
        event_type: text(128).parse().unwrap(),
        project: text(128).parse().unwrap(),
        company: Some(text(128).parse().unwrap()),
        sender_id: Some(text(128).parse().unwrap()),
        occurred_at: Some(time(u64::MAX)),
        data: Some(Bytes::from(vec![b'x'; 300_000])),
        trace: Some(Arc::new(a_trace(Some(&text(512))))),
    }
}

fn a_trace(state: Option<&str>) -> TraceContext {
    TraceContext::read("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", state).unwrap()
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
    let mut full = test_store::subscription(9);
    let secret = |expires_at| SigningSecret {
        secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap(),
        created_at: test_store::EPOCH,
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

/// Returns the subscription with TLS settings of its own. The certificate and its key are part of the
/// fixture.
fn tls_subscription() -> Subscription {
    let pem = include_str!("../../../tests/store_fixtures/client_certificate.pem");
    let key = include_str!("../../../tests/store_fixtures/client_key.pem");
    let client = ClientIdentity::new(pem.parse().unwrap(), key.parse().unwrap()).unwrap();
    let mut value = full_subscription();
    value.spec.tls = Tls::new(Some(pem.parse().unwrap()), Some(client));
    value
}

fn full_health() -> HealthState {
    HealthState {
        disabled: Some(Disabled { reason: DisabledReason::Gone, at: time(4), detail: "410".to_owned() }),
        failing_since: Some(time(1)),
        last_success_at: Some(time(2)),
        last_failure_at: Some(time(3)),
        probe: Some(DeliveryId::from_bits(8)),
    }
}

fn a_meta() -> Meta {
    Meta {
        format: 2,
        commit_seq: 300,
        tables: std::array::from_fn(|index| (index as u64, u64::MAX - index as u64)),
        fresh_floor: [7; 16],
    }
}

/// Returns the content of the meta row that the fixture of version 1 encodes.
fn meta_of_format_1() -> Meta {
    let mut tables = [(0, 0); crate::store::rows::key::TABLES];
    tables[..6].copy_from_slice(&[(1, 2), (3, 4), (5, 6), (7, 8), (9, u64::MAX), (0, 0)]);
    Meta { format: 1, commit_seq: 300, tables, fresh_floor: [7; 16] }
}

fn pairs(count: u128) -> Vec<(EventId, SubscriptionId)> {
    (0..count).map(|n| (EventId::from_bits(n), SubscriptionId::from_bits(u128::MAX - n))).collect()
}

fn full_job() -> ReplayJob {
    ReplayJob {
        id: ReplayId::from_bits(5),
        subscription: SubscriptionId::from_bits(9),
        since: Some(time(1)),
        until: Some(time(2)),
        states: vec![DeliveryState::Exhausted, DeliveryState::Cancelled],
        state: JobState::Failed,
        failure: Some("the disk is full".to_owned()),
        total: 4,
        looked_at: 3,
        made: 2,
        skipped: 1,
        cursor: Some(EventId::from_bits(6)),
        created_at: time(1_700_000_000_000),
        finished_at: Some(time(1_700_000_000_001)),
    }
}

fn a_once(earlier: RecordedResult) -> IdempotencyRecord {
    IdempotencyRecord { fingerprint: [3; 16], at: time(1_700_000_000_000), is_whole: true, earlier }
}

fn earlier_ones() -> [RecordedResult; 4] {
    let event = |n| RecordedEvent { id: EventId::from_bits(n), matched: 2, duplicate: n == 1 };
    let deliveries = vec![DeliveryId::from_bits(7)];
    [
        RecordedResult::Events((0..1000).map(event).collect()),
        RecordedResult::Subscription(SubscriptionId::from_bits(9)),
        RecordedResult::Replayed { deliveries, skipped: vec![SubscriptionId::from_bits(10)] },
        RecordedResult::Job(ReplayId::from_bits(5)),
    ]
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
    for value in [
        test_store::subscription(9),
        full_subscription(),
        tls_subscription(),
        complete_subscription(),
        authorities_only,
    ] {
        let record = subscription(&value, &cipher()).unwrap();
        assert_eq!(read_subscription(value.id, &record, &cipher()), Ok(value));
    }
    for value in [HealthState::default(), full_health()] {
        assert_eq!(read_health(&health(&value)), Ok(value));
    }
    assert_eq!(read_meta(&meta(&a_meta())), Ok(a_meta()));
    assert_eq!(read_format(&meta(&a_meta())), Ok(2));
    for count in [1, 120, 5000] {
        let record = replay(&pairs(count));
        assert_eq!(length(&record), Ok(record.len()));
        assert_eq!(replay_count(&record[..37]), Ok(usize::try_from(count).unwrap()));
        assert_eq!(read_replay(&record), Ok(pairs(count)));
        assert!(is_replay(&record) && !is_replay(&event(&small_event(), &[])));
    }
    let new = ReplayJob { since: None, cursor: None, failure: None, states: Vec::new(), ..full_job() };
    for value in [full_job(), new] {
        assert_eq!(read_job(value.id, &job(&value)), Ok(value));
    }
    for value in earlier_ones().map(a_once) {
        let record = once(&value);
        assert_eq!((length(&record), read_idempotency(&record)), (Ok(record.len()), Ok(value)));
    }
}

#[test]
fn a_subscription_of_the_most_terms_comes_back() {
    let terms: Vec<_> = (0..10_000).map(|n| format!("{n:0>120}/{n:0>120}")).collect();
    let mut value = test_store::subscription(1);
    value.spec.projects = ProjectSelector::parse(&terms).unwrap();
    let record = subscription(&value, &cipher()).unwrap();
    assert_eq!(read_subscription(value.id, &record, &cipher()), Ok(value));
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
    assert_eq!(read_delivery(id, &later), Err("unknown version 2".to_owned()));
    let hostile = [&[VERSION, 0, 0, 0, 9][..], &[253; 40]].concat();
    assert!(read_subscription(SubscriptionId::from_bits(1), &hostile, &cipher()).is_err());
    let cut = replay(&pairs(2));
    assert!(read_replay(&cut[..cut.len() - 1]).is_err() && read_replay(&[0x82, 0, 0, 0, 5]).is_err());
    let event = event(&small_event(), &[]);
    assert!(read_event(EventId::from_bits(1), &event[..event.len() - 1]).is_err());
}

/// Returns the fixture of this name, which starts as the record that the named version writes.
///
/// `BLESS=1` writes missing fixtures. A released fixture is never changed.
#[track_caller]
fn fixture(name: &str, written: &[u8]) -> Vec<u8> {
    let stored = stored(name, written);
    assert!(stored == written, "{name} is written differently: that needs a new version");
    stored
}

/// Returns the record of a fixture without its header; see [`fixture`].
#[track_caller]
fn stored(name: &str, written: &[u8]) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/store_fixtures").join(name);
    if std::env::var_os("BLESS").is_some() && !path.exists() {
        fs::write(&path, written).unwrap();
    }
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn a_subscriptions_secrets_are_sealed_for_it_alone() {
    let value = full_subscription();
    let record = subscription(&value, &cipher()).unwrap();
    let secret = value.secrets[0].secret.clone();
    let SigningKey::Symmetric(bytes) = secret.key() else { panic!("another kind") };
    for hidden in [secret.reveal().as_bytes(), &secret.reveal().as_bytes()[6..], bytes] {
        assert!(!record.windows(hidden.len()).any(|part| part == hidden));
    }
    assert!(record.windows(7).any(|part| part == b"Bearer "), "the rest is as it was");
    let other = SubscriptionId::from_bits(value.id.bits() + 1);
    let error = read_subscription(other, &record, &cipher()).unwrap_err();
    assert_eq!(error, "its secrets do not open: they were changed");
    for cut in 0..record.len() {
        assert!(read_subscription(value.id, &record[..cut], &cipher()).is_err(), "{cut}");
    }
    assert_eq!(
        sealed_by(&record),
        sealed_by(&subscription(&test_store::subscription(1), &cipher()).unwrap())
    );
    assert!(sealed_by(&record).is_some() && !is_plain(&record));
}

/// Returns a subscription that has every optional member.
fn complete_subscription() -> Subscription {
    let mut value = tls_subscription();
    value.spec.notify_email = Some("ops@acme.example".parse().unwrap());
    value
}

/// Returns the fixture of an earlier version, which is only read.
#[track_caller]
fn earlier(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/store_fixtures").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn subscriptions_of_versions_1_and_2_are_still_read() {
    let mut with_email = full_subscription();
    with_email.spec.notify_email = Some("ops@acme.example".parse().unwrap());
    for (name, value) in [
        ("subscription_v1.bin", full_subscription()),
        ("subscription_v2.bin", full_subscription()),
        ("subscription_v2_tls.bin", tls_subscription()),
        ("subscription_v2_notify.bin", with_email),
    ] {
        let stored = earlier(name);
        assert_eq!(read_subscription(value.id, &stored, &cipher()), Ok(value.clone()), "{name}");
        assert_eq!(is_plain(&stored), name == "subscription_v1.bin");
        assert_eq!(sealed_by(&stored).is_none(), name == "subscription_v1.bin");
        for cut in 0..stored.len() {
            let whole = read_subscription(value.id, &stored[..cut], &cipher());
            assert_ne!(whole.as_ref(), Ok(&value), "{name} cut at {cut}");
        }
        let longer = [&stored[..], &[0]].concat();
        assert!(read_subscription(value.id, &longer, &cipher()).is_err(), "{name}");
    }
}

#[test]
fn subscriptions_of_version_3_are_written_and_read() {
    let required_only = test_store::subscription(9);
    for (name, value) in
        [("subscription_v3.bin", complete_subscription()), ("subscription_v3_required.bin", required_only)]
    {
        let written = subscription(&value, &cipher()).unwrap();
        assert_eq!(read_subscription(value.id, &written, &cipher()), Ok(value.clone()), "{name}");
        let stored = stored(name, &written);
        // The sealed part differs each time because of its random nonce.
        let (_, body) = stored.split_at(SEALED_AT + usize::from(u16::from_be_bytes([stored[5], stored[6]])));
        assert!(written.ends_with(body), "{name} is written differently: that needs a new version");
        assert_eq!(read_subscription(value.id, &stored, &cipher()), Ok(value.clone()), "{name}");
        for cut in 0..stored.len() {
            assert!(read_subscription(value.id, &stored[..cut], &cipher()).is_err(), "{name} cut at {cut}");
        }
        let longer = [&stored[..], &[0]].concat();
        assert!(read_subscription(value.id, &longer, &cipher()).is_err(), "{name}");
    }
    let written = subscription(&complete_subscription(), &cipher()).unwrap();
    let text = String::from_utf8_lossy(&written);
    assert!(text.contains("BEGIN CERTIFICATE") && !text.contains("PRIVATE"));
}

/// The start of the sealed part in a subscription's record.
const SEALED_AT: usize = 7;

#[test]
fn a_subscription_of_a_newer_version_is_refused_by_name() {
    let value = complete_subscription();
    let mut written = subscription(&value, &cipher()).unwrap();
    let unknown = [&[200, 0, 0, 0, 1, b'x'][..]].concat();
    written.extend(unknown);
    set_length(&mut written);
    let error = read_subscription(value.id, &written, &cipher()).unwrap_err();
    assert_eq!(error, "unknown field 200: a newer version of the program wrote it");
    written[0] = 4;
    let error = read_subscription(value.id, &written, &cipher()).unwrap_err();
    assert_eq!(error, "unknown version 4");
    assert!(!is_plain(&written), "its secrets are not taken for plain text");
}

#[test]
fn records_of_every_version_are_written_and_read_as_ever() {
    let targets = [SubscriptionId::from_bits(9), SubscriptionId::from_bits(10)];
    let stored = fixture("event_v1.bin", &event(&small_event(), &targets));
    assert_eq!(read_event(EventId::from_bits(6), &stored), Ok((small_event(), targets.to_vec())));

    for (name, state) in [("event_v2.bin", None), ("event_v2_state.bin", Some("a=1,b=2"))] {
        let traced = EventContent { trace: Some(Arc::new(a_trace(state))), ..small_event() };
        let stored = fixture(name, &event(&traced, &targets));
        assert_eq!(read_event(EventId::from_bits(6), &stored), Ok((traced, targets.to_vec())));
    }

    let value = a_delivery(Progress::Waiting { due: time(1_700_000_000_008) });
    let stored = fixture("delivery_v1.bin", &delivery(&value));
    assert_eq!(read_delivery(value.id, &stored), Ok(value));

    let stored = fixture("standing_v1.bin", &health(&full_health()));
    assert_eq!(read_health(&stored), Ok(full_health()));

    let stored = fixture("replay_v1.bin", &replay(&pairs(3)));
    assert_eq!(read_replay(&stored), Ok(pairs(3)));

    let stored = fixture("job_v1.bin", &job(&full_job()));
    assert_eq!(read_job(full_job().id, &stored), Ok(full_job()));

    let [events, _, replayed, _] = earlier_ones().map(a_once);
    for (name, value) in [("once_events_v1.bin", events), ("once_replayed_v1.bin", replayed)] {
        assert_eq!(read_idempotency(&fixture(name, &once(&value))), Ok(value));
    }
}

#[test]
fn the_meta_row_is_written_in_version_2_and_read_in_both() {
    let stored = fixture("meta_v2.bin", &meta(&a_meta()));
    assert_eq!(read_meta(&stored), Ok(a_meta()));

    let before = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/store_fixtures/meta_v1.bin"));
    let before = before.unwrap();
    assert_eq!((read_meta(&before), read_format(&before)), (Ok(meta_of_format_1()), Ok(1)));
}
