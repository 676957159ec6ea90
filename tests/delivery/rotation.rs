//! Rotation of secrets, on virtual time: old and new secrets sign together until the grace period ends.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use postrider::model::secret::{Secret, SecretKind};
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::{Value, json};

use crate::support::client::event;
use crate::support::daemon::TestDaemon;
use crate::support::receiver::{ReceivedRequest, Receiver};

const HOUR: u64 = 3600;
const OF_CONFIG: [&str; 3] = [
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX",
    "whsec_/v38+/r5+Pf29fTz8vHw7+7t7Ovq6ejn",
];

fn text<'v>(value: &'v Value, member: &str) -> &'v str {
    value[member].as_str().unwrap_or_else(|| panic!("no text {member} in {value}"))
}

fn path(subscription: &Value, rest: &str) -> String {
    format!("/v1/subscriptions/{}{rest}", text(subscription, "id"))
}

/// Submits one more event and returns the request that the receiver gets.
async fn next(daemon: &TestDaemon, receiver: &Receiver) -> ReceivedRequest {
    let before = receiver.seen().len();
    daemon.api.accepted(&event("T", "p", before as u64)).await;
    daemon.until("it arrives", async || receiver.seen().get(before).cloned()).await
}

/// Returns the number of secrets in the log.
fn stored(daemon: &TestDaemon, subscription: &Value) -> usize {
    let id = text(subscription, "id").parse().unwrap();
    daemon.reader().subscription(id).unwrap().unwrap().secrets.len()
}

async fn rotate(daemon: &TestDaemon, subscription: &Value, body: &Value) -> Value {
    let rotated = daemon.api.post(&path(subscription, "/rotate-secret"), body).await;
    assert_eq!(rotated.headers["cache-control"], "no-store");
    rotated.expect(200)
}

#[tokio::test(start_paused = true)]
async fn old_and_new_secrets_sign_until_the_grace_period_ends() {
    let mut daemon = TestDaemon::start().await;
    let (receiver, made) = daemon.subscribed(json!({})).await;
    let old = text(&made, "secret").to_owned();
    let rotated = daemon.api.command(&path(&made, "/rotate-secret")).await.expect(200);
    let new = text(&rotated, "secret").to_owned();
    assert!(new != old && new.starts_with("whsec_"));
    let shown = daemon.api.subscription(text(&made, "id")).await;
    assert_eq!(shown.get("secret"), None, "shown once");
    let secrets = shown["secrets"].as_array().unwrap();
    assert_eq!((secrets.len(), &secrets[0]["expires_at"]), (2, &Value::Null));
    assert_eq!(secrets[1]["created_at"], made["created_at"]);
    let ends = text(&secrets[1], "expires_at").parse::<postrider::model::time::Timestamp>().unwrap();
    let began = text(&secrets[0], "created_at").parse().unwrap();
    assert_eq!(ends.since(began).as_secs(), 24 * HOUR);
    assert_eq!((shown["updated_at"].clone(), &secrets[0]["kind"]), (json!(began), &json!("hmac-sha256")));

    let both =
        |seen: &ReceivedRequest| (seen.is_signed_with(&new), seen.is_signed_with(&old), seen.signatures());
    assert_eq!(both(&next(&daemon, &receiver).await), (true, true, 2));
    daemon.pass(12 * HOUR).await;
    daemon.restart().await;
    assert_eq!(both(&next(&daemon, &receiver).await), (true, true, 2), "a restart keeps both");
    daemon.pass(12 * HOUR - 30).await;
    assert_eq!(both(&next(&daemon, &receiver).await), (true, true, 2), "to the last");
    daemon.pass(60).await;
    assert_eq!(both(&next(&daemon, &receiver).await), (true, false, 1), "and no longer");
    let shown = daemon.api.subscription(text(&made, "id")).await;
    assert_eq!(shown["secrets"].as_array().unwrap().len(), 1);
    daemon.until("the log has dropped it", async || (stored(&daemon, &made) == 1).then_some(())).await;
    daemon.kill().await;
    daemon.revive().await;
    assert_eq!(both(&next(&daemon, &receiver).await), (true, false, 1));
}

#[tokio::test(start_paused = true)]
async fn a_zero_grace_period_revokes_all_earlier_secrets_immediately() {
    let daemon = TestDaemon::start().await;
    let (receiver, made) = daemon.subscribed(json!({})).await;
    let second = rotate(&daemon, &made, &json!({"grace": "1h"})).await;
    let third = rotate(&daemon, &made, &json!({"grace": "0s", "secret": OF_CONFIG[0]})).await;
    assert_eq!(text(&third, "secret"), OF_CONFIG[0]);
    assert_eq!((third["secrets"].as_array().unwrap().len(), stored(&daemon, &made)), (1, 1));
    let seen = next(&daemon, &receiver).await;
    let signed = [&made, &second, &third].map(|one| seen.is_signed_with(text(one, "secret")));
    assert_eq!(signed, [false, false, true]);
}

#[tokio::test(start_paused = true)]
async fn rotating_back_makes_the_former_secret_current_again() {
    let daemon = TestDaemon::start().await;
    let (receiver, made) = daemon.subscribed(json!({})).await;
    let second = rotate(&daemon, &made, &json!({})).await;
    let back = rotate(&daemon, &made, &json!({"secret": made["secret"], "grace": "2h"})).await;
    assert_eq!(back["secrets"].as_array().unwrap().len(), 2);
    daemon.pass(3 * HOUR).await;
    let seen = next(&daemon, &receiver).await;
    assert!(seen.is_signed_with(text(&made, "secret")) && !seen.is_signed_with(text(&second, "secret")));
}

#[tokio::test(start_paused = true)]
async fn a_refused_rotation_explains_itself_and_changes_nothing() {
    let daemon = TestDaemon::start().await;
    let (receiver, made) = daemon.subscribed(json!({})).await;
    let rotation = path(&made, "/rotate-secret");
    for (body, pointer) in [
        (json!({"grace": "31d"}), "/grace"),
        (json!({"grace": "soon"}), "/grace"),
        (json!({"secret": "whsec_hush"}), "/secret"),
        (json!({"secret": made["secret"]}), "/secret"),
        (json!({"secrets": []}), "/secrets"),
    ] {
        let problem = daemon.api.post(&rotation, &body).await.expect(422);
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
        assert!(!problem.to_string().contains("hush"), "{problem}");
    }
    let form = daemon.api.call(Method::POST, &rotation, "text/plain", "{}").await.unwrap();
    assert_eq!(form.status, 415);
    daemon.api.post(&rotation, &json!([])).await.expect(400);
    let nobody = "/v1/subscriptions/sub_00000000000000000000000000/rotate-secret";
    daemon.api.command(nobody).await.expect(404);
    assert_eq!(next(&daemon, &receiver).await.signatures(), 1, "nothing of that has changed it");

    for active in 2..=4 {
        let rotated = rotate(&daemon, &made, &json!({"grace": format!("{active}h")})).await;
        assert_eq!(rotated["secrets"].as_array().unwrap().len(), active);
    }
    let problem = daemon.api.command(&rotation).await.expect(409);
    let first_end = daemon.api.subscription(text(&made, "id")).await["secrets"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|secret| secret["expires_at"].as_str().map(str::to_owned))
        .min()
        .unwrap();
    assert!(text(&problem, "detail").contains(&first_end), "{problem}");
    assert_eq!(next(&daemon, &receiver).await.signatures(), 4);
    daemon.pass(2 * HOUR + 1).await;
    daemon.api.command(&rotation).await.expect(200);
}

/// Returns whether the public key verifies a `v1a` signature of the request, by the library alone.
fn is_signed_for(seen: &ReceivedRequest, public_key: &str) -> bool {
    let key = STANDARD.decode(public_key.strip_prefix("whpk_").unwrap()).unwrap();
    let key = UnparsedPublicKey::new(&ED25519, key);
    let head = format!("{}.{}.", seen.event(), seen.header("webhook-timestamp"));
    let message = [head.as_bytes(), &seen.body].concat();
    let mut signatures =
        seen.header("webhook-signature").split(' ').filter_map(|one| one.strip_prefix("v1a,"));
    signatures.any(|digits| key.verify(&message, &STANDARD.decode(digits).unwrap()).is_ok())
}

#[tokio::test(start_paused = true)]
async fn hmac_and_ed25519_secrets_sign_in_one_header_during_a_rotation() {
    let mut daemon = TestDaemon::start().await;
    let (receiver, made) = daemon.subscribed(json!({"format": "blue"})).await;
    let pair = Secret::of_kind(SecretKind::Ed25519, [5; 32]);
    let rotated = rotate(&daemon, &made, &json!({"secret": pair.reveal(), "grace": "1h"})).await;
    let public_key = text(&rotated["secrets"][0], "public_key").to_owned();
    assert_eq!(
        (text(&rotated, "secret"), public_key.clone()),
        (pair.reveal(), pair.public_key().unwrap().to_string())
    );
    assert_eq!(text(&rotated["secrets"][0], "kind"), "ed25519");
    assert_eq!(rotated["secrets"][1].get("public_key"), None);

    let seen = next(&daemon, &receiver).await;
    let old = text(&made, "secret");
    assert!(seen.is_signed_with(old) && is_signed_for(&seen, &public_key) && seen.signatures() == 2);
    assert_ne!(seen.header("x-signature"), "", "Blue's signature is of the HMAC secret while there is one");
    daemon.pass(2 * HOUR).await;
    daemon.restart().await;
    let seen = next(&daemon, &receiver).await;
    assert!(!seen.is_signed_with(old) && is_signed_for(&seen, &public_key) && seen.signatures() == 1);
    assert_eq!(seen.header("x-signature"), "");

    // A generated secret has the kind of the previous one.
    let third = daemon.api.command(&path(&made, "/rotate-secret")).await.expect(200);
    assert!(text(&third, "secret").starts_with("whsk_") && text(&third, "secret") != pair.reveal());
    let seen = next(&daemon, &receiver).await;
    for secret in third["secrets"].as_array().unwrap() {
        assert!(is_signed_for(&seen, text(secret, "public_key")), "{secret}");
    }
    let (other, from_the_first) = daemon.subscribed(json!({"secret": pair.reveal()})).await;
    assert_eq!(text(&from_the_first["secrets"][0], "public_key"), public_key);
    next(&daemon, &receiver).await;
    let seen = daemon.until("it arrives", async || other.seen().first().cloned()).await;
    assert!(is_signed_for(&seen, &public_key));
}

fn of_config(receiver: &Receiver, secret: &str) -> String {
    format!("[[subscriptions]]\nname = \"crm\"\nurl = \"{}\"\nsecret = \"{secret}\"\n", receiver.url())
}

#[tokio::test(start_paused = true)]
async fn a_secret_changed_in_the_config_file_signs_together_with_the_previous_one() {
    let mut daemon = TestDaemon::start().await;
    let (receiver, other) = daemon.subscribed(json!({"enabled": false})).await;
    let [first, second, third] = OF_CONFIG;
    let signed = |seen: &ReceivedRequest| OF_CONFIG.map(|secret| seen.is_signed_with(secret));
    for (secret, hours, expected) in [
        (first, 1, [true, false, false]),
        (second, 1, [true, true, false]),
        (third, 25, [true, true, true]),
        (third, 1, [false, false, true]),
        (second, 1, [false, true, true]),
    ] {
        daemon.settings = of_config(&receiver, secret);
        daemon.restart().await;
        assert_eq!(signed(&next(&daemon, &receiver).await), expected, "{secret}");
        daemon.pass(hours * HOUR).await;
    }
    let all = daemon.api.list("/v1/subscriptions").await;
    let crm = all.iter().find(|one| one["name"] == "crm").unwrap();
    let problem = daemon.api.command(&path(crm, "/rotate-secret")).await.expect(409);
    assert_eq!(problem["type"], "urn:postrider:problem:managed-by-config");
    assert!(text(&problem, "detail").contains("config file"), "{problem}");
    assert_eq!(other["managed_by"], "api");
}
