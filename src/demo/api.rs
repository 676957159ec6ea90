//! The API calls of the demo.

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::console::client::{Answer, Client};

/// The largest page size. Every list of the demo fits on one page.
const LIMIT: usize = 500;

/// The API of the demo's daemon.
#[derive(Debug)]
pub(super) struct Api {
    client: Client,
}

/// The response to a submitted event.
#[derive(Debug, Deserialize)]
pub(super) struct Accepted {
    /// The id of the event.
    pub(super) id: String,
    /// The number of matching subscriptions.
    pub(super) matched: usize,
    /// Whether the event is a duplicate.
    pub(super) duplicate: bool,
}

/// Whether a subscription matches an event.
#[derive(Debug, Deserialize)]
pub(super) struct Match {
    /// The name of the subscription.
    pub(super) name: String,
    /// Whether the subscription matches.
    pub(super) matches: bool,
    /// Why it does not match.
    pub(super) reason: Option<String>,
}

/// The members of a subscription that the demo reads.
#[derive(Debug, Deserialize)]
pub(super) struct Subscription {
    /// Its id.
    pub(super) id: String,
    /// Its name.
    pub(super) name: String,
    /// The event types that it matches.
    pub(super) events: Vec<String>,
    /// The projects that it matches.
    pub(super) projects: Vec<String>,
    /// The payload format.
    pub(super) format: String,
    /// Whether it is enabled.
    pub(super) enabled: bool,
    /// Why it is disabled.
    pub(super) disabled_reason: Option<String>,
    /// The numbers of its deliveries.
    pub(super) stats: Stats,
}

/// The number of a subscription's deliveries in each state.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Stats {
    pending: usize,
    held: usize,
    in_flight: usize,
    /// Accepted by the receiver.
    pub(super) succeeded: usize,
    /// Failed in all attempts.
    pub(super) exhausted: usize,
    /// Cancelled by a person.
    pub(super) cancelled: usize,
}

impl Stats {
    /// Returns the number of unfinished deliveries.
    pub(super) const fn unfinished(self) -> usize {
        self.pending + self.held + self.in_flight
    }
}

/// A delivery of an event to a subscription.
#[derive(Debug, Deserialize)]
pub(super) struct Delivery {
    /// Its id.
    pub(super) id: String,
    /// The id of the event.
    pub(super) event: String,
    /// The attempts of the delivery.
    pub(super) attempts: Vec<Attempt>,
}

/// An attempt.
#[derive(Debug, Deserialize)]
pub(super) struct Attempt {
    /// The status of the response, if there was one.
    pub(super) status: Option<u16>,
}

/// The result of enabling a subscription.
#[derive(Debug)]
pub(super) enum EnableResult {
    /// The subscription is enabled. The health check was answered with this status.
    Enabled(u16),
    /// The subscription stays disabled, for this reason.
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
    /// Returns a client of the API at `url`.
    pub(super) fn new(url: &str) -> anyhow::Result<Self> {
        Ok(Self { client: Client::new(url, None)? })
    }

    /// Submits an event.
    pub(super) async fn submit(&self, event: &Value) -> anyhow::Result<Accepted> {
        read("POST /v1/events", StatusCode::ACCEPTED, &self.post("/v1/events", event.to_string()).await?)
    }

    /// Returns whether each subscription matches the event.
    pub(super) async fn explain(&self, event: &Value) -> anyhow::Result<Vec<Match>> {
        let answer = self.post("/v1/match", event.to_string()).await?;
        whole(read("POST /v1/match", StatusCode::OK, &answer)?)
    }

    /// Returns all subscriptions.
    pub(super) async fn subscriptions(&self) -> anyhow::Result<Vec<Subscription>> {
        whole(self.get("/v1/subscriptions").await?)
    }

    /// Returns the subscription with this name.
    pub(super) async fn subscription(&self, name: &str) -> anyhow::Result<Subscription> {
        let mut all = self.subscriptions().await?.into_iter();
        all.find(|one| one.name == name).with_context(|| format!("there is no subscription '{name}'"))
    }

    /// Returns a subscription's deliveries in a state, newest first.
    pub(super) async fn deliveries(&self, subscription: &str, state: &str) -> anyhow::Result<Vec<Delivery>> {
        let path = format!("/v1/deliveries?subscription={subscription}&state={state}&limit={LIMIT}");
        whole(self.get(&path).await?)
    }

    /// Enables a subscription.
    pub(super) async fn enable(&self, subscription: &str) -> anyhow::Result<EnableResult> {
        let path = format!("/v1/subscriptions/{subscription}/enable");
        let answer = self.post(&path, String::new()).await?;
        if answer.status == StatusCode::CONFLICT {
            let Problem { detail } = read(&path, StatusCode::CONFLICT, &answer)?;
            return Ok(EnableResult::Refused(detail));
        }
        let Enabled { health_check } = read(&path, StatusCode::OK, &answer)?;
        let status = health_check.and_then(|check| check.status);
        Ok(EnableResult::Enabled(status.context("the subscription was enabled without a health check")?))
    }

    /// Retries a delivery.
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
    serde_json::from_str(&text).with_context(|| format!("{call} returned an unexpected body: {text}"))
}

fn whole<T>(list: List<T>) -> anyhow::Result<Vec<T>> {
    match list.next_cursor {
        None => Ok(list.items),
        Some(_) => bail!("a list has a second page, but the lists of the demo fit on one"),
    }
}
