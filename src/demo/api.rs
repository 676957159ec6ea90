//! The calls of the daemon's API that the demo makes.

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::console::client::{Answer, Client};

/// The largest page, so that everything in the demo is on one.
const LIMIT: usize = 500;

/// The API of one daemon.
#[derive(Debug)]
pub(super) struct Api {
    client: Client,
}

/// What became of a submitted event.
#[derive(Debug, Deserialize)]
pub(super) struct Accepted {
    /// The event's id.
    pub(super) id: String,
    /// How many subscriptions it is on its way to.
    pub(super) matched: usize,
    /// Whether it was there before.
    pub(super) duplicate: bool,
}

/// Whether a subscription wants an event.
#[derive(Debug, Deserialize)]
pub(super) struct Match {
    /// The subscription's name.
    pub(super) name: String,
    /// Whether.
    pub(super) matches: bool,
    /// And if not, why.
    pub(super) reason: Option<String>,
}

/// A subscription, as far as the demo looks at it.
#[derive(Debug, Deserialize)]
pub(super) struct Subscription {
    /// Its id.
    pub(super) id: String,
    /// Its name.
    pub(super) name: String,
    /// Which event types it wants.
    pub(super) events: Vec<String>,
    /// Of which projects.
    pub(super) projects: Vec<String>,
    /// In which shape.
    pub(super) format: String,
    /// Whether it is switched on.
    pub(super) enabled: bool,
    /// Why not.
    pub(super) disabled_reason: Option<String>,
    /// Its deliveries.
    pub(super) stats: Stats,
}

/// A subscription's deliveries by state.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Stats {
    pending: usize,
    held: usize,
    in_flight: usize,
    /// Taken by the receiver.
    pub(super) succeeded: usize,
    /// Given up on.
    pub(super) exhausted: usize,
    /// Given up on by a person.
    pub(super) cancelled: usize,
}

impl Stats {
    /// How many are not finished.
    pub(super) const fn unfinished(self) -> usize {
        self.pending + self.held + self.in_flight
    }
}

/// One event on its way to one subscription.
#[derive(Debug, Deserialize)]
pub(super) struct Delivery {
    /// Its id.
    pub(super) id: String,
    /// The event's id.
    pub(super) event: String,
    /// The requests made for it.
    pub(super) attempts: Vec<Attempt>,
}

/// One request.
#[derive(Debug, Deserialize)]
pub(super) struct Attempt {
    /// The answer's status, if there was one.
    pub(super) status: Option<u16>,
}

/// What came of switching a subscription on.
#[derive(Debug)]
pub(super) enum Enabling {
    /// It is on; the health check was answered with this status.
    Enabled(u16),
    /// It stays off, and why.
    Refused(String),
}

#[derive(Deserialize)]
struct List<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Enabled {
    health_check: Option<Attempt>,
}

#[derive(Deserialize)]
struct Problem {
    detail: String,
}

impl Api {
    /// That of the daemon at `url`.
    pub(super) fn new(url: &str) -> anyhow::Result<Self> {
        Ok(Self { client: Client::new(url, None)? })
    }

    /// Submits an event.
    pub(super) async fn submit(&self, event: &Value) -> anyhow::Result<Accepted> {
        read("POST /v1/events", StatusCode::ACCEPTED, &self.post("/v1/events", event.to_string()).await?)
    }

    /// Who would get the event and who not.
    pub(super) async fn explain(&self, event: &Value) -> anyhow::Result<Vec<Match>> {
        let answer = self.post("/v1/match", event.to_string()).await?;
        whole(read("POST /v1/match", StatusCode::OK, &answer)?)
    }

    /// All subscriptions.
    pub(super) async fn subscriptions(&self) -> anyhow::Result<Vec<Subscription>> {
        whole(self.get("/v1/subscriptions").await?)
    }

    /// The subscription of that name.
    pub(super) async fn subscription(&self, name: &str) -> anyhow::Result<Subscription> {
        let mut all = self.subscriptions().await?.into_iter();
        all.find(|one| one.name == name).with_context(|| format!("there is no subscription '{name}'"))
    }

    /// A subscription's deliveries in a state, newest first.
    pub(super) async fn deliveries(&self, subscription: &str, state: &str) -> anyhow::Result<Vec<Delivery>> {
        let path = format!("/v1/deliveries?subscription={subscription}&state={state}&limit={LIMIT}");
        whole(self.get(&path).await?)
    }

    /// Switches a subscription on.
    pub(super) async fn enable(&self, subscription: &str) -> anyhow::Result<Enabling> {
        let path = format!("/v1/subscriptions/{subscription}/enable");
        let answer = self.post(&path, String::new()).await?;
        if answer.status == StatusCode::CONFLICT {
            let Problem { detail } = read(&path, StatusCode::CONFLICT, &answer)?;
            return Ok(Enabling::Refused(detail));
        }
        let Enabled { health_check } = read(&path, StatusCode::OK, &answer)?;
        let status = health_check.and_then(|check| check.status);
        Ok(Enabling::Enabled(status.context("it was switched on without a health check")?))
    }

    /// Tries a delivery again whose attempts are used up.
    pub(super) async fn retry(&self, delivery: &str) -> anyhow::Result<Delivery> {
        let path = format!("/v1/deliveries/{delivery}/retry");
        read(&path, StatusCode::OK, &self.post(&path, String::new()).await?)
    }

    async fn post(&self, path: &str, body: String) -> anyhow::Result<Answer> {
        self.client.post(path, "application/json", Bytes::from(body)).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        read(path, StatusCode::OK, &self.client.get(path).await?)
    }
}

fn read<T: DeserializeOwned>(call: &str, expected: StatusCode, answer: &Answer) -> anyhow::Result<T> {
    let text = String::from_utf8_lossy(&answer.body);
    if answer.status != expected {
        bail!("{call} was answered with {}, not {expected}: {text}", answer.status);
    }
    serde_json::from_str(&text).with_context(|| format!("{call} was answered with something else: {text}"))
}

fn whole<T>(list: List<T>) -> anyhow::Result<Vec<T>> {
    match list.next_cursor {
        None => Ok(list.items),
        Some(_) => bail!("a list has a second page, which nothing in the demo is long enough for"),
    }
}
