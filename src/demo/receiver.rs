//! The demo's receivers: they verify signatures, note what came and when, and answer as they are told to.

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

/// How long the demo waits for anything before it says that it has failed.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// A request that came to a receiver.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    /// Whose.
    pub(super) receiver: &'static str,
    /// `webhook-id`.
    pub(super) event: String,
    /// `postrider-attempt`.
    pub(super) attempt: u32,
    /// Whether it delivers an event; else it is a health check.
    pub(super) is_delivery: bool,
    /// When its body was there.
    pub(super) at: Instant,
    /// What it was answered with.
    pub(super) status: StatusCode,
    /// All its headers.
    pub(super) headers: HeaderMap,
    /// Its body.
    pub(super) body: Bytes,
    /// Why it was not believed, if so.
    refusal: Option<String>,
}

impl Arrival {
    /// Whether the receiver took it.
    pub(super) fn is_taken(&self) -> bool {
        self.status.is_success()
    }
}

/// What all receivers got, in the order in which it came.
#[derive(Clone, Debug)]
pub(super) struct Ledger(Arc<watch::Sender<Vec<Arrival>>>);

impl Default for Ledger {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Vec::new())))
    }
}

impl Ledger {
    /// How many requests there were so far.
    pub(super) fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// The requests so far that fit.
    pub(super) fn all(&self, fits: impl Fn(&Arrival) -> bool) -> Vec<Arrival> {
        self.0.borrow().iter().filter(|arrival| fits(arrival)).cloned().collect()
    }

    /// The request with that many before it, once it is there; none if nothing comes any more.
    pub(super) async fn nth(&self, before: usize) -> Option<Arrival> {
        let mut seen = self.0.subscribe();
        seen.wait_for(|all| all.len() > before).await.ok()?.get(before).cloned()
    }

    /// The first `count` requests that fit, in order, once that many are there.
    ///
    /// # Errors
    /// When they do not come in [`PATIENCE`], naming `what`, and when any receiver was not to believe a request.
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
        let waited = tokio::time::timeout(PATIENCE, seen.wait_for(is_there)).await;
        let all =
            waited.with_context(|| format!("{what} did not arrive within {} s", PATIENCE.as_secs()))??;
        if let Some((name, refusal)) = all.iter().find_map(|one| Some((one.receiver, one.refusal.as_ref()?)))
        {
            bail!("{name} does not believe a request: {refusal}");
        }
        Ok(all.iter().filter(|one| fits(one)).take(count).cloned().collect())
    }

    fn note(&self, arrival: Arrival) {
        self.0.send_modify(|all| all.push(arrival));
    }
}

/// The three receivers, which serve until they are dropped.
#[derive(Debug)]
pub(super) struct Receivers {
    /// Records.
    pub(super) crm: Receiver,
    /// Everything of some projects.
    pub(super) warehouse: Receiver,
    /// Comments and checklists; the one that breaks.
    pub(super) chat: Receiver,
}

impl Receivers {
    /// Starts them on ports that the system chooses.
    pub(super) async fn start(secret: &Secret, clock: &Clock, ledger: &Ledger) -> anyhow::Result<Self> {
        let [crm, warehouse, chat] = RECEIVERS.map(|name| {
            let (clock, ledger) = (clock.clone(), ledger.clone());
            let (secret, verifier) = (secret.clone(), Verifier::Secret(secret.clone()));
            Receiver::start(Ears { name, secret, verifier, clock, ledger, is_broken: AtomicBool::new(false) })
        });
        Ok(Self { crm: crm.await?, warehouse: warehouse.await?, chat: chat.await? })
    }
}

/// One receiver.
#[derive(Debug)]
pub(super) struct Receiver {
    ears: Arc<Ears>,
    url: String,
    _serving: JoinSet<std::io::Result<()>>,
}

impl Receiver {
    async fn start(ears: Ears) -> anyhow::Result<Self> {
        let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = bound.context("failed to listen on 127.0.0.1 for a receiver")?;
        let url = format!("http://{}/{}", listener.local_addr()?, ears.name);
        let ears = Arc::new(ears);
        let router = Router::new().fallback(receive).with_state(Arc::clone(&ears));
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await });
        Ok(Self { ears, url, _serving: serving })
    }

    /// Where it listens.
    pub(super) fn url(&self) -> String {
        self.url.clone()
    }

    /// From now on it answers 503 to all.
    pub(super) fn break_down(&self) {
        self.ears.is_broken.store(true, Ordering::Relaxed);
    }

    /// From now on it takes what it gets.
    pub(super) fn mend(&self) {
        self.ears.is_broken.store(false, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct Ears {
    name: &'static str,
    secret: Secret,
    verifier: Verifier,
    clock: Clock,
    ledger: Ledger,
    is_broken: AtomicBool,
}

async fn receive(State(ears): State<Arc<Ears>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let at = ears.clock.instant();
    let refusal = ears.verify(&headers, &body).err();
    let status = match (&refusal, ears.is_broken.load(Ordering::Relaxed)) {
        (Some(_), _) => StatusCode::UNAUTHORIZED,
        (None, true) => StatusCode::SERVICE_UNAVAILABLE,
        (None, false) => StatusCode::OK,
    };
    ears.ledger.note(Arrival {
        receiver: ears.name,
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

impl Ears {
    /// Checks the Standard Webhooks signature, and Blue's where it is due.
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

/// The header as text; empty if there is none.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
