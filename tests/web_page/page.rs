//! The web page in a real browser, against the real executable, with receivers that get the webhooks.
//!
//! Needs chromium and chromedriver, which `scripts/test` installs: `cargo test --test web_page page:: --
//! --ignored`.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use crate::driver::{Browser, BrowserOptions};
use crate::support::client::{ApiClient, event};
use crate::support::process::{DaemonSetup, RunningDaemon};
use crate::support::receiver::{ReceivedRequest, Receiver, Reply, always};
use fantoccini::key::Key;
use http::Method;
use postrider::model::time::Clock;
use serde_json::{Value, json};

const ARRIVES_WITHIN: Duration = Duration::from_secs(20);

const CATALOG: &str = r#"
[[event_types]]
name = "TODO_CREATED"
group = "Records"
description = "A record was created."
[[event_types]]
name = "TODO_DELETED"
group = "Records"
[[event_types]]
name = "TODO_MOVED"
group = "Records"
[[event_types]]
name = "TAG_CREATED"
group = "Tags"
[[projects]]
company = "acme"
id = "website"
name = "Website relaunch"
[[projects]]
company = "globex"
id = "shop"
"#;

/// A daemon, a client of its API, and the address of its page.
struct Served {
    api: ApiClient,
    base: String,
    _setup: DaemonSetup,
    _running: RunningDaemon,
}

impl Served {
    async fn start(settings: &str) -> Self {
        let setup = DaemonSetup::new(crate::support::memory_dir(), &format!("{settings}{CATALOG}"));
        let mut running = setup.spawn(&[]);
        let api = setup.ready(&mut running).await;
        Self { api, base: format!("http://{}", setup.address), _setup: setup, _running: running }
    }
}

async fn receiver(reply: Reply) -> Receiver {
    Receiver::start(Clock::system(), always(reply)).await
}

async fn got(receiver: &Receiver, count: usize) -> Vec<ReceivedRequest> {
    let what = format!("{count} requests have come");
    let pause = Duration::from_millis(20);
    crate::support::eventually(&what, ARRIVES_WITHIN, pause, async || {
        let seen = receiver.seen();
        (seen.len() >= count).then_some(seen)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser; scripts/test runs it"]
async fn a_first_visitor_creates_a_webhook_by_clicking_only() {
    let served = Served::start("").await;
    let receiver = receiver(Reply::Status(200)).await;
    let browser = Browser::start(&served.base).await;
    browser.open("/").await;
    browser.until_shows("No events yet").await;
    assert!(browser.text().await.contains(&format!("curl {}/v1/events", served.base)));
    browser.click_text("New subscription").await;
    browser.fill("#url", "ftp://nowhere").await;
    browser.until_shows("expected http or https").await;
    browser.find("#url").await.clear().await.unwrap();
    browser.fill("#url", &receiver.url()).await;
    browser.click("[name=events_mode][value=only]").await;
    browser.click("[name=events][value=TODO_CREATED]").await;
    browser.click("[name=projects_mode][value=only]").await;
    browser.click("[name=projects][value='acme/*']").await;
    browser.until_shows("TODO_CREATED, in all projects of acme.").await;
    browser.click_text("Create subscription").await;
    let secret = browser.find("#secret").await.text().await.unwrap();
    assert!(secret.starts_with("whsec_"), "{secret}");
    let path = browser.path().await;

    let created = served.api.list("/v1/subscriptions").await;
    assert_eq!(created[0]["events"], json!(["TODO_CREATED"]));
    assert_eq!(created[0]["projects"], json!(["acme/*"]));
    assert_eq!(created[0]["name"], "127.0.0.1");
    for event_type in ["TODO_CREATED", "TODO_MOVED"] {
        served.api.accepted(&event(event_type, "acme/website", 1)).await;
    }
    let seen = got(&receiver, 1).await;
    assert_eq!(seen[0].json()["type"], "TODO_CREATED");
    assert!(seen[0].is_signed_with(&secret));
    browser.until_shows("Delivered").await;

    browser.open(&path).await;
    browser.until_shows("Recent deliveries").await;
    assert!(!browser.text().await.contains("whsec_"), "the secret shows a second time");
    browser.click_text("Send test event").await;
    browser.until_shows("Test event sent.").await;
    assert_eq!(got(&receiver, 2).await[1].json()["type"], "webhook.test");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser; scripts/test runs it"]
async fn the_preview_matches_the_events_that_are_then_delivered() {
    let served = Served::start("").await;
    let receiver = receiver(Reply::Status(200)).await;
    let mut events = Vec::new();
    for (n, event_type) in ["TODO_CREATED", "TODO_DELETED", "TODO_MOVED", "TAG_CREATED"].iter().enumerate() {
        for project in ["acme/website", "acme/secret", "globex/shop"] {
            events.push(event(event_type, project, n as u64));
        }
    }
    for event in &events {
        served.api.accepted(event).await;
    }
    let browser = Browser::start(&served.base).await;
    browser.open("/subscriptions/new").await;
    browser.fill("#url", &receiver.url()).await;
    for (list, terms) in [("events", "TODO_* !TODO_DELETED"), ("projects", "acme/* globex/shop !acme/secret")]
    {
        browser.click(&format!("[name={list}_mode][value=terms]")).await;
        browser.find(&format!("#{list}_terms")).await.clear().await.unwrap();
        browser.fill(&format!("#{list}_terms"), terms).await;
    }
    browser.click("summary").await;
    browser.fill("#filter", "event.data.n >").await;
    browser.until_shows("line 1, column").await;
    browser.fill("#filter", " 0").await;
    browser.until_shows("2 of the 12 most recent events match.").await;
    let reasons: BTreeSet<String> =
        browser.texts(".preview-list .mismatch .secondary").await.into_iter().collect();
    let expected = ["event type not selected", "project not selected", "the filter is false"];
    assert_eq!(reasons, expected.map(str::to_owned).into());
    let matching: BTreeSet<String> = browser.texts(".preview-list .match").await.into_iter().collect();
    browser.click_text("Create subscription").await;
    browser.find("#secret").await;

    for event in &events {
        served.api.accepted(event).await;
    }
    let last = json!({"type": "TODO_MOVED", "project": "shop", "company": "globex", "data": {"n": 99}});
    served.api.accepted(&last).await;
    let seen = got(&receiver, 3).await;
    let arrived: BTreeSet<String> = seen
        .iter()
        .map(ReceivedRequest::json)
        .filter(|body| body["data"]["n"] != 99)
        .map(|body| format!("{} {}/{}", text(&body["type"]), text(&body["company"]), text(&body["project"])))
        .collect();
    let shown: BTreeSet<String> =
        matching.iter().map(|line| line.split(',').next().unwrap().to_owned()).collect();
    assert_eq!(arrived, shown);
    assert_eq!(seen.len(), 3);
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser; scripts/test runs it"]
async fn a_repaired_receiver_gets_its_held_deliveries() {
    let served = Served::start("").await;
    let receiver = receiver(Reply::Status(503)).await;
    // One request at a time, so that the first failure leaves the other three unsent.
    let members = json!({"name": "crm", "url": receiver.url(), "retry_schedule": [], "max_in_flight": 1});
    let subscription = served.api.subscribe(&members).await;
    let path = format!("/subscriptions/{}", text(&subscription["id"]));
    let browser = Browser::start(&served.base).await;
    browser.open(&path).await;
    browser.until_shows("Healthy").await;
    for n in 0..4 {
        served.api.accepted(&event("TODO_CREATED", "acme/website", n)).await;
    }
    // The page updates itself without a reload.
    browser.until_shows("after all attempts of a delivery failed: 503 from 127.0.0.1.").await;
    browser.until_shows("deliveries are held. Nothing is lost.").await;
    browser.click_text("Enable").await;
    browser.until_shows("The health check failed. The subscription stays disabled.").await;
    browser.until_shows("The receiver answered 503").await;

    let before = receiver.count();
    receiver.answer(always(Reply::Status(204)));
    browser.click_text("Enable").await;
    browser.until_shows("The health check passed").await;
    let held: BTreeSet<String> = served
        .api
        .list("/v1/deliveries?state=held")
        .await
        .iter()
        .map(|delivery| text(&delivery["id"]).to_owned())
        .collect();
    assert!(held.len() <= 3);
    let seen = got(&receiver, before + 4).await;
    let bodies: Vec<Value> = seen[before..].iter().map(ReceivedRequest::json).collect();
    assert_eq!(bodies[0]["type"], "webhook.health_check");
    assert_eq!(bodies.len(), 4, "the check and what was held: {bodies:?}");

    browser.open("/deliveries?state=exhausted").await;
    browser.click("td a.state.exhausted").await;
    browser.until_shows("Attempt 1: 503").await;
    browser.click_text("Retry").await;
    browser.until_shows("Retry requested.").await;
    got(&receiver, before + 5).await;
    browser.until_shows("Attempt 2: 204").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser; scripts/test runs it"]
async fn the_page_uses_the_browsers_language_until_another_is_chosen() {
    let served = Served::start("").await;
    let swedish = BrowserOptions { language: "sv-SE", ..BrowserOptions::default() };
    let browser = Browser::start_as(&served.base, &swedish).await;
    browser.open("/subscriptions").await;
    browser.until_shows("Inga prenumerationer än").await;
    assert_eq!(browser.find("html").await.attr("lang").await.unwrap().as_deref(), Some("sv"));
    browser.click_text("English").await;
    browser.until_shows("No subscriptions yet").await;
    assert_eq!(browser.path().await, "/en/subscriptions");
    browser.click_text("Deliveries").await;
    browser.until_shows("No deliveries yet").await;
    assert_eq!(browser.path().await, "/en/deliveries");
    assert!(browser.driver().get_all_cookies().await.unwrap().is_empty(), "a cookie without a login");
}

/// Presses Tab until the element that matches the selector has the focus.
async fn tab_to(browser: &Browser, css: &str) {
    const TABS_MAX: usize = 80;
    let keys = Key::Tab.to_string();
    for _ in 0..TABS_MAX {
        let active = browser.driver().active_element().await.unwrap();
        active.send_keys(&keys).await.unwrap();
        let script = "return document.activeElement.matches(arguments[0])";
        if browser.driver().execute(script, vec![json!(css)]).await.unwrap() == json!(true) {
            return;
        }
    }
    panic!("{TABS_MAX} tabs do not reach {css}");
}

async fn press(browser: &Browser, keys: &str) {
    browser.driver().active_element().await.unwrap().send_keys(keys).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser; scripts/test runs it"]
async fn every_action_works_by_keyboard() {
    let served = Served::start("").await;
    let receiver = receiver(Reply::Status(200)).await;
    let browser = Browser::start(&served.base).await;
    browser.open("/subscriptions").await;
    tab_to(&browser, "a.primary").await;
    press(&browser, &Key::Enter.to_string()).await;
    browser.find("#editor").await;
    tab_to(&browser, "#url").await;
    press(&browser, &receiver.url()).await;
    tab_to(&browser, "[name=events_mode]:checked").await;
    press(&browser, &Key::Down.to_string()).await;
    tab_to(&browser, "[name=events][value=TAG_CREATED]").await;
    press(&browser, " ").await;
    browser.until_shows("TAG_CREATED, in all projects.").await;
    tab_to(&browser, "aside button.primary").await;
    press(&browser, &Key::Enter.to_string()).await;
    browser.find("#secret").await;
    served.api.accepted(&event("TAG_CREATED", "acme/website", 1)).await;
    assert_eq!(got(&receiver, 1).await[0].json()["type"], "TAG_CREATED");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser; scripts/test runs it"]
async fn everything_works_without_script() {
    let served = Served::start("").await;
    let receiver = receiver(Reply::Status(200)).await;
    let plain = BrowserOptions { language: "en", has_no_script: true, ..BrowserOptions::default() };
    let browser = Browser::start_as(&served.base, &plain).await;
    browser.open("/subscriptions/new").await;
    browser.fill("#url", &receiver.url()).await;
    browser.click("[name=events_mode][value=only]").await;
    browser.click("[name=act][value='all:Records']").await;
    browser.until_shows("All 3 Records events, in all projects.").await;
    assert_eq!(browser.path().await, "/subscriptions/draft");
    browser.click_text("Create subscription").await;
    browser.find("#secret").await;
    served.api.accepted(&event("TODO_MOVED", "acme/website", 1)).await;
    got(&receiver, 1).await;
    browser.click_text("Disable").await;
    browser.until_shows("Disabled manually").await;
    browser.click_text("Delete").await;
    browser.until_shows("You cannot undo this.").await;
    browser.click_text("Delete subscription").await;
    browser.until_shows("No subscriptions yet").await;
    assert!(served.api.list("/v1/subscriptions").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser; scripts/test runs it"]
async fn past_events_are_delivered_again() {
    let served = Served::start("").await;
    let receiver = receiver(Reply::Status(200)).await;
    for n in 0..3 {
        served.api.accepted(&event("TODO_CREATED", "acme/website", n)).await;
    }
    served.api.accepted(&event("TAG_CREATED", "acme/website", 3)).await;
    let members = json!({"name": "crm", "url": receiver.url(), "events": ["TODO_*"]});
    let subscription = served.api.subscribe(&members).await;
    let browser = Browser::start(&served.base).await;
    browser.open(&format!("/subscriptions/{}", text(&subscription["id"]))).await;
    // Uses the keyboard alone.
    tab_to(&browser, "a[href$='/replay']").await;
    press(&browser, &Key::Enter.to_string()).await;
    browser.until_shows("Count the events first: nothing is sent until you confirm.").await;
    tab_to(&browser, "button[name=count]").await;
    press(&browser, &Key::Enter.to_string()).await;
    browser.until_shows("3 events will be replayed.").await;
    assert_eq!(receiver.count(), 0, "the count has sent something");
    tab_to(&browser, "#counted button.primary").await;
    press(&browser, &Key::Enter.to_string()).await;
    browser.until_shows("Replay started.").await;
    let bodies: Vec<Value> = got(&receiver, 3).await.iter().map(ReceivedRequest::json).collect();
    assert!(bodies.iter().all(|body| body["type"] == "TODO_CREATED"), "{bodies:?}");
    browser.until_shows("3 deliveries created.").await;
    browser.until_shows("Completed").await;

    browser.open("/events?type=TAG_CREATED").await;
    browser.click("input[name=event]").await;
    browser.click_text("Redeliver selected").await;
    browser.fill("#to", "crm").await;
    browser.click_text("Preview").await;
    browser.until_shows("1 event will be delivered to crm.").await;
    browser.until_shows("1 event does not match this subscription.").await;
    assert_eq!(receiver.count(), 3);
    browser.click_text("Redeliver events").await;
    browser.until_shows("1 delivery created.").await;
    assert_eq!(got(&receiver, 4).await[3].json()["type"], "TAG_CREATED");
    browser.open("/sv/replays").await;
    browser.until_shows("Omleveranser").await;
    browser.until_shows("Klar").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser; scripts/test runs it"]
async fn a_replay_shows_its_progress_and_can_be_cancelled_without_script() {
    let served = Served::start("[api]\nreplay_backlog_max = 2\n").await;
    let receiver = receiver(Reply::Status(200)).await;
    for n in 0..9 {
        served.api.accepted(&event("TODO_CREATED", "acme/website", n)).await;
    }
    // The subscription is disabled and holds its deliveries, so the replay waits for its backlog.
    let members = json!({"name": "crm", "url": receiver.url(), "enabled": false});
    let subscription = served.api.subscribe(&members).await;
    let plain = BrowserOptions { language: "en", has_no_script: true, ..BrowserOptions::default() };
    let browser = Browser::start_as(&served.base, &plain).await;
    browser.open(&format!("/subscriptions/{}", text(&subscription["id"]))).await;
    browser.click_text("Replay events").await;
    browser.until_shows("This subscription is disabled").await;
    browser.click_text("the last hour").await;
    browser.until_shows("9 events will be replayed.").await;
    browser.click_text("Start replay").await;
    browser.until_shows("Replay started.").await;
    let path = browser.path().await;
    let pause = Duration::from_millis(100);
    crate::support::eventually("it waits for room", ARRIVES_WITHIN, pause, async || {
        browser.open(path.split('?').next().unwrap()).await;
        browser.text().await.contains("2 deliveries created.").then_some(())
    })
    .await;
    browser.click_text("Stop replay").await;
    browser.until_shows("Replay stopped.").await;
    assert_eq!(served.api.list("/v1/replays").await[0]["state"], "cancelled");
    browser.open(&format!("/subscriptions/{}", text(&subscription["id"]))).await;
    browser.click_text("Enable").await;
    got(&receiver, 2).await;
}

/// Returns a key for tests and its digest.
fn key(name: &str) -> (String, String) {
    let key = format!("{name}-key-for-tests-only");
    let digest = ring::digest::digest(&ring::digest::SHA256, key.as_bytes());
    (key, hex::encode(digest))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser; scripts/test runs it"]
async fn login_grants_the_role_of_the_key() {
    let (admin, admin_digest) = key("admin");
    let (read, read_digest) = key("read");
    let keys =
        [("boss", "admin", &admin_digest), ("looker", "read", &read_digest)].map(|(name, role, sha256)| {
            format!("[[auth.keys]]\nname = \"{name}\"\nrole = \"{role}\"\nsha256 = \"{sha256}\"\n")
        });
    let setup = DaemonSetup::new(crate::support::memory_dir(), &format!("{}{CATALOG}", keys.concat()));
    let mut running = setup.spawn(&[]);
    setup.ready(&mut running).await;
    let browser = Browser::start(&format!("http://{}", setup.address)).await;
    browser.open("/subscriptions").await;
    browser.until_shows("Log in with an API key.").await;
    browser.fill("#key", "guess").await;
    browser.click_text("Log in").await;
    browser.until_shows("Unknown key.").await;
    browser.fill("#key", &read).await;
    browser.click_text("Log in").await;
    browser.until_shows("Log out looker").await;
    let cookies = browser.driver().get_all_cookies().await.unwrap();
    assert_eq!(cookies.len(), 1);
    assert_eq!(cookies[0].http_only(), Some(true));
    assert_eq!(cookies[0].same_site().map(|policy| policy.to_string()).as_deref(), Some("Strict"));
    assert!(!cookies[0].value().contains(&read));
    browser.open("/subscriptions").await;
    assert!(!browser.text().await.contains("New subscription"), "a reader is offered a change");
    browser.open("/subscriptions/new").await;
    browser.until_shows("Access denied").await;
    browser.click_text("Log out looker").await;
    browser.until_shows("Log in with an API key.").await;
    browser.fill("#key", &admin).await;
    browser.click_text("Log in").await;
    browser.until_shows("Log out boss").await;
    browser.click_text("New subscription").await;
    browser.find("#editor").await;
    drop(running);
}

/// Returns the path to axe-core, by default where `scripts/test` installs it.
fn axe() -> String {
    let folder = std::env::var("AXE_CORE").unwrap_or_else(|_| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        root.join("target/axe/node_modules/axe-core").display().to_string()
    });
    let path = format!("{folder}/axe.min.js");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}; scripts/test installs it"))
}

const AXE: &str = r#"
const done = arguments[0];
axe.run({resultTypes: ["violations"]}).then((found) => done(found.violations
  .filter((one) => ["serious", "critical"].includes(one.impact))
  .map((one) => `${one.id}: ${one.nodes.map((node) => node.html).slice(0, 3).join(" ")}`)));
"#;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser and axe-core; scripts/test runs it"]
async fn every_view_passes_the_accessibility_checker() {
    let served = Served::start("").await;
    let (good, bad) = (receiver(Reply::Status(200)).await, receiver(Reply::Status(500)).await);
    for (name, receiver) in [("good", &good), ("bad", &bad)] {
        let members = json!({"name": name, "url": receiver.url(), "retry_schedule": []});
        served.api.subscribe(&members).await;
    }
    let accepted = served.api.accepted(&event("TODO_CREATED", "acme/website", 1)).await;
    got(&good, 1).await;
    got(&bad, 1).await;
    let subscriptions = served.api.list("/v1/subscriptions").await;
    let deliveries = served.api.list("/v1/deliveries").await;
    let mut views: Vec<String> = [
        "/",
        "/subscriptions",
        "/subscriptions/new",
        "/deliveries",
        "/events",
        "/deliveries?type=a+b&since=soon",
        "/sv/subscriptions/new",
        "/events/again?type=TODO_CREATED&to=good",
        "/replays",
        "/live",
        "/sv",
        "/no-such-page",
    ]
    .map(str::to_owned)
    .to_vec();
    views.push(format!("/events/{}", text(&accepted["id"])));
    for (part, items) in [("subscriptions", &subscriptions), ("deliveries", &deliveries)] {
        views.extend(items.iter().map(|item| format!("/{part}/{}", text(&item["id"]))));
    }
    views.push(format!("/subscriptions/{}/edit", text(&subscriptions[0]["id"])));
    views.push(format!("/subscriptions/{}/delete", text(&subscriptions[0]["id"])));
    let replay = format!("/v1/subscriptions/{}/replay", text(&subscriptions[0]["id"]));
    let replay = served.api.post(&replay, &json!({})).await.expect(202);
    views.push(format!("/replays/{}", text(&replay["id"])));
    views.push(format!("/subscriptions/{}/replay?count=1", text(&subscriptions[0]["id"])));
    let browser = Browser::start(&served.base).await;
    let axe = axe();
    let mut problems = Vec::new();
    // A desktop, the same at a zoom of 200 %, and a phone.
    for (width, scheme) in [(1440, "light"), (720, "dark"), (390, "light")] {
        browser.screen(width, 900, scheme).await;
        for view in &views {
            browser.open(view).await;
            browser.driver().execute(&axe, Vec::new()).await.unwrap();
            let found = browser.driver().execute_async(AXE, Vec::new()).await.unwrap();
            let found: Vec<String> = serde_json::from_value(found).unwrap();
            problems.extend(found.into_iter().map(|problem| format!("{view} at {width}: {problem}")));
            let wide = "return document.documentElement.scrollWidth - innerWidth";
            let over = browser.driver().execute(wide, Vec::new()).await.unwrap();
            assert!(over.as_i64() <= Some(0), "{view} is {over} wider than the window of {width}");
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser; scripts/test runs it"]
async fn the_live_view_shows_events_as_they_happen() {
    let served = Served::start("").await;
    let receiver = receiver(Reply::Status(200)).await;
    served.api.subscribe(&json!({"name": "crm", "url": receiver.url()})).await;
    let browser = Browser::start(&served.base).await;
    browser.open("/live").await;
    browser.until_shows("online").await;
    served.api.accepted(&event("TODO_CREATED", "acme/website", 1)).await;
    browser.until_shows("acme/website, 1 subscription matches").await;
    browser.until_shows("Attempt 1").await;
    browser.until_shows("Delivered").await;
    let answer = served.api.call(Method::GET, "/healthz", "", "").await.unwrap();
    assert!(answer.status.is_success());
}
