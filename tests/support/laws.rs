//! The laws that relate accepted events, the daemon's log and the requests that receivers saw.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::time::Duration;

use postrider::model::time::Timestamp;

use super::ledger::{AttemptRow, DeliveryRow, ExpectedSubscription, Ledger, ObservedState, marker};
use super::receiver::{ReceivedRequest, Reply};

/// The tolerance for times in the log, each of which is rounded to whole milliseconds.
const ROUNDING: Duration = Duration::from_millis(3);
/// The longest wait that `Retry-After` can ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);

/// The result of checking the observed state against the laws.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    pub(crate) violations: Vec<String>,
    pub(crate) accepted: usize,
    pub(crate) delivered: usize,
    pub(crate) exhausted: usize,
    pub(crate) cancelled: usize,
    /// Deliveries that a receiver accepted more than once.
    pub(crate) duplicates: usize,
    /// Requests without an attempt in the log.
    pub(crate) unlogged: usize,
    /// Acknowledged events or deliveries that are missing from the log.
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
    /// Panics with the first violations, if there are any.
    #[track_caller]
    pub(crate) fn assert_lawful(&self) {
        const SHOWN: usize = 10;
        let shown = self.violations.iter().take(SHOWN).fold(String::new(), |text, next| text + "\n  " + next);
        assert!(self.violations.is_empty(), "{self}:{shown}");
    }
}

impl Ledger {
    /// Checks the log and the receivers' requests against the laws.
    pub(crate) fn check(&self, facts: &ObservedState) -> Report {
        let mut requests: HashMap<&str, Vec<&ReceivedRequest>> = HashMap::new();
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
        check.lanes();
        check.report.accepted = self.accepted.len();
        check.report
    }
}

struct Check<'a> {
    ledger: &'a Ledger,
    facts: &'a ObservedState,
    /// The requests of each delivery, in order of arrival.
    requests: HashMap<&'a str, Vec<&'a ReceivedRequest>>,
    report: Report,
}

impl<'a> Check<'a> {
    fn violated(&mut self, law: &str, what: impl fmt::Debug) {
        self.report.violations.push(format!("{law}: {what:?}"));
    }

    /// Checks that the log holds every acknowledged event as submitted, no refused event, and no unknown one.
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

    /// Checks that each event has exactly one delivery per subscription that it matched, and no other.
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

    /// Checks that attempts are numbered from 1 without gaps, do not overlap, and end with the first success.
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

    /// Checks that every delivery is final and that its attempts agree with its state.
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

    /// Checks that no attempt begins before its due time: the schedule less the jitter, or the full
    /// `Retry-After`. Enabling the subscription in between may bring an attempt forward.
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
        let asked = |seen: &ReceivedRequest| match seen.reply {
            Reply::RetryAfter(429 | 503, secs) => Some(Duration::from_secs(secs).min(RETRY_AFTER_MAX)),
            _ => None,
        };
        // The log's attempt is the last request with that number. A crash cut off the earlier ones.
        let last = self.requests(row).iter().rfind(|seen| seen.attempt() == number);
        last.copied().and_then(asked).unwrap_or_default()
    }

    fn requests(&self, row: &DeliveryRow) -> &[&'a ReceivedRequest] {
        self.requests.get(row.id.as_str()).map_or(&[], Vec::as_slice)
    }

    /// Checks that the receiver saw every logged attempt with a valid signature, and that every logged
    /// success was one. No request may follow the final state or the subscription's deletion.
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

    /// Returns whether the request's body holds the event's data.
    fn carries(&self, known: &ExpectedSubscription, seen: &ReceivedRequest) -> bool {
        let Some(event) = self.facts.events.get(seen.event()) else { return false };
        match known.format.as_str() {
            "standard" | "cloudevents" => seen.json()["data"] == event["data"],
            "raw" => seen.json() == event["data"],
            _ => seen.json()["event"] == event["type"],
        }
    }

    /// Finds requests of deliveries that the log lacks, and more repeated requests than the crashes explain.
    fn strangers(&mut self) {
        let logged: BTreeSet<&str> = self.facts.deliveries.iter().map(|row| row.id.as_str()).collect();
        let stranger = |(id, _): &(&&str, &Vec<&ReceivedRequest>)| !logged.contains(**id);
        let strangers: Vec<&ReceivedRequest> =
            self.requests.iter().filter(stranger).flat_map(|(_, seen)| seen.clone()).collect();
        for seen in strangers {
            self.violated("a request of a delivery that the log does not have", seen);
        }
        if self.ledger.crashes == 0 && self.report.unlogged > 0 {
            self.violated("requests repeated although nothing crashed", self.report.unlogged);
        }
    }

    /// Checks the laws over all deliveries of a subscription together.
    fn lanes(&mut self) {
        let mut lanes: BTreeMap<&str, Vec<&DeliveryRow>> = BTreeMap::new();
        for row in &self.facts.deliveries {
            lanes.entry(&row.subscription).or_default().push(row);
        }
        for (id, mut rows) in lanes {
            let Some(known) = self.ledger.subscriptions.get(id) else { continue };
            rows.sort_by(|a, b| a.id.cmp(&b.id));
            rows.retain(|row| !row.attempts.is_empty());
            self.order(known, &rows);
            self.at_once(known, &rows);
            self.health(known, &rows);
        }
    }

    /// Checks that with `fifo` each delivery begins after the previous one is final.
    fn order(&mut self, known: &ExpectedSubscription, rows: &[&DeliveryRow]) {
        for pair in rows.windows(2).filter(|_| known.is_fifo) {
            if started(pair[1]).after(ROUNDING) < ended(pair[0]) {
                self.violated("a delivery did not wait for the one before", pair);
            }
        }
    }

    /// Checks that requests in flight stay within the subscription's limit.
    fn at_once(&mut self, known: &ExpectedSubscription, rows: &[&DeliveryRow]) {
        let attempts = || rows.iter().flat_map(|row| &row.attempts);
        let begins = attempts().map(|attempt| (attempt.started_at.after(ROUNDING), 1));
        let ends = attempts().map(|attempt| (attempt.ended_at.max(attempt.started_at.after(ROUNDING)), -1));
        let mut changes: Vec<(Timestamp, isize)> = begins.chain(ends).collect();
        // An end sorts before a start at the same moment.
        changes.sort_unstable();
        let allowed = isize::try_from(known.max_in_flight).unwrap();
        let mut open = 0;
        for (at, change) in changes {
            open += change;
            if open > allowed {
                return self.violated("too many requests at once", (at.to_string(), open, allowed));
            }
        }
    }

    /// Checks that no attempt begins after an exhausted delivery until the subscription is enabled again. A
    /// success of another delivery since the exhausted one's first attempt lifts this rule.
    fn health(&mut self, known: &ExpectedSubscription, rows: &[&DeliveryRow]) {
        let attempts = || rows.iter().flat_map(|row| &row.attempts);
        for row in rows.iter().filter(|row| self.ledger.disables && row.state == "exhausted") {
            let (first, last) = (started(row), ended(row));
            let excused = attempts().any(|other| {
                other.succeeded()
                    && other.ended_at.after(ROUNDING) >= first
                    && other.ended_at <= last.after(ROUNDING)
            });
            let next = attempts().map(|other| other.started_at).filter(|at| *at > last.after(ROUNDING)).min();
            let enabled = |next| known.enabled_at.iter().any(|at| (last..=next).contains(at));
            if let Some(next) = next.filter(|next| !excused && !enabled(*next)) {
                self.violated(
                    "an exhausted delivery did not switch its subscription off",
                    (next.to_string(), row),
                );
            }
        }
    }
}

fn started(row: &DeliveryRow) -> Timestamp {
    row.attempts.first().map_or_else(Timestamp::default, |first| first.started_at)
}

fn ended(row: &DeliveryRow) -> Timestamp {
    row.attempts.last().map_or_else(Timestamp::default, |last| last.ended_at)
}
