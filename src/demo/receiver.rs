//! The demo's receivers: they verify signatures, record requests, and answer 200, or 503 while broken.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::script::RECEIVERS;
use crate::model::secret::{Secret, Verifier};
use crate::model::time::Clock;
use crate::rules::signature::{self, SignatureHeaders};

/// The time that the demo waits for a result before it fails.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// A request to a receiver.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    /// The name of the receiver.
    pub(super) receiver: &'static str,
    /// The event id in `webhook-id`.
    pub(super) event: String,
    /// The attempt number in `postrider-attempt`.
    pub(super) attempt: u32,
    /// Whether the request is a delivery and not a health check.
    pub(super) is_delivery: bool,
    /// When its body was complete.
    pub(super) at: Instant,
    /// The status of the response.
    pub(super) status: StatusCode,
    /// The headers of the request.
    pub(super) headers: HeaderMap,
    /// The body of the request.
    pub(super) body: Bytes,
    /// The reason why the signature is invalid, if it is.
    refusal: Option<String>,
}

impl Arrival {
    /// Returns whether the receiver accepted the request.
    pub(super) fn is_taken(&self) -> bool {
        self.status.is_success()
    }
}

/// The requests to all receivers, in the order of arrival.
#[derive(Clone, Debug)]
pub(super) struct Ledger(Arc<watch::Sender<Vec<Arrival>>>);

impl Default for Ledger {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Vec::new())))
    }
}

impl Ledger {
    /// Returns the number of requests so far.
    pub(super) fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// Returns the requests so far that fit.
    pub(super) fn all(&self, fits: impl Fn(&Arrival) -> bool) -> Vec<Arrival> {
        self.0.borrow().iter().filter(|arrival| fits(arrival)).cloned().collect()
    }

    /// Waits for the request at this position, from 0. Returns none if the receivers have stopped.
    pub(super) async fn nth(&self, before: usize) -> Option<Arrival> {
        let mut seen = self.0.subscribe();
        seen.wait_for(|all| all.len() > before).await.ok()?.get(before).cloned()
    }

    /// Waits for `count` requests that fit, and returns them in order.
    ///
    /// # Errors
    /// The requests do not arrive within [`TIMEOUT`], or a request has an invalid signature. The error names `what`.
    pub(super) async fn wait(
        &self,
        count: usize,
        what: &str,
        fits: impl Fn(&Arrival) -> bool,
    ) -> anyhow::Result<Vec<Arrival>> {
        let mut seen = self.0.subscribe();
        let is_there = |all: &Vec<Arrival>| {
            all.iter().any(|one| one.refusal.is_some()) || all.iter().filter(|one| fits(one)).count() >= count
        };
        let waited = tokio::time::timeout(TIMEOUT, seen.wait_for(is_there)).await;
        let all =
            waited.with_context(|| format!("{what} did not arrive within {} s", TIMEOUT.as_secs()))??;
        if let Some((name, refusal)) = all.iter().find_map(|one| Some((one.receiver, one.refusal.as_ref()?)))
        {
            bail!("{name} received a request with an invalid signature: {refusal}");
        }
        Ok(all.iter().filter(|one| fits(one)).take(count).cloned().collect())
    }

    fn note(&self, arrival: Arrival) {
        self.0.send_modify(|all| all.push(arrival));
    }
}

/// The three receivers. Dropping them stops them.
#[derive(Debug)]
pub(super) struct Receivers {
    /// Receives record events.
    pub(super) crm: Receiver,
    /// Receives every event of some projects.
    pub(super) warehouse: Receiver,
    /// Receives comments and checklists, and breaks during the demo.
    pub(super) chat: Receiver,
}

impl Receivers {
    /// Starts the receivers on free ports.
    pub(super) async fn start(secret: &Secret, clock: &Clock, ledger: &Ledger) -> anyhow::Result<Self> {
        let [crm, warehouse, chat] = RECEIVERS.map(|name| {
            let (clock, ledger) = (clock.clone(), ledger.clone());
            let (secret, verifier) = (secret.clone(), Verifier::Secret(secret.clone()));
            Receiver::start(HandlerState {
                name,
                secret,
                verifier,
                clock,
                ledger,
                is_broken: AtomicBool::new(false),
            })
        });
        Ok(Self { crm: crm.await?, warehouse: warehouse.await?, chat: chat.await? })
    }
}

/// A running receiver.
#[derive(Debug)]
pub(super) struct Receiver {
    state: Arc<HandlerState>,
    url: String,
    _serving: JoinSet<std::io::Result<()>>,
}

impl Receiver {
    async fn start(state: HandlerState) -> anyhow::Result<Self> {
        let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = bound.context("failed to listen on 127.0.0.1 for a receiver")?;
        let url = format!("http://{}/{}", listener.local_addr()?, state.name);
        let state = Arc::new(state);
        let router = Router::new().fallback(receive).with_state(Arc::clone(&state));
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await });
        Ok(Self { state, url, _serving: serving })
    }

    /// Returns the URL of the receiver.
    pub(super) fn url(&self) -> String {
        self.url.clone()
    }

    /// Makes the receiver answer 503 to every request.
    pub(super) fn break_down(&self) {
        self.state.is_broken.store(true, Ordering::Relaxed);
    }

    /// Makes the receiver accept requests again.
    pub(super) fn repair(&self) {
        self.state.is_broken.store(false, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct HandlerState {
    name: &'static str,
    secret: Secret,
    verifier: Verifier,
    clock: Clock,
    ledger: Ledger,
    is_broken: AtomicBool,
}

async fn receive(State(state): State<Arc<HandlerState>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let at = state.clock.instant();
    let refusal = state.verify(&headers, &body).err();
    let status = match (&refusal, state.is_broken.load(Ordering::Relaxed)) {
        (Some(_), _) => StatusCode::UNAUTHORIZED,
        (None, true) => StatusCode::SERVICE_UNAVAILABLE,
        (None, false) => StatusCode::OK,
    };
    state.ledger.note(Arrival {
        receiver: state.name,
        event: header(&headers, "webhook-id").to_owned(),
        attempt: header(&headers, "postrider-attempt").parse().unwrap_or_default(),
        is_delivery: headers.contains_key("postrider-delivery-id"),
        at,
        status,
        headers,
        body,
        refusal,
    });
    status
}

impl HandlerState {
    /// Verifies the Standard Webhooks signature, and for chat also the one of Blue's format.
    fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), String> {
        let signed = SignatureHeaders {
            id: header(headers, "webhook-id"),
            timestamp: header(headers, "webhook-timestamp"),
            signatures: header(headers, "webhook-signature"),
        };
        signature::verify(&self.verifier, &signed, body, self.clock.now())
            .map_err(|error| error.to_string())?;
        if self.name != "chat" {
            return Ok(());
        }
        let blue = header(headers, "x-signature");
        signature::verify_blue(&self.secret, blue, body).map_err(|error| format!("x-signature: {error}"))
    }
}

/// Returns the header as text, or an empty text if it is missing.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
