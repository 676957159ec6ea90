//! Secrets never appear in the log at its most verbose level, in the data directory, or in any response but
//! the one that created them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use postrider::model::secret::{Secret, SecretKind};
use postrider::model::time::Clock;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use crate::support::client::{ApiClient, event};
use crate::support::process::DaemonSetup;
use crate::support::receiver::{Receiver, Reply, always};
use crate::support::{eventually, memory_dir};

const KEY: &str = "prk_5b0cd6aaf0b94f4c8a8d21d2c9fbb2d1";
const WITHIN: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(5);

/// Byte strings that must not be found, in each form in which they could appear.
struct Hidden(Vec<(String, Vec<u8>)>);

impl Hidden {
    /// Adds a signing secret: its text with and without prefix, its bytes, and these in hex. Only the seed of
    /// an ed25519 key is secret.
    fn secret(&mut self, text: &str) {
        let digits = text.split_once('_').unwrap().1;
        let mut bytes = STANDARD.decode(digits).unwrap();
        let mut digits = digits.to_owned();
        if text.starts_with("whsk_") {
            bytes.truncate(32);
            // The next digit also belongs to the public half.
            digits.truncate(42);
        }
        self.0.push((format!("{text} as text"), digits.into_bytes()));
        self.0.push((format!("{text} in hex"), hex::encode(&bytes).into_bytes()));
        self.0.push((format!("{text} as bytes"), bytes));
    }

    fn found_in(&self, bytes: &[u8]) -> Vec<&str> {
        let is_in = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
        self.0.iter().filter(|(_, part)| is_in(part)).map(|(what, _)| what.as_str()).collect()
    }

    /// The positive control: each form is found where it is present.
    fn is_sharp(&self) {
        for (what, part) in &self.0 {
            let around = [b"x".as_slice(), part, b"y"].concat();
            assert!(self.found_in(&around).contains(&what.as_str()));
        }
    }
}

/// Returns every file under `folder`.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
    found
}

/// Makes refused calls that contain secrets, and reads of all kinds. Returns the texts of the responses.
async fn answers(api: &ApiClient, id: &str, secret: &str) -> Vec<(String, Vec<u8>)> {
    let of = |rest: &str| format!("/v1/subscriptions/{id}{rest}");
    let json = "application/json";
    let (changed, inner) = (json!({ "secret": secret }).to_string(), json!(secret).to_string());
    let broken = format!("{{\"secret\":\"{secret}\"");
    let unknown = json!({"url": "http://127.0.0.1:9/", "secert": secret}).to_string();
    let mut not_quite = json!({"url": "http://127.0.0.1:9/", "secret": format!("{secret}!")});
    let url_only = not_quite.to_string();
    not_quite["secret"] = json!([secret]);
    let nested = not_quite.to_string();
    let stranger = json!({"type": "T", "project": "p", "secret": secret}).to_string();
    let calls = [
        (Method::GET, of(""), "", ""),
        (Method::GET, "/v1/subscriptions".to_owned(), "", ""),
        (Method::GET, "/v1/deliveries".to_owned(), "", ""),
        (Method::GET, "/v1/events".to_owned(), "", ""),
        (Method::GET, "/openapi.json".to_owned(), "", ""),
        (Method::POST, "/v1/match".to_owned(), json, r#"{"type":"T","project":"p"}"#),
        (Method::PATCH, of(""), json, r#"{"timeout":"3s"}"#),
        (Method::PATCH, of(""), json, changed.as_str()),
        (Method::PATCH, of(""), json, inner.as_str()),
        (Method::POST, "/v1/subscriptions".to_owned(), json, broken.as_str()),
        (Method::POST, "/v1/subscriptions".to_owned(), json, unknown.as_str()),
        (Method::POST, "/v1/subscriptions".to_owned(), json, url_only.as_str()),
        (Method::POST, "/v1/subscriptions".to_owned(), json, nested.as_str()),
        (Method::POST, "/v1/subscriptions".to_owned(), "text/plain", changed.as_str()),
        (Method::POST, "/v1/events".to_owned(), json, stranger.as_str()),
        (Method::POST, of("/rotate-secret"), json, changed.as_str()),
        (Method::POST, of("/rotate-secret"), json, inner.as_str()),
        (Method::POST, of("/rotate-secret"), json, broken.as_str()),
        (Method::POST, of("/disable"), "", ""),
        (Method::POST, of("/enable"), "", ""),
    ];
    let mut seen = Vec::new();
    for (method, path, media_type, body) in calls {
        let answer = api.call(method.clone(), &path, media_type, body.to_owned()).await.unwrap();
        let mut text = answer.body.to_vec();
        text.extend(format!("{:?}", answer.headers).into_bytes());
        seen.push((format!("{method} {path} {}", answer.status), text));
    }
    seen
}

fn with_key(settings: &str) -> String {
    let sha256 = hex::encode(digest(&SHA256, KEY.as_bytes()));
    format!(
        "[log]\nlevel = \"trace\"\n{settings}\n[[auth.keys]]\nname = \"admin\"\nrole = \"admin\"\nsha256 = \"{sha256}\"\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_never_appear_in_logs_responses_or_files() {
    let setup = DaemonSetup::new(memory_dir(), &with_key(""));
    let receiver = Receiver::start(Clock::system(), always(Reply::Status(200))).await;
    let mut running = setup.spawn(&[]);
    let api = setup.ready(&mut running).await.with_key(KEY);

    let mine = format!("whsec_{}", STANDARD.encode([0xa7; 24]));
    let own = api.subscribe(&json!({"url": receiver.url(), "name": "own", "secret": mine})).await;
    let made = api.subscribe(&json!({"url": receiver.url(), "name": "made"})).await;
    assert_eq!(own["secret"], mine, "it is in the answer that made it");
    let mut hidden = Hidden(vec![("the API key".to_owned(), KEY.as_bytes().to_vec())]);
    let rotation = format!("/v1/subscriptions/{}/rotate-secret", made["id"].as_str().unwrap());
    let rotated = api.command(&rotation).await.expect(200);
    let pair = Secret::of_kind(SecretKind::Ed25519, [0xb9; 32]);
    let asymmetric =
        api.subscribe(&json!({"url": receiver.url(), "name": "pair", "secret": pair.reveal()})).await;
    let public_key = asymmetric["secrets"][0]["public_key"].as_str().unwrap().to_owned();
    for shown in [&own, &made, &rotated, &asymmetric] {
        hidden.secret(shown["secret"].as_str().unwrap());
    }
    hidden.is_sharp();

    api.accepted(&event("T", "p", 1)).await;
    eventually("all have it", WITHIN, PAUSE, async || (receiver.seen().len() == 3).then_some(())).await;
    let mut seen = Vec::new();
    for shown in [&own, &rotated, &asymmetric] {
        let id = shown["id"].as_str().unwrap();
        seen.extend(answers(&api, id, shown["secret"].as_str().unwrap()).await);
    }
    // A start reads everything again, and deleting rewrites the deleted rows once more.
    assert!(running.kill().code().is_none());
    let mut running = setup.spawn(&[]);
    let api = setup.ready(&mut running).await.with_key(KEY);
    api.delete(&format!("/v1/subscriptions/{}", own["id"].as_str().unwrap())).await;
    api.accepted(&event("T", "p", 2)).await;
    eventually("the others have it", WITHIN, PAUSE, async || (receiver.seen().len() == 5).then_some(()))
        .await;
    let last = receiver.seen().into_iter().rfind(|seen| seen.signatures() == 2).unwrap();
    for shown in [&made, &rotated] {
        assert!(last.is_signed_with(shown["secret"].as_str().unwrap()), "a restart keeps the secrets");
    }
    running.terminate();
    eventually("it has ended", WITHIN, PAUSE, async || running.has_ended().map(|_| ())).await;

    let shown = seen.iter().any(|(_, text)| String::from_utf8_lossy(text).contains(&public_key));
    assert!(shown, "the public key is no secret");
    let log = setup.log();
    assert!(log.contains("TRACE") && log.contains("subscription.created"), "{log}");
    seen.push(("the log".to_owned(), log.into_bytes()));
    let data = files(&setup.data());
    let needle = receiver.url();
    assert!(
        data.iter().any(|(_, bytes)| bytes.windows(needle.len()).any(|part| part == needle.as_bytes())),
        "what is no secret is found in the data directory, so that the search is good for something"
    );
    seen.extend(data);
    for (place, bytes) in seen {
        assert_eq!(
            hidden.found_in(&bytes),
            Vec::<&str>::new(),
            "in {place}: {}",
            String::from_utf8_lossy(&bytes)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_without_its_key_file_refuses_to_start_and_explains() {
    let setup = DaemonSetup::new(memory_dir(), "");
    let key = setup.data().join("key");
    let mut running = setup.spawn(&[]);
    let api = setup.ready(&mut running).await;
    let made: Value = api.subscribe(&json!({"url": "http://127.0.0.1:9/"})).await;
    running.kill();
    let kept = fs::read(&key).unwrap();
    let told = async |what: &str| {
        let mut running = setup.spawn(&[]);
        let ended = eventually("it has ended", WITHIN, PAUSE, async || running.has_ended()).await;
        assert_eq!(ended.code(), Some(1));
        let log = setup.log();
        assert!(log.contains(key.to_str().unwrap()) && log.contains(what), "{log}");
    };
    let set_mode = |mode: u32| {
        let bits = std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(&key, bits).unwrap();
    };
    set_mode(0o644);
    told("its mode 0644 lets other users read or write it").await;
    set_mode(0o600);
    fs::write(&key, b"short").unwrap();
    told("it has 5 bytes instead of 32").await;
    fs::write(&key, [9; 32]).unwrap();
    told("it holds another key").await;
    fs::remove_file(&key).unwrap();
    told("it is missing").await;
    assert!(!key.exists());
    fs::write(&key, kept).unwrap();
    set_mode(0o600);
    let mut running = setup.spawn(&[]);
    let api = setup.ready(&mut running).await;
    assert_eq!(api.subscription(made["id"].as_str().unwrap()).await["name"], "127.0.0.1");
}
