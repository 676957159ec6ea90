//! The ledger: what was accepted and who had to get it, kept apart from the daemon; and the facts that the laws
//! hold it against, which are the daemon's log and what the receivers saw.

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
    /// Whether events are matched with it now: neither deleted nor switched off by a person.
    pub(crate) active: bool,
    /// When it was switched on, which brings forward what waits.
    pub(crate) enabled_at: Vec<Timestamp>,
    pub(crate) deleted_at: Option<Timestamp>,
}

impl ExpectedSubscription {
    /// A subscription as the API or the config file was given it; `secret` may be in it.
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

    /// Whether its selectors contain the event: the plain reading of the contract, term by term.
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

/// An accepted event and the subscriptions that have to get it.
#[derive(Clone, Debug)]
pub(crate) struct Accepted {
    pub(crate) content: Value,
    pub(crate) targets: BTreeSet<String>,
}

/// What was done to the daemon and what it answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) subscriptions: BTreeMap<String, ExpectedSubscription>,
    pub(crate) accepted: BTreeMap<String, Accepted>,
    /// Submitted without an answer, by what makes each unique: they may have been accepted or not.
    pub(crate) unanswered: BTreeMap<String, Accepted>,
    /// Answered with an error: they must not exist.
    pub(crate) refused: BTreeSet<String>,
    /// How often the daemon ended without a clean stop: each time, what was in flight goes out again.
    pub(crate) crashes: usize,
    /// How far a wait may fall short of its schedule, as a share.
    pub(crate) jitter: f64,
    /// Whether a delivery that is exhausted switches its subscription off, as `health.disable = "exhausted"` says.
    pub(crate) disables: bool,
}

impl Ledger {
    /// A ledger for a daemon with that `delivery.jitter`.
    pub(crate) fn new(jitter: f64) -> Self {
        Self { jitter, disables: true, ..Self::default() }
    }

    /// Notes a subscription; from now on events are matched with it.
    pub(crate) fn subscribed(&mut self, id: &str, known: ExpectedSubscription) {
        self.subscriptions.insert(id.to_owned(), known);
    }

    /// The subscription `id`, which was noted before.
    pub(crate) fn known(&mut self, id: &str) -> &mut ExpectedSubscription {
        self.subscriptions.get_mut(id).unwrap()
    }

    /// Who has to get an event that is accepted now.
    pub(crate) fn expect(&self, event: &Value) -> Accepted {
        let wanting = |known: &ExpectedSubscription| known.active && known.wants(event);
        let targets = self.subscriptions.iter().filter(|(_, known)| wanting(known));
        Accepted { content: event.clone(), targets: targets.map(|(id, _)| id.clone()).collect() }
    }

    /// Notes the 202 of one event, and that its answer agrees with the ledger.
    pub(crate) fn note(&mut self, expected: Accepted, result: &Value) {
        let id = result["id"].as_str().unwrap().to_owned();
        self.unanswered.remove(&marker(&expected.content));
        if result["duplicate"] == false {
            assert_eq!(result["matched"], expected.targets.len(), "{expected:?}");
            assert!(!self.accepted.contains_key(&id), "{id} was given out twice");
        }
        self.accepted.entry(id).or_insert(expected);
    }

    /// Notes that nobody knows whether the event was accepted.
    pub(crate) fn lost_sight_of(&mut self, expected: Accepted) {
        self.unanswered.insert(marker(&expected.content), expected);
    }

    /// Notes that the event was answered with an error.
    pub(crate) fn was_refused(&mut self, event: &Value) {
        self.refused.insert(marker(event));
    }
}

/// What makes an event of a test unique: its data.
pub(crate) fn marker(event: &Value) -> String {
    event["data"].to_string()
}

/// An attempt as the log has it.
#[derive(Clone, Debug)]
pub(crate) struct AttemptRow {
    pub(crate) number: u64,
    pub(crate) started_at: Timestamp,
    pub(crate) ended_at: Timestamp,
    pub(crate) status: Option<u64>,
    /// Whether the receiver was never reached.
    pub(crate) unreached: bool,
}

impl AttemptRow {
    /// Whether it was answered with 2xx.
    pub(crate) fn succeeded(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

/// A delivery as the log has it.
#[derive(Clone, Debug)]
pub(crate) struct DeliveryRow {
    pub(crate) id: String,
    pub(crate) event: String,
    pub(crate) subscription: String,
    pub(crate) state: String,
    pub(crate) attempts: Vec<AttemptRow>,
}

impl DeliveryRow {
    /// Reads a delivery of the API.
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

/// The log as the API shows it, and what the receivers saw.
#[derive(Clone, Debug, Default)]
pub(crate) struct ObservedState {
    pub(crate) events: BTreeMap<String, Value>,
    pub(crate) deliveries: Vec<DeliveryRow>,
    pub(crate) seen: Vec<ReceivedRequest>,
}

impl ObservedState {
    /// Reads the whole log and what every receiver saw.
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
