//! The API from outside: requests and responses over a running daemon.

use std::collections::BTreeSet;

use axum::Router;
use axum::body::Body;
use http::{Method, Request, StatusCode};
use postrider::api::caller::Peer;
use postrider::api::problem::PROBLEM_JSON;
use postrider::app::{Daemon, Options};
use postrider::config::Config;
use postrider::model::time::Clock;
use serde_json::{Value, json};
use tower::ServiceExt as _;

/// The API of a daemon on its own directory. Both end with it.
struct Api {
    router: Router,
    _daemon: Daemon,
    _directory: tempfile::TempDir,
}

struct Answer {
    status: u16,
    headers: http::HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// Checks that the response is a problem of this type, and returns the pointers of its errors.
    fn pointers(&self, word: &str) -> Vec<String> {
        let body = self.json();
        assert_eq!(self.headers["content-type"], PROBLEM_JSON, "{body}");
        assert_eq!(body["type"], format!("urn:postrider:problem:{word}"), "{body}");
        assert_eq!(body["status"], self.status, "{body}");
        assert!(body["title"].is_string() && body["detail"].is_string(), "{body}");
        let errors = body["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().map(|error| error["pointer"].as_str().unwrap().to_owned()).collect()
    }
}

impl Api {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let text = format!(
            "server.listen = [\"127.0.0.1:0\"]\nstorage.path = \"{}\"\n\
             storage.disk_reserve = \"0B\"\ndelivery.allow_networks = [\"127.0.0.0/8\"]\n",
            directory.path().display()
        );
        let config = Config::parse(&text, "test", []).unwrap();
        let daemon = Daemon::start(config, Options::seeded(Clock::system(), 1)).await.unwrap();
        let router = postrider::api::router(daemon.flow().clone(), Clock::system());
        Self { router, _daemon: daemon, _directory: directory }
    }

    async fn send(&self, method: Method, path: &str, media_type: Option<&str>, body: &str) -> Answer {
        let mut request = Request::builder().method(method).uri(path).extension(Peer::Unix);
        if let Some(media_type) = media_type {
            request = request.header("content-type", media_type);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Answer { status: parts.status.as_u16(), headers: parts.headers, text }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None, "").await
    }

    async fn post(&self, path: &str, body: &str) -> Answer {
        self.send(Method::POST, path, Some("application/json"), body).await
    }

    async fn create(&self, name: &str) -> String {
        let body = json!({"url": "http://127.0.0.1:9/hooks", "name": name}).to_string();
        let answer = self.post("/v1/subscriptions", &body).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.json()["id"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn an_accepted_event_is_shown_byte_for_byte() {
    let api = Api::start().await;
    api.create("crm").await;
    let data = r#"{"b" : 1.10,  "a":"\u00e5  x","b":2}"#;
    let answer = api.post("/v1/events", &format!(r#"{{"type":"T","project":"p","data":{data}}}"#)).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let accepted = answer.json();
    assert_eq!((&accepted["matched"], &accepted["duplicate"]), (&json!(1), &json!(false)));
    let path = format!("/v1/events/{}", accepted["id"].as_str().unwrap());
    let shown = api.get(&path).await;
    assert!(shown.text.ends_with(&format!("\"data\":{data}}}")), "{}", shown.text);
    let listed = api.get("/v1/events?type=T&limit=1").await.json();
    assert_eq!((&listed["items"][0]["id"], &listed["items"][0]["data"]), (&accepted["id"], &Value::Null));
    let deliveries = api.get(&format!("{path}/deliveries")).await.json();
    assert_eq!(deliveries["items"].as_array().unwrap().len(), 1);
    let delivery =
        api.get(&format!("/v1/deliveries/{}", deliveries["items"][0]["id"].as_str().unwrap())).await;
    assert_eq!(delivery.json()["event"], accepted["id"]);
}

#[tokio::test]
async fn list_results_are_in_submission_order() {
    let api = Api::start().await;
    let array = r#"[{"type":"A","project":"p"},{"type":"B","project":"p"}]"#;
    let lines = "{\"type\":\"A\",\"project\":\"p\"}\n{\"type\":\"B\",\"project\":\"p\"}\n";
    for (media_type, body) in [("application/json", array), ("application/x-ndjson", lines)] {
        let answer = api.send(Method::POST, "/v1/events", Some(media_type), body).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        let results = answer.json()["results"].as_array().unwrap().clone();
        assert_eq!(results.len(), 2);
        for (result, event_type) in results.iter().zip(["A", "B"]) {
            let event = api.get(&format!("/v1/events/{}", result["id"].as_str().unwrap())).await.json();
            assert_eq!(event["type"], event_type);
        }
    }
    assert_eq!(api.post("/v1/events", "[]").await.text, r#"{"results":[]}"#);
}

#[tokio::test]
async fn every_error_response_is_a_problem_document() {
    let api = Api::start().await;
    let large = format!(r#"{{"type":"T","project":"p","data":"{}"}}"#, "x".repeat(1 << 20));
    let many = format!("[{}]", vec![r#"{"type":"T","project":"p"}"#; 1001].join(","));
    let json = Some("application/json");
    let unknown = "sub_00000000000000000000000000";
    let by_id = format!("/v1/subscriptions/{unknown}");
    for (method, path, media_type, body, status, word) in [
        (Method::POST, "/v1/events", json, "{", 400, "malformed"),
        (Method::POST, "/v1/events", json, "{}", 422, "invalid-input"),
        (Method::POST, "/v1/events", Some("text/plain"), "{}", 415, "unsupported-media-type"),
        (Method::POST, "/v1/events", None, "{}", 415, "unsupported-media-type"),
        (Method::POST, "/v1/match", Some("application/x-ndjson"), "{}", 415, "unsupported-media-type"),
        (Method::POST, "/v1/events", json, &large, 413, "too-large"),
        (Method::POST, "/v1/events", json, &many, 413, "too-large"),
        (Method::POST, "/v1/events?x=1", json, "{}", 400, "malformed"),
        (Method::PUT, "/v1/events", json, "{}", 405, "method-not-allowed"),
        (Method::GET, "/v1/nothing", None, "", 404, "not-found"),
        (Method::GET, "/", None, "", 404, "not-found"),
        (Method::GET, "/v1/events/evt_1", None, "", 404, "not-found"),
        (Method::GET, "/v1/events/evt_%ff", None, "", 400, "malformed"),
        (Method::GET, &by_id, None, "", 404, "not-found"),
        (Method::PATCH, &by_id, json, "{}", 404, "not-found"),
        (Method::DELETE, &by_id, None, "", 404, "not-found"),
        (Method::POST, "/v1/subscriptions", json, "[]", 400, "malformed"),
        (Method::POST, "/v1/subscriptions", json, r#"{"ur":1}"#, 422, "invalid-input"),
        (Method::GET, "/v1/deliveries?state=gone", None, "", 400, "malformed"),
        (Method::POST, "/v1/deliveries/dlv_00000000000000000000000000/retry", None, "", 404, "not-found"),
    ] {
        let answer = api.send(method.clone(), path, media_type, body).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
        answer.pointers(word);
    }
    let refused = api.send(Method::PUT, "/v1/events", json, "{}").await;
    assert_eq!(refused.headers["allow"], "POST,GET,HEAD");
    let bad = api.post("/v1/events", r#"[{"type":"T","project":"p"},{"type":"a b","projct":"p"}]"#).await;
    assert_eq!(bad.pointers("invalid-input"), ["/1/projct", "/1/type", "/1/project"]);
    let unknown = api.get("/v1/deliveries?limt=1&subscription=x").await;
    assert_eq!(unknown.pointers("malformed"), ["?limt", "?subscription"]);
}

#[tokio::test]
async fn a_subscription_is_created_read_changed_and_deleted() {
    let api = Api::start().await;
    let body = r#"{"url":"http://127.0.0.1:9/hooks","events":["TODO_*"],"timeout":"3s"}"#;
    let made = api.post("/v1/subscriptions", body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let path = made.headers["location"].to_str().unwrap().to_owned();
    let mut shown = made.json();
    let secret = shown.as_object_mut().unwrap().remove("secret").unwrap();
    assert!(secret.as_str().unwrap().starts_with("whsec_"));
    assert_eq!(api.get(&path).await.json(), shown);
    assert_eq!(
        (&shown["enabled"], &shown["health"], &shown["managed_by"]),
        (&json!(true), &json!("healthy"), &json!("api"))
    );
    for member in
        "id name url events projects filter format headers timeout retry_schedule max_in_flight rate_limit \
                   ordering enabled health disabled_reason managed_by created_at updated_at stats"
            .split_whitespace()
    {
        assert!(shown.get(member).is_some(), "{member}");
    }

    let json = Some("application/json");
    let changed = api.send(Method::PATCH, &path, json, r#"{"timeout":null,"name":"crm"}"#).await.json();
    assert_eq!((&changed["timeout"], &changed["name"]), (&Value::Null, &json!("crm")));
    assert_eq!(changed["events"], json!(["TODO_*"]));
    let bad = api.send(Method::PATCH, &path, json, r#"{"enabled":1,"timeout":"x"}"#).await;
    assert_eq!(bad.pointers("invalid-input"), ["/timeout", "/enabled"]);

    let off = api.send(Method::PATCH, &path, json, r#"{"enabled":false}"#).await.json();
    assert_eq!((&off["enabled"], &off["disabled_reason"]), (&json!(false), &json!("manual")));
    let on = api.send(Method::POST, &format!("{path}/enable"), None, "").await.json();
    assert_eq!((&on["enabled"], &on["health_check"]), (&json!(true), &Value::Null));
    let off = api.send(Method::POST, &format!("{path}/disable"), None, "").await.json();
    assert_eq!(off["health"], "disabled");
    let gone = api.send(Method::DELETE, &path, None, "").await;
    assert_eq!((gone.status, gone.text.as_str()), (StatusCode::NO_CONTENT.as_u16(), ""));
    assert_eq!(api.get(&path).await.status, 404);
}

#[tokio::test]
async fn pages_are_consecutive_without_gaps() {
    let api = Api::start().await;
    let mut made = Vec::new();
    for number in 0..5 {
        made.push(api.create(&format!("s{number}")).await);
        api.post("/v1/events", r#"{"type":"T","project":"p"}"#).await;
    }
    for (path, id, count) in
        [("/v1/subscriptions", "id", 5), ("/v1/events", "id", 5), ("/v1/deliveries", "id", 15)]
    {
        let whole = api.get(path).await.json();
        assert_eq!((whole["items"].as_array().unwrap().len(), &whole["next_cursor"]), (count, &Value::Null));
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = api.get(&format!("{path}?limit=2{cursor}")).await.json();
            let items = page["items"].as_array().unwrap();
            assert!(items.len() <= 2);
            seen.extend(items.iter().map(|item| item[id].clone()));
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        let all: Vec<_> = whole["items"].as_array().unwrap().iter().map(|item| item[id].clone()).collect();
        assert_eq!(seen, all, "{path}");
    }
    let event = r#"{"type":"T","project":"p"}"#;
    let first = api.post("/v1/match?limit=3", event).await.json();
    let next = first["next_cursor"].as_str().unwrap();
    let second = api.post(&format!("/v1/match?limit=3&cursor={next}"), event).await.json();
    let matched: Vec<_> = [first, second]
        .iter()
        .flat_map(|page| page["items"].as_array().unwrap().clone())
        .map(|item| item["subscription"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(matched, made);
    assert_eq!(api.get("/v1/deliveries?state=succeeded,exhausted").await.json()["items"], json!([]));
}

#[tokio::test]
async fn the_openapi_document_lists_exactly_the_routes_of_the_router() {
    let api = Api::start().await;
    let document = api.get("/openapi.json").await.json();
    let documented = document["paths"].as_object().unwrap();
    // The router shows its paths in its debug output, where "/" is the fallback, and their methods in
    // `Allow`.
    let shown = format!("{:?}", api.router);
    let is_route = |text: &&str| text.starts_with('/') && text.len() > 1 && !text.contains('*');
    let paths: BTreeSet<&str> = shown.split('"').filter(is_route).collect();
    assert_eq!(paths, documented.keys().map(String::as_str).collect());
    for (path, operations) in documented {
        let path = path.replace("{id}", "x");
        let refused = api.send(Method::from_bytes(b"BREW").unwrap(), &path, None, "").await;
        assert_eq!(refused.status, 405, "{path}");
        let allowed = refused.headers["allow"].to_str().unwrap().split(',');
        let allowed: BTreeSet<String> =
            allowed.filter(|method| *method != "HEAD").map(str::to_lowercase).collect();
        assert_eq!(allowed, operations.as_object().unwrap().keys().cloned().collect(), "{path}");
    }
}

#[tokio::test]
async fn health_version_and_document_are_served() {
    let api = Api::start().await;
    assert_eq!(api.get("/healthz").await.status, 200);
    assert_eq!(api.get("/readyz").await.status, 200);
    let document = api.get("/openapi.json").await.json();
    assert_eq!(document["openapi"].as_str().map(|version| &version[..3]), Some("3.1"));
}
