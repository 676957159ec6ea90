//! Tests the ledger itself: each law is broken by hand, and the check must detect it.

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use http::HeaderMap;
    use postrider::model::time::Timestamp;
    use serde_json::json;

    use crate::support::client::event;
    use crate::support::ledger::{AttemptRow, DeliveryRow, ExpectedSubscription, Ledger, ObservedState};
    use crate::support::receiver::{ReceivedRequest, Reply};

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const START: Timestamp = Timestamp::from_millis(1_767_600_000_000);

    fn at(ms: u64) -> Timestamp {
        START.after(Duration::from_millis(ms))
    }

    fn request(attempt: u32, ms: u64, reply: Reply) -> ReceivedRequest {
        let body = json!({"type": "A", "data": {"n": 1}}).to_string();
        let verifier = standardwebhooks::Webhook::new(SECRET).unwrap();
        let secs = at(ms).as_secs();
        let signature = verifier.sign("evt_1", i64::try_from(secs).unwrap(), body.as_bytes()).unwrap();
        let mut headers = HeaderMap::new();
        let mut put = |name: &'static str, value: &str| headers.insert(name, value.parse().unwrap());
        put("webhook-id", "evt_1");
        put("webhook-timestamp", &secs.to_string());
        put("webhook-signature", &signature);
        put("postrider-delivery-id", "dlv_1");
        put("postrider-attempt", &attempt.to_string());
        ReceivedRequest { at: at(ms), path: String::new(), headers, body: Bytes::from(body), reply }
    }

    fn attempt(number: u64, ms: u64, status: u64) -> AttemptRow {
        AttemptRow {
            number,
            started_at: at(ms),
            ended_at: at(ms + 10),
            status: Some(status),
            unreached: false,
        }
    }

    /// Returns one event for two of three subscriptions. One accepted it at the second attempt, the other was
    /// deleted.
    fn lawful() -> (Ledger, ObservedState) {
        let mut ledger = Ledger::new(0.2);
        let schedule = [Duration::from_secs(5)];
        for (id, projects) in
            [("sub_1", json!(["acme/*"])), ("sub_2", json!(["web"])), ("sub_3", json!(["!web"]))]
        {
            let members = json!({"events": ["A*", "!AB"], "projects": projects, "secret": SECRET});
            ledger.subscribed(id, ExpectedSubscription::new(&members, &schedule));
        }
        let content = event("A", "acme/web", 1);
        ledger.note(ledger.expect(&content), &json!({"id": "evt_1", "matched": 2, "duplicate": false}));
        ledger.known("sub_2").deleted_at = Some(at(1));
        let row = |id: &str, subscription: &str, state: &str, attempts| DeliveryRow {
            id: id.to_owned(),
            event: "evt_1".to_owned(),
            subscription: subscription.to_owned(),
            state: state.to_owned(),
            attempts,
        };
        let attempts = vec![attempt(1, 0, 500), attempt(2, 4100, 200)];
        let facts = ObservedState {
            events: [("evt_1".to_owned(), content)].into(),
            deliveries: vec![
                row("dlv_1", "sub_1", "succeeded", attempts),
                row("dlv_2", "sub_2", "cancelled", Vec::new()),
            ],
            seen: vec![request(1, 5, Reply::Status(500)), request(2, 4105, Reply::Status(200))],
        };
        (ledger, facts)
    }

    #[test]
    fn lawful_facts_pass() {
        let (ledger, facts) = lawful();
        let report = ledger.check(&facts);
        report.assert_lawful();
        assert_eq!((report.accepted, report.delivered, report.cancelled), (1, 1, 1));
        assert_eq!((report.duplicates, report.unlogged, report.lost), (0, 0, 0));
    }

    type Breach = fn(&mut Ledger, &mut ObservedState);

    const BREACHES: &[(&str, Breach)] = &[
        ("an acknowledged event is lost", |_, facts| facts.events.clear()),
        ("an event is not as it was submitted", |_, facts| {
            facts.events.get_mut("evt_1").unwrap()["data"] = json!({"n": 2});
        }),
        ("a refused event is in the log", |ledger, _| ledger.was_refused(&event("A", "acme/web", 1))),
        ("an event was never submitted", |_, facts| {
            facts.events.insert("evt_2".to_owned(), event("A", "x", 9));
        }),
        ("a delivery matches no subscription", |_, facts| {
            facts.deliveries[1].subscription = "sub_3".to_owned();
        }),
        ("an event has two deliveries for one subscription", |_, facts| {
            facts.deliveries.push(facts.deliveries[1].clone());
        }),
        ("a delivery is missing", |_, facts| drop(facts.deliveries.pop())),
        ("attempts are not numbered without gaps", |_, facts| facts.deliveries[0].attempts[1].number = 3),
        ("an attempt began before the one before was over", |_, facts| {
            facts.deliveries[0].attempts[0].ended_at = at(5000);
        }),
        ("an attempt follows a success", |_, facts| facts.deliveries[0].attempts[0].status = Some(204)),
        ("a delivery is not final", |_, facts| facts.deliveries[0].state = "pending".to_owned()),
        ("a delivery is not final", |_, facts| facts.deliveries[0].state = "exhausted".to_owned()),
        ("a delivery is not final", |_, facts| facts.deliveries[0].attempts[1].status = None),
        ("a delivery is not final", |ledger, _| ledger.known("sub_2").deleted_at = None),
        ("a delivery of an unknown subscription", |ledger, _| drop(ledger.subscriptions.remove("sub_2"))),
        ("an attempt before its due time", |_, facts| facts.deliveries[0].attempts[1].started_at = at(4001)),
        ("an attempt before its due time", |_, facts| facts.seen[0].reply = Reply::RetryAfter(503, 60)),
        ("an attempt that its receiver has not seen", |_, facts| drop(facts.seen.remove(0))),
        ("an attempt that its receiver has not seen", |_, facts| facts.seen[1].reply = Reply::Status(500)),
        ("a request that is not signed", |_, facts| facts.seen[1].body = Bytes::from_static(b"{}")),
        ("a request that is not signed", |_, facts| facts.seen[1].at = at(600_000)),
        ("a request that is not signed", |ledger, _| {
            ledger.known("sub_1").secret = SECRET.replace('M', "N");
        }),
        ("a request after the end of its delivery", |ledger, facts| {
            ledger.crashes = 1;
            facts.seen.push(request(2, 5000, Reply::Status(200)));
        }),
        ("a request after the end of its delivery", |ledger, _| {
            ledger.known("sub_1").deleted_at = Some(at(100));
        }),
        ("a request of a delivery that the log does not have", |_, facts| {
            facts.seen[1].headers.insert("postrider-delivery-id", "dlv_9".parse().unwrap());
        }),
        ("requests repeated although nothing crashed", |_, facts| {
            facts.seen.insert(1, request(2, 4104, Reply::Hang));
        }),
    ];

    /// Adds two more deliveries to the first subscription, attempted right after each other.
    fn busy(ledger: &mut Ledger, facts: &mut ObservedState) {
        for (event_id, delivery, n, ms) in [("evt_3", "dlv_3", 3, 5000), ("evt_4", "dlv_4", 4, 5005)] {
            let content = event("A", "acme/other", n);
            ledger.note(ledger.expect(&content), &json!({"id": event_id, "matched": 2, "duplicate": false}));
            facts.events.insert(event_id.to_owned(), content);
            let row = DeliveryRow {
                id: delivery.to_owned(),
                event: event_id.to_owned(),
                ..facts.deliveries[0].clone()
            };
            facts.deliveries.push(DeliveryRow { attempts: vec![attempt(1, ms, 200)], ..row });
        }
    }

    #[test]
    fn parallel_deliveries_need_a_max_in_flight_that_allows_them() {
        let (mut ledger, mut facts) = lawful();
        busy(&mut ledger, &mut facts);
        let laws = ["a delivery did not wait for the one before", "too many requests at once"];
        let broken = |ledger: &Ledger| {
            let violations = ledger.check(&facts).violations;
            laws.map(|law| violations.iter().any(|violation| violation.starts_with(law)))
        };
        assert_eq!(broken(&ledger), [false, false]);
        ledger.known("sub_1").is_fifo = true;
        assert_eq!(broken(&ledger), [true, false]);
        ledger.known("sub_1").max_in_flight = 1;
        assert_eq!(broken(&ledger), [true, true]);
    }

    #[test]
    fn an_exhausted_delivery_must_disable_unless_another_succeeded() {
        let (mut ledger, mut facts) = lawful();
        busy(&mut ledger, &mut facts);
        facts.deliveries[0].state = "exhausted".to_owned();
        facts.deliveries[0].attempts[1].status = Some(500);
        let broken = |ledger: &Ledger, facts: &ObservedState| {
            let law = "an exhausted delivery did not switch its subscription off";
            ledger.check(facts).violations.iter().any(|violation| violation.starts_with(law))
        };
        assert!(broken(&ledger, &facts));
        ledger.disables = false;
        assert!(!broken(&ledger, &facts));
        ledger.disables = true;
        ledger.known("sub_1").enabled_at.push(at(4500));
        assert!(!broken(&ledger, &facts));
        ledger.known("sub_1").enabled_at.clear();
        facts.deliveries[2].attempts[0] = attempt(1, 4000, 200);
        assert!(!broken(&ledger, &facts));
    }

    #[test]
    fn every_breach_of_a_law_is_detected() {
        for (law, breach) in BREACHES {
            let (mut ledger, mut facts) = lawful();
            breach(&mut ledger, &mut facts);
            let report = ledger.check(&facts);
            assert!(
                report.violations.iter().any(|violation| violation.starts_with(law)),
                "{law}: {:#?}",
                report.violations
            );
        }
    }

    #[test]
    fn a_crash_explains_a_repeated_request_and_an_unanswered_event() {
        let (mut ledger, mut facts) = lawful();
        ledger.crashes = 1;
        facts.seen.insert(1, request(2, 4104, Reply::Status(200)));
        let accepted = ledger.accepted.remove("evt_1").unwrap();
        ledger.lost_sight_of(accepted);
        let report = ledger.check(&facts);
        report.assert_lawful();
        assert_eq!((report.duplicates, report.unlogged), (1, 1));
    }

    #[test]
    fn only_enabling_brings_an_attempt_forward() {
        let (mut ledger, mut facts) = lawful();
        facts.deliveries[0].attempts[1].started_at = at(1000);
        assert!(!ledger.check(&facts).violations.is_empty());
        ledger.known("sub_1").enabled_at.push(at(500));
        ledger.check(&facts).assert_lawful();
    }
}
