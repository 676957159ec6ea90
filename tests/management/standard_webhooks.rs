//! Verifies requests, as receivers get them, with third-party libraries.
//!
//! `tests/verifiers/install` installs those for Python and Node, and `cargo test --test management
//! standard_webhooks:: -- --ignored` runs them.

#[path = "../../docs/book/src/verify.rs"]
mod verify;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use postrider::model::event::{Event, EventContent};
use postrider::model::id::{DeliveryId, EventId, SubscriptionId};
use postrider::model::secret::{Secret, SecretKind, SigningSecret};
use postrider::model::subscription::{Format, HealthState, Subscription, SubscriptionSpec};
use postrider::model::time::{Clock, Timestamp};
use postrider::rules::headers::{SigningInput, headers};
use postrider::rules::payload;
use serde_json::json;

/// A signed request, the receiver's secret or public key, and whether the receiver should accept it.
struct Case {
    what: String,
    with: String,
    headers: HeaderMap,
    body: Bytes,
    genuine: bool,
}

const DATA: &str =
    r#"{ "n":1.10, "currentValue":{"name":"Ünïcode 🎉"}, "big":123456789012345678901234567890 }"#;

fn current() -> Secret {
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap()
}

fn former() -> Secret {
    Secret::from_random([7; 32])
}

fn pair() -> Secret {
    Secret::of_kind(SecretKind::Ed25519, [5; 32])
}

fn public(secret: &Secret) -> String {
    secret.public_key().unwrap().to_string()
}

fn subscription(format: Format, now: Timestamp) -> Subscription {
    let members = json!({ "name": "crm", "url": "https://crm.example/hooks", "format": format.as_str() });
    let spec = SubscriptionSpec::read(&members).unwrap();
    let soon = Some(now.after(Duration::from_hours(1)));
    Subscription {
        secrets: vec![
            SigningSecret { secret: current(), created_at: now, expires_at: None },
            SigningSecret { secret: former(), created_at: now, expires_at: soon },
        ],
        ..Subscription::new(SubscriptionId::from_bits(1), spec, now)
    }
}

fn event(data: Option<&'static str>) -> Event {
    let content = EventContent {
        event_type: "TODO_CREATED".parse().unwrap(),
        project: "website".parse().unwrap(),
        company: Some("acme".parse().unwrap()),
        sender_id: None,
        occurred_at: None,
        data: data.map(|text| Bytes::from_static(text.as_bytes())),
        trace: None,
    };
    Event { id: EventId::from_bits(42), content }
}

fn case(format: Format, data: Option<&'static str>, at: Timestamp) -> Case {
    case_of(&subscription(format, at), data, at)
}

fn case_of(subscription: &Subscription, data: Option<&'static str>, at: Timestamp) -> Case {
    let event = event(data);
    let body = payload::body(subscription, &HealthState::default(), &event);
    let delivery = Some(DeliveryId::from_bits(43));
    let headers = headers(subscription, &SigningInput { event: event.id, delivery, attempt: 1, at }, &body);
    let what = format!("{} with {data:?}", subscription.spec.format);
    Case { what, with: current().reveal().to_owned(), headers, body, genuine: true }
}

/// Returns genuine requests of every format, and one forgery of each kind.
fn cases() -> Vec<Case> {
    let now = Clock::system().now();
    let mut cases: Vec<Case> = Format::ALL
        .iter()
        .flat_map(|&format| [case(format, Some(DATA), now), case(format, None, now)])
        .collect();
    // Blue's own signature uses the current secret alone, so its format is left out here.
    cases.push(Case {
        what: "rotated secret".into(),
        with: former().reveal().to_owned(),
        ..case(Format::Standard, Some(DATA), now)
    });
    let forged =
        |what: &str| Case { what: what.into(), genuine: false, ..case(Format::Standard, Some(DATA), now) };
    cases.push(Case { with: Secret::from_random([9; 32]).reveal().to_owned(), ..forged("another secret") });
    cases.push(Case { body: Bytes::from_static(b"{}"), ..forged("another body") });
    let mut other_id = forged("another id");
    other_id.headers.insert("webhook-id", "evt_other".parse().unwrap());
    cases.push(other_id);
    let old = now.before(Duration::from_mins(10));
    cases.push(Case {
        what: "an old request".into(),
        genuine: false,
        ..case(Format::Standard, Some(DATA), old)
    });
    cases.extend(asymmetric(now));
    cases
}

/// Returns cases of a rotation between the two kinds: one header has both signatures, and either key verifies
/// it.
fn asymmetric(now: Timestamp) -> Vec<Case> {
    let case = |what: &str, with: String, at: Timestamp| {
        let mut subscription = subscription(Format::Standard, at);
        subscription.secrets[0].secret = pair();
        Case { what: what.to_owned(), with, ..case_of(&subscription, Some(DATA), at) }
    };
    let genuine = |what: &str, with: String| case(what, with, now);
    let forged = |what: &str| Case { genuine: false, ..case(what, public(&pair()), now) };
    let other = public(&Secret::of_kind(SecretKind::Ed25519, [6; 32]));
    let mut other_id = forged("another id beside ed25519");
    other_id.headers.insert("webhook-id", "evt_other".parse().unwrap());
    let mut misnamed = forged("an ed25519 signature under the name of an HMAC");
    let signatures = misnamed.headers["webhook-signature"].to_str().unwrap().replace("v1a,", "v1,");
    misnamed.headers.insert("webhook-signature", signatures.parse().unwrap());
    let old = now.before(Duration::from_mins(10));
    vec![
        genuine("ed25519 beside HMAC", public(&pair())),
        genuine("HMAC beside ed25519", former().reveal().to_owned()),
        Case { with: other, ..forged("another public key") },
        Case { body: Bytes::from_static(b"{}"), ..forged("another body beside ed25519") },
        other_id,
        misnamed,
        Case { genuine: false, ..case("an old request with ed25519", public(&pair()), old) },
    ]
}

fn as_line(case: &Case) -> String {
    let headers: serde_json::Map<_, _> =
        case.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().into())).collect();
    let body = std::str::from_utf8(&case.body).unwrap();
    json!({ "with": case.with, "headers": headers, "body": body }).to_string()
}

fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Lets `command` judge every case.
fn ask(mut command: Command) {
    let cases = cases();
    let lines: String = cases.iter().map(|case| as_line(case) + "\n").collect();
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap_or_else(|error| {
            panic!("failed to start {command:?}: {error}; run tests/verifiers/install")
        });
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?} failed; has tests/verifiers/install been run?");
    let answers = String::from_utf8(output.stdout).unwrap();
    assert_eq!(answers.lines().count(), cases.len(), "{answers}");
    for (case, answer) in cases.iter().zip(answers.lines()) {
        assert_eq!(answer == "ok", case.genuine, "{}: {answer}", case.what);
    }
}

#[test]
fn the_rust_library_believes_what_is_genuine_and_nothing_else() {
    for case in cases().into_iter().filter(|case| case.with.starts_with("whsec_")) {
        let verifier = standardwebhooks::Webhook::new(&case.with).unwrap();
        let verdict = verifier.verify(&case.body, &case.headers);
        assert_eq!(verdict.is_ok(), case.genuine, "{}: {verdict:?}", case.what);
        // The book's example accepts it too, whatever the body is.
        let received = verify::received(&case.with, &case.headers, &case.body);
        assert_eq!(received.is_ok(), case.genuine, "{}: {received:?}", case.what);
    }
}

#[test]
#[ignore = "needs tests/verifiers/install"]
fn the_python_library_believes_what_is_genuine_and_nothing_else() {
    let mut command = Command::new(in_repository("target/verifiers/python/bin/python"));
    command.arg(in_repository("tests/verifiers/verify.py"));
    ask(command);
}

#[test]
#[ignore = "needs tests/verifiers/install"]
fn the_node_library_believes_what_is_genuine_and_nothing_else() {
    let mut command = Command::new("node");
    command.arg(in_repository("tests/verifiers/verify.cjs"));
    command.env("NODE_PATH", in_repository("target/verifiers/node_modules"));
    ask(command);
}
