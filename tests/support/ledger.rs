//! The ledger: what was accepted and who had to get it, kept apart from the daemon, and the laws that hold
//! between that, the daemon's log and what the receivers saw.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::time::Duration;

use postrider::model::time::Timestamp;
use serde_json::Value;

use super::client::ApiClient;
use super::receiver::{Receiver, Reply, Seen};

/// Times in the log are whole milliseconds, rounded on their own.
const ROUNDING: Duration = Duration::from_millis(3);
/// The longest wait that `Retry-After` can ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);

/// A subscription as the ledger knows it.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) events: Vec<String>,
    pub(crate) projects: Vec<String>,
    pub(crate) format: String,
    pub(crate) secret: String,
    pub(crate) schedule: Vec<Duration>,
    /// Whether events are matched with it now: neither deleted nor switched off by a person.
    pub(crate) active: bool,
    /// When it was switched on, which brings forward what waits.
    pub(crate) enabled_at: Vec<Timestamp>,
    pub(crate) deleted_at: Option<Timestamp>,
}

impl Known {
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
    pub(crate) subscriptions: BTreeMap<String, Known>,
    pub(crate) accepted: BTreeMap<String, Accepted>,
    /// Submitted without an answer, by what makes each unique: they may have been accepted or not.
    pub(crate) unanswered: BTreeMap<String, Accepted>,
    /// Answered with an error: they must not exist.
    pub(crate) refused: BTreeSet<String>,
    /// How often the daemon ended without a clean stop: each time, what was in flight goes out again.
    pub(crate) crashes: usize,
    /// How far a wait may fall short of its schedule, as a share.
    pub(crate) jitter: f64,
}

impl Ledger {
    /// A ledger for a daemon with that `delivery.jitter`.
    pub(crate) fn new(jitter: f64) -> Self {
        Self { jitter, ..Self::default() }
    }

    /// Notes a subscription; from now on events are matched with it.
    pub(crate) fn subscribed(&mut self, id: &str, known: Known) {
        self.subscriptions.insert(id.to_owned(), known);
    }

    /// The subscription `id`, which was noted before.
    pub(crate) fn known(&mut self, id: &str) -> &mut Known {
        self.subscriptions.get_mut(id).unwrap()
    }

    /// Who has to get an event that is accepted now.
    pub(crate) fn expect(&self, event: &Value) -> Accepted {
        let wanting = |known: &Known| known.active && known.wants(event);
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

    /// Holds the log and the receivers against the laws.
    pub(crate) fn check(&self, facts: &Facts) -> Report {
        let mut requests: HashMap<&str, Vec<&Seen>> = HashMap::new();
        for seen in facts.seen.iter().filter(|seen| !seen.delivery().is_empty()) {
            requests.entry(seen.delivery()).or_default().push(seen);
        }
        let mut check = Check { ledger: self, facts, requests, report: Report::default() };
        check.events();
        check.one_delivery_each();
        for row in &facts.deliveries {
            check.attempts(row);
            check.end(row);
            check.waits(row);
            check.seen(row);
        }
        check.strangers();
        check.report.accepted = self.accepted.len();
        check.report
    }
}

/// What makes an event of a test unique: its data.
fn marker(event: &Value) -> String {
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
    fn succeeded(&self) -> bool {
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
pub(crate) struct Facts {
    pub(crate) events: BTreeMap<String, Value>,
    pub(crate) deliveries: Vec<DeliveryRow>,
    pub(crate) seen: Vec<Seen>,
}

impl Facts {
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

/// What came of holding the facts against the laws.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    pub(crate) violations: Vec<String>,
    pub(crate) accepted: usize,
    pub(crate) delivered: usize,
    pub(crate) exhausted: usize,
    pub(crate) cancelled: usize,
    /// Deliveries that a receiver took more than once.
    pub(crate) duplicates: usize,
    /// Requests of which the log has no attempt.
    pub(crate) unlogged: usize,
    /// Acknowledged events or deliveries that are not in the log.
    pub(crate) lost: usize,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { accepted, delivered, exhausted, cancelled, duplicates, unlogged, lost, violations } = self;
        write!(
            f,
            "{accepted} accepted, {delivered} delivered, {exhausted} exhausted, {cancelled} cancelled, \
             {duplicates} duplicates, {unlogged} unlogged requests, {lost} lost, {} violations",
            violations.len()
        )
    }
}

impl Report {
    /// Fails with the first violations, if there are any.
    #[track_caller]
    pub(crate) fn assert_lawful(&self) {
        const SHOWN: usize = 10;
        let shown = self.violations.iter().take(SHOWN).fold(String::new(), |text, next| text + "\n  " + next);
        assert!(self.violations.is_empty(), "{self}:{shown}");
    }
}

struct Check<'a> {
    ledger: &'a Ledger,
    facts: &'a Facts,
    /// By delivery, in the order that they came.
    requests: HashMap<&'a str, Vec<&'a Seen>>,
    report: Report,
}

impl<'a> Check<'a> {
    fn violated(&mut self, law: &str, what: impl fmt::Debug) {
        self.report.violations.push(format!("{law}: {what:?}"));
    }

    /// Every acknowledged event is in the log as it was submitted; no refused one is; none appears from nowhere.
    fn events(&mut self) {
        for (id, accepted) in &self.ledger.accepted {
            match self.facts.events.get(id) {
                None => {
                    self.report.lost += 1;
                    self.violated("an acknowledged event is lost", id);
                }
                Some(event) => {
                    let same = |name: &str| event[name] == accepted.content[name];
                    if !["type", "project", "company", "data"].into_iter().all(same) {
                        self.violated("an event is not as it was submitted", event);
                    }
                }
            }
        }
        for (id, event) in &self.facts.events {
            let marker = marker(event);
            if self.ledger.refused.contains(&marker) {
                self.violated("a refused event is in the log", event);
            } else if !self.ledger.accepted.contains_key(id) && !self.ledger.unanswered.contains_key(&marker)
            {
                self.violated("an event was never submitted", event);
            }
        }
    }

    fn targets(&self, event: &str) -> Option<&BTreeSet<String>> {
        let unanswered = || self.ledger.unanswered.get(&marker(self.facts.events.get(event)?));
        let accepted = self.ledger.accepted.get(event).or_else(unanswered)?;
        Some(&accepted.targets)
    }

    /// Each event has exactly one delivery for each subscription that it matched, and no other.
    fn one_delivery_each(&mut self) {
        let mut counts: HashMap<(&str, &str), usize> = HashMap::new();
        for row in &self.facts.deliveries {
            *counts.entry((&row.event, &row.subscription)).or_default() += 1;
            if !self.targets(&row.event).is_some_and(|targets| targets.contains(&row.subscription)) {
                self.violated("a delivery matches no subscription", row);
            }
        }
        for event in self.facts.events.keys() {
            for target in self.targets(event).into_iter().flatten().cloned().collect::<Vec<_>>() {
                match counts.get(&(event.as_str(), target.as_str())) {
                    Some(1) => {}
                    Some(_) => self.violated("an event has two deliveries for one subscription", event),
                    None => {
                        self.report.lost += 1;
                        self.violated("a delivery is missing", (event, &target));
                    }
                }
            }
        }
    }

    /// Attempts are numbered from 1 without gaps, each after the one before, and nothing follows a success.
    fn attempts(&mut self, row: &DeliveryRow) {
        if !row.attempts.iter().map(|attempt| attempt.number).eq(1..=row.attempts.len() as u64) {
            self.violated("attempts are not numbered without gaps", row);
        }
        for pair in row.attempts.windows(2) {
            if pair[1].started_at.after(ROUNDING) < pair[0].ended_at {
                self.violated("an attempt began before the one before was over", row);
            }
            if pair[0].succeeded() {
                self.violated("an attempt follows a success", row);
            }
        }
    }

    /// Every delivery is final, and its attempts say the same as its state.
    fn end(&mut self, row: &DeliveryRow) {
        let Some(known) = self.ledger.subscriptions.get(&row.subscription) else {
            return self.violated("a delivery of an unknown subscription", row);
        };
        let allowed = known.schedule.len() + 1;
        let succeeded = row.attempts.last().is_some_and(AttemptRow::succeeded);
        let consistent = match row.state.as_str() {
            "succeeded" => succeeded && row.attempts.len() <= allowed,
            "exhausted" => !succeeded && row.attempts.len() == allowed,
            "cancelled" => !succeeded && row.attempts.len() < allowed && known.deleted_at.is_some(),
            _ => false,
        };
        if !consistent {
            self.violated("a delivery is not final, or its attempts deny its state", row);
        }
        match row.state.as_str() {
            "succeeded" => self.report.delivered += 1,
            "exhausted" => self.report.exhausted += 1,
            _ => self.report.cancelled += 1,
        }
    }

    /// No attempt before its due time: the schedule less the jitter, and all of what `Retry-After` asked for,
    /// unless the subscription was switched on in between.
    fn waits(&mut self, row: &DeliveryRow) {
        let Some(known) = self.ledger.subscriptions.get(&row.subscription) else { return };
        for (pair, wait) in row.attempts.windows(2).zip(&known.schedule) {
            let (before, after) = (&pair[0], &pair[1]);
            let scheduled = wait.mul_f64(1.0 - self.ledger.jitter);
            let due = before.ended_at.after(scheduled.max(self.asked_to_wait(row, before.number)));
            let released =
                known.enabled_at.iter().any(|at| (before.ended_at..=after.started_at).contains(at));
            if after.started_at.after(ROUNDING) < due && !released {
                self.violated("an attempt before its due time", (due.to_string(), row));
            }
        }
    }

    fn asked_to_wait(&self, row: &DeliveryRow, number: u64) -> Duration {
        let asked = |seen: &Seen| match seen.reply {
            Reply::RetryAfter(429 | 503, secs) => Some(Duration::from_secs(secs).min(RETRY_AFTER_MAX)),
            _ => None,
        };
        // The log's attempt is the last request of that number: one before was cut off by a crash.
        let last = self.requests(row).iter().rfind(|seen| seen.attempt() == number);
        last.copied().and_then(asked).unwrap_or_default()
    }

    fn requests(&self, row: &DeliveryRow) -> &[&'a Seen] {
        self.requests.get(row.id.as_str()).map_or(&[], Vec::as_slice)
    }

    /// Every logged attempt was seen by the receiver with a valid signature; a success is one that the receiver
    /// meant; after the end, and after a subscription was deleted, nothing comes any more.
    fn seen(&mut self, row: &DeliveryRow) {
        let Some(known) = self.ledger.subscriptions.get(&row.subscription) else { return };
        let requests = self.requests(row).to_vec();
        for attempt in &row.attempts {
            let was_seen = requests.iter().any(|seen| {
                seen.attempt() == attempt.number && (!attempt.succeeded() || seen.reply.is_success())
            });
            if !was_seen && !attempt.unreached {
                self.violated("an attempt that its receiver has not seen", (attempt, row));
            }
        }
        let ended = row.attempts.last().map(|last| last.ended_at.after(ROUNDING));
        for seen in requests.iter().copied() {
            if !seen.is_signed_with(&known.secret) || seen.event() != row.event || !self.carries(known, seen)
            {
                self.violated("a request that is not signed, or not of its event", seen);
            }
            let deleted = known.deleted_at.is_some_and(|at| seen.at > at);
            if deleted || (row.state != "cancelled" && ended.is_none_or(|end| seen.at > end)) {
                self.violated("a request after the end of its delivery", (seen, row));
            }
        }
        let taken = requests.iter().filter(|seen| seen.reply.is_success()).count();
        self.report.duplicates += taken.saturating_sub(1);
        self.report.unlogged += requests.len().saturating_sub(row.attempts.len());
    }

    /// Whether the body holds the event's data.
    fn carries(&self, known: &Known, seen: &Seen) -> bool {
        let Some(event) = self.facts.events.get(seen.event()) else { return false };
        match known.format.as_str() {
            "standard" | "cloudevents" => seen.json()["data"] == event["data"],
            "raw" => seen.json() == event["data"],
            _ => seen.json()["event"] == event["type"],
        }
    }

    /// Requests of deliveries that the log does not have, and more repeated ones than crashes account for.
    fn strangers(&mut self) {
        let logged: BTreeSet<&str> = self.facts.deliveries.iter().map(|row| row.id.as_str()).collect();
        let stranger = |(id, _): &(&&str, &Vec<&Seen>)| !logged.contains(**id);
        let strangers: Vec<&Seen> =
            self.requests.iter().filter(stranger).flat_map(|(_, seen)| seen.clone()).collect();
        for seen in strangers {
            self.violated("a request of a delivery that the log does not have", seen);
        }
        if self.ledger.crashes == 0 && self.report.unlogged > 0 {
            self.violated("requests repeated although nothing crashed", self.report.unlogged);
        }
    }
}
