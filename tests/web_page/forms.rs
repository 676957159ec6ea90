//! The web page over HTTP: its responses, and the requests that it refuses.

use std::net::SocketAddr;

use crate::support::daemon::TestDaemon;
use crate::support::receiver::{Reply, always};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpStream;

/// The largest compressed size of the first load.
const FIRST_LOAD_BYTES_MAX: usize = 80 * 1024;
const FORM: &str = "application/x-www-form-urlencoded";

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

async fn send(
    daemon: &TestDaemon,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let address: SocketAddr = daemon.api.address;
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    let mut request = Request::builder().method(method).uri(path).header("host", address.to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
    let exchange = async {
        let (head, body) = sender.send_request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: head.status, headers: head.headers, body }
    };
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        answer = exchange => answer,
        ended = &mut connection => panic!("{path}: the connection ended: {ended:?}"),
    }
}

async fn get(daemon: &TestDaemon, path: &str) -> Answer {
    send(daemon, Method::GET, path, &[], "").await
}

/// Returns the token that a page puts into its forms.
fn token(page: &str) -> String {
    let (_, rest) = page.split_once("name=\"token\" value=\"").unwrap();
    rest.split('"').next().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn every_page_has_a_content_security_policy_and_an_etag_and_no_cookie() {
    let daemon = TestDaemon::start().await;
    let (receiver, subscription) = daemon.subscribed(json!({"name": "<crm>"})).await;
    let event = daemon.api.accepted(&crate::support::client::event("A", "acme/p", 1)).await;
    receiver.wait_for(1).await;
    let delivery = daemon.api.list("/v1/deliveries").await[0]["id"].as_str().unwrap().to_owned();
    let id = subscription["id"].as_str().unwrap();
    for path in [
        "/".to_owned(),
        "/sv".to_owned(),
        "/en/subscriptions".to_owned(),
        "/replays".to_owned(),
        format!("/subscriptions/{id}"),
        format!("/subscriptions/{id}/edit"),
        format!("/subscriptions/{id}/delete"),
        "/deliveries?state=succeeded&since=2026-01-01".to_owned(),
        format!("/deliveries/{delivery}"),
        "/events?type=A".to_owned(),
        format!("/events/{}", event["id"].as_str().unwrap()),
        "/live".to_owned(),
    ] {
        let page = get(&daemon, &path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.text());
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
        assert!(!page.headers.contains_key("set-cookie"), "{path}");
        let text = page.text();
        assert!(
            !text.contains("<crm>") && !text.contains("style=\"") && !text.contains("<script>"),
            "{path}"
        );
        let known = [("if-none-match", page.header("etag"))];
        let again = send(&daemon, Method::GET, &path, &known, "").await;
        assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0), "{path}");
    }
    // A form that creates something differs each time and is not cached.
    for path in ["/subscriptions/new".to_owned(), format!("/subscriptions/{id}/replay?count=1")] {
        let (one, other) = (get(&daemon, &path).await, get(&daemon, &path).await);
        assert_eq!((one.status, one.header("cache-control")), (StatusCode::OK, "no-store"), "{path}");
        assert!(one.header("content-security-policy").starts_with("default-src 'none'"), "{path}");
        assert_ne!(field(&one.text(), "once"), field(&other.text(), "once"), "{path}");
    }
}

/// Returns the value of a page's hidden field.
fn field(page: &str, name: &str) -> String {
    let (_, rest) = page.split_once(&format!("name=\"{name}\" value=\"")).unwrap();
    rest.split('"').next().unwrap().to_owned()
}

/// Sends a form twice, as a double click does. Returns the redirect targets.
async fn send_twice(daemon: &TestDaemon, path: &str, form: &str) -> [String; 2] {
    let mut places = Vec::new();
    for _ in 0..2 {
        let answer = send(daemon, Method::POST, path, &[("content-type", FORM)], form).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text());
        places.push(answer.header("location").to_owned());
    }
    places.try_into().unwrap()
}

fn place(location: &str) -> &str {
    location.split(['?', '&']).next().unwrap()
}

#[tokio::test(start_paused = true)]
async fn submitting_a_form_twice_creates_one_subscription() {
    let daemon = TestDaemon::start().await;
    let receiver = daemon.receiver(always(Reply::Status(200))).await;
    let page = get(&daemon, "/subscriptions/new").await.text();
    let (token, once) = (token(&page), field(&page, "once"));
    let form = format!("token={token}&once={once}&url={}&name=crm", receiver.url());
    let [first, second] = send_twice(&daemon, "/subscriptions", &form).await;
    assert_eq!(place(&first), place(&second));
    assert_eq!(daemon.api.list("/v1/subscriptions").await.len(), 1);
    // The browser shows the second response. It has the secret while that is the created one.
    let secret = |page: &str| page.split_once("<code id=\"secret\">").map(|(_, rest)| rest[..40].to_owned());
    let told = secret(&get(&daemon, &second).await.text());
    assert!(told.is_some());
    assert_eq!(told, secret(&get(&daemon, &first).await.text()));

    // Another form with the same key is not a repetition: it comes back with a new key.
    let other = form.replace("name=crm", "name=other");
    let asked = send(&daemon, Method::POST, "/subscriptions", &[("content-type", FORM)], &other).await;
    assert_eq!(asked.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(asked.text().contains("This form was already submitted"), "{}", asked.text());
    let fresh = field(&asked.text(), "once");
    assert_ne!(fresh, once);
    send_twice(&daemon, "/subscriptions", &other.replace(&once, &fresh)).await;
    assert_eq!(daemon.api.list("/v1/subscriptions").await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn saving_the_same_settings_twice_succeeds() {
    let daemon = TestDaemon::start().await;
    let (receiver, subscription) = daemon.subscribed(json!({"name": "crm"})).await;
    let path = format!("/subscriptions/{}/edit", subscription["id"].as_str().unwrap());
    let page = get(&daemon, &path).await.text();
    let (token, version) = (token(&page), field(&page, "version"));
    let form = format!("token={token}&version={version}&url={}&name=mine", receiver.url());
    for location in send_twice(&daemon, &path, &form).await {
        let told = get(&daemon, &location).await.text();
        assert!(told.contains("Changes saved."), "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn submitting_a_replay_twice_creates_one_replay() {
    let daemon = TestDaemon::start().await;
    let events = [daemon.api.accepted(&crate::support::client::event("A", "acme/p", 1)).await];
    let (receiver, subscription) = daemon.subscribed(json!({"name": "crm"})).await;
    let id = subscription["id"].as_str().unwrap();
    let path = format!("/subscriptions/{id}/replay");
    let page = get(&daemon, &format!("{path}?count=1")).await.text();
    assert!(page.contains("1 event will be replayed."), "{page}");
    assert_eq!(receiver.count(), 0, "counting has sent something");
    let form = format!("token={}&once={}", token(&page), field(&page, "once"));
    let [first, second] = send_twice(&daemon, &path, &form).await;
    assert_eq!(place(&first), place(&second));
    receiver.wait_for(1).await;
    assert_eq!(daemon.api.list("/v1/replays").await.len(), 1);
    // While its delivery is unfinished, the event would not be delivered once more.
    let done = async || (daemon.api.unfinished().await == 0).then_some(());
    daemon.until("the replay is over", done).await;

    let event = events[0]["id"].as_str().unwrap();
    let page = get(&daemon, &format!("/events/again?event={event}&to=crm")).await.text();
    assert!(page.contains("1 event will be delivered to crm."), "{page}");
    let form = format!("token={}&once={}&to={id}&event={event}", token(&page), field(&page, "once"));
    for location in send_twice(&daemon, "/events/again", &form).await {
        let told = get(&daemon, &location).await.text();
        assert!(told.contains("1 delivery created."), "{told}");
    }
    receiver.wait_for(2).await;
    assert_eq!(daemon.api.list(&format!("/v1/deliveries?subscription={id}")).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn replay_errors_are_shown_beside_their_fields() {
    let daemon = TestDaemon::start().await;
    let (_, subscription) = daemon.subscribed(json!({"name": "crm"})).await;
    let (_, twin) = daemon.subscribed(json!({"name": "twin"})).await;
    daemon
        .api
        .patch(&format!("/v1/subscriptions/{}", twin["id"].as_str().unwrap()), &json!({"name": "crm"}))
        .await;
    let event = daemon.api.accepted(&crate::support::client::event("B", "acme/p", 1)).await;
    let event = event["id"].as_str().unwrap();
    let id = subscription["id"].as_str().unwrap();
    let replay = format!("/subscriptions/{id}/replay?count=1");
    for (path, expected) in [
        (format!("{replay}&since=soon"), "soon"),
        (format!("{replay}&since=2026-01-02T00:00&until=2026-01-01T00:00"), "is not after since"),
        (format!("/events/again?event={event}&to=nobody"), "there is no subscription"),
        (format!("/events/again?event={event}&to=crm"), "several subscriptions are named"),
        ("/events/again?type=NONE".to_owned(), "No events selected"),
        (format!("/events/again?type=B&to={id}"), "already has an unfinished delivery"),
        ("/deliveries?subscription=nobody".to_owned(), "there is no subscription"),
    ] {
        let page = get(&daemon, &path).await;
        assert!(page.text().contains(expected), "{path}: {}", page.text());
    }
}

#[tokio::test(start_paused = true)]
async fn a_form_from_another_site_changes_nothing() {
    let daemon = TestDaemon::start().await;
    let (_, subscription) = daemon.subscribed(json!({})).await;
    let id = subscription["id"].as_str().unwrap();
    let posts = [
        "/subscriptions".to_owned(),
        "/subscriptions/draft".to_owned(),
        "/deliveries/dlv_00000000000000000000000000/retry".to_owned(),
        "/deliveries/dlv_00000000000000000000000000/cancel".to_owned(),
        "/replays/rpl_00000000000000000000000000/cancel".to_owned(),
        "/events/again".to_owned(),
        "/login".to_owned(),
        "/logout".to_owned(),
    ];
    let acts = ["edit", "delete", "enable", "disable", "test", "rotate-secret", "replay"];
    let posts = posts.into_iter().chain(acts.map(|act| format!("/subscriptions/{id}/{act}")));
    for path in posts {
        for body in ["", "token=", "token=0123456789abcdef"] {
            let refused = send(&daemon, Method::POST, &path, &[("content-type", FORM)], body).await;
            assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path} {body}");
        }
        let token = token(&get(&daemon, "/subscriptions/new").await.text());
        let own = format!("token={token}");
        for (name, value) in [("sec-fetch-site", "cross-site"), ("origin", "http://evil.test")] {
            let headers = [("content-type", FORM), (name, value)];
            let refused = send(&daemon, Method::POST, &path, &headers, &own).await;
            assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path} {name}");
        }
        let refused = send(&daemon, Method::POST, &path, &[("content-type", "text/plain")], &own).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{path}");
    }
    let now = daemon.api.subscription(id).await;
    assert_eq!((&now["enabled"], &now["updated_at"]), (&json!(true), &subscription["updated_at"]));
    // The same form with the token works.
    let token = token(&get(&daemon, "/subscriptions/new").await.text());
    let headers = [("content-type", FORM), ("sec-fetch-site", "same-origin")];
    let path = format!("/subscriptions/{id}/disable");
    let done = send(&daemon, Method::POST, &path, &headers, &format!("token={token}")).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text());
    assert_eq!(daemon.api.subscription(id).await["enabled"], false);
}

#[tokio::test(start_paused = true)]
async fn a_concurrent_edit_is_not_overwritten() {
    let daemon = TestDaemon::start().await;
    let (receiver, subscription) = daemon.subscribed(json!({"name": "crm"})).await;
    let id = subscription["id"].as_str().unwrap();
    let path = format!("/subscriptions/{id}/edit");
    let page = get(&daemon, &path).await.text();
    let version = page.split_once("name=\"version\" value=\"").unwrap().1.split('"').next().unwrap();
    daemon.api.patch(&format!("/v1/subscriptions/{id}"), &json!({"filter": "true"})).await;
    let form = format!("token={}&version={version}&url={}&name=mine", token(&page), receiver.url());
    let answer = send(&daemon, Method::POST, &path, &[("content-type", FORM)], &form).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    let told = get(&daemon, answer.header("location")).await.text();
    assert!(told.contains("The change was not made"), "{told}");
    let now = daemon.api.subscription(id).await;
    assert_eq!((&now["name"], &now["filter"]), (&json!("crm"), &json!("true")));
}

#[tokio::test(start_paused = true)]
async fn an_invalid_form_returns_with_its_input_and_errors() {
    let daemon = TestDaemon::start().await;
    let token = token(&get(&daemon, "/subscriptions/new").await.text());
    let form =
        format!("token={token}&url=http%3A%2F%2F169.254.1.1%2Fx&name=%22%3Ex&filter=1+%2B&events_mode=only");
    let answer = send(&daemon, Method::POST, "/subscriptions", &[("content-type", FORM)], &form).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    let text = answer.text();
    assert!(text.contains("Select at least one, or choose all above."), "{text}");
    assert!(text.contains("value=\"&#34;&#62;x\"") && !text.contains("value=\"\">x"), "{text}");
    let members = json!({"url": "http://169.254.1.1/x", "filter": "1 +"});
    let problem = daemon.api.post("/v1/subscriptions", &members).await.expect(422);
    let form = format!("token={token}&url=http%3A%2F%2F169.254.1.1%2Fx&filter=1+%2B&events_mode=all");
    let text = send(&daemon, Method::POST, "/subscriptions", &[("content-type", FORM)], &form).await.text();
    let text = text.replace("&#39;", "'").replace("&#34;", "\"").replace("&#60;", "<").replace("&#62;", ">");
    for error in problem["errors"].as_array().unwrap() {
        assert!(text.contains(error["detail"].as_str().unwrap()), "{error} is not in {text}");
    }
    let form = format!("{form}&timeout=soon&headers=Host:+x&max_in_flight=none");
    let text =
        send(&daemon, Method::POST, "/sv/subscriptions", &[("content-type", FORM)], &form).await.text();
    for expected in [
        "rad 1, kolumn 4: uttrycket slutar för tidigt",
        "är ingen giltig tidslängd",
        "Host: är reserverat för tjänsten",
        "är inget heltal från 1 till 1024",
    ] {
        assert!(text.contains(expected), "'{expected}' is not in {text}");
    }
    assert!(daemon.api.list("/v1/subscriptions").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_invalid_search_finds_nothing() {
    let daemon = TestDaemon::start().await;
    let (receiver, _) = daemon.subscribed(json!({"name": "crm"})).await;
    daemon.api.accepted(&crate::support::client::event("A", "acme/p", 1)).await;
    receiver.wait_for(1).await;
    for (path, told) in [
        ("/deliveries?", "The search is invalid."),
        ("/events?", "The search is invalid."),
        ("/events/again?to=crm&", "No events selected."),
    ] {
        let (all, none) =
            (get(&daemon, path).await.text(), get(&daemon, &format!("{path}type=a+b")).await.text());
        assert!(all.contains("acme/p") && !all.contains(told), "{path}: {all}");
        assert!(!none.contains("acme/p") && none.contains(told), "{path}: {none}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_load_is_small_and_assets_are_cached() {
    let daemon = TestDaemon::start().await;
    let receiver = daemon.receiver(always(Reply::Status(200))).await;
    for _ in 0..20 {
        daemon.subscribe(&receiver, json!({"name": "a name of some length"})).await;
    }
    let accepts = [("accept-encoding", "br")];
    for path in ["/", "/subscriptions"] {
        let page = send(&daemon, Method::GET, path, &accepts, "").await;
        assert_eq!(page.header("content-encoding"), "br");
        let text = get(&daemon, path).await.text();
        let assets: Vec<&str> = text.split('"').filter(|part| part.starts_with("/assets/")).collect();
        assert_eq!(assets.len(), 3, "{assets:?}");
        let mut weight = page.body.len();
        for asset in assets {
            let answer = send(&daemon, Method::GET, asset, &accepts, "").await;
            assert_eq!(answer.header("content-encoding"), "br", "{asset}");
            assert!(answer.header("cache-control").contains("immutable"), "{asset}");
            weight += answer.body.len();
            let known = [("if-none-match", answer.header("etag"))];
            let again = send(&daemon, Method::GET, asset, &known, "").await;
            assert_eq!(again.status, StatusCode::NOT_MODIFIED, "{asset}");
        }
        println!("the first load of {path} has {weight} bytes");
        assert!(weight < FIRST_LOAD_BYTES_MAX, "{path} has {weight} bytes");
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_page_is_html_and_a_missing_api_route_is_a_problem() {
    let daemon = TestDaemon::start().await;
    let person = [("accept", "text/html,application/xhtml+xml")];
    for path in ["/nothing", "/sv/events/evt_x", "/subscriptions/sub_00000000000000000000000000"] {
        let page = send(&daemon, Method::GET, path, &person, "").await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{path}");
        assert!(page.header("content-type").starts_with("text/html"), "{path}");
        assert!(!page.header("content-security-policy").is_empty(), "{path}");
    }
    let call = send(&daemon, Method::GET, "/v1/nothing", &person, "").await;
    assert_eq!(call.header("content-type"), "application/problem+json");
    let rebound = [("host", "evil.test")];
    let refused = send(&daemon, Method::GET, "/", &rebound, "").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
}

#[tokio::test(start_paused = true)]
async fn deliveries_are_found_by_event_type_and_project() {
    let daemon = TestDaemon::start().await;
    let (receiver, subscription) = daemon.subscribed(json!({"name": "crm"})).await;
    for (event_type, project) in [("A", "acme/p"), ("A", "globex/p"), ("B", "acme/q"), ("B", "p")] {
        daemon.api.accepted(&crate::support::client::event(event_type, project, 1)).await;
    }
    receiver.wait_for(4).await;
    let id = subscription["id"].as_str().unwrap();
    for (search, expected) in [
        ("type=A", 2),
        ("project=p", 3),
        ("company=acme", 2),
        ("type=B&project=p", 1),
        ("type=B&company=globex", 0),
        ("type=A&state=succeeded", 2),
        ("type=A&state=held", 0),
        ("", 4),
    ] {
        let found = daemon.api.list(&format!("/v1/deliveries?subscription={id}&{search}")).await;
        assert_eq!(found.len(), expected, "{search}");
        let page = get(&daemon, &format!("/deliveries?subscription=crm&{search}")).await.text();
        assert_eq!(page.matches("<td class=\"col-state\"><a class=\"state ").count(), expected, "{search}");
    }
}
