//! Notices that the daemon raises about itself, as events and by mail.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver as Heard, sync_channel};
use std::time::Duration;

use postrider::config::Config;
use serde_json::{Value, json};

use crate::support::client::{ApiClient, event};
use crate::support::daemon::TestDaemon;
use crate::support::process::DaemonSetup;
use crate::support::receiver::{Receiver, Reply, always};

/// Returns the members of a subscription to all notices.
fn alarm(members: &Value) -> Value {
    let mut all = json!({"name": "alarm", "events": ["postrider.*"], "projects": ["postrider"]});
    all.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    all
}

/// Returns the type and subject of each notice that a receiver got, without repeats.
fn told(receiver: &Receiver) -> Vec<(String, String)> {
    let mut told: Vec<_> = receiver
        .seen()
        .iter()
        .map(|seen| (seen.event().to_owned(), seen.json()))
        .collect::<BTreeMap<_, _>>()
        .into_iter()
        .map(|(id, body)| {
            (id, kind(&body["type"]), body["data"]["name"].as_str().unwrap_or_default().to_owned())
        })
        .collect();
    told.sort();
    told.into_iter().map(|(_, kind, name)| (kind, name)).collect()
}

/// Returns a notice's type without its prefix.
fn kind(text: &Value) -> String {
    text.as_str().unwrap().strip_prefix("postrider.").unwrap().to_owned()
}

async fn notices(api: &ApiClient) -> Vec<Value> {
    let mut events = api.list("/v1/events?project=postrider").await;
    events.reverse();
    events
}

async fn health(daemon: &TestDaemon, id: &str) -> String {
    daemon.api.subscription(id).await["health"].as_str().unwrap().to_owned()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(kind, name)| ((*kind).to_owned(), (*name).to_owned())).collect()
}

#[tokio::test(start_paused = true)]
async fn subscribers_get_notices_of_failing_disabled_and_recovered() {
    let mut daemon = TestDaemon::start().await;
    let (everything, _) = daemon.subscribed(json!({"name": "everything"})).await;
    let (alarms, _) = daemon.subscribed(alarm(&json!({}))).await;
    let ill = daemon.receiver(always(Reply::Status(500))).await;
    // The failing subscription asks for notices itself and gets none about itself.
    let members = json!({"name": "ill", "events": ["A", "postrider.*"], "retry_schedule": ["1s", "1s"]});
    let made = daemon.subscribe(&ill, members).await;
    let id = made["id"].as_str().unwrap();
    daemon.api.accepted(&event("A", "p", 1)).await;
    daemon.until("it is off", async || (health(&daemon, id).await == "disabled").then_some(())).await;
    alarms.wait_for(2).await;
    assert_eq!(told(&alarms), pairs(&[("subscription.failing", "ill"), ("subscription.disabled", "ill")]));
    let last = alarms.seen().last().unwrap().json();
    assert_eq!((&last["project"], &last["data"]["subscription"]), (&json!("postrider"), &json!(id)));
    assert_eq!(last["data"]["disabled_reason"], "exhausted");
    ill.answer(always(Reply::Status(200)));
    daemon.api.command(&format!("/v1/subscriptions/{id}/enable")).await.expect(200);
    alarms.wait_for(3).await;
    assert_eq!(told(&alarms)[2], ("subscription.recovered".to_owned(), "ill".to_owned()));
    daemon.pass(60).await;
    assert_eq!(alarms.count(), 3);
    let of_notices = |receiver: &Receiver| {
        receiver.seen().iter().filter(|seen| seen.json()["project"] == "postrider").count()
    };
    assert_eq!((of_notices(&alarms), of_notices(&ill), of_notices(&everything)), (3, 0, 0));
    assert!(everything.count() > 0 && ill.count() > 0);
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_manual_disable_or_a_single_failure_raises_no_notice() {
    let daemon = TestDaemon::start().await;
    let (alarms, _) = daemon.subscribed(alarm(&json!({}))).await;
    let (flaky, made) =
        daemon.subscribed(json!({"name": "flaky", "events": ["A"], "retry_schedule": ["1s", "1s"]})).await;
    let path = format!("/v1/subscriptions/{}", made["id"].as_str().unwrap());
    flaky.answer(crate::support::receiver::failing(0.3, 5));
    for n in 0..6 {
        daemon.api.accepted(&event("A", "p", n)).await;
        daemon.pass(20).await;
    }
    assert!(flaky.count() > 6);
    flaky.answer(always(Reply::Status(200)));
    daemon.api.accepted(&event("A", "p", 6)).await;
    daemon.pass(20).await;
    let before = alarms.count();
    for action in ["disable", "enable"] {
        daemon.api.command(&format!("{path}/{action}")).await.expect(200);
        daemon.pass(20).await;
    }
    assert_eq!(alarms.count(), before);
    // Two failures in a row raise a notice, and so does the recovery.
    flaky.answer(always(Reply::Status(500)));
    daemon.api.accepted(&event("A", "p", 7)).await;
    alarms.wait_for(before + 1).await;
    assert_eq!(told(&alarms).last().unwrap().0, "subscription.failing");
}

#[tokio::test(start_paused = true)]
async fn failing_notices_raise_no_further_notices() {
    let mut daemon = TestDaemon::start().await;
    let dead = daemon.receiver(always(Reply::Status(500))).await;
    let (well, _) = daemon.subscribed(alarm(&json!({"name": "well"}))).await;
    let schedule = json!({"retry_schedule": ["1s", "1s", "1s"]});
    for name in ["first", "second"] {
        let mut members = alarm(&schedule);
        members["name"] = json!(name);
        daemon.subscribe(&dead, members).await;
    }
    daemon.subscribe(&dead, json!({"name": "ill", "events": ["A"], "retry_schedule": ["1s", "1s"]})).await;
    daemon.api.accepted(&event("A", "p", 1)).await;
    daemon.pass(3600).await;
    // Neither is reported as failing. The notice that one is disabled goes out once, and not to itself.
    let told = told(&well);
    let count = |kind: &str, name: &str| {
        told.iter().filter(|one| **one == (kind.to_owned(), name.to_owned())).count()
    };
    let expected = [("failing", "ill"), ("disabled", "ill"), ("disabled", "first"), ("disabled", "second")];
    for (kind, name) in expected {
        assert_eq!(count(&format!("subscription.{kind}"), name), 1, "{kind} {name}: {told:?}");
    }
    assert_eq!(told.len(), 4, "{told:?}");
    let about = |seen: &crate::support::receiver::ReceivedRequest| seen.json()["data"]["name"].clone();
    assert!(dead.seen().iter().any(|seen| about(seen) == "ill"));
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_notice_repeated_after_a_crash_is_one_event() {
    let mut daemon = TestDaemon::start().await;
    let dead = daemon.receiver(always(Reply::Status(410))).await;
    let (alarms, _) = daemon.subscribed(alarm(&json!({}))).await;
    let made = daemon.subscribe(&dead, json!({"name": "ill", "events": ["A"]})).await;
    daemon.api.accepted(&event("A", "p", 1)).await;
    alarms.wait_for(1).await;
    daemon
        .until("it is off", async || {
            (health(&daemon, made["id"].as_str().unwrap()).await == "disabled").then_some(())
        })
        .await;
    for _ in 0..2 {
        daemon.kill().await;
        daemon.revive().await;
        daemon.pass(60).await;
    }
    let seen = notices(&daemon.api).await;
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(told(&alarms), pairs(&[("subscription.disabled", "ill")]));
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn reserved_event_types_cannot_be_submitted() {
    let daemon = TestDaemon::start().await;
    let (alarms, made) = daemon.subscribed(alarm(&json!({}))).await;
    let own = event("postrider.subscription.disabled", "postrider", 1);
    let refused = daemon.api.submit(&own).await.unwrap().expect(422);
    assert_eq!(refused["errors"][0]["pointer"], "/type");
    assert!(
        refused["errors"][0]["detail"].as_str().unwrap().contains("reserved for events of the daemon"),
        "{refused}"
    );
    let refused = daemon.api.submit(&json!([event("A", "p", 1), own])).await.unwrap().expect(422);
    assert_eq!(refused["errors"][0]["pointer"], "/1/type");
    // The notices' project is open to everybody, and so is asking who would get a notice.
    daemon.api.accepted(&event("A", "postrider", 1)).await;
    let (_everything, other) = daemon.subscribed(json!({"name": "everything"})).await;
    let answer = daemon.api.post("/v1/match", &own).await.expect(200);
    for (id, matches) in [(&made["id"], true), (&other["id"], false)] {
        let item =
            answer["items"].as_array().unwrap().iter().find(|item| item["subscription"] == *id).unwrap();
        assert_eq!(item["matches"], matches, "{answer}");
    }
    assert_eq!(alarms.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_raises_a_notice_while_events_are_refused() {
    let mut daemon = TestDaemon::start().await;
    let (alarms, _) = daemon.subscribed(alarm(&json!({}))).await;
    let reserve = async |bytes: u64| {
        let mut config = Config::clone(&daemon.flow().config());
        config.storage.disk_reserve = bytes;
        daemon.flow().apply(Arc::new(config)).await.unwrap();
    };
    reserve(1 << 50).await;
    alarms.wait_for(1).await;
    let first = alarms.seen()[0].json();
    assert_eq!(
        (&first["type"], &first["data"]["reserve_bytes"]),
        (&json!("postrider.storage.low"), &json!(1_u64 << 50))
    );
    daemon.api.submit(&event("A", "p", 1)).await.unwrap().expect(507);
    daemon.pass(120).await;
    assert_eq!(alarms.count(), 1, "it is told once");
    reserve(1 << 20).await;
    alarms.wait_for(2).await;
    assert_eq!(told(&alarms)[1].0, "storage.recovered");
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn notices_without_a_subscriber_are_not_written() {
    let daemon = TestDaemon::start().await;
    let dead = daemon.receiver(always(Reply::Status(410))).await;
    let made = daemon.subscribe(&dead, json!({"name": "ill"})).await;
    daemon.api.accepted(&event("A", "p", 1)).await;
    daemon
        .until("it is off", async || {
            (health(&daemon, made["id"].as_str().unwrap()).await == "disabled").then_some(())
        })
        .await;
    daemon.pass(60).await;
    assert_eq!(daemon.api.list("/v1/events").await.len(), 1);
}

const WITHIN: Duration = Duration::from_mins(2);
/// The number of unread lines of the mail server. Beyond it the mail server waits too.
const LINES_MAX: usize = 64;
const PAUSE: Duration = Duration::from_millis(20);

/// A third-party mail server. Dropping it kills the process.
struct MailServer {
    child: Child,
    heard: Heard<Value>,
    port: u16,
}

impl Drop for MailServer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl MailServer {
    fn start(port: u16, certificate: &[&Path]) -> Self {
        let mut child = Command::new(in_repository("target/mail/python/bin/python"))
            .arg(in_repository("tests/mail/server.py"))
            .arg(port.to_string())
            .args(certificate)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (tell, heard) = sync_channel(LINES_MAX);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        std::thread::spawn(move || {
            lines.map_while(Result::ok).try_for_each(|line| tell.send(serde_json::from_str(&line).unwrap()))
        });
        let server = Self { child, heard, port };
        assert_eq!(server.next(), json!({"ready": true}));
        server
    }

    fn next(&self) -> Value {
        self.heard.recv_timeout(WITHIN).unwrap()
    }

    /// Returns the next mail that the server accepted.
    fn mail(&self) -> Value {
        std::iter::repeat_with(|| self.next()).find(|said| said.get("body").is_some()).unwrap()
    }
}

fn settings(smtp: &str) -> String {
    format!("[mail]\nsmtp = \"{smtp}\"\nfrom = \"postrider@acme.example\"\nto = [\"ops@acme.example\"]\n")
}

/// Creates a subscription whose receiver is gone, and waits until it is disabled. `notify` gets the mail.
async fn lose(api: &ApiClient, name: &str, notify: Option<&str>) {
    let clock = postrider::model::time::Clock::system();
    let gone = Receiver::start(clock, always(Reply::Status(410))).await;
    let made = api
        .subscribe(&json!({"name": name, "url": gone.url(), "events": [name], "notify_email": notify}))
        .await;
    assert_eq!(made["notify_email"], json!(notify));
    api.accepted(&event(name, "p", 1)).await;
    crate::support::eventually("it is off", WITHIN, PAUSE, async || {
        (api.subscription(made["id"].as_str().unwrap()).await["health"] == "disabled").then_some(())
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a mail server in Python: scripts/test installs it"]
async fn mail_is_sent_after_an_outage_of_the_mail_server() {
    let port = free_port();
    let setup =
        DaemonSetup::new(crate::support::memory_dir(), &settings(&format!("smtp://127.0.0.1:{port}")));
    let mut running = setup.spawn(&[]);
    let api = setup.ready(&mut running).await;
    // No mail server is running yet: the notice waits, and deliveries do not.
    lose(&api, "crm", Some("crm-team@acme.example")).await;
    crate::support::eventually("it was tried", WITHIN, PAUSE, async || {
        setup.log().contains("trying again").then_some(())
    })
    .await;
    // After a kill and a start the daemon still sends the mail.
    running.kill();
    let server = MailServer::start(port, &[]);
    let mut running = setup.spawn(&[]);
    let api = setup.ready(&mut running).await;
    for to in ["ops@acme.example", "crm-team@acme.example"] {
        let mail = server.mail();
        assert_eq!((&mail["to"], &mail["sender"]), (&json!([to]), &json!("postrider@acme.example")));
        assert_eq!(mail["headers"]["subject"], "[Postrider] 'crm': disabled");
        let body = mail["body"].as_str().unwrap();
        for part in ["was disabled", "disabled_reason: gone", "name: crm", "410"] {
            assert!(body.contains(part), "{part}: {body}");
        }
    }
    // A mail that the server defers arrives in the end. A mail that it refuses delays no other.
    lose(&api, "put-off", Some("later@acme.example")).await;
    assert_eq!(server.mail()["to"], json!(["ops@acme.example"]));
    lose(&api, "refused", Some("never@acme.example")).await;
    lose(&api, "last", None).await;
    let mut subjects = Vec::new();
    while subjects.len() < 3 {
        let mail = server.mail();
        subjects.push((mail["to"][0].clone(), mail["headers"]["subject"].clone()));
    }
    let expected = [("later", "put-off"), ("ops", "refused"), ("ops", "last")].map(|(to, name)| {
        (json!(format!("{to}@acme.example")), json!(format!("[Postrider] '{name}': disabled")))
    });
    assert_eq!(subjects, expected);
    // A clean restart repeats no mail.
    running.terminate();
    crate::support::eventually("it has ended", WITHIN, PAUSE, async || running.has_ended()).await;
    let mut running = setup.spawn(&[]);
    let api = setup.ready(&mut running).await;
    lose(&api, "after", None).await;
    assert_eq!(server.mail()["headers"]["subject"], "[Postrider] 'after': disabled");
    assert_eq!(server.port, port);
}

#[tokio::test]
#[ignore = "needs a mail server in Python: scripts/test installs it"]
async fn mail_uses_tls_and_a_password_and_never_falls_back_to_plain_text() {
    let directory = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let [cert, key_file] = ["cert.pem", "key.pem"].map(|name| directory.path().join(name));
    std::fs::write(&cert, params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    let server = MailServer::start(free_port(), &[&cert, &key_file]);
    let smtp = |port: u16| settings(&format!("smtp://postrider:s3cret%2F%3F@localhost:{port}?tls=required"));
    let setup = DaemonSetup::new(crate::support::memory_dir(), &smtp(server.port));
    let trust = format!("SSL_CERT_FILE={}", cert.display());
    let mut running = setup.spawn(&["env", &trust]);
    let api = setup.ready(&mut running).await;
    lose(&api, "crm", None).await;
    let mail = server.mail();
    assert_eq!(
        (&mail["tls"], &mail["login"], &mail["to"]),
        (&json!(true), &json!(true), &json!(["ops@acme.example"]))
    );
    // A server without TLS gets neither the password nor the mail.
    let plain = MailServer::start(free_port(), &[]);
    setup.configure(&smtp(plain.port));
    running.hang_up();
    crate::support::eventually("the config is in force", WITHIN, PAUSE, async || {
        setup.log().contains("reloaded the configuration").then_some(())
    })
    .await;
    lose(&api, "next", None).await;
    crate::support::eventually("it was tried", WITHIN, PAUSE, async || {
        setup.log().contains("trying again").then_some(())
    })
    .await;
    assert!(plain.heard.try_recv().is_err());
    assert!(!setup.log().contains("s3cret"), "{}", setup.log());
}
