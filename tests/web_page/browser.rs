//! Pages in a real browser: another site's page gets nothing from a daemon on loopback without keys, and the
//! daemon's own page may do everything.
//!
//! Needs chromium and chromedriver, which `scripts/test` installs: `cargo test --test web_page browser:: --
//! --ignored`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::driver::{Browser, BrowserOptions};
use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Html;
use axum::routing::{any, get};
use fantoccini::Client;
use http::{StatusCode, header};
use postrider::api::serve::{Limits, Listener, serve};
use postrider::app::{Daemon, Options};
use postrider::config::{Config, Listen};
use postrider::model::time::Clock;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support::client::ApiClient;

const CALLS: &str = include_str!("calls.js");
/// A host name that the browser resolves to this machine, as after DNS rebinding.
const REBOUND: &str = "evil.test";

/// A request and the daemon's response to it.
#[derive(Clone, Debug)]
struct Answered {
    method: String,
    path: String,
    site: String,
    status: StatusCode,
}

/// The daemon's responses since the last look.
#[derive(Clone, Default)]
struct Record(Arc<Mutex<Vec<Answered>>>);

impl Record {
    fn take(&self) -> Vec<Answered> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    async fn note(self, request: Request, next: Next) -> axum::response::Response {
        let site = request.headers().get("sec-fetch-site").map(|value| value.to_str().unwrap().to_owned());
        let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
        let response = next.run(request).await;
        let cors = response.headers().keys().find(|name| name.as_str().starts_with("access-control-"));
        assert_eq!(cors, None, "{method} {path}");
        let site = site.unwrap_or_default();
        // The browser requests this icon for every page, and the daemon has none.
        if path != "/favicon.ico" {
            self.0.lock().unwrap().push(Answered { method, path, site, status: response.status() });
        }
        response
    }
}

/// The test's servers. Dropping it ends them.
struct Servers {
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Servers {
    async fn add(&mut self, router: Router) -> SocketAddr {
        let listener = Listener::bind(&Listen::Tcp("127.0.0.1:0".parse().unwrap()), 0o600).await.unwrap();
        let address = listener.address().unwrap();
        self.tasks.spawn(serve(vec![listener], router, None, Limits::default(), self.stop.clone()));
        address
    }
}

/// Returns a site with empty pages and a redirect to the daemon.
fn other_site(daemon: SocketAddr) -> Router {
    let page = async || Html("<!doctype html><title>another site</title><body></body>");
    let to = format!("http://{daemon}/v1/events");
    let redirect = async move || (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to.clone())]);
    // A sandboxed page has no origin, so its `Origin` is "null".
    let sandbox = [(header::CONTENT_SECURITY_POLICY, "sandbox allow-scripts allow-forms")];
    let sandboxed = async move || (sandbox, page().await);
    Router::new().route("/", get(page)).route("/sandboxed", get(sandboxed)).route("/redirect", any(redirect))
}

/// A daemon on loopback without keys, behind a recorder of its responses, and another site.
struct World {
    api: ApiClient,
    record: Record,
    address: SocketAddr,
    other: SocketAddr,
    subscription: String,
    _servers: Servers,
    _daemon: Daemon,
    _data: TempDir,
}

impl World {
    async fn start() -> Self {
        let data = crate::support::memory_dir();
        let text = crate::support::daemon::config(&data.path().join("data"), "");
        let config = Config::parse(&text, "test.toml", []).unwrap();
        let daemon = Daemon::start(config, Options::seeded(Clock::system(), 1)).await.unwrap();
        let record = Record::default();
        let noting = record.clone();
        let router = postrider::api::router(daemon.flow().clone(), Clock::system())
            .layer(from_fn(move |request, next| noting.clone().note(request, next)));
        let mut servers = Servers { stop: CancellationToken::new(), tasks: JoinSet::new() };
        let address = servers.add(router).await;
        let other = servers.add(other_site(address)).await;
        let api = ApiClient::new(address);
        let made = api.subscribe(&json!({"url": "http://127.0.0.1:9/", "name": "mine"})).await;
        let subscription = made["id"].as_str().unwrap().to_owned();
        Self { api, record, address, other, subscription, _servers: servers, _daemon: daemon, _data: data }
    }

    /// Returns everything that a page of another site must not change.
    async fn state(&self) -> [Vec<Value>; 2] {
        let state = [self.api.list("/v1/subscriptions").await, self.api.list("/v1/events").await];
        // These requests did not come from a page.
        self.record.take();
        state
    }
}

/// Runs every attempt of the page in the browser. Returns their results and the daemon's responses.
async fn attempt(world: &World, browser: &Client, base: &str) -> (BTreeMap<String, Value>, Vec<Answered>) {
    world.record.take();
    let told = browser.execute_async(CALLS, vec![json!(base), json!(world.subscription)]).await.unwrap();
    let told: BTreeMap<String, Value> = serde_json::from_value(told).unwrap();
    assert!(told.len() > 60, "{told:#?}");
    (told, world.record.take())
}

/// Asserts that there were requests and that the daemon refused all of them.
fn all_refused(what: &str, answered: &[Answered], paths: &[&str]) {
    for one in answered {
        assert_eq!(one.status, StatusCode::FORBIDDEN, "{what}: {one:?}");
    }
    for path in paths {
        assert!(answered.iter().any(|one| one.path == *path), "{what}: nothing tried {path}: {answered:#?}");
    }
    println!("{what}: {} requests reached the daemon, all refused", answered.len());
}

async fn from_another_site(world: &World, browser: &Client) {
    let before = world.state().await;
    let port = world.other.port();
    // Another site, and another port of the same machine, which a browser treats as the same site.
    for (page, site) in [
        (format!("http://{REBOUND}:{port}/"), "cross-site"),
        (format!("http://127.0.0.1:{port}/"), "same-site"),
        (format!("http://localhost:{port}/"), "cross-site"),
        (format!("http://127.0.0.1:{port}/sandboxed"), "cross-site"),
    ] {
        browser.goto(&page).await.unwrap();
        let (told, answered) = attempt(world, browser, &format!("http://{}", world.address)).await;
        for (name, outcome) in &told {
            let kind = outcome["kind"].as_str().unwrap();
            assert!(["error", "opaque", "load", "beacon"].contains(&kind), "{page} {name}: {outcome}");
            let text = outcome["text"].as_str().unwrap();
            let is_own = kind == "error" || kind == "beacon";
            assert!(is_own || text.is_empty(), "{page} {name} reads {text}");
        }
        for name in ["img", "script", "stylesheet", "event source", "delete", "patch", "fetch /v1/events"] {
            assert_eq!(told[name]["kind"], "error", "{page} {name}");
        }
        all_refused(&page, &answered, &["/v1/events", "/v1/subscriptions", "/healthz", "/openapi.json"]);
        let posts = answered.iter().filter(|one| one.method == "POST").count();
        let preflights = answered.iter().filter(|one| one.method == "OPTIONS").count();
        assert!(posts >= 24 && preflights >= 8, "{page}: {posts} posts, {preflights} preflights");
        assert!(answered.iter().all(|one| one.site == site || one.method == "OPTIONS"), "{answered:#?}");
        assert_eq!(world.state().await, before, "{page}");

        let redirected = "const done = arguments[0]; fetch('/redirect', {method: 'POST', mode: 'no-cors', \
                          body: '{\"type\":\"T\",\"project\":\"p\"}'}).then(a => done(a.type), e => done('error'));";
        let kind = browser.execute_async(redirected, Vec::new()).await.unwrap();
        assert!(kind == "opaque" || kind == "error", "{kind}");
        all_refused("a redirect", &world.record.take(), &["/v1/events"]);
        // Following a link there shows a refusal and nothing else.
        browser
            .execute(
                "location.href = arguments[0]",
                vec![json!(format!("http://{}/v1/subscriptions", world.address))],
            )
            .await
            .unwrap();
        let shown =
            async || browser.source().await.ok().filter(|source| source.contains("urn:postrider:problem"));
        let shown = crate::support::eventually("the link is followed", WITHIN, PAUSE, shown).await;
        assert!(shown.contains("forbidden") && !shown.contains(&world.subscription), "{shown}");
        all_refused("a link", &world.record.take(), &["/v1/subscriptions"]);
        assert_eq!(world.state().await, before, "{page}");
    }
}

const WITHIN: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// Tries a host name of the attacker that points to this machine. For the browser the daemon is then the
/// page's own site.
async fn by_a_rebound_name(world: &World, browser: &Client) {
    let before = world.state().await;
    let base = format!("http://{REBOUND}:{}", world.address.port());
    browser.goto(&format!("{base}/healthz")).await.unwrap();
    let (told, answered) = attempt(world, browser, &base).await;
    all_refused("a rebound name", &answered, &["/v1/events", "/v1/subscriptions", "/healthz"]);
    let mut read = 0;
    for (name, outcome) in &told {
        let text = outcome["text"].as_str().unwrap();
        assert!(!text.contains(&world.subscription) && !text.contains("items"), "{name}: {text}");
        // The page is on its own site, so it can read that it is refused.
        read += usize::from(text.contains("urn:postrider:problem:forbidden"));
    }
    assert!(read > 20, "{told:#?}");
    assert_eq!(world.state().await, before);
}

/// The positive control: the same attempts from the daemon's own site succeed.
async fn from_its_own_site(world: &World, browser: &Client) {
    let base = format!("http://localhost:{}", world.address.port());
    let [_, events] = world.state().await;
    browser.goto(&format!("{base}/healthz")).await.unwrap();
    let (told, answered) = attempt(world, browser, &base).await;
    for path in ["/v1/subscriptions", "/v1/events", "/openapi.json", "/healthz"] {
        let outcome = &told[&format!("fetch {path}")];
        assert_eq!((&outcome["kind"], &outcome["status"]), (&json!("basic"), &json!(200)), "{path}");
        assert!(!outcome["text"].as_str().unwrap().is_empty(), "{path}");
    }
    assert!(told["iframe"]["text"].as_str().unwrap().contains(&world.subscription), "{}", told["iframe"]);
    assert_eq!(told["post json /v1/events"]["status"], 202);
    assert_eq!(told["post json /v1/subscriptions"]["status"], 201);
    // Content types that a form can send are refused here too.
    assert_eq!(told["post text /v1/events"]["status"], 415);
    assert_eq!((&told["patch"]["status"], &told["delete"]["status"]), (&json!(200), &json!(204)));
    let done = answered.iter().filter(|one| one.status.is_success()).count();
    println!("its own site: {} requests reached the daemon, {done} did what they say", answered.len());
    let [subscriptions_now, events_now] = world.state().await;
    assert!(done > 20 && events_now.len() > events.len());
    assert!(
        subscriptions_now.iter().all(|one| one["name"] == "from a page") && !subscriptions_now.is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium and chromedriver"]
async fn pages_of_other_sites_cannot_call_the_api_and_its_own_page_can() {
    let world = World::start().await;
    let manner = BrowserOptions { language: "en-GB", rebound: Some(REBOUND), ..BrowserOptions::default() };
    let browser = Browser::start_as(&format!("http://{}", world.address), &manner).await;
    from_another_site(&world, browser.driver()).await;
    by_a_rebound_name(&world, browser.driver()).await;
    from_its_own_site(&world, browser.driver()).await;
}
