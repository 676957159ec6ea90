//! Tests of the client against receivers with different behaviour.
//!
//! The receivers are tasks of the test's runtime. The clock is paused, so that timeouts of seconds are exact
//! and take no time.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use url::Url;

use super::{Client, ClientOptions, Exchange, Request, Resolution, Resolver};
use crate::model::attempt::{EXCERPT_BYTES_MAX, ErrorClass, Outcome};
use crate::model::proxy::Proxy;
use crate::model::time::{Clock, Timestamp};
use crate::model::tls::Tls;
use crate::rules::target::AllowedNetworks;

pub(super) const BODY: &str = r#"{"type":"TODO_CREATED"}"#;
const TIMEOUT: Duration = Duration::from_secs(7);
const BODY_CAP: usize = 64 * 1024;

/// A step of a receiver after it has read a request.
#[derive(Clone)]
enum Step {
    /// Sends this text.
    Say(String),
    /// Sends this text repeatedly, with a pause before each time.
    Repeat(&'static str, Duration),
    /// Sends nothing more and keeps the connection open.
    Hold,
}

/// A receiver on loopback.
struct Receiver {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    tasks: JoinSet<()>,
}

impl Receiver {
    async fn start(steps: Vec<Step>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, steps, Arc::clone(&requests)));
        Self { address, requests, tasks }
    }

    async fn saying(text: &str) -> Self {
        Self::start(vec![Step::Say(text.to_owned())]).await
    }

    fn url(&self) -> Url {
        format!("http://{}/hooks?token=hidden", self.address).parse().unwrap()
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// Serves one connection after another, until the receiver is dropped.
async fn serve(listener: TcpListener, steps: Vec<Step>, requests: Arc<Mutex<Vec<String>>>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        if let Some(request) = read_request(&mut stream).await {
            requests.lock().unwrap().push(request);
        }
        for step in &steps {
            perform(step, &mut stream).await;
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while !request.ends_with(BODY.as_bytes()) {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => request.extend_from_slice(&buffer[..count]),
        }
        if request.first() == Some(&0x16) {
            return None; // a TLS handshake gets the scripted response
        }
    }
    String::from_utf8(request).ok()
}

async fn perform(step: &Step, stream: &mut TcpStream) {
    match step {
        Step::Say(text) => stream.write_all(text.as_bytes()).await.unwrap(),
        Step::Repeat(text, pause) => loop {
            sleep(*pause).await;
            if stream.write_all(text.as_bytes()).await.is_err() {
                break;
            }
        },
        Step::Hold => while stream.read(&mut [0; 64]).await.is_ok_and(|count| count > 0) {},
    }
}

/// A resolver with a fixed sequence of answers, and the number of its lookups.
pub(super) struct Names(Vec<io::Result<Vec<IpAddr>>>, AtomicUsize);

impl Names {
    /// Creates a resolver whose n-th lookup gives the n-th answer. Later lookups repeat the last answer.
    pub(super) fn answering(answers: &[&[&str]]) -> Arc<Self> {
        let parse = |answer: &&[&str]| Ok(answer.iter().map(|text| text.parse().unwrap()).collect());
        Arc::new(Self(answers.iter().map(parse).collect(), AtomicUsize::new(0)))
    }
}

impl Resolver for Names {
    fn resolve(&self, _: &str) -> Resolution {
        let turn = self.1.fetch_add(1, Ordering::Relaxed).min(self.0.len().saturating_sub(1));
        let answer = match self.0.get(turn) {
            Some(Ok(addresses)) => Ok(addresses.clone()),
            _ => Err(io::Error::other("no such host")),
        };
        Box::pin(async move { answer })
    }
}

/// A resolver that never answers.
struct Silence;

impl Resolver for Silence {
    fn resolve(&self, _: &str) -> Resolution {
        Box::pin(std::future::pending())
    }
}

fn client(resolver: Arc<dyn Resolver>, allowed: &[&str]) -> Client {
    Client::new(options(allowed, None), resolver).unwrap()
}

pub(super) fn options(allowed: &[&str], proxy: Option<Proxy>) -> ClientOptions {
    ClientOptions {
        connect_timeout: Duration::from_secs(3),
        response_bytes_max: BODY_CAP,
        networks: AllowedNetworks::new(allowed.iter().map(|text| text.parse().unwrap()).collect()),
        proxy,
        clock: Clock::starting_at("2026-11-23T20:00:00Z".parse::<Timestamp>().unwrap()),
    }
}

pub(super) fn loopback_client() -> Client {
    client(Names::answering(&[]), &["127.0.0.0/8"])
}

async fn post(client: &Client, url: &Url) -> Exchange {
    post_with(client, url, &Tls::default()).await
}

pub(super) async fn post_with(client: &Client, url: &Url, tls: &Tls) -> Exchange {
    let headers = HeaderMap::new();
    let exchange = client
        .post(Request { url, headers, body: Bytes::from_static(BODY.as_bytes()), timeout: TIMEOUT, tls })
        .await;
    if let Outcome::Failed { detail, .. } = &exchange.outcome {
        assert!(!detail.contains("hidden") && !detail.contains("hooks"), "{detail}");
    }
    exchange
}

/// Returns the result of a request to a receiver with these steps, and how long it took.
async fn outcome_of(steps: Vec<Step>) -> (Exchange, Duration) {
    let receiver = Receiver::start(steps).await;
    let started = Instant::now();
    let exchange = post(&loopback_client(), &receiver.url()).await;
    (exchange, started.elapsed())
}

pub(super) fn failed(class: ErrorClass, detail: &str) -> Outcome {
    Outcome::Failed { class, detail: detail.to_owned() }
}

pub(super) fn class(exchange: &Exchange) -> Option<ErrorClass> {
    match &exchange.outcome {
        Outcome::Failed { class, .. } => Some(*class),
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn request_arrives_unchanged() {
    let receiver = Receiver::saying("HTTP/1.1 204 No Content\r\n\r\n").await;
    let mut url = receiver.url();
    url.set_username("ada").unwrap();
    url.set_password(Some("hidden")).unwrap();
    let headers =
        HeaderMap::from_iter([(http::header::USER_AGENT, http::HeaderValue::from_static("postrider/0"))]);
    let body = Bytes::from_static(BODY.as_bytes());
    let tls = &Tls::default();
    let exchange = loopback_client().post(Request { url: &url, headers, body, timeout: TIMEOUT, tls }).await;
    assert_eq!(exchange, Exchange { outcome: Outcome::Success { status: 204 }, excerpt: Vec::new() });
    let request = receiver.requests().pop().unwrap();
    assert!(request.starts_with("POST /hooks?token=hidden HTTP/1.1\r\n"), "{request}");
    assert!(request.ends_with(&format!("\r\n\r\n{BODY}")), "{request}");
    for header in ["user-agent: postrider/0", "authorization: Basic YWRhOmhpZGRlbg==", "content-length: 23"] {
        assert!(request.to_lowercase().contains(&header.to_lowercase()), "{header} in {request}");
    }
    for absent in ["accept-encoding", "referer", "cookie"] {
        assert!(!request.to_lowercase().contains(absent), "{absent} in {request}");
    }
}

#[tokio::test(start_paused = true)]
async fn status_determines_the_outcome() {
    let rejected =
        |status, secs: Option<u64>| Outcome::Rejected { status, retry_after: secs.map(Duration::from_secs) };
    for (head, expected) in [
        ("200 OK", Outcome::Success { status: 200 }),
        ("299 Fine", Outcome::Success { status: 299 }),
        ("101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x", rejected(101, None)),
        ("304 Not Modified", rejected(304, None)),
        ("410 Gone", rejected(410, None)),
        ("429 Slow\r\nRetry-After: 120", rejected(429, Some(120))),
        ("429 Slow\r\nRetry-After: Mon, 23 Nov 2026 20:00:30 GMT", rejected(429, Some(30))),
        ("429 Slow\r\nRetry-After: soon", rejected(429, None)),
        ("503 Later\r\nRetry-After: 5", rejected(503, Some(5))),
        ("503 Later", rejected(503, None)),
        ("500 Oops\r\nRetry-After: 5", rejected(500, None)),
    ] {
        let say = Step::Say(format!("HTTP/1.1 {head}\r\nContent-Length: 0\r\n\r\n"));
        assert_eq!(outcome_of(vec![say]).await.0.outcome, expected, "{head}");
    }
    let informed =
        "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 202 OK\r\nContent-Length: 2\r\n\r\nok".to_owned();
    let (exchange, _) = outcome_of(vec![Step::Say(informed)]).await;
    assert_eq!(exchange, Exchange { outcome: Outcome::Success { status: 202 }, excerpt: b"ok".to_vec() });
}

#[tokio::test(start_paused = true)]
async fn redirects_are_not_followed() {
    let other = Receiver::saying("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    for status in [301, 302, 303, 307, 308] {
        let location = other.url();
        let text = format!("HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
        let receiver = Receiver::saying(&text).await;
        let exchange = post(&loopback_client(), &receiver.url()).await;
        assert_eq!(exchange.outcome, Outcome::Rejected { status, retry_after: None });
        assert_eq!((receiver.requests().len(), other.requests().len()), (1, 0));
    }
    assert!(post(&loopback_client(), &other.url()).await.outcome.is_success());
    assert_eq!(other.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn timeout_covers_head_and_body() {
    let head = |status| Step::Say(format!("HTTP/1.1 {status} X\r\nContent-Length: 1000\r\n\r\n"));
    let drip = Step::Repeat(".", Duration::from_secs(1));
    let unfinished = "answered 200, but the body was not complete within 7s";
    for (steps, expected, dripped) in [
        (vec![Step::Hold], failed(ErrorClass::Timeout, "no answer within 7s"), 0),
        (
            vec![Step::Say("HTTP/1.1 ".to_owned()), drip.clone()],
            failed(ErrorClass::Timeout, "no answer within 7s"),
            0,
        ),
        (vec![head(200), Step::Hold], failed(ErrorClass::Timeout, unfinished), 0),
        (vec![head(200), drip.clone()], failed(ErrorClass::Timeout, unfinished), 6),
        (vec![head(410), drip.clone()], Outcome::Rejected { status: 410, retry_after: None }, 6),
    ] {
        let (exchange, elapsed) = outcome_of(steps).await;
        assert_eq!(exchange.outcome, expected);
        assert!((dripped..=dripped + 1).contains(&exchange.excerpt.len()), "{}", exchange.excerpt.len());
        assert!(elapsed >= TIMEOUT && elapsed < TIMEOUT + Duration::from_millis(100), "{elapsed:?}");
    }
    let quick = Step::Repeat("....................", Duration::from_millis(100));
    let (exchange, elapsed) = outcome_of(vec![head(200), quick]).await;
    assert_eq!(exchange.outcome, Outcome::Success { status: 200 });
    assert!(elapsed < TIMEOUT, "{elapsed:?}");
}

#[tokio::test(start_paused = true)]
async fn long_body_is_cut_off_and_the_connection_closed() {
    const PIECE: &str = "40\r\n0123456789012345678901234567890123456789012345678901234567890123\r\n";
    for (status, success) in [(200, true), (500, false)] {
        let head = format!("HTTP/1.1 {status} X\r\nTransfer-Encoding: chunked\r\n\r\n");
        let receiver =
            Receiver::start(vec![Step::Say(head), Step::Repeat(PIECE, Duration::from_micros(1))]).await;
        let client = loopback_client();
        // The receiver accepts the second connection only after the first one is closed.
        for _ in 0..2 {
            let exchange = post(&client, &receiver.url()).await;
            assert_eq!((exchange.outcome.status(), exchange.outcome.is_success()), (Some(status), success));
            assert_eq!(exchange.excerpt.len(), EXCERPT_BYTES_MAX);
            assert!(exchange.excerpt.starts_with(b"0123456789012345678901234567890123456789"));
        }
        assert_eq!(receiver.requests().len(), 2);
        assert_eq!(receiver.tasks.len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn invalid_http_is_a_protocol_failure() {
    let said = |text: &str| vec![Step::Say(text.to_owned())];
    for (steps, words) in [
        (Vec::new(), "connection closed"),
        (said("SSH-2.0-OpenSSH_9.2\r\n"), "invalid HTTP"),
        (said("HTTP/1.1 200"), "connection closed"),
        (said("HTTP/1.1 2000 X\r\n\r\n"), "invalid HTTP"),
        (
            said("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"),
            "end of file before message length reached",
        ),
        (said("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), "invalid chunk size"),
    ] {
        let (exchange, _) = outcome_of(steps).await;
        assert_eq!(class(&exchange), Some(ErrorClass::Protocol), "{words}: {exchange:?}");
        assert!(exchange.outcome.to_string().to_lowercase().contains(&words.to_lowercase()), "{exchange:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn closed_port_is_a_connect_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let exchange = post(&loopback_client(), &url).await;
    assert_eq!(exchange.outcome, failed(ErrorClass::Connect, "connection refused"));
}

#[tokio::test(start_paused = true)]
async fn https_to_a_plain_port_is_a_tls_failure() {
    let receiver = Receiver::saying("HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let url = format!("https://{}/", receiver.address).parse().unwrap();
    let exchange = post(&loopback_client(), &url).await;
    assert_eq!(class(&exchange), Some(ErrorClass::Tls), "{exchange:?}");
}

#[tokio::test(start_paused = true)]
async fn unresolvable_names_are_classified() {
    let url: Url = "http://receiver.example/hooks".parse().unwrap();
    let nowhere = client(Names::answering(&[]), &[]);
    let expected = failed(ErrorClass::Dns, "the name does not resolve: no such host");
    assert_eq!(post(&nowhere, &url).await.outcome, expected);
    let empty = client(Names::answering(&[&[]]), &[]);
    let expected = failed(ErrorClass::Dns, "the name does not resolve: no address");
    assert_eq!(post(&empty, &url).await.outcome, expected);
    let silent = client(Arc::new(Silence), &[]);
    let started = Instant::now();
    let expected = failed(ErrorClass::Timeout, "no connection within 3s");
    assert_eq!(post(&silent, &url).await.outcome, expected);
    assert!(started.elapsed() < Duration::from_millis(3100), "{:?}", started.elapsed());
    for client in [nowhere, empty, silent] {
        assert_eq!(client.check_target(&url).await, Ok(()));
    }
}

#[tokio::test(start_paused = true)]
async fn forbidden_addresses_are_never_called() {
    let receiver = Receiver::saying("HTTP/1.1 204 No Content\r\n\r\n").await;
    let port = receiver.address.port();
    let closed = client(Names::answering(&[&["127.0.0.1", "::1"]]), &[]);
    for host in [
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "0177.0.0.1",
        "2130706433",
        "[::ffff:127.0.0.1]",
        "[::1]",
        "0.0.0.0",
        "receiver.example",
        "localhost",
    ] {
        let url: Url = format!("http://{host}:{port}/").parse().unwrap();
        let exchange = post(&closed, &url).await;
        assert_eq!(class(&exchange), Some(ErrorClass::ForbiddenAddress), "{host}: {exchange:?}");
        assert!(exchange.outcome.to_string().contains("delivery.allow_networks"), "{exchange:?}");
        assert!(closed.check_target(&url).await.is_err(), "{host}");
    }
    assert!(receiver.requests().is_empty());
    assert!(post(&loopback_client(), &receiver.url()).await.outcome.is_success());
}

#[tokio::test(start_paused = true)]
async fn names_lead_only_to_allowed_addresses() {
    let receiver = Receiver::saying("HTTP/1.1 204 No Content\r\n\r\n").await;
    let url: Url = format!("http://receiver.example:{}/", receiver.address.port()).parse().unwrap();
    let mixed = client(Names::answering(&[&["169.254.169.254", "127.0.0.1", "10.0.0.1"]]), &["127.0.0.0/8"]);
    assert_eq!(mixed.check_target(&url).await, Ok(()));
    assert!(post(&mixed, &url).await.outcome.is_success());
    assert_eq!(receiver.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn changed_name_is_checked_again() {
    let receiver = Receiver::saying("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await;
    let url: Url = format!("http://receiver.example:{}/", receiver.address.port()).parse().unwrap();
    let names = Names::answering(&[&["127.0.0.2"], &["127.0.0.1"], &["127.0.0.2"]]);
    // 127.0.0.2 stands for a public address and is allowed. The receiver listens on 127.0.0.1, which is not
    // allowed.
    let rebound = client(Arc::clone(&names) as Arc<dyn Resolver>, &["127.0.0.2/32"]);
    assert_eq!(rebound.check_target(&url).await, Ok(()));
    let exchange = post(&rebound, &url).await;
    assert_eq!(class(&exchange), Some(ErrorClass::ForbiddenAddress), "{exchange:?}");
    let exchange = post(&rebound, &url).await;
    assert_eq!(exchange.outcome, failed(ErrorClass::Connect, "connection refused"));
    assert_eq!((names.1.load(Ordering::Relaxed), receiver.requests().len()), (3, 0));
}

#[tokio::test]
async fn resolver_returns_only_allowed_addresses() {
    let networks = AllowedNetworks::new(vec!["127.0.0.0/8".parse().unwrap()]);
    let names = Names::answering(&[&["169.254.169.254", "127.0.0.1", "::1", "8.8.8.8", "10.0.0.1"]]);
    let addresses =
        super::resolve::CheckedResolver::new(names, networks).addresses("receiver.example").await.unwrap();
    assert_eq!(addresses, ["127.0.0.1", "8.8.8.8"].map(|text| text.parse::<IpAddr>().unwrap()));
}
