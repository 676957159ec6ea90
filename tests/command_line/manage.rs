//! The commands that manage a daemon, run against a real one by a person and by a program.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Output, Stdio};

use postrider::config::Config;
use postrider::model::time::Clock;
use serde_json::{Value, json};

use crate::support::process::{DaemonSetup, RunningDaemon};
use crate::support::receiver::{Receiver, Reply, always};

/// A daemon and commands that call it.
struct Bench {
    setup: DaemonSetup,
    _running: RunningDaemon,
}

impl Bench {
    async fn start() -> Self {
        Self::start_with("").await
    }

    async fn start_with(settings: &str) -> Self {
        let setup = DaemonSetup::new(crate::support::memory_dir(), settings);
        let mut running = setup.spawn(&[]);
        setup.ready(&mut running).await;
        Self { setup, _running: running }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_postrider"));
        command
            .args(args)
            .env_remove("POSTRIDER_KEY")
            .env_remove("POSTRIDER_WEBHOOK_SECRET")
            .stdin(Stdio::null());
        command.env("POSTRIDER_SERVER", format!("http://{}", self.setup.address));
        command
    }

    /// Runs a command beside the test's own tasks.
    async fn run(&self, args: &[&str]) -> Output {
        let mut command = self.command(args);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    /// Runs a command, asserts success, and returns its output.
    async fn text(&self, args: &[&str]) -> String {
        let output = self.run(args).await;
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command with `--json` and returns its lines.
    async fn json(&self, args: &[&str]) -> Vec<Value> {
        let args: Vec<&str> = ["--json"].into_iter().chain(args.iter().copied()).collect();
        self.text(&args).await.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Runs a command, asserts failure, and returns its exit code and message.
    async fn failure(&self, args: &[&str]) -> (i32, String) {
        let output = self.run(args).await;
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }
}

async fn receiver() -> Receiver {
    Receiver::start(Clock::system(), always(Reply::Status(200))).await
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_create_change_and_delete_a_subscription() {
    let (bench, receiver) = (Bench::start().await, receiver().await);
    assert_eq!(bench.text(&["subscriptions", "list"]).await, "no items\n");
    let url = receiver.url();
    let made = bench
        .json(&[
            "subscriptions",
            "add",
            &url,
            "--name",
            "crm",
            "--events",
            "TODO_*,!TODO_DELETED",
            "--header",
            "x-a=b",
        ])
        .await;
    let id = made[0]["id"].as_str().unwrap();
    assert!(made[0]["secret"].as_str().unwrap().starts_with("whsec_"));
    assert_eq!(
        (&made[0]["events"], &made[0]["headers"]),
        (&json!(["TODO_*", "!TODO_DELETED"]), &json!({"x-a": "b"}))
    );

    let listed = bench.text(&["subscriptions", "list"]).await;
    let rows: Vec<&str> = listed.lines().collect();
    assert_eq!(words(rows[0]), ["id", "name", "health", "why", "waiting", "held", "by", "url"]);
    assert_eq!(words(rows[1]), [id, "crm", "healthy", "-", "0", "0", "api", &url]);

    let edited =
        bench.json(&["subscriptions", "edit", "crm", "--retry-schedule", "none", "--timeout", "3s"]).await;
    assert_eq!((&edited[0]["retry_schedule"], &edited[0]["timeout"]), (&json!([]), &json!("3s")));
    let edited = bench.json(&["subscriptions", "edit", id, "--reset", "timeout,events"]).await;
    assert_eq!((&edited[0]["timeout"], &edited[0]["events"]), (&Value::Null, &json!(["*"])));
    assert_eq!(bench.text(&["subscriptions", "disable", "crm"]).await, format!("{id} crm: disabled\n"));
    assert_eq!(bench.text(&["subscriptions", "enable", "crm"]).await, format!("{id} crm: healthy\n"));
    let shown = bench.text(&["subscriptions", "show", "crm"]).await;
    assert!(shown.lines().any(|line| words(line) == ["stats.pending", "0"]), "{shown}");
    assert_eq!(bench.text(&["subscriptions", "rm", "crm"]).await, format!("{id}: deleted\n"));
    assert_eq!(bench.failure(&["subscriptions", "show", id]).await.0, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_show_events_and_retry_deliveries() {
    let (bench, receiver) = (Bench::start().await, receiver().await);
    bench.text(&["subscriptions", "add", &receiver.url(), "--name", "crm"]).await;
    for number in 0..3 {
        let data = number.to_string();
        bench
            .text(&["send", "--type", "TODO_CREATED", "--project", "p", "--company", "acme", "--data", &data])
            .await;
    }
    receiver.wait_for(3).await;
    let events = bench.json(&["events", "list", "--all", "--type", "TODO_CREATED", "--since", "1h"]).await;
    assert_eq!(events.len(), 3);
    assert_eq!(bench.json(&["events", "list", "--limit", "2"]).await, events[..2]);
    assert!(bench.json(&["events", "list", "--until", "1h"]).await.is_empty());
    let shown = bench.json(&["events", "show", events[0]["id"].as_str().unwrap()]).await;
    assert_eq!(shown[0]["data"], json!(2));

    let settled = async || {
        let found =
            bench.json(&["deliveries", "list", "--subscription", "crm", "--state", "succeeded"]).await;
        (found.len() == 3).then_some(found)
    };
    let (limit, pause) = (std::time::Duration::from_mins(1), std::time::Duration::from_millis(20));
    let deliveries = crate::support::eventually("three have succeeded", limit, pause, settled).await;
    let id = deliveries[0]["id"].as_str().unwrap();
    let sheet = bench.text(&["deliveries", "show", id]).await;
    assert!(sheet.lines().any(|line| words(line) == ["attempts.1.status", "200"]), "{sheet}");
    assert!(bench.text(&["deliveries", "retry", id]).await.starts_with(&format!("{id}: ")));
    assert_eq!(receiver.wait_for(4).await[3].attempt(), 2);
    let table = bench.run(&["deliveries", "list", "--limit", "1"]).await;
    assert_eq!(String::from_utf8(table.stdout).unwrap().lines().count(), 2);
    assert!(String::from_utf8(table.stderr).unwrap().contains("--all"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exported_subscriptions_load_from_a_config_file_unchanged() {
    let bench = Bench::start().await;
    let (first, second) = ("http://127.0.0.1:9/a", "http://127.0.0.1:9/b");
    let add = [
        "subscriptions",
        "add",
        first,
        "--name",
        "crm",
        "--filter",
        "event.data.x > 1",
        "--rate-limit",
        "5/s",
    ];
    bench.text(&add).await;
    bench
        .text(&["subscriptions", "add", second, "--projects", "acme/*", "--ordering", "fifo", "--disabled"])
        .await;
    let before = bench.json(&["subscriptions", "list"]).await;
    let exported = bench.run(&["subscriptions", "export"]).await;
    let text = String::from_utf8(exported.stdout).unwrap();
    assert!(String::from_utf8(exported.stderr).unwrap().contains("secret_env") && !text.contains("whsec_"));

    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let env = text
        .lines()
        .filter_map(|line| line.strip_prefix("secret_env = "))
        .map(|name| (name.trim_matches('"').to_owned(), secret.to_owned()));
    let config = Config::parse(&text, "exported", env).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(config.subscriptions.len(), before.len());
    for (loaded, shown) in config.subscriptions.iter().zip(&before) {
        for (name, value) in loaded.input.spec.to_members() {
            assert_eq!(value, shown[&name], "{name}");
        }
        assert_eq!(loaded.input.enabled.unwrap_or(true), shown["enabled"], "{}", shown["name"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_are_explained_and_have_their_exit_codes() {
    let bench = Bench::start().await;
    let (code, told) = bench.failure(&["subscriptions", "add", "ftp://x", "--timeout", "5m"]).await;
    assert_eq!(code, 1);
    for part in ["422", "/url: ", "/timeout: "] {
        assert_eq!(told.matches(part).count(), 1, "{part:?} in {told}");
    }
    let (_, told) = bench.failure(&["subscriptions", "add", "ftp://x"]).await;
    assert_eq!(told.matches("/url: ").count(), 1, "{told}");
    let (code, told) = bench.failure(&["events", "show", "evt_1"]).await;
    assert!(code == 1 && told.contains("there is no event 'evt_1'"), "{code} {told}");
    let (code, told) = bench.failure(&["subscriptions", "show", "nobody"]).await;
    assert!(code == 1 && told.contains("no subscription has the name 'nobody'"), "{code} {told}");
    for (args, part) in [
        (&["events", "show", "../x"][..], "invalid id"),
        (&["subscriptions", "edit", "sub_1"], "nothing to change"),
        (&["deliveries", "list", "--since", "yesterday"], "a duration before now"),
        (&["deliveries", "list", "--limit", "0"], "--limit"),
        (&["subscriptions"], "Usage"),
        (&["events", "list", "--server", "ftp://x"], "http://127.0.0.1:8740"),
    ] {
        let (code, told) = bench.failure(args).await;
        assert!(code == 2 && told.contains(part), "{args:?}: {code} {told}");
    }
    let (code, told) = bench.failure(&["events", "list", "--server", "http://127.0.0.1:1"]).await;
    assert!(code == 1 && told.contains("postrider serve"), "{code} {told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_find_the_daemon_by_its_config_and_send_the_key() {
    let directory = crate::support::memory_dir();
    let socket = directory.path().join("p.sock");
    let key = "prk_test";
    let digest = hex::encode(ring::digest::digest(&ring::digest::SHA256, key.as_bytes()));
    let setup = DaemonSetup::new(
        directory,
        &format!("[[auth.keys]]\nname = \"a\"\nrole = \"admin\"\nsha256 = \"{digest}\"\n"),
    );
    let file = setup.dir.path().join("config.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let listen = format!("listen = [\"unix:{}\", \"{}\"]", socket.display(), setup.address);
    std::fs::write(&file, text.replace(&format!("listen = [\"{}\"]", setup.address), &listen)).unwrap();
    let mut running = setup.spawn(&[]);
    setup.ready(&mut running).await;
    let bench = Bench { setup, _running: running };
    let mut command = bench.command(&["subscriptions", "list", "--config", file.to_str().unwrap()]);
    command.env_remove("POSTRIDER_SERVER");
    let refused = tokio::task::spawn_blocking(move || (command.output().unwrap(), command)).await.unwrap();
    let (refused, mut command) = refused;
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("401"), "{refused:?}");
    command.env("POSTRIDER_KEY", key);
    let found = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(found.status.success(), "{found:?}");
    assert_eq!(found.stdout, b"no items\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_retry_cancel_disable_and_enable() {
    let (bench, receiver) = (Bench::start().await, receiver().await);
    let made = bench.json(&["subscriptions", "add", &receiver.url(), "--name", "crm", "--disabled"]).await;
    let tested = bench.json(&["subscriptions", "test", "crm", "--type", "TODO_CREATED"]).await;
    assert_eq!(tested[0]["attempt"]["status"], json!(200));
    assert_eq!(receiver.wait_for(1).await[0].json()["type"], "TODO_CREATED");
    receiver.answer(always(Reply::Status(500)));
    let (code, told) = bench.failure(&["subscriptions", "test", "crm"]).await;
    assert!(code == 1 && told.contains("did not accept"), "{code} {told}");

    let rotated = bench.json(&["subscriptions", "rotate-secret", "crm", "--grace", "1h"]).await;
    assert_ne!(rotated[0]["secret"], made[0]["secret"]);
    assert_eq!(rotated[0]["secrets"].as_array().unwrap().len(), 2);

    bench.text(&["subscriptions", "edit", "crm", "--retry-schedule", "1h"]).await;
    bench.text(&["subscriptions", "enable", "crm"]).await;
    bench.text(&["send", "--type", "A", "--project", "p"]).await;
    let waiting = async || {
        let found = bench.json(&["deliveries", "list", "--state", "pending"]).await;
        found.into_iter().find(|one| one["attempts"].as_array().is_some_and(|attempts| attempts.len() == 1))
    };
    let (limit, pause) = (std::time::Duration::from_mins(1), std::time::Duration::from_millis(20));
    let delivery = crate::support::eventually("the delivery waits for a retry", limit, pause, waiting).await;
    let id = delivery["id"].as_str().unwrap();
    assert_eq!(bench.text(&["deliveries", "cancel", id]).await, format!("{id}: cancelled\n"));
    assert_eq!(bench.failure(&["deliveries", "cancel", id]).await.0, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_show_statistics_and_the_catalog() {
    let catalog = "[[event_types]]\nname = \"TODO_CREATED\"\ngroup = \"Records\"\n\
                   [[projects]]\ncompany = \"acme\"\nid = \"website\"\n";
    let bench = Bench::start_with(catalog).await;
    let stats = bench.text(&["stats"]).await;
    assert!(stats.lines().any(|line| words(line) == ["events.accepted", "0"]), "{stats}");
    assert_eq!(bench.json(&["stats"]).await[0]["subscriptions"]["total"], json!(0));
    let types = bench.json(&["event-types"]).await;
    assert_eq!((&types[0]["name"], &types[0]["configured"]), (&json!("TODO_CREATED"), &json!(true)));
    let projects = bench.text(&["projects"]).await;
    assert_eq!(words(projects.lines().nth(1).unwrap())[..2], ["acme", "website"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tail_prints_events_as_they_happen() {
    let (bench, receiver) = (Bench::start().await, receiver().await);
    bench.text(&["subscriptions", "add", &receiver.url(), "--name", "crm"]).await;
    let mut command = bench.command(&["tail", "--json", "--types", "event.accepted,delivery.settled"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap());
    let reading =
        tokio::task::spawn_blocking(move || lines.lines().map(Result::unwrap).take(2).collect::<Vec<_>>());
    let is_heard =
        async || bench.json(&["stats"]).await[0]["stream"]["readers"].as_u64().filter(|count| *count == 1);
    let (limit, pause) = (std::time::Duration::from_mins(1), std::time::Duration::from_millis(20));
    crate::support::eventually("somebody listens", limit, pause, is_heard).await;
    bench.text(&["send", "--type", "A", "--project", "p"]).await;
    let told: Vec<Value> =
        reading.await.unwrap().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!((&told[0]["event"], &told[0]["data"]["type"]), (&json!("event.accepted"), &json!("A")));
    assert_eq!(
        (&told[1]["event"], &told[1]["data"]["state"]),
        (&json!("delivery.settled"), &json!("succeeded"))
    );
}
