//! The executable's commands as a person runs them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postrider::model::secret::{Secret, SigningKey};
use ring::hmac;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn postrider() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postrider"));
    command.env_remove("POSTRIDER_KEY").stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> Output {
    postrider().args(args).output().unwrap()
}

fn out(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn err(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

fn write(directory: &Path, name: &str, text: &str) -> String {
    let path = directory.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn check_prints_what_is_in_force_or_every_problem() {
    let directory = tempfile::tempdir().unwrap();
    let good = write(directory.path(), "good.toml", "[delivery]\ntimeout = \"2s\"\n");
    let checked = run(&["check", "--config", &good]);
    assert!(checked.status.success(), "{}", err(&checked));
    assert!(
        out(&checked).contains("timeout = \"2s\"") && out(&checked).contains("[storage]"),
        "{}",
        out(&checked)
    );

    let bad = write(directory.path(), "bad.toml", "[delivery]\ntimeuot = \"2s\"\njitter = 7\n");
    let checked = run(&["check", "--config", &bad]);
    assert_eq!(checked.status.code(), Some(1));
    for part in [
        "2 errors in the configuration",
        "bad.toml:2: delivery.timeuot",
        "'timeout'?",
        "bad.toml:3: delivery.jitter",
    ] {
        assert!(err(&checked).contains(part), "no {part:?} in {}", err(&checked));
    }
    let checked = run(&["--json", "check", "--config", &bad]);
    let told: Value = serde_json::from_str(out(&checked)).unwrap();
    assert_eq!((&told["ok"], &told["errors"][1]["key"]), (&json!(false), &json!("delivery.jitter")));
}

#[test]
fn keygen_makes_keys_and_secrets_that_differ() {
    let first: Value = serde_json::from_str(out(&run(&["keygen", "--json", "--role", "admin"]))).unwrap();
    let second: Value = serde_json::from_str(out(&run(&["keygen", "--json"]))).unwrap();
    assert_ne!(first["key"], second["key"]);
    let digest = ring::digest::digest(&ring::digest::SHA256, first["key"].as_str().unwrap().as_bytes());
    assert_eq!(first["sha256"], hex::encode(digest));

    let snippet = run(&["keygen", "--name", "billing", "--role", "read"]);
    let config = out(&snippet).split_once('\n').unwrap().1.to_owned();
    let directory = tempfile::tempdir().unwrap();
    let file = write(directory.path(), "config.toml", &config);
    let checked = run(&["check", "--config", &file]);
    assert!(
        out(&checked).contains("name = \"billing\"\nrole = \"read\""),
        "{}{}",
        out(&checked),
        err(&checked)
    );

    let secret: Secret = out(&run(&["keygen", "--webhook"])).trim().parse().unwrap();
    assert!(matches!(secret.key(), SigningKey::Symmetric(bytes) if bytes.len() == 32));

    let printed = run(&["keygen", "--webhook", "--ed25519"]);
    let lines: Vec<&str> = out(&printed).lines().collect();
    let secret: Secret = lines[0].parse().unwrap();
    assert_eq!(secret.public_key().unwrap().to_string(), *lines.last().unwrap());
    let told: Value =
        serde_json::from_str(out(&run(&["keygen", "--webhook", "--ed25519", "--json"]))).unwrap();
    let secret: Secret = told["secret"].as_str().unwrap().parse().unwrap();
    assert_eq!(told["public_key"], secret.public_key().unwrap().to_string());
    assert_eq!(run(&["keygen", "--ed25519"]).status.code(), Some(2));
}

#[test]
fn bad_use_is_exit_code_2_and_says_what_would_be_right() {
    for (args, part) in [
        (&["keygen", "--role", "boss"][..], "possible values: ingest, read, admin"),
        (&["send"], "no event given"),
        (&["send", "--type", "A"], "--project"),
        (&["send", "--type", "A", "--project", "p", "--data", "{"], "--data is not JSON"),
        (&["send", "--server", "ftp://x", "--type", "A", "--project", "p"], "http://127.0.0.1:8740"),
        (&["listen", "--secret", "hush"], "whsec_"),
        (&["frobnicate"], "frobnicate"),
    ] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", err(&output));
        assert!(err(&output).contains(part), "no {part:?} in {}", err(&output));
        assert!(!err(&output).contains("hush"), "a secret is not repeated");
    }
}

#[test]
fn the_catalog_of_blue_can_be_appended_to_a_config() {
    let printed = run(&["catalog", "blue"]);
    let directory = tempfile::tempdir().unwrap();
    let file = write(directory.path(), "config.toml", &format!("[log]\nlevel = \"warn\"\n{}", out(&printed)));
    let checked = run(&["check", "--config", &file]);
    assert!(checked.status.success(), "{}", err(&checked));
    assert_eq!(out(&checked).matches("[[event_types]]").count(), 37);

    let printed = run(&["--json", "catalog", "blue"]);
    let types: Vec<Value> = out(&printed).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut groups = std::collections::BTreeMap::new();
    for one in &types {
        *groups.entry(one["group"].as_str().unwrap()).or_insert(0) += 1;
        assert!(one["description"].as_str().unwrap().ends_with('.'), "{one}");
    }
    let expected = [
        ("Checklists", 12),
        ("Comments", 3),
        ("Custom fields", 3),
        ("Lists", 3),
        ("Records", 13),
        ("Tags", 3),
    ];
    assert_eq!(groups.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn completions_name_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&["completions", shell]);
        assert!(script.status.success() && out(&script).contains("keygen"), "{shell}");
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let directory = tempfile::tempdir().unwrap();
    let written = run(&["man", directory.path().to_str().unwrap()]);
    assert!(written.status.success(), "{}", err(&written));
    for (page, part) in [
        ("postrider.1", "postrider\\-send(1)"),
        ("postrider-send.1", "\\-\\-project"),
        ("postrider-subscriptions-add.1", "\\-\\-events"),
    ] {
        let text = std::fs::read_to_string(directory.path().join(page)).unwrap();
        assert!(text.contains(".TH") && text.contains(part), "{page}: {text}");
    }
}

/// A request that the stand-in for a daemon saw.
struct ReceivedRequest {
    head: String,
    body: String,
}

/// Starts a stand-in for a daemon, which gives one answer to each connection. Returns its address and the
/// requests.
fn daemon(answers: Vec<String>) -> (String, JoinHandle<Vec<ReceivedRequest>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serve = move || answers.iter().map(|answer| exchange(listener.accept().unwrap().0, answer)).collect();
    (url, std::thread::spawn(serve))
}

fn exchange(mut stream: TcpStream, answer: &str) -> ReceivedRequest {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut head).unwrap(), 0, "the request ended early: {head}");
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    stream.write_all(answer.as_bytes()).unwrap();
    ReceivedRequest { head, body: String::from_utf8(body).unwrap() }
}

fn answer(status: &str, headers: &str, body: &Value) -> String {
    let body = body.to_string();
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

#[test]
fn send_submits_one_event_byte_for_byte() {
    let accepted = json!({"id": "evt_1", "matched": 2, "duplicate": false});
    let (url, daemon) = daemon(vec![answer("202 Accepted", "", &accepted)]);
    let data = "{\"b\": 1.0000000000000000001, \"a\":\"x  y\"}";
    let args = [
        "send",
        "--type",
        "A",
        "--project",
        "p",
        "--id",
        "7",
        "--data",
        data,
        "--server",
        &url,
        "--key",
        "k",
    ];
    let sent = run(&args);
    assert!(sent.status.success(), "{}", err(&sent));
    assert_eq!(out(&sent), "evt_1: matched 2 subscriptions\n");
    let seen = daemon.join().unwrap().remove(0);
    assert!(seen.head.starts_with("POST /v1/events HTTP/1.1\r\n"), "{}", seen.head);
    assert!(seen.head.contains("authorization: Bearer k\r\n"), "{}", seen.head);
    assert_eq!(seen.body, format!("{{\"type\":\"A\",\"project\":\"p\",\"id\":\"7\",\"data\":{data}}}"));
}

#[test]
fn send_waits_out_a_full_queue_and_reads_problems_aloud() {
    let problem = json!({"title": "Invalid event", "detail": "1 problem", "errors": [{"pointer": "/type", "detail": "is empty"}]});
    let (url, daemon) = daemon(vec![
        answer("429 Too Many Requests", "retry-after: 0\r\n", &json!({})),
        answer("422 Unprocessable Entity", "", &problem),
    ]);
    let sent = run(&["send", "--type", "", "--project", "p", "--server", &url]);
    assert_eq!(sent.status.code(), Some(1));
    for part in ["422 Unprocessable Entity: Invalid event", "/type: is empty"] {
        assert!(err(&sent).contains(part), "no {part:?} in {}", err(&sent));
    }
    assert_eq!(daemon.join().unwrap().len(), 2);
}

#[test]
fn send_submits_lines_in_batches() {
    let results =
        |count| json!({"results": vec![json!({"id": "evt_1", "matched": 1, "duplicate": false}); count]});
    let (url, daemon) =
        daemon(vec![answer("202 Accepted", "", &results(2)), answer("202 Accepted", "", &results(1))]);
    let mut child = postrider()
        .args(["send", "-", "--batch", "2", "--server", &url])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"{\"n\":1}\n\n{\"n\":2}\r\n{\"n\":3}").unwrap();
    let sent = child.wait_with_output().unwrap();
    assert_eq!(out(&sent), "3 events accepted: 0 duplicates, 3 deliveries\n");
    let seen = daemon.join().unwrap();
    assert!(seen[0].head.contains("content-type: application/x-ndjson\r\n"));
    assert_eq!(
        seen.iter().map(|seen| seen.body.as_str()).collect::<Vec<_>>(),
        ["{\"n\":1}\n{\"n\":2}\n", "{\"n\":3}\n"]
    );
}

/// A running `postrider listen`, which ends with the test.
struct Listener {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
    address: String,
}

impl Listener {
    fn start(args: &[&str]) -> Self {
        let mut child = postrider()
            .args(["listen", "--json", "--port", "0"])
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let mut listener = Self { child, lines, address: String::new() };
        let url = listener.line()["listening"].as_str().unwrap().to_owned();
        url.strip_prefix("http://").unwrap().clone_into(&mut listener.address);
        listener
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// Posts a body with headers and returns the response's status line.
    fn post(&self, headers: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let length = body.len();
        let request = format!(
            "POST /hook HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn signed(id: &str, body: &str) -> String {
    let secs = postrider::model::time::Clock::system().now().as_secs();
    let key =
        hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(SECRET.strip_prefix("whsec_").unwrap()).unwrap());
    let tag = STANDARD.encode(hmac::sign(&key, format!("{id}.{secs}.{body}").as_bytes()));
    headers(id, secs, &format!("v1,{tag}"))
}

fn headers(id: &str, secs: u64, signatures: &str) -> String {
    format!(
        "webhook-id: {id}\r\nwebhook-timestamp: {secs}\r\nwebhook-signature: {signatures}\r\npostrider-attempt: 3\r\n"
    )
}

#[test]
fn listen_verifies_with_a_public_key() {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[5; 32]).unwrap();
    let public = format!("whpk_{}", STANDARD.encode(pair.public_key()));
    let mut listener = Listener::start(&["--secret", &public]);
    let body = r#"{"type":"A","project":"p"}"#;
    let secs = postrider::model::time::Clock::system().now().as_secs();
    let sign = |body: &str| STANDARD.encode(pair.sign(format!("evt_1.{secs}.{body}").as_bytes()));
    let both = headers("evt_1", secs, &format!("v1,{0} v1a,{1}", sign(body), sign(body)));
    assert_eq!(listener.post(&both, body), "200");
    assert_eq!(listener.post(&both, "{}"), "401");
    assert_eq!(listener.post(&headers("evt_1", secs, &format!("v1,{}", sign(body))), body), "401");
    assert_eq!(listener.post(&signed("evt_1", body), body), "401");
    let verified = [(); 4].map(|()| listener.line()["verified"].as_bool().unwrap());
    assert_eq!(verified, [true, false, false, false]);
}

#[test]
fn listen_verifies_and_tells_what_it_got() {
    let mut listener = Listener::start(&["--secret", SECRET, "--fail-first", "1"]);
    let body = r#"{"type":"A","project":"p","data":{}}"#;
    assert_eq!(listener.post(&signed("evt_1", body), body), "503");
    assert_eq!(listener.post(&signed("evt_1", body), body), "200");
    assert_eq!(listener.post(&signed("evt_1", body), "{}"), "401");
    assert_eq!(listener.post("", body), "401");
    let seen = [listener.line(), listener.line(), listener.line(), listener.line()];
    assert_eq!(
        seen.iter().map(|line| line["verified"].as_bool().unwrap()).collect::<Vec<_>>(),
        [true, true, false, false]
    );
    assert_eq!(
        (&seen[0]["type"], &seen[0]["project"], &seen[0]["attempt"]),
        (&json!("A"), &json!("p"), &json!(3))
    );
    assert_eq!((&seen[0]["status"], &seen[3]["reason"]), (&json!(503), &json!("no webhook-signature")));
}

#[test]
fn listen_checks_the_signature_of_blue_too() {
    let mut listener = Listener::start(&["--secret", SECRET, "--status", "204"]);
    let body = r#"{"event":"TODO_CREATED"}"#;
    let tag = hex::encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), body.as_bytes()));
    let standard = signed("evt_1", body);
    assert_eq!(listener.post(&format!("{standard}x-signature: {tag}\r\n"), body), "204");
    assert_eq!(listener.post(&format!("{standard}x-signature: {}\r\n", tag.replace('0', "1")), body), "401");
    assert_eq!(listener.line()["type"], "TODO_CREATED");
}
