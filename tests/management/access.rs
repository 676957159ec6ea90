//! Access control: every route of the OpenAPI document, for every role, without a key and with wrong keys.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Method, Request};
use postrider::api::caller::Peer;
use postrider::api::problem::PROBLEM_JSON;
use postrider::app::{Daemon, Options};
use postrider::config::Config;
use postrider::model::time::Clock;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use tower::ServiceExt as _;

const ADMIN: &str = "key-of-admin";

/// The callers as values of `Authorization`, each with its role, if it has one.
const CALLERS: [(&str, Option<&str>); 11] = [
    ("", None),
    ("Bearer nobody", None),
    ("Bearer key-of-", None),
    ("Bearer key-of-admin2", None),
    ("Bearer KEY-OF-ADMIN", None),
    // The digest from the config file is not a key.
    ("Bearer 57fcf72d7b3693f562ccebb3dc0e5164ee1d84381b0842c060e6959e0f772cbf", None),
    ("Basic key-of-admin", None),
    ("key-of-admin", None),
    ("Bearer key-of-ingest", Some("ingest")),
    ("Bearer key-of-read", Some("read")),
    ("Bearer key-of-admin", Some("admin")),
];

const METHODS: [Method; 8] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
    Method::TRACE,
];

/// The rule as a person would state it, independent of the implementation.
fn may(role: Option<&str>, method: &Method, path: &str) -> bool {
    let reads = *method == Method::GET || *method == Method::HEAD;
    match role {
        _ if ["/healthz", "/readyz"].contains(&path) => true,
        Some("admin") => true,
        Some("read") => reads,
        Some("ingest") => *method == Method::POST && ["/v1/events", "/v1/match"].contains(&path),
        _ => false,
    }
}

/// The API of a daemon with a key for each role.
struct Api {
    router: Router,
    calls: AtomicU32,
    _daemon: Daemon,
    _directory: tempfile::TempDir,
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Body,
}

impl Answer {
    async fn json(self) -> Value {
        let bytes = axum::body::to_bytes(self.body, usize::MAX).await.unwrap();
        serde_json::from_slice(&bytes)
            .unwrap_or_else(|error| panic!("{error}: {:?}", String::from_utf8_lossy(&bytes)))
    }
}

impl Api {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut text = format!(
            "server.listen = [\"127.0.0.1:0\"]\nstorage.path = \"{}\"\nstorage.disk_reserve = \"0B\"\n\
             delivery.allow_networks = [\"127.0.0.0/8\"]\n",
            directory.path().display()
        );
        for role in ["ingest", "read", "admin"] {
            let sha256 = hex::encode(digest(&SHA256, format!("key-of-{role}").as_bytes()));
            let named = format!("name = \"{role}\"\nrole = \"{role}\"");
            text.extend(["[[auth.keys]]\n", &named, "\nsha256 = \"", &sha256, "\"\n"]);
        }
        let config = Config::parse(&text, "test", []).unwrap();
        let daemon = Daemon::start(config, Options::seeded(Clock::system(), 1)).await.unwrap();
        let router = postrider::api::router(daemon.flow().clone(), Clock::system());
        Self { router, calls: AtomicU32::new(0), _daemon: daemon, _directory: directory }
    }

    /// Makes one call from a new address, so that earlier failures do not count.
    async fn call(&self, method: &Method, path: &str, authorization: &str, body: &str) -> Answer {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        self.call_from(Ipv4Addr::from(0x0a00_0000 + number), method, path, authorization, body).await
    }

    async fn call_from(
        &self,
        from: Ipv4Addr,
        method: &Method,
        path: &str,
        authorization: &str,
        body: &str,
    ) -> Answer {
        let peer = Peer::Tcp(SocketAddr::new(IpAddr::V4(from), 9));
        let mut request = Request::builder().method(method).uri(path).extension(peer);
        if !authorization.is_empty() {
            request = request.header("authorization", authorization);
        }
        if !body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let (head, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let cors = head.headers.keys().find(|name| name.as_str().starts_with("access-control-"));
        assert_eq!(cors, None, "{method} {path} answers with a CORS header");
        Answer { status: head.status.as_u16(), headers: head.headers, body }
    }

    async fn as_admin(&self, method: &Method, path: &str, body: &str) -> Value {
        let answer = self.call(method, path, &format!("Bearer {ADMIN}"), body).await;
        assert!(answer.status < 300, "{method} {path}: {}", answer.status);
        answer.json().await
    }

    /// Returns the document's paths with the methods of each.
    async fn routes(&self) -> Vec<(String, Vec<Method>)> {
        let document = self.as_admin(&Method::GET, "/openapi.json", "").await;
        let paths = document["paths"].as_object().unwrap();
        let mut routes: Vec<_> = paths
            .iter()
            .map(|(path, item)| {
                let methods = item.as_object().unwrap().keys();
                let methods = methods.map(|name| name.to_ascii_uppercase().parse().unwrap());
                (path.clone(), methods.collect())
            })
            .collect();
        routes.push(("/openapi.json".to_owned(), vec![Method::GET]));
        routes
    }

    /// Returns everything that a call without permission must not change.
    async fn state(&self) -> Value {
        let mut state = json!({});
        for path in ["/v1/subscriptions", "/v1/events", "/v1/deliveries?state=succeeded,exhausted,cancelled"]
        {
            let mut page = self.as_admin(&Method::GET, path, "").await;
            for item in page["items"].as_array_mut().unwrap() {
                // The outcome of the delivery in flight does not depend on the calls.
                for of_deliveries in ["stats", "health"] {
                    item.as_object_mut().unwrap().remove(of_deliveries);
                }
            }
            state[path] = page;
        }
        state
    }
}

/// Returns a path with the ids of existing items filled in, or of missing ones.
fn filled(path: &str, ids: &[(&str, &str)]) -> String {
    let known = ids.iter().find(|(folder, _)| path.starts_with(folder));
    let id = known.map_or("sub_00000000000000000000000000", |(_, id)| id);
    let parts = path.split('/').map(|part| if part.starts_with('{') { id } else { part });
    parts.collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn every_route_enforces_the_callers_role() {
    let api = Api::start().await;
    let subscription =
        api.as_admin(&Method::POST, "/v1/subscriptions", r#"{"url":"http://127.0.0.1:9/"}"#).await;
    let accepted = api.as_admin(&Method::POST, "/v1/events", r#"{"type":"T","project":"p"}"#).await;
    let event = accepted["id"].as_str().unwrap();
    let deliveries = api.as_admin(&Method::GET, &format!("/v1/events/{event}/deliveries"), "").await;
    let delivery = deliveries["items"][0]["id"].as_str().unwrap();
    let there = [
        ("/v1/subscriptions", subscription["id"].as_str().unwrap()),
        ("/v1/events", event),
        ("/v1/deliveries", delivery),
    ];
    let (routes, before) = (api.routes().await, api.state().await);
    let (mut refused, mut allowed) = (0, 0);
    for (path, _) in &routes {
        for method in &METHODS {
            for (authorization, role) in CALLERS {
                let what = format!("{method} {path} as {authorization:?}");
                if may(role, method, path) {
                    continue;
                }
                let answer = api.call(method, &filled(path, &there), authorization, "{}").await;
                let expected = if role.is_some() { 403 } else { 401 };
                assert_eq!(answer.status, expected, "{what}");
                assert_eq!(answer.headers["content-type"], PROBLEM_JSON, "{what}");
                assert_eq!(answer.headers.contains_key("www-authenticate"), role.is_none(), "{what}");
                refused += 1;
            }
        }
    }
    assert_eq!(api.state().await, before, "a call that was refused has changed something");
    // The positive control, on missing items: a permitted caller gets past the guard.
    for (path, methods) in &routes {
        for method in methods {
            for (authorization, role) in CALLERS {
                if may(role, method, path) {
                    let body = if *method == Method::GET { "" } else { "{}" };
                    let answer = api.call(method, &filled(path, &[]), authorization, body).await;
                    let what = format!("{method} {path} as {authorization:?}");
                    assert!(![401, 403, 405, 429].contains(&answer.status), "{what}: {}", answer.status);
                    allowed += 1;
                }
            }
        }
    }
    println!("{} routes, {refused} calls refused, {allowed} allowed", routes.len());
    assert!(routes.len() > 10 && refused > 500 && allowed > 20);
}

#[tokio::test]
async fn cors_preflights_are_refused_on_every_route() {
    let api = Api::start().await;
    for (path, _) in api.routes().await {
        let request = Request::builder()
            .method(Method::OPTIONS)
            .uri(filled(&path, &[]))
            .extension(Peer::Unix)
            .header("origin", "http://evil.example")
            .header("access-control-request-method", "POST")
            .header("authorization", format!("Bearer {ADMIN}"))
            .body(Body::empty())
            .unwrap();
        let answer = api.router.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), 403, "{path}");
        assert_eq!(answer.headers()["content-type"], PROBLEM_JSON, "{path}");
        assert!(answer.headers().keys().all(|name| !name.as_str().starts_with("access-control-")), "{path}");
    }
}

#[tokio::test]
async fn form_content_types_are_refused_on_every_route() {
    let api = Api::start().await;
    for (path, methods) in api.routes().await {
        for method in methods.into_iter().filter(|method| *method != Method::GET) {
            for media_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""] {
                let request = Request::builder()
                    .method(&method)
                    .uri(filled(&path, &[]))
                    .extension(Peer::Unix)
                    .header("authorization", format!("Bearer {ADMIN}"))
                    .header("content-type", media_type)
                    .body(Body::from("{}"))
                    .unwrap();
                let answer = api.router.clone().oneshot(request).await.unwrap();
                assert_eq!(answer.status(), 415, "{method} {path} {media_type}");
                assert_eq!(answer.headers()["content-type"], PROBLEM_JSON, "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn guessing_keys_is_throttled() {
    let api = Api::start().await;
    let (guesser, other) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2));
    let mut statuses = Vec::new();
    for number in 0..30 {
        let guess = format!("Bearer guess-{number}");
        let answer = api.call_from(guesser, &Method::GET, "/v1/events", &guess, "").await;
        let retry_after = answer.headers.get("retry-after").map(|value| value.to_str().unwrap().to_owned());
        let wait = retry_after.map(|text| text.parse::<u64>().unwrap());
        assert_eq!(wait.is_some_and(|secs| (1..=60).contains(&secs)), answer.status == 429, "{wait:?}");
        statuses.push(answer.status);
    }
    assert_eq!(statuses, [[401; 20].as_slice(), &[429; 10]].concat());
    assert_eq!(api.call_from(other, &Method::GET, "/v1/events", "Bearer x", "").await.status, 401);
    // Others behind the same address do not lock out a caller with a valid key.
    let known = api.call_from(guesser, &Method::GET, "/v1/events", &format!("Bearer {ADMIN}"), "").await;
    assert_eq!(known.status, 200);
}
