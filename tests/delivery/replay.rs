//! Replays from the log: one event, a subscription's past as a job, and calls with an idempotency key.

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use http::{HeaderMap, Method};
    use serde_json::{Value, json};

    use crate::support::client::{Answer, event};
    use crate::support::daemon::TestDaemon;
    use crate::support::receiver::{ReceivedRequest, Receiver, Reply, always};

    fn todo(n: u64) -> Value {
        event("TODO_CREATED", "acme/website", n)
    }

    fn todos(numbers: std::ops::RangeInclusive<u64>) -> Value {
        numbers.map(todo).collect()
    }

    fn id(thing: &Value) -> &str {
        thing["id"].as_str().unwrap()
    }

    fn number(seen: &ReceivedRequest) -> u64 {
        seen.json()["data"]["n"].as_u64().unwrap()
    }

    /// Returns the number of requests for each event number.
    fn numbers(seen: &[ReceivedRequest]) -> BTreeMap<u64, usize> {
        let mut counts = BTreeMap::new();
        for seen in seen.iter().filter(|seen| !seen.delivery().is_empty()) {
            *counts.entry(number(seen)).or_default() += 1;
        }
        counts
    }

    fn once_each(numbers: impl IntoIterator<Item = u64>) -> BTreeMap<u64, usize> {
        numbers.into_iter().map(|n| (n, 1)).collect()
    }

    async fn settled(daemon: &TestDaemon, subscription: &Value) {
        let quiet = async || {
            let stats = daemon.api.subscription(id(subscription)).await["stats"].take();
            (stats["pending"] == 0 && stats["in_flight"] == 0).then_some(())
        };
        daemon.until("nothing is pending or in flight", quiet).await;
    }

    async fn start(daemon: &TestDaemon, subscription: &Value, ask: &Value) -> Answer {
        daemon.api.post(&format!("/v1/subscriptions/{}/replay", id(subscription)), ask).await
    }

    async fn count(daemon: &TestDaemon, subscription: &Value, mut ask: Value) -> Value {
        ask["dry_run"] = json!(true);
        start(daemon, subscription, &ask).await.expect(200)["matching"].take()
    }

    async fn ended(daemon: &TestDaemon, job: &Value) -> Value {
        let end = async || {
            let job = daemon.api.get(&format!("/v1/replays/{}", id(job))).await;
            (job["state"] != "running").then_some(job)
        };
        daemon.until("the replay has ended", end).await
    }

    /// Starts a replay and waits for its end.
    async fn replayed(daemon: &TestDaemon, subscription: &Value, ask: &Value) -> Value {
        let job = start(daemon, subscription, ask).await.expect(202);
        ended(daemon, &job).await
    }

    fn counts(job: &Value) -> [&Value; 4] {
        [&job["total"], &job["looked_at"], &job["made"], &job["skipped"]]
    }

    async fn refusing(daemon: &TestDaemon, members: Value) -> (Receiver, Value) {
        let (receiver, subscription) = daemon.subscribed(members).await;
        receiver.answer(always(Reply::Status(500)));
        (receiver, subscription)
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_replay_goes_to_all_current_matches_or_to_named_subscriptions() {
        let daemon = TestDaemon::start().await;
        let (first, one) = daemon.subscribed(json!({"events": ["TODO_*"]})).await;
        let accepted = daemon.api.accepted(&todo(1)).await;
        settled(&daemon, &one).await;
        let (second, other) = daemon.subscribed(json!({"events": ["TODO_*"]})).await;
        let (third, stranger) = daemon.subscribed(json!({"events": ["X"]})).await;
        let path = format!("/v1/events/{}/replay", id(&accepted));
        let again = daemon.api.command(&path).await.expect(202);
        let deliveries = again["deliveries"].as_array().unwrap();
        assert_eq!((deliveries.len(), &again["skipped"]), (2, &json!([])));
        for subscription in [&one, &other] {
            settled(&daemon, subscription).await;
        }
        assert_eq!((first.count(), second.count(), third.count()), (2, 1, 0));
        let seen = first.seen();
        assert_eq!((seen[0].event(), seen[1].event(), seen[1].attempt()), (id(&accepted), id(&accepted), 1));
        assert_ne!(seen[0].delivery(), seen[1].delivery());
        for delivery in deliveries {
            let shown = daemon.api.get(&format!("/v1/deliveries/{}", delivery.as_str().unwrap())).await;
            assert_eq!((&shown["event"], &shown["state"]), (&accepted["id"], &json!("succeeded")));
        }

        let named = json!({"subscriptions": [id(&stranger), id(&stranger)]});
        assert_eq!(
            daemon.api.post(&path, &named).await.expect(202)["deliveries"].as_array().unwrap().len(),
            1
        );
        third.wait_for(1).await;
        let bad = json!({"subscriptions": [id(&one), "sub_00000000000000000000000000", "x"]});
        let refused = daemon.api.post(&path, &bad).await.expect(422);
        assert_eq!(refused["errors"][0]["pointer"], "/subscriptions/2");
        let bad = json!({"subscriptions": [id(&one), "sub_00000000000000000000000000"]});
        let refused = daemon.api.post(&path, &bad).await.expect(422);
        assert_eq!(refused["errors"][0]["pointer"], "/subscriptions/1");
        daemon.api.command("/v1/events/evt_00000000000000000000000000/replay").await.expect(404);
    }

    #[tokio::test(start_paused = true)]
    async fn a_replayed_event_has_a_full_retry_schedule_and_skips_unfinished_deliveries() {
        let daemon = TestDaemon::start().await;
        let (receiver, subscription) = refusing(&daemon, json!({"retry_schedule": ["5s", "30s"]})).await;
        let accepted = daemon.api.accepted(&todo(1)).await;
        receiver.wait_for(1).await;
        let path = format!("/v1/events/{}/replay", id(&accepted));
        let again = daemon.api.command(&path).await.expect(202);
        assert_eq!((&again["deliveries"], &again["skipped"]), (&json!([]), &json!([id(&subscription)])));
        settled(&daemon, &subscription).await;
        assert_eq!(receiver.count(), 3);
        // The subscription is disabled by now. The new delivery is held and survives a restart.
        let again = daemon.api.command(&path).await.expect(202);
        let delivery = format!("/v1/deliveries/{}", again["deliveries"][0].as_str().unwrap());
        assert_eq!(daemon.api.get(&delivery).await["state"], "held");
        let mut daemon = daemon;
        daemon.restart().await;
        receiver.answer(always(Reply::Status(200)));
        daemon.api.command(&format!("/v1/subscriptions/{}/enable", id(&subscription))).await.expect(200);
        settled(&daemon, &subscription).await;
        let shown = daemon.api.get(&delivery).await;
        assert_eq!((&shown["state"], &shown["attempts"][0]["number"]), (&json!("succeeded"), &json!(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_replay_delivers_earlier_matching_events_to_a_new_subscription() {
        let daemon = TestDaemon::start().await;
        daemon.api.accepted(&todos(1..=300)).await;
        let other: Value = (301..=320).map(|n| event("X", "acme/website", n)).collect();
        daemon.api.accepted(&other).await;
        daemon.api.accepted(&todos(321..=330)).await;
        let members = json!({"events": ["TODO_*"], "filter": "event.data.n % 2 == 0"});
        let (receiver, subscription) = daemon.subscribed(members).await;
        assert_eq!(count(&daemon, &subscription, json!({})).await, 155);
        let answer = start(&daemon, &subscription, &json!({})).await;
        let location = answer.headers["location"].to_str().unwrap().to_owned();
        let job = answer.expect(202);
        assert_eq!(location, format!("/v1/replays/{}", id(&job)));
        assert_eq!((&job["subscription"], &job["state"]), (&subscription["id"], &json!("running")));
        let job = ended(&daemon, &job).await;
        assert_eq!(
            (job["state"].as_str(), counts(&job)),
            (Some("done"), [&json!(330), &json!(330), &json!(155), &json!(0)])
        );
        settled(&daemon, &subscription).await;
        let expected = (1..=300).chain(321..=330).filter(|n| n % 2 == 0);
        assert_eq!(numbers(&receiver.seen()), once_each(expected));
        assert_eq!(daemon.api.get(&location).await, job);
        assert_eq!(daemon.api.list("/v1/replays").await, [job]);
        // Each replay delivers all of them again.
        assert_eq!(replayed(&daemon, &subscription, &json!({})).await["made"], 155);
        settled(&daemon, &subscription).await;
        assert_eq!(receiver.count(), 310);
    }

    #[tokio::test(start_paused = true)]
    async fn a_time_range_and_states_narrow_a_replay() {
        let daemon = TestDaemon::start_with("[health]\ndisable = \"never\"\n", 1).await;
        let (receiver, subscription) = daemon.subscribed(json!({"retry_schedule": []})).await;
        receiver
            .answer(Box::new(|seen| Reply::Status(if number(seen).is_multiple_of(5) { 500 } else { 200 })));
        let mut times = Vec::new();
        for n in 1..=10 {
            let accepted = daemon.api.accepted(&todo(n)).await;
            settled(&daemon, &subscription).await;
            times.push(daemon.api.get(&format!("/v1/events/{}", id(&accepted))).await["accepted_at"].clone());
            daemon.pass(1).await;
        }
        receiver.answer(always(Reply::Status(200)));
        let span = json!({"since": times[2], "until": times[6]});
        for (ask, expected) in [
            (json!({}), 10),
            (span.clone(), 4),
            (json!({"since": times[9]}), 1),
            (json!({"until": times[0]}), 0),
            (json!({"states": ["exhausted"]}), 2),
            (json!({"states": ["succeeded"]}), 8),
            (json!({"states": ["exhausted", "succeeded"]}), 10),
            (json!({"states": ["cancelled"]}), 0),
            (json!({"states": ["exhausted"], "until": times[6]}), 1),
        ] {
            assert_eq!(count(&daemon, &subscription, ask.clone()).await, expected, "{ask}");
        }
        let before = receiver.count();
        let job = replayed(&daemon, &subscription, &span).await;
        assert_eq!((&job["made"], &job["since"], &job["until"]), (&json!(4), &times[2], &times[6]));
        settled(&daemon, &subscription).await;
        assert_eq!(numbers(&receiver.seen()[before..]), once_each(3..=6));
        let job = replayed(&daemon, &subscription, &json!({"states": ["exhausted"]})).await;
        assert_eq!(
            (job["made"].as_u64(), &job["states"]),
            (Some(1), &json!(["exhausted"])),
            "5 has been taken since"
        );
        settled(&daemon, &subscription).await;
        assert_eq!(number(receiver.seen().last().unwrap()), 10);

        for (bad, pointer) in [
            (json!({"since": times[1], "until": times[1]}), "/until"),
            (json!({"states": ["held"]}), "/states/0"),
            (json!({"states": []}), "/states"),
            (json!({"since": "yesterday"}), "/since"),
            (json!({"dry": true}), "/dry"),
        ] {
            let refused = start(&daemon, &subscription, &bad).await.expect(422);
            assert_eq!(refused["errors"][0]["pointer"], pointer, "{bad}");
        }
        start(&daemon, &json!({"id": "sub_00000000000000000000000000"}), &json!({})).await.expect(404);
    }

    #[tokio::test(start_paused = true)]
    async fn a_replay_waits_for_its_receiver_and_lets_new_events_through() {
        let daemon = TestDaemon::start_with("[api]\nreplay_backlog_max = 10\n", 1).await;
        daemon.api.accepted(&todos(1..=100)).await;
        let (receiver, subscription) = daemon.subscribed(json!({"max_in_flight": 1})).await;
        receiver.answer(always(Reply::Slow(Duration::from_secs(1), 200)));
        let job = start(&daemon, &subscription, &json!({})).await.expect(202);
        receiver.wait_for(5).await;
        daemon.api.accepted(&todo(1000)).await;
        let mut most = 0;
        let watched = async || {
            let stats = daemon.api.subscription(id(&subscription)).await["stats"].take();
            most = most.max(stats["pending"].as_u64().unwrap() + stats["in_flight"].as_u64().unwrap());
            (daemon.api.get(&format!("/v1/replays/{}", id(&job))).await["state"] == "done").then_some(())
        };
        daemon.until("the replay is done", watched).await;
        assert!((5..=11).contains(&most), "{most}");
        settled(&daemon, &subscription).await;
        let seen = receiver.seen();
        assert_eq!(numbers(&seen), once_each((1..=100).chain([1000])));
        let live = seen.iter().position(|seen| number(seen) == 1000).unwrap();
        assert!((5..20).contains(&live), "the new event came as number {live}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_replay_continues_after_a_restart_and_can_be_cancelled() {
        let mut daemon =
            TestDaemon::start_with("[api]\nreplay_backlog_max = 10\nreplays_running_max = 1\n", 1).await;
        daemon.api.accepted(&todos(1..=100)).await;
        let (receiver, subscription) = daemon.subscribed(json!({"max_in_flight": 1})).await;
        receiver.answer(always(Reply::Slow(Duration::from_secs(1), 200)));
        let job = start(&daemon, &subscription, &json!({})).await.expect(202);
        start(&daemon, &subscription, &json!({})).await.expect(429);
        let path = format!("/v1/replays/{}", id(&job));
        receiver.wait_for(20).await;
        daemon.restart().await;
        receiver.wait_for(40).await;
        daemon.kill().await;
        daemon.revive().await;
        receiver.wait_for(60).await;
        let running = daemon.api.get(&path).await;
        assert_eq!(
            (&running["state"], &running["total"], &running["finished_at"]),
            (&json!("running"), &json!(100), &Value::Null)
        );
        let cancelled = daemon.api.command(&format!("{path}/cancel")).await.expect(200);
        assert_eq!((&cancelled["state"], cancelled["finished_at"].is_string()), (&json!("cancelled"), true));
        let made = cancelled["made"].as_u64().unwrap();
        assert!((60..=75).contains(&made), "{cancelled}");
        settled(&daemon, &subscription).await;
        daemon.restart().await;
        daemon.pass(60).await;
        assert_eq!(daemon.api.get(&path).await, cancelled);
        // Deliveries that were in flight at the kill may have gone out twice, and no others.
        let seen = numbers(&receiver.seen());
        assert_eq!(seen.keys().copied().collect::<Vec<_>>(), (1..=made).collect::<Vec<_>>());
        assert!(seen.values().filter(|count| **count > 1).count() <= 1, "{seen:?}");
        let deliveries = daemon.api.list(&format!("/v1/deliveries?subscription={}", id(&subscription))).await;
        assert_eq!(deliveries.len() as u64, made);
        daemon.api.command(&format!("{path}/cancel")).await.expect(409);
        daemon.api.command("/v1/replays/rpl_00000000000000000000000000/cancel").await.expect(404);
        daemon.api.call(Method::GET, "/v1/replays/rpl_1", "", "").await.unwrap().expect(404);
    }

    #[tokio::test(start_paused = true)]
    async fn a_replay_fails_when_its_subscription_is_deleted() {
        let daemon = TestDaemon::start_with("[api]\nreplay_backlog_max = 10\n", 1).await;
        daemon.api.accepted(&todos(1..=100)).await;
        let (receiver, subscription) = daemon.subscribed(json!({"max_in_flight": 1})).await;
        receiver.answer(always(Reply::Slow(Duration::from_secs(1), 200)));
        let job = start(&daemon, &subscription, &json!({})).await.expect(202);
        receiver.wait_for(5).await;
        daemon.api.delete(&format!("/v1/subscriptions/{}", id(&subscription))).await;
        let job = ended(&daemon, &job).await;
        assert_eq!(
            (&job["state"], &job["failure"]),
            (&json!("failed"), &json!("the subscription was deleted"))
        );
        let out = receiver.count();
        daemon.pass(600).await;
        assert_eq!(receiver.count(), out);
    }

    async fn keyed(daemon: &TestDaemon, path: &str, key: &str, body: &Value) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert("idempotency-key", key.parse().unwrap());
        headers.insert("content-type", "application/json".parse().unwrap());
        daemon.api.send(Method::POST, path, headers, body.to_string()).await.unwrap()
    }

    /// Returns the body of a response, and whether it repeats the response to an earlier call.
    fn opened(answer: Answer, status: u16) -> (Value, bool) {
        let is_repeat = answer.headers.get("idempotency-replayed").is_some_and(|value| value == "true");
        (answer.expect(status), is_repeat)
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_with_an_idempotency_key_takes_effect_once() {
        let mut daemon = TestDaemon::start().await;
        let receiver = daemon.receiver(always(Reply::Status(200))).await;
        let made = json!({"url": receiver.url()});
        let (subscription, is_repeat) = opened(keyed(&daemon, "/v1/subscriptions", "k", &made).await, 201);
        assert!(!is_repeat);
        let (one, list) = (todo(1), todos(2..=4));
        let event = opened(keyed(&daemon, "/v1/events", "k", &one).await, 202).0;
        let events = opened(keyed(&daemon, "/v1/events", "k2", &list).await, 202).0;
        settled(&daemon, &subscription).await;
        let again = format!("/v1/events/{}/replay", id(&event));
        let replay = format!("/v1/subscriptions/{}/replay", id(&subscription));
        let redelivered = opened(keyed(&daemon, &again, "k", &json!({})).await, 202).0;
        settled(&daemon, &subscription).await;
        let job = opened(keyed(&daemon, &replay, "k", &json!({})).await, 202).0;
        let job = ended(&daemon, &job).await;
        settled(&daemon, &subscription).await;
        let count = receiver.count();
        assert_eq!(count, 4 + 1 + 4);
        for _ in 0..2 {
            for (path, key, body, status, expected) in [
                ("/v1/events", "k", &one, 202, &event),
                ("/v1/events", "k2", &list, 202, &events),
                (&again, "k", &json!({}), 202, &redelivered),
                (&replay, "k", &json!({}), 202, &job),
            ] {
                let (answer, is_repeat) = opened(keyed(&daemon, path, key, body).await, status);
                assert_eq!((&answer, is_repeat), (expected, true), "{path}");
            }
            let (answer, is_repeat) = opened(keyed(&daemon, "/v1/subscriptions", "k", &made).await, 201);
            assert_eq!(
                (id(&answer), &answer["secret"], is_repeat),
                (id(&subscription), &subscription["secret"], true)
            );
            daemon.restart().await;
        }
        assert_eq!(daemon.api.list("/v1/subscriptions").await.len(), 1);
        assert_eq!(daemon.api.list("/v1/events").await.len(), 4);
        for (path, body) in [
            ("/v1/subscriptions", json!({"url": receiver.url(), "name": "x"})),
            ("/v1/events", todo(9)),
            (&again, json!({"subscriptions": [id(&subscription)]})),
            (&replay, json!({"states": ["exhausted"]})),
        ] {
            let refused = keyed(&daemon, path, "k", &body).await.expect(422);
            assert_eq!(refused["type"], "urn:postrider:problem:idempotency-key-reused", "{path}");
        }
        let long = "k".repeat(256);
        for bad in ["a b", "", long.as_str()] {
            keyed(&daemon, "/v1/events", bad, &one).await.expect(400);
        }
        settled(&daemon, &subscription).await;
        assert_eq!(receiver.count(), count);
        // After a change the secret may differ from the one in the first response, so it is not shown again.
        daemon.api.patch(&format!("/v1/subscriptions/{}", id(&subscription)), &json!({"name": "y"})).await;
        let (answer, _) = opened(keyed(&daemon, "/v1/subscriptions", "k", &made).await, 201);
        assert_eq!((&answer["name"], answer.get("secret")), (&json!("y"), None));
        daemon.pass(90_000).await;
        let (answer, is_repeat) = opened(keyed(&daemon, "/v1/events", "k", &one).await, 202);
        assert!(!is_repeat && answer["id"] != event["id"], "a day later it is a new call");
    }
}
