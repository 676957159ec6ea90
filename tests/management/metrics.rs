//! `/metrics`: its counts, who may read it, and the metrics that the dashboard and alerts use.
//!
//! The ignored tests check the output, the rules and the queries with Prometheus itself.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use http::Method;
use regex::Regex;
use serde_json::{Value, json};

use crate::support::client::{ApiClient, event};
use crate::support::daemon::TestDaemon;
use crate::support::process::DaemonSetup;
use crate::support::receiver::{Reply, always};

/// Returns every sample by its name and labels, as Prometheus writes them.
async fn samples(api: &ApiClient) -> BTreeMap<String, f64> {
    let text = text(api).await;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect()
}

async fn text(api: &ApiClient) -> String {
    let answer = api.call(Method::GET, "/metrics", "", "").await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], "text/plain; version=0.0.4");
    String::from_utf8(answer.body.to_vec()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn metrics_count_events_deliveries_and_attempts() {
    let mut daemon = TestDaemon::start_with("[api]\nmetrics_subscriptions_max = 1\n", 1).await;
    let (_receiver, _) = daemon.subscribed(json!({"name": "well", "events": ["A"]})).await;
    let down = daemon.receiver(always(Reply::Status(500))).await;
    let ill =
        daemon.subscribe(&down, json!({"name": "ill", "events": ["B"], "retry_schedule": ["1h"]})).await;
    let (_other, _) =
        daemon.subscribed(json!({"name": "other \"one\"", "events": ["A"], "filter": "event.data.n"})).await;
    for n in 0..10 {
        daemon.api.accepted(&event("A", "p", n)).await;
    }
    for n in 0..4 {
        daemon.api.accepted(&event("B", "p", n)).await;
    }
    daemon
        .until("two attempts have failed", async || {
            (samples(&daemon.api).await["postrider_attempts_total{outcome=\"rejected\"}"] >= 2.0)
                .then_some(())
        })
        .await;
    daemon.pass(600).await;
    let seen = samples(&daemon.api).await;
    let is = |name: &str, expected: f64| {
        assert!((seen[name] - expected).abs() < 0.01, "{name}: {} and not {expected}", seen[name]);
    };
    is("postrider_events_accepted_total", 14.0);
    is("postrider_attempts_total{outcome=\"success\"}", 10.0);
    is("postrider_attempts_total{outcome=\"rejected\"}", 2.0);
    is("postrider_attempt_seconds_count", 12.0);
    is("postrider_delivery_seconds_count", 10.0);
    is("postrider_due_lag_seconds_count", 12.0);
    is("postrider_ingest_seconds_count", 14.0);
    is("postrider_match_seconds_count", 14.0);
    is("postrider_filter_errors_total", 10.0);
    is("postrider_deliveries{state=\"pending\"}", 4.0);
    is("postrider_deliveries{state=\"succeeded\"}", 10.0);
    is("postrider_lanes_in_trouble", 1.0);
    is("postrider_queue_events", 0.0);
    is("postrider_subscriptions{health=\"failing\"}", 1.0);
    is("postrider_ready", 1.0);
    let id = ill["id"].as_str().unwrap();
    is(&format!("postrider_subscription_backlog{{name=\"ill\",subscription=\"{id}\"}}"), 4.0);
    let age =
        seen[&format!("postrider_subscription_oldest_pending_seconds{{name=\"ill\",subscription=\"{id}\"}}")];
    assert!((600.0..660.0).contains(&age), "{age}");
    is("postrider_oldest_pending_seconds", age);
    for present in [
        "process_resident_memory_bytes",
        "process_open_fds",
        "postrider_disk_free_bytes",
        "postrider_store_log_bytes",
        "postrider_store_rows{tree=\"events\"}",
        "postrider_commit_seconds_count",
        "postrider_store_flushes_total",
    ] {
        assert!(seen[present] > 0.0, "{present}: {}", seen[present]);
    }
    // Held deliveries of a disabled subscription no longer count as a backlog.
    daemon.api.command(&format!("/v1/subscriptions/{id}/disable")).await.expect(200);
    let seen = samples(&daemon.api).await;
    let state = |state: &str| seen[&format!("postrider_deliveries{{state=\"{state}\"}}")];
    assert!((state("held") - 4.0).abs() < 0.01 && state("pending") < 0.01, "{seen:?}");
    assert!(
        seen["postrider_oldest_pending_seconds"] < 0.01 && !seen.keys().any(|name| name.contains("\"ill\"")),
        "{seen:?}"
    );
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn only_subscriptions_with_the_largest_backlogs_have_their_own_series() {
    let daemon = TestDaemon::start_with("[api]\nmetrics_subscriptions_max = 1\n", 1).await;
    let down = daemon.receiver(always(Reply::Status(500))).await;
    for (name, events) in [("five", "A"), ("three", "B"), ("two", "C"), ("one", "D")] {
        daemon.subscribe(&down, json!({"name": name, "events": [events], "retry_schedule": ["1h"]})).await;
    }
    // The oldest delivery belongs to 'one'.
    for (event_type, count) in [("D", 1), ("A", 5), ("B", 3), ("C", 2)] {
        for n in 0..count {
            daemon.api.accepted(&event(event_type, "p", n)).await;
        }
        daemon.pass(10).await;
    }
    let seen = samples(&daemon.api).await;
    let named: BTreeMap<&str, f64> = seen
        .iter()
        .filter(|(name, _)| name.starts_with("postrider_subscription_backlog"))
        .map(|(name, value)| (name.split('"').nth(1).unwrap(), *value))
        .collect();
    assert_eq!(named, BTreeMap::from([("five", 5.0), ("one", 1.0), ("", 5.0)]));
}

#[tokio::test(start_paused = true)]
async fn metrics_require_the_read_role() {
    use ring::digest::{SHA256, digest};
    let keys: String = ["ingest", "read", "admin"]
        .map(|role| {
            let sha256 = hex::encode(digest(&SHA256, role.as_bytes()));
            format!("[[auth.keys]]\nname = \"{role}\"\nrole = \"{role}\"\nsha256 = \"{sha256}\"\n")
        })
        .concat();
    let daemon = TestDaemon::start_with(&keys, 1).await;
    for (key, expected) in [("nobody", 401), ("ingest", 403), ("read", 200), ("admin", 200)] {
        let api = ApiClient::new(daemon.api.address).with_key(key);
        let answer = api.call(Method::GET, "/metrics", "", "").await.unwrap();
        assert_eq!(answer.status.as_u16(), expected, "{key}");
    }
}

fn contrib(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib").join(file)
}

/// Returns every query of the dashboard.
fn dashboard_queries() -> Vec<String> {
    let text = std::fs::read_to_string(contrib("grafana/postrider.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().cloned().unwrap_or_default());
    let of_panels = targets.map(|target| target["expr"].as_str().unwrap().to_owned());
    let variables = dashboard["templating"]["list"].as_array().unwrap().iter();
    of_panels.chain(variables.filter_map(|one| one["definition"].as_str().map(str::to_owned))).collect()
}

/// Returns the metrics that a text names, without the suffixes of histograms.
fn named(text: &str) -> BTreeSet<String> {
    let name = Regex::new(r"\b(?:postrider|process)_[a-z_]+[a-z]\b").unwrap();
    let plain = |name: &str| {
        let parts = ["_bucket", "_sum", "_count"];
        parts.iter().find_map(|part| name.strip_suffix(part)).unwrap_or(name).to_owned()
    };
    name.find_iter(text).map(|found| plain(found.as_str())).collect()
}

#[tokio::test(start_paused = true)]
async fn the_dashboard_and_alerts_use_existing_metrics() {
    let daemon = TestDaemon::start().await;
    let text = text(&daemon.api).await;
    let shown: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let rules = std::fs::read_to_string(contrib("prometheus/postrider.rules.yml")).unwrap();
    let tests = std::fs::read_to_string(contrib("prometheus/postrider.rules.test.yml")).unwrap();
    for (what, text) in [("dashboard", dashboard_queries().join("\n")), ("rules", rules), ("tests", tests)] {
        let asked = named(&text);
        let unknown: Vec<_> = asked.iter().filter(|name| !shown.contains(name.as_str())).collect();
        assert!(asked.len() > 10 && unknown.is_empty(), "the {what} ask for {unknown:?}");
    }
    // The dashboard uses every metric about the daemon's state.
    let asked = named(&dashboard_queries().join("\n"));
    let left: Vec<_> =
        shown.iter().filter(|name| name.starts_with("postrider") && !asked.contains(**name)).collect();
    assert!(left.is_empty(), "the dashboard does not show {left:?}");
}

fn promtool(arguments: &[&str], input: &str) {
    let mut child = Command::new("promtool")
        .args(arguments)
        .current_dir(contrib("prometheus"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "promtool {arguments:?}: {said}");
    // promtool prints advice on standard error.
    assert!(arguments[1] != "metrics" || done.stderr.is_empty(), "promtool {arguments:?}: {said}");
}

#[test]
#[ignore = "needs promtool: scripts/test runs it"]
fn promtool_accepts_the_rules_and_their_tests() {
    promtool(&["check", "rules", "postrider.rules.yml"], "");
    promtool(&["test", "rules", "postrider.rules.test.yml"], "");
}

/// A Prometheus that scrapes a daemon every second. Dropping it kills the process.
struct Prometheus {
    child: Child,
    api: ApiClient,
    _dir: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Prometheus {
    fn start(target: std::net::SocketAddr) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let rules = contrib("prometheus/postrider.rules.yml");
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [\"{}\"]\nscrape_configs:\n  \
             - {{job_name: postrider, static_configs: [{{targets: [\"{target}\"]}}]}}\n",
            rules.display()
        );
        std::fs::write(dir.path().join("prometheus.yml"), config).unwrap();
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new("prometheus")
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--log.level=error"])
            .arg(format!("--web.listen-address={address}"))
            .current_dir(dir.path())
            .spawn()
            .unwrap();
        Self { child, api: ApiClient::new(address), _dir: dir }
    }

    /// Returns the result of a query, or `None` while Prometheus does not answer.
    async fn query(&self, query: &str) -> Option<Value> {
        let query: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
        let answer =
            self.api.call(Method::GET, &format!("/api/v1/query?query={query}"), "", "").await.ok()?;
        Some(answer.json())
    }
}

const WITHIN: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(100);

#[tokio::test]
#[ignore = "needs promtool and prometheus: scripts/test runs it"]
async fn prometheus_scrapes_the_output_and_answers_every_dashboard_query() {
    let setup = DaemonSetup::new(crate::support::memory_dir(), "");
    let mut running = setup.spawn(&[]);
    let api = setup.ready(&mut running).await;
    let clock = postrider::model::time::Clock::system();
    let receiver = crate::support::receiver::Receiver::start(clock, always(Reply::Status(200))).await;
    api.subscribe(&json!({"url": receiver.url(), "name": "a name with \"quotes\" and \\"})).await;
    let prometheus = Prometheus::start(setup.address);
    let rate = "sum(rate(postrider_attempts_total{outcome=\"success\"}[30s])) > 0";
    crate::support::eventually("Prometheus has seen deliveries", WITHIN, PAUSE, async || {
        api.accepted(&event("A", "p", 1)).await;
        let answer = prometheus.query(rate).await?;
        (!answer["data"]["result"].as_array()?.is_empty()).then_some(())
    })
    .await;
    promtool(&["check", "metrics"], &text(&api).await);
    let mut answered = 0;
    for query in dashboard_queries().iter().filter(|query| !query.starts_with("label_values")) {
        let query = query.replace("$__rate_interval", "30s").replace("$job", ".*").replace("$instance", ".*");
        let answer = prometheus.query(&query).await.unwrap();
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        // The sums over the other subscriptions have a value too: zero.
        assert!(!answer["data"]["result"].as_array().unwrap().is_empty(), "{query}: {answer}");
        answered += 1;
    }
    assert!(answered > 30, "{answered}");
    let firing = prometheus.query("ALERTS{alertstate=\"firing\"}").await.unwrap();
    assert_eq!(firing["data"]["result"], json!([]));
}
