//! Records what was accepted and who must receive it, independently of the daemon.
//!
//! The laws compare this ledger with the observed state: the daemon's log and the requests that receivers
//! saw.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use postrider::model::time::Timestamp;
use serde_json::Value;

use super::client::ApiClient;
use super::receiver::{ReceivedRequest, Receiver};

/// A subscription as the ledger knows it.
#[derive(Clone, Debug)]
pub(crate) struct ExpectedSubscription {
    pub(crate) events: Vec<String>,
    pub(crate) projects: Vec<String>,
    pub(crate) format: String,
    pub(crate) secret: String,
    pub(crate) schedule: Vec<Duration>,
    pub(crate) is_fifo: bool,
    pub(crate) max_in_flight: usize,
    /// Whether new events match the subscription: it is neither deleted nor manually disabled.
    pub(crate) active: bool,
    /// The times at which the subscription was enabled, which brings waiting deliveries forward.
    pub(crate) enabled_at: Vec<Timestamp>,
    pub(crate) deleted_at: Option<Timestamp>,
}

impl ExpectedSubscription {
    /// Creates the entry from the members that the API or the config file got, which may include `secret`.
    pub(crate) fn new(members: &Value, schedule: &[Duration]) -> Self {
        let texts = |name: &str| -> Vec<String> {
            let list = members[name].as_array().map_or(&[][..], Vec::as_slice);
            list.iter().map(|text| text.as_str().unwrap().to_owned()).collect()
        };
        let text = |name: &str| members[name].as_str().map(str::to_owned);
        Self {
            events: texts("events"),
            projects: texts("projects"),
            format: text("format").unwrap_or_else(|| "standard".to_owned()),
            secret: text("secret").unwrap_or_default(),
            schedule: schedule.to_vec(),
            is_fifo: members["ordering"] == "fifo",
            max_in_flight: members["max_in_flight"]
                .as_u64()
                .map_or(16, |count| usize::try_from(count).unwrap()),
            active: true,
            enabled_at: Vec::new(),
            deleted_at: None,
        }
    }

    /// Returns whether the selectors contain the event, by a literal reading of the contract, term by term.
    fn wants(&self, event: &Value) -> bool {
        let (kind, project) = (event["type"].as_str().unwrap(), event["project"].as_str().unwrap());
        let company = event["company"].as_str();
        selects(&self.events, |term| match term.strip_suffix('*') {
            Some(prefix) => kind.starts_with(prefix),
            None => kind == term,
        }) && selects(&self.projects, |term| match term.split_once('/') {
            Some((of, "*")) => company == Some(of),
            Some((of, id)) => company == Some(of) && project == id,
            None => term == "*" || term == project,
        })
    }
}

fn selects(terms: &[String], means: impl Fn(&str) -> bool) -> bool {
    let (excludes, includes): (Vec<&str>, Vec<&str>) =
        terms.iter().map(String::as_str).partition(|term| term.starts_with('!'));
    (includes.is_empty() || includes.iter().any(|term| means(term)))
        && !excludes.iter().any(|term| means(&term[1..]))
}

/// An accepted event and the subscriptions that must receive it.
#[derive(Clone, Debug)]
pub(crate) struct Accepted {
    pub(crate) content: Value,
    pub(crate) targets: BTreeSet<String>,
}

/// Everything that was done to the daemon, and its responses.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) subscriptions: BTreeMap<String, ExpectedSubscription>,
    pub(crate) accepted: BTreeMap<String, Accepted>,
    /// Submitted events without a response, by unique marker. They may or may not have been accepted.
    pub(crate) unanswered: BTreeMap<String, Accepted>,
    /// Events that were refused with an error and must not exist.
    pub(crate) refused: BTreeSet<String>,
    /// The number of ends without a clean stop. After each, attempts in flight may be repeated.
    pub(crate) crashes: usize,
    /// The share by which a wait may fall short of its schedule.
    pub(crate) jitter: f64,
    /// Whether an exhausted delivery disables its subscription, as `health.disable = "exhausted"` specifies.
    pub(crate) disables: bool,
}

impl Ledger {
    /// Creates a ledger for a daemon with this `delivery.jitter`.
    pub(crate) fn new(jitter: f64) -> Self {
        Self { jitter, disables: true, ..Self::default() }
    }

    /// Records a subscription. Events are matched with it from now on.
    pub(crate) fn subscribed(&mut self, id: &str, known: ExpectedSubscription) {
        self.subscriptions.insert(id.to_owned(), known);
    }

    /// Returns the recorded subscription `id`.
    pub(crate) fn known(&mut self, id: &str) -> &mut ExpectedSubscription {
        self.subscriptions.get_mut(id).unwrap()
    }

    /// Returns the subscriptions that must receive an event accepted now.
    pub(crate) fn expect(&self, event: &Value) -> Accepted {
        let wanting = |known: &ExpectedSubscription| known.active && known.wants(event);
        let targets = self.subscriptions.iter().filter(|(_, known)| wanting(known));
        Accepted { content: event.clone(), targets: targets.map(|(id, _)| id.clone()).collect() }
    }

    /// Records the 202 of one event and asserts that the response agrees with the ledger.
    pub(crate) fn note(&mut self, expected: Accepted, result: &Value) {
        let id = result["id"].as_str().unwrap().to_owned();
        self.unanswered.remove(&marker(&expected.content));
        if result["duplicate"] == false {
            assert_eq!(result["matched"], expected.targets.len(), "{expected:?}");
            assert!(!self.accepted.contains_key(&id), "{id} was given out twice");
        }
        self.accepted.entry(id).or_insert(expected);
    }

    /// Records that the outcome of an event's submission is unknown.
    pub(crate) fn lost_sight_of(&mut self, expected: Accepted) {
        self.unanswered.insert(marker(&expected.content), expected);
    }

    /// Records that an event was refused with an error.
    pub(crate) fn was_refused(&mut self, event: &Value) {
        self.refused.insert(marker(event));
    }
}

/// Returns the text that makes a test's event unique: its data.
pub(crate) fn marker(event: &Value) -> String {
    event["data"].to_string()
}

/// An attempt as shown by the log.
#[derive(Clone, Debug)]
pub(crate) struct AttemptRow {
    pub(crate) number: u64,
    pub(crate) started_at: Timestamp,
    pub(crate) ended_at: Timestamp,
    pub(crate) status: Option<u64>,
    /// Whether the request never reached the receiver.
    pub(crate) unreached: bool,
}

impl AttemptRow {
    /// Returns whether the receiver answered with 2xx.
    pub(crate) fn succeeded(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

/// A delivery as shown by the log.
#[derive(Clone, Debug)]
pub(crate) struct DeliveryRow {
    pub(crate) id: String,
    pub(crate) event: String,
    pub(crate) subscription: String,
    pub(crate) state: String,
    pub(crate) attempts: Vec<AttemptRow>,
}

impl DeliveryRow {
    /// Reads a delivery from the API's JSON.
    pub(crate) fn read(delivery: &Value) -> Self {
        let text = |name: &str| delivery[name].as_str().unwrap().to_owned();
        let attempt = |attempt: &Value| {
            let started_at: Timestamp = attempt["started_at"].as_str().unwrap().parse().unwrap();
            AttemptRow {
                number: attempt["number"].as_u64().unwrap(),
                started_at,
                ended_at: started_at.after(Duration::from_millis(attempt["duration_ms"].as_u64().unwrap())),
                status: attempt["status"].as_u64(),
                unreached: matches!(attempt["error"].as_str(), Some("connect" | "dns" | "forbidden_address")),
            }
        };
        Self {
            id: text("id"),
            event: text("event"),
            subscription: text("subscription"),
            state: text("state"),
            attempts: delivery["attempts"].as_array().unwrap().iter().map(attempt).collect(),
        }
    }
}

/// The log as the API shows it, and the requests that the receivers saw.
#[derive(Clone, Debug, Default)]
pub(crate) struct ObservedState {
    pub(crate) events: BTreeMap<String, Value>,
    pub(crate) deliveries: Vec<DeliveryRow>,
    pub(crate) seen: Vec<ReceivedRequest>,
}

impl ObservedState {
    /// Reads the whole log and the requests of every receiver.
    pub(crate) async fn gather(api: &ApiClient, receivers: impl Iterator<Item = &Receiver>) -> Self {
        let mut events = BTreeMap::new();
        for head in api.list("/v1/events").await {
            let id = head["id"].as_str().unwrap().to_owned();
            let whole = api.get(&format!("/v1/events/{id}")).await;
            assert!(events.insert(id, whole).is_none(), "an event is listed twice: {head}");
        }
        let deliveries = api.list("/v1/deliveries").await.iter().map(DeliveryRow::read).collect();
        Self { events, deliveries, seen: receivers.flat_map(Receiver::seen).collect() }
    }
}
