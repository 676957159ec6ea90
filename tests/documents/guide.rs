//! Runs every code block of docs/API.md, docs/BLUE.md and the book's page on receiving against the real
//! daemon.
//!
//! `cargo test --test documents guide:: -- --ignored` needs bash, curl, Python, Node and Go.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use postrider::model::time::Clock;
use serde_json::{Value, json};

use crate::support::client::ApiClient;
use crate::support::process::{DaemonSetup, RunningDaemon};
use crate::support::receiver::{Receiver, Reply, always};

const GUIDES: [&str; 3] = [
    include_str!("../../docs/API.md"),
    include_str!("../../docs/BLUE.md"),
    include_str!("../../docs/book/src/receiving.md"),
];
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Returns the blocks by the text behind their fence. Blocks of one language form one program.
fn blocks() -> BTreeMap<String, String> {
    let mut blocks: BTreeMap<String, String> = BTreeMap::new();
    let mut open: Option<String> = None;
    for line in GUIDES.iter().flat_map(|guide| guide.lines()) {
        match (line.strip_prefix("```"), &open) {
            (Some(info), None) => open = Some(info.to_owned()),
            (Some(_), Some(_)) => open = None,
            (None, Some(info)) => {
                let block = blocks.entry(info.clone()).or_default();
                block.push_str(line);
                block.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

/// A daemon on its own address, with a folder for the guide's files.
struct Bench {
    setup: DaemonSetup,
    _running: RunningDaemon,
}

impl Bench {
    async fn start() -> Self {
        Self::start_by(&[]).await
    }

    /// Starts the daemon through `wrapper`.
    async fn start_by(wrapper: &[&str]) -> Self {
        let setup = DaemonSetup::new(crate::support::memory_dir(), "");
        let mut running = setup.spawn(wrapper);
        setup.ready(&mut running).await;
        Self { setup, _running: running }
    }

    /// Writes a block to a file and replaces the guide's addresses by those of this test.
    fn write(&self, info: &str, name: &str, receiver: SocketAddr) -> PathBuf {
        let block = blocks().remove(info).unwrap_or_else(|| panic!("the guide has no block '{info}'"));
        assert!(!block.trim().is_empty(), "an empty block '{info}'");
        let text = block
            .replace("127.0.0.1:8740", &self.setup.address.to_string())
            .replace("127.0.0.1:9000", &receiver.to_string());
        let path = self.setup.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Runs a program of the guide to its end and returns its output.
    async fn run(&self, mut program: Command) -> String {
        program.current_dir(self.setup.dir.path()).stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || program.output().unwrap()).await.unwrap();
        let (told, errors) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{told}\n{errors}");
        told.into_owned()
    }
}

fn command(program: &str, args: &[&str], file: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(args).arg(file);
    command
}

async fn receiver() -> (Receiver, SocketAddr) {
    let receiver = Receiver::start(Clock::system(), always(Reply::Status(200))).await;
    let url = receiver.url();
    let address = url.strip_prefix("http://").unwrap().strip_suffix("/hook").unwrap().parse().unwrap();
    (receiver, address)
}

#[test]
fn no_block_is_left_out() {
    let infos: Vec<String> = blocks().into_keys().collect();
    let api = ["bash", "js", "js receiver.mjs", "python", "python receiver.py"];
    let blue = ["bash blue", "js blue.mjs", "json blue-body", "json blue-event", "toml blue"];
    // The block in Rust is a file that tests/management/standard_webhooks.rs checks.
    let mut expected = [&api[..], &blue[..], &["go receiver.go", "rust"][..]].concat();
    expected.sort_unstable();
    assert_eq!(infos, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs bash and curl"]
async fn shell_examples_of_the_guide_work() {
    let (bench, (receiver, address)) = (Bench::start().await, receiver().await);
    let told =
        bench.run(command("bash", &["-euo", "pipefail"], &bench.write("bash", "guide.sh", address))).await;
    for part in
        ["made sub_", "\"duplicate\":false", "\"duplicate\":true", "\"results\":[", "\"reason\":\"events\""]
    {
        assert!(told.contains(part), "no {part} in {told}");
    }
    // The receiver gets the event once, and of the two lines the one that is not a deletion.
    assert_eq!(receiver.wait_for(2).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Python"]
async fn python_examples_of_the_guide_work() {
    let (bench, (receiver, address)) = (Bench::start().await, receiver().await);
    bench.run(command("python3", &[], &bench.write("python", "guide.py", address))).await;
    assert_eq!(receiver.wait_for(10).await.len(), 10, "nine events, and one of them again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Node"]
async fn javascript_examples_of_the_guide_work() {
    let (bench, (receiver, address)) = (Bench::start().await, receiver().await);
    bench.run(command("node", &[], &bench.write("js", "guide.mjs", address))).await;
    assert_eq!(receiver.wait_for(4).await.len(), 4);
}

/// A receiver of the guide. Dropping it kills the process.
struct Program {
    child: Child,
    lines: Option<BufReader<ChildStdout>>,
    address: SocketAddr,
}

impl Program {
    async fn start(bench: &Bench, program: &[&str], info: &str, file: &str) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        Self::start_at(address, bench, program, info, file).await
    }

    async fn start_at(address: SocketAddr, bench: &Bench, program: &[&str], info: &str, file: &str) -> Self {
        let mut command = command(program[0], &program[1..], &bench.write(info, file, address));
        command.env("WEBHOOK_SECRET", SECRET).env("PORT", address.port().to_string());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = child.stdout.take().map(BufReader::new);
        let listens = async || TcpStream::connect(address).ok();
        // Go compiles the program first.
        let (limit, pause) = (Duration::from_mins(5), Duration::from_millis(10));
        crate::support::eventually("the receiver listens", limit, pause, listens).await;
        Self { child, lines, address }
    }

    /// Returns the next line of the program's output.
    async fn line(&mut self) -> String {
        let mut lines = self.lines.take().unwrap();
        let (lines, line) = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            lines.read_line(&mut line).unwrap();
            (lines, line)
        })
        .await
        .unwrap();
        self.lines = Some(lines);
        line
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Checks that the receiver accepts requests signed by the daemon, and refuses those signed with another
/// secret or not at all.
async fn receives(program: &[&str], info: &str, file: &str) {
    let bench = Bench::start().await;
    let mut receiver = Program::start(&bench, program, info, file).await;
    let api = ApiClient::new(bench.setup.address);
    let url = format!("http://{}/hooks", receiver.address);
    let other = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let genuine = json!({"name": "genuine", "url": url, "secret": SECRET, "events": ["GOOD"]});
    let forged =
        json!({"name": "forged", "url": url, "secret": other, "events": ["BAD"], "retry_schedule": []});
    let genuine = api.subscribe(&genuine).await;
    let forged = api.subscribe(&forged).await;
    api.accepted(&json!({"type": "BAD", "project": "p", "data": "å"})).await;
    let state = async |subscription: &str| {
        let path = format!("/v1/deliveries?subscription={subscription}");
        let delivery = api.get(&path).await["items"][0].clone();
        (!delivery["attempts"].as_array()?.is_empty() && delivery["state"] != "in_flight").then_some(delivery)
    };
    let (limit, pause) = (Duration::from_mins(1), Duration::from_millis(10));
    let refused = forged["id"].as_str().unwrap();
    let refused =
        crate::support::eventually("the forgery is answered", limit, pause, || state(refused)).await;
    assert_eq!(refused["attempts"][0]["status"], 401, "{refused}");
    api.accepted(&json!({"type": "GOOD", "project": "p", "data": "å"})).await;
    let taken = genuine["id"].as_str().unwrap();
    let taken = crate::support::eventually("the delivery is answered", limit, pause, || state(taken)).await;
    assert_eq!(
        (&taken["state"], &taken["attempts"][0]["status"]),
        (&json!("succeeded"), &json!(204)),
        "{taken}"
    );
    let line = receiver.line().await;
    assert!(line.starts_with("received {\"type\":\"GOOD\"") && line.contains('å'), "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Python"]
async fn the_python_receiver_accepts_only_genuine_requests() {
    receives(&["python3"], "python receiver.py", "receiver.py").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Node"]
async fn the_node_receiver_accepts_only_genuine_requests() {
    receives(&["node"], "js receiver.mjs", "receiver.mjs").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Go"]
async fn the_go_receiver_accepts_only_genuine_requests() {
    // The file name is the script's `$0`. `go run` would leave the receiver running.
    let compiled = "go build -o \"$0.out\" \"$0\" && exec \"$0.out\"";
    receives(&["sh", "-c", compiled], "go receiver.go", "receiver.go").await;
}

/// Appends the settings of the guide for Blue users to the config, as the guide describes. Returns once they
/// are in force.
async fn configure_for_blue(bench: &Bench, api: &ApiClient, receiver: SocketAddr) {
    let executable = Path::new(env!("CARGO_BIN_EXE_postrider"));
    let mut script = command("bash", &["-euo", "pipefail"], &bench.write("bash blue", "blue.sh", receiver));
    let path = std::env::var("PATH").unwrap();
    script.env("PATH", format!("{}:{path}", executable.parent().unwrap().display()));
    bench.run(script).await;
    let settings = std::fs::read_to_string(bench.write("toml blue", "blue.toml", receiver)).unwrap();
    let config = bench.setup.dir.path().join("config.toml");
    let before = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, before + &settings).unwrap();
    let (limit, pause) = (Duration::from_mins(1), Duration::from_millis(10));
    crate::support::eventually("the settings are in force", limit, pause, async || {
        (!api.list("/v1/subscriptions").await.is_empty()).then_some(())
    })
    .await;
    let types = api.list("/v1/event-types").await;
    assert_eq!(types.iter().filter(|one| one["configured"] == true).count(), 37, "{types:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs bash and Node"]
async fn a_receiver_written_for_blue_accepts_only_genuine_requests() {
    let bench = Bench::start_by(&["env", &format!("WEBHOOK_SECRET={SECRET}")]).await;
    let mut node = Program::start(&bench, &["node"], "js blue.mjs", "blue.mjs").await;
    let api = ApiClient::new(bench.setup.address);
    configure_for_blue(&bench, &api, node.address).await;
    let event: Value = serde_json::from_str(&blocks()["json blue-event"]).unwrap();

    // The request equals the one that the guide shows.
    let (seen, _) = receiver().await;
    let mut shown: Value = serde_json::from_str(&blocks()["json blue-body"]).unwrap();
    let selectors = json!({"events": shown["webhook"]["metadata"]["events"], "projects": ["acme/*"]});
    let mut members = json!({"name": "twin", "url": seen.url(), "format": "blue"});
    members.as_object_mut().unwrap().extend(selectors.as_object().unwrap().clone());
    let twin = api.subscribe(&members).await;
    api.accepted(&event).await;
    for (member, value) in
        [("id", &twin["id"]), ("uid", &twin["id"]), ("name", &twin["name"]), ("url", &twin["url"])]
    {
        shown["webhook"][member] = value.clone();
    }
    assert_eq!(seen.wait_for(1).await[0].json(), shown);
    assert_eq!(node.line().await, "TODO_NAME_CHANGED: Draft -> Launch\n");

    // A request signed with another secret is refused.
    let url = format!("http://{}/hook", node.address);
    let subscribe = async |name: &str, secret: &str| {
        let members = json!({"name": name, "url": url, "format": "blue", "events": [name], "secret": secret,
            "retry_schedule": []});
        api.subscribe(&members).await["id"].as_str().unwrap().to_owned()
    };
    let first_attempt = async |name: &str, id: &str| {
        api.accepted(&json!({"type": name, "project": "p"})).await;
        let (limit, pause) = (Duration::from_mins(1), Duration::from_millis(10));
        crate::support::eventually("it is off", limit, pause, async || {
            (api.subscription(id).await["health"] == "disabled").then_some(())
        })
        .await;
        api.get(&format!("/v1/deliveries?subscription={id}")).await["items"][0]["attempts"][0].clone()
    };
    let forged = subscribe("FORGED", "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").await;
    assert_eq!(first_attempt("FORGED", &forged).await["status"], 401);
    // A receiver that was away gets a health check and answers it.
    let away = subscribe("AWAY", SECRET).await;
    let address = node.address;
    drop(node);
    assert_eq!(first_attempt("AWAY", &away).await["status"], Value::Null);
    let mut node = Program::start_at(address, &bench, &["node"], "js blue.mjs", "blue.mjs").await;
    api.command(&format!("/v1/subscriptions/{away}/enable")).await.expect(200);
    assert_eq!(node.line().await, "asked whether AWAY is well\n");
}
