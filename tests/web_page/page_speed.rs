//! Measures the web page's views with 10,000 subscriptions and 1,000,000 deliveries: response times, sizes,
//! and time to first paint. Prints the figures and fails if a view is slow.
//!
//! `POSTRIDER_EXECUTABLE=target/release/postrider cargo test --test web_page page_speed:: -- --ignored
//! --nocapture`

use std::time::Duration;

use crate::driver::Browser;
use crate::support::client::ApiClient;
use crate::support::process::{DaemonSetup, RunningDaemon};
use crate::support::receiver::{Receiver, Reply, always};
use futures_util::StreamExt as _;
use futures_util::stream;
use http::{HeaderMap, Method};
use postrider::model::time::Clock;
use serde_json::{Value, json};

/// The number of requests per view.
const ASKED: usize = 20;
/// The longest median response time of a view.
const HALF_MAX: Duration = Duration::from_millis(100);
/// The number of page loads in the browser.
const LOADS: usize = 10;
/// The number of subscriptions that want every event. One receiver answers, the others are gone, so that
/// their deliveries are held.
const HOT: usize = 20;
const BATCH: usize = 500;
const AT_ONCE: usize = 16;

/// Starts a daemon as users run it: on the disk, with the default cache.
async fn daemon() -> (DaemonSetup, RunningDaemon, ApiClient) {
    let setup = DaemonSetup::new(tempfile::TempDir::new().unwrap(), "[log]\nlevel = \"error\"\n");
    let path = setup.dir.path().join("config.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, config.replace("cache = \"16MiB\"\n", "")).unwrap();
    let mut running = setup.spawn(&[]);
    let api = setup.ready(&mut running).await;
    (setup, running, api)
}

/// Creates `count` subscriptions, of which the first [`HOT`] want every event. Returns the ids of these, the
/// answering one first.
async fn subscribe(api: &ApiClient, receiver: &Receiver, count: usize) -> Vec<String> {
    let mut hot = Vec::new();
    for n in 0..HOT.min(count) {
        let url = if n == 0 { receiver.url() } else { "http://127.0.0.1:1/refused".to_owned() };
        let members = json!({"name": format!("hot-{n}"), "url": url, "retry_schedule": [],
            "projects": ["load/*"], "max_in_flight": 64});
        hot.push(api.subscribe(&members).await["id"].as_str().unwrap().to_owned());
    }
    let others = stream::iter(HOT..count).for_each_concurrent(AT_ONCE, async |n| {
        let members = json!({"name": format!("customer-{n}"), "url": "http://127.0.0.1:1/hooks",
            "events": [format!("TYPE_{}", n % 40), "TAG_*"],
            "projects": [format!("company-{}/*", n % 300), format!("project-{}", n % 900)]});
        api.subscribe(&members).await;
    });
    others.await;
    hot
}

/// Submits events until the hot subscriptions have this many deliveries.
async fn fill(api: &ApiClient, deliveries: usize) {
    let batches = stream::iter(0..deliveries / HOT / BATCH);
    let filled = batches.for_each_concurrent(AT_ONCE / 4, async |batch| {
        let events: Vec<Value> = (batch * BATCH..(batch + 1) * BATCH)
            .map(|n| {
                json!({"type": format!("TYPE_{}", n % 40), "company": "load",
                    "project": format!("p{}", n % 200), "data": {"n": n, "title": "an event of some size"}})
            })
            .collect();
        let (events, pause) = (json!(events), Duration::from_millis(50));
        crate::support::eventually("the events are taken", Duration::from_mins(2), pause, async || {
            api.submit(&events).await.unwrap().status.is_success().then_some(())
        })
        .await;
    });
    filled.await;
}

/// Returns the median and the longest response time, and the compressed size of a response.
async fn measure(api: &ApiClient, path: &str) -> (Duration, Duration, usize) {
    let mut lengths = Vec::with_capacity(ASKED);
    let mut bytes = 0;
    for _ in 0..ASKED {
        let mut headers = HeaderMap::new();
        headers.insert("accept-encoding", "br".parse().unwrap());
        let began = tokio::time::Instant::now();
        let answer = api.send(Method::GET, path, headers, "").await.unwrap();
        lengths.push(began.elapsed());
        assert!(answer.status.is_success(), "{path}: {}", answer.status);
        bytes = answer.body.len();
    }
    lengths.sort_unstable();
    (lengths[ASKED / 2], lengths[ASKED - 1], bytes)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures: run it by hand with the executable of a release"]
async fn views_stay_fast_with_many_subscriptions_and_deliveries() {
    let subscriptions = crate::support::variable("SUBSCRIPTIONS", 10_000);
    let deliveries = crate::support::variable("DELIVERIES", 1_000_000);
    let (_setup, running, api) = daemon().await;
    let receiver = Receiver::start(Clock::system(), always(Reply::Status(200))).await;
    let began = tokio::time::Instant::now();
    let hot = subscribe(&api, &receiver, subscriptions).await;
    fill(&api, deliveries).await;
    let pause = Duration::from_millis(500);
    crate::support::eventually("the good one has all", Duration::from_mins(5), pause, async || {
        (receiver.count() >= deliveries / HOT / BATCH * BATCH).then_some(())
    })
    .await;
    println!("{subscriptions} subscriptions, {deliveries} deliveries, filled in {:?}", began.elapsed());
    println!("{} MiB resident", running.memory_kib() / 1024);
    let event = api.get("/v1/events?limit=1").await["items"][0]["id"].as_str().unwrap().to_owned();
    let delivery = api.get("/v1/deliveries?state=held&limit=1").await["items"][0]["id"].take();
    let views = [
        "/".to_owned(),
        "/subscriptions".to_owned(),
        "/subscriptions?q=customer-9876".to_owned(),
        "/subscriptions?q=nobody".to_owned(),
        "/subscriptions?health=disabled".to_owned(),
        "/subscriptions/new".to_owned(),
        format!("/subscriptions/{}", hot[0]),
        format!("/subscriptions/{}", hot[1]),
        format!("/subscriptions/{}/edit", hot[1]),
        format!("/subscriptions/{}/delete", hot[1]),
        "/deliveries".to_owned(),
        "/deliveries?state=held".to_owned(),
        "/deliveries?state=pending".to_owned(),
        "/deliveries?state=exhausted".to_owned(),
        "/deliveries?state=succeeded&subscription=hot-0".to_owned(),
        "/deliveries?type=TYPE_7&project=p7".to_owned(),
        "/deliveries?type=NONE".to_owned(),
        "/deliveries?type=TYPE_7&state=held&subscription=hot-1".to_owned(),
        "/deliveries?state=exhausted&type=NONE".to_owned(),
        "/deliveries?subscription=customer-77".to_owned(),
        "/deliveries?state=succeeded&until=2020-01-01T00:00".to_owned(),
        format!("/deliveries/{}", delivery.as_str().unwrap()),
        "/events".to_owned(),
        "/events?type=TYPE_7&project=p7".to_owned(),
        "/events?type=NONE".to_owned(),
        format!("/events/{event}"),
        "/events/again?type=TYPE_7&to=hot-0".to_owned(),
        format!("/subscriptions/{}/replay", hot[0]),
        format!("/subscriptions/{}/replay?since=2020-01-01T00:00&count=1", hot[0]),
        "/live".to_owned(),
        "/replays".to_owned(),
    ];
    let mut slow = Vec::new();
    for path in views {
        let (half, longest, bytes) = measure(&api, &path).await;
        let shown = path.replace(&event, "…").replace(delivery.as_str().unwrap(), "…");
        let shown = hot.iter().fold(shown, |shown, id| shown.replace(id, "…"));
        println!("{:>7.1} ms {:>7.1} ms {bytes:>7} B  {shown}", ms(half), ms(longest));
        // Counts are optional and may look at the whole log.
        if half > HALF_MAX && !path.contains("count=1") {
            slow.push(shown);
        }
    }
    let half = typing(&api).await;
    println!("{:>7.1} ms, an answer of the editor while one types, with a filter", ms(half));
    assert!(half < HALF_MAX, "{half:?}");
    println!("{} MiB resident", running.memory_kib() / 1024);
    assert!(slow.is_empty(), "{slow:?}");
}

/// Returns the median response time of the editor with a filter that runs on the newest events.
async fn typing(api: &ApiClient) -> Duration {
    let page = api.call(Method::GET, "/subscriptions/new", "", "").await.unwrap();
    let page = String::from_utf8_lossy(&page.body).into_owned();
    let (_, rest) = page.split_once("name=\"token\" value=\"").unwrap();
    let token = rest.split('"').next().unwrap();
    let form = format!("token={token}&url=http%3A%2F%2F127.0.0.1%2F&filter=event.data.n+%3E+7");
    let mut lengths = Vec::with_capacity(ASKED);
    for _ in 0..ASKED {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", "application/x-www-form-urlencoded".parse().unwrap());
        let began = tokio::time::Instant::now();
        let answer = api.send(Method::POST, "/subscriptions/draft", headers, form.clone()).await.unwrap();
        lengths.push(began.elapsed());
        assert!(answer.status.is_success(), "{}", answer.status);
        assert!(
            String::from_utf8_lossy(&answer.body).contains("of the 100 most recent events match"),
            "no preview"
        );
    }
    lengths.sort_unstable();
    lengths[ASKED / 2]
}

fn ms(length: Duration) -> f64 {
    length.as_secs_f64() * 1000.0
}

const PAINT: &str = r#"
const done = arguments[0];
const found = () => {
  const paint = performance.getEntriesByName("first-contentful-paint")[0];
  if (!paint) return void requestAnimationFrame(found);
  const loaded = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
  done({paint: paint.startTime, bytes: loaded.reduce((sum, one) => sum + one.encodedBodySize, 0), files: loaded.length});
};
found();
"#;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures: run it by hand with the executable of a release"]
async fn the_first_load_paints_within_its_limit() {
    let (setup, _running, api) = daemon().await;
    let receiver = Receiver::start(Clock::system(), always(Reply::Status(200))).await;
    subscribe(&api, &receiver, HOT).await;
    fill(&api, HOT * BATCH).await;
    let browser = Browser::start(&format!("http://{}", setup.address)).await;
    for path in ["/", "/subscriptions", "/deliveries"] {
        let (mut paints, mut first) = (Vec::new(), Value::Null);
        for _ in 0..LOADS {
            browser.devtools("Network.clearBrowserCache", json!({})).await;
            browser.open(path).await;
            let one = browser.driver().execute_async(PAINT, Vec::new()).await.unwrap();
            paints.push(one["paint"].as_f64().unwrap());
            first = one;
        }
        paints.sort_by(f64::total_cmp);
        let (least, half, most) =
            (paints[0], f64::midpoint(paints[LOADS / 2 - 1], paints[LOADS / 2]), paints[LOADS - 1]);
        println!(
            "{path}: first paint after {half:.0} ms ({least:.0} to {most:.0}), {} bytes in {} files",
            first["bytes"], first["files"]
        );
    }
}
