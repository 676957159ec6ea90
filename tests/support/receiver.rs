//! A receiver that records every request and answers by a script.
//!
//! It runs as a task of the test's runtime, as everything that takes part in paused time must.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::request::Parts;
use http::{HeaderMap, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use postrider::model::time::{Clock, Timestamp};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The receiver's reaction to one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// Answers immediately with this status.
    Status(u16),
    /// Answers with this status and `Retry-After` in seconds.
    RetryAfter(u16, u64),
    /// Answers with this status after the delay.
    Slow(Duration, u16),
    /// Reads the request and never answers.
    Hang,
    /// Answers 200 immediately with an endless body that gets one byte a second.
    Drip,
}

impl Reply {
    /// Returns whether the reply is a complete 2xx from the receiver's point of view.
    pub(crate) fn is_success(&self) -> bool {
        matches!(self, Self::Status(status) | Self::Slow(_, status) if (200..300).contains(status))
    }
}

/// A request that the receiver saw.
#[derive(Clone, Debug)]
pub(crate) struct ReceivedRequest {
    /// The time at which the request's body was complete.
    pub(crate) at: Timestamp,
    /// The requested path.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The reply that the script chose.
    pub(crate) reply: Reply,
}

impl ReceivedRequest {
    /// Returns the value of a header, or an empty string if the header is missing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Returns the delivery's id, or an empty string for a health check.
    pub(crate) fn delivery(&self) -> &str {
        self.header("postrider-delivery-id")
    }

    /// Returns the event's id.
    pub(crate) fn event(&self) -> &str {
        self.header("webhook-id")
    }

    /// Returns the number of the attempt, or 0 if there is none.
    pub(crate) fn attempt(&self) -> u64 {
        self.header("postrider-attempt").parse().unwrap_or_default()
    }

    /// Returns the body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Returns the number of signatures in the request.
    pub(crate) fn signatures(&self) -> usize {
        self.header("webhook-signature").split(' ').count()
    }

    /// Verifies the signature with `secret` and the published verifier, at about the time of arrival.
    pub(crate) fn is_signed_with(&self, secret: &str) -> bool {
        const SKEW_SECS: u64 = 60;
        let at = self.header("webhook-timestamp").parse::<i64>().unwrap_or_default();
        let verifier = standardwebhooks::Webhook::new(secret).unwrap();
        let expected = verifier.sign(self.event(), at, &self.body).unwrap();
        at.unsigned_abs().abs_diff(self.at.as_secs()) <= SKEW_SECS
            && self.header("webhook-signature").split(' ').any(|signature| signature == expected)
    }
}

/// Chooses the reply to each request. The `reply` of the request it gets is not set yet.
pub(crate) type Script = Box<dyn FnMut(&ReceivedRequest) -> Reply + Send>;

/// Returns a script that always gives the same reply.
pub(crate) fn always(reply: Reply) -> Script {
    Box::new(move |_| reply.clone())
}

/// Returns a script that answers 500 with probability `share`, else 200.
pub(crate) fn failing(share: f64, seed: u64) -> Script {
    let mut rng = StdRng::seed_from_u64(seed);
    Box::new(move |_| Reply::Status(if rng.random_bool(share) { 500 } else { 200 }))
}

struct State {
    clock: Clock,
    script: Mutex<Script>,
    seen: Mutex<Vec<ReceivedRequest>>,
    count: watch::Sender<usize>,
    open: Mutex<(usize, usize)>,
    connections: watch::Sender<usize>,
}

/// A receiver on its own port of 127.0.0.1. Dropping it ends it.
pub(crate) struct Receiver {
    address: SocketAddr,
    state: Arc<State>,
    /// Dropping this ends the listener and every connection.
    _server: JoinSet<()>,
}

impl Receiver {
    /// Starts a receiver that answers by `script`.
    pub(crate) async fn start(clock: Clock, script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            clock,
            script: Mutex::new(script),
            seen: Mutex::default(),
            count: watch::Sender::default(),
            open: Mutex::default(),
            connections: watch::Sender::default(),
        });
        let mut server = JoinSet::new();
        server.spawn(accept(listener, Arc::clone(&state)));
        Self { address, state, _server: server }
    }

    /// Returns the receiver's URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// Replaces the script.
    pub(crate) fn answer(&self, script: Script) {
        *self.state.script.lock().unwrap() = script;
    }

    /// Returns every request so far.
    pub(crate) fn seen(&self) -> Vec<ReceivedRequest> {
        self.state.seen.lock().unwrap().clone()
    }

    /// Returns the number of requests so far.
    pub(crate) fn count(&self) -> usize {
        *self.state.count.borrow()
    }

    /// Waits for `count` requests and returns all of them.
    ///
    /// # Panics
    /// After a day, which passes only on paused time.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<ReceivedRequest> {
        let mut counter = self.state.count.subscribe();
        let reached = counter.wait_for(|seen| *seen >= count);
        let waited = tokio::time::timeout(Duration::from_hours(24), reached).await.map(drop);
        assert!(waited.is_ok(), "waited a day in vain for request {count}, there were {}", self.count());
        self.seen()
    }

    /// Waits until the receiver has read everything from a sender that has ended, and its connections are
    /// closed.
    pub(crate) async fn settled(&self) {
        // Connections are accepted in order. Once this one is answered, all earlier ones have been accepted.
        let mut last = TcpStream::connect(self.address).await.unwrap();
        last.write_all(b"no request\r\n\r\n").await.unwrap();
        last.read_to_end(&mut Vec::new()).await.unwrap();
        drop(last);
        self.state.connections.subscribe().wait_for(|open| *open == 0).await.unwrap();
    }

    /// Returns the highest number of simultaneously open requests.
    pub(crate) fn most_at_once(&self) -> usize {
        self.state.open.lock().unwrap().1
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        state.connections.send_modify(|open| *open += 1);
        connections.spawn(converse(stream, Arc::clone(&state)));
        while connections.try_join_next().is_some() {}
    }
}

async fn converse(stream: TcpStream, state: Arc<State>) {
    stream.set_nodelay(true).unwrap();
    let service = service_fn(|request| serve(request, &state));
    // A sender that disconnects, as a killed daemon does, is not an error of the receiver.
    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
    state.connections.send_modify(|open| *open -= 1);
}

type Body = BoxBody<Bytes, Infallible>;

async fn serve(request: Request<Incoming>, state: &State) -> Result<Response<Body>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let _open = Open::enter(state);
    let reply = record(state, head, body);
    Ok(respond(reply).await)
}

fn record(state: &State, head: Parts, body: Bytes) -> Reply {
    let path = head.uri.path().to_owned();
    let mut seen =
        ReceivedRequest { at: state.clock.now(), path, headers: head.headers, body, reply: Reply::Hang };
    let reply = (state.script.lock().unwrap())(&seen);
    seen.reply = reply.clone();
    let mut all = state.seen.lock().unwrap();
    all.push(seen);
    state.count.send_replace(all.len());
    reply
}

async fn respond(reply: Reply) -> Response<Body> {
    let response = Response::builder();
    match reply {
        Reply::Status(status) => response.status(status).body(full("")),
        Reply::RetryAfter(status, secs) => {
            response.status(status).header("retry-after", secs).body(full("later"))
        }
        Reply::Slow(wait, status) => {
            super::passes(wait).await;
            response.status(status).body(full("at last"))
        }
        Reply::Hang => std::future::pending().await,
        Reply::Drip => response.status(200).body(StreamBody::new(drops()).boxed()),
    }
    .unwrap()
}

fn full(text: &'static str) -> Body {
    Full::new(Bytes::from_static(text.as_bytes())).boxed()
}

fn drops() -> impl futures_util::Stream<Item = Result<Frame<Bytes>, Infallible>> {
    stream::unfold((), |()| async {
        super::passes(Duration::from_secs(1)).await;
        Some((Ok(Frame::data(Bytes::from_static(b"."))), ()))
    })
}

/// Counts a request as open until it is dropped, even if its connection is cut.
struct Open<'a>(&'a State);

impl<'a> Open<'a> {
    fn enter(state: &'a State) -> Self {
        let mut open = state.open.lock().unwrap();
        open.0 += 1;
        open.1 = open.1.max(open.0);
        Self(state)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.lock().unwrap().0 -= 1;
    }
}
