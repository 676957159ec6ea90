//! From an accepted event to the end of its deliveries, on paused time: retries, health, limits and order.

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use crate::support::client::{ApiClient, event};
    use crate::support::daemon::TestDaemon;
    use crate::support::receiver::{ReceivedRequest, Receiver, Reply, always};

    const SCHEDULE: [u64; 4] = [5, 30, 120, 600];

    fn todo(n: u64) -> Value {
        event("TODO_CREATED", "acme/website", n)
    }

    fn todos(numbers: std::ops::RangeInclusive<u64>) -> Value {
        numbers.map(todo).collect()
    }

    /// Returns the numbers in the events' data, in order of arrival, without health checks.
    fn numbers(seen: &[ReceivedRequest]) -> Vec<u64> {
        seen.iter()
            .filter(|seen| !seen.delivery().is_empty())
            .map(|seen| seen.json()["data"]["n"].as_u64().unwrap())
            .collect()
    }

    fn id(subscription: &Value) -> &str {
        subscription["id"].as_str().unwrap()
    }

    async fn show(api: &ApiClient, subscription: &Value) -> Value {
        api.subscription(id(subscription)).await
    }

    /// Returns the states of a subscription's deliveries, oldest first.
    async fn states(api: &ApiClient, subscription: &Value) -> Vec<String> {
        let mut listed = api.list(&format!("/v1/deliveries?subscription={}", id(subscription))).await;
        listed.sort_by_key(|delivery| delivery["id"].to_string());
        listed.iter().map(|delivery| delivery["state"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until every delivery is final or held.
    async fn settled(daemon: &TestDaemon, subscription: &Value) {
        let quiet = async || {
            let stats = show(&daemon.api, subscription).await["stats"].take();
            (stats["pending"] == 0 && stats["in_flight"] == 0).then_some(())
        };
        daemon.until("nothing is pending or in flight", quiet).await;
    }

    /// Waits until bad health has disabled the subscription, and returns it.
    async fn switched_off(daemon: &TestDaemon, subscription: &Value) -> Value {
        let disabled = async || {
            let shown = show(&daemon.api, subscription).await;
            (shown["health"] == "disabled").then_some(shown)
        };
        daemon.until("the subscription is disabled", disabled).await
    }

    /// Starts a receiver that gives this reply, with a subscription.
    async fn answering(daemon: &TestDaemon, reply: Reply, members: Value) -> (Receiver, Value) {
        let (receiver, subscription) = daemon.subscribed(members).await;
        receiver.answer(always(reply));
        (receiver, subscription)
    }

    #[tokio::test(start_paused = true)]
    async fn a_failing_delivery_has_five_scheduled_attempts_and_then_disables_its_subscription() {
        let daemon = TestDaemon::start().await;
        let (receiver, subscription) = answering(&daemon, Reply::Status(500), json!({})).await;
        daemon.api.accepted(&todo(1)).await;
        assert_eq!(show(&daemon.api, &subscription).await["enabled"], true);
        let shown = switched_off(&daemon, &subscription).await;
        assert_eq!((&shown["enabled"], &shown["disabled_reason"]), (&json!(false), &json!("exhausted")));
        let seen = receiver.seen();
        assert_eq!(seen.iter().map(ReceivedRequest::attempt).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        for (pair, wait) in seen.windows(2).zip(SCHEDULE) {
            let waited = pair[1].at.since(pair[0].at).as_millis();
            let wait = u128::from(wait) * 1000;
            assert!((wait * 4 / 5 - 5..=wait * 6 / 5 + 500).contains(&waited), "{waited} for {wait}");
        }
        daemon.pass(86_400).await;
        assert_eq!(receiver.count(), 5);
        assert_eq!(states(&daemon.api, &subscription).await, ["exhausted"]);
    }

    #[tokio::test(start_paused = true)]
    async fn held_deliveries_go_out_oldest_first_after_a_health_check() {
        let daemon = TestDaemon::start().await;
        let (receiver, subscription) =
            answering(&daemon, Reply::Status(500), json!({"max_in_flight": 1})).await;
        daemon.api.accepted(&todo(1)).await;
        switched_off(&daemon, &subscription).await;
        daemon.api.accepted(&todos(2..=6)).await;
        daemon.pass(3600).await;
        assert_eq!(
            states(&daemon.api, &subscription).await,
            ["exhausted", "held", "held", "held", "held", "held"]
        );
        let before = receiver.count();

        let path = format!("/v1/subscriptions/{}/enable", id(&subscription));
        daemon.api.command(&path).await.expect(409);
        assert_eq!(show(&daemon.api, &subscription).await["health"], "disabled");
        assert_eq!((receiver.count(), receiver.seen()[before].delivery()), (before + 1, ""));

        receiver.answer(always(Reply::Status(200)));
        let enabled = daemon.api.command(&path).await.expect(200);
        assert_eq!((&enabled["enabled"], &enabled["health_check"]["status"]), (&json!(true), &json!(200)));
        settled(&daemon, &subscription).await;
        let seen = &receiver.seen()[before + 1..];
        assert_eq!(seen[0].json()["type"], "webhook.health_check");
        assert!(seen[0].is_signed_with(subscription["secret"].as_str().unwrap()));
        assert_eq!(numbers(seen), [2, 3, 4, 5, 6]);
        assert_eq!(show(&daemon.api, &subscription).await["health"], "healthy");
    }

    #[tokio::test(start_paused = true)]
    async fn an_exhausted_delivery_does_not_disable_if_another_succeeded_since_its_first_attempt() {
        for (other, health) in [(200, "failing"), (500, "disabled")] {
            let daemon = TestDaemon::start().await;
            let (receiver, subscription) = daemon.subscribed(json!({})).await;
            receiver.answer(Box::new(move |seen| match seen.json()["data"]["n"].as_u64() {
                Some(1) => Reply::Status(500),
                _ => Reply::Slow(Duration::from_secs(2), other),
            }));
            daemon.api.accepted(&todos(1..=2)).await;
            let exhausted = async || {
                let stats = show(&daemon.api, &subscription).await["stats"].take();
                (stats["exhausted"].as_u64() >= Some(1)).then_some(())
            };
            daemon.until("a delivery is exhausted", exhausted).await;
            assert_eq!(show(&daemon.api, &subscription).await["health"], health, "the other got {other}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn status_410_disables_immediately() {
        let daemon = TestDaemon::start().await;
        let (receiver, subscription) = answering(&daemon, Reply::Status(410), json!({})).await;
        daemon.api.accepted(&todo(1)).await;
        let shown = switched_off(&daemon, &subscription).await;
        assert_eq!(shown["disabled_reason"], "gone");
        daemon.api.accepted(&todo(2)).await;
        daemon.pass(3600).await;
        assert_eq!(receiver.count(), 1);
        assert_eq!(states(&daemon.api, &subscription).await.last().unwrap(), "held");
    }

    #[tokio::test(start_paused = true)]
    async fn retry_after_pauses_the_whole_lane() {
        let daemon = TestDaemon::start().await;
        for status in [429, 503] {
            let (receiver, subscription) =
                answering(&daemon, Reply::RetryAfter(status, 120), json!({})).await;
            let (neighbour, _) = daemon.subscribed(json!({})).await;
            daemon.api.accepted(&todo(1)).await;
            let rested_at = receiver.wait_for(1).await[0].at;
            receiver.answer(always(Reply::Status(200)));
            daemon.pass(10).await;
            daemon.api.accepted(&todo(2)).await;
            neighbour.wait_for(2).await;
            daemon.pass(100).await;
            assert_eq!(receiver.count(), 1, "the lane did not rest after {status}");
            settled(&daemon, &subscription).await;
            let seen = receiver.seen();
            assert_eq!(seen.len(), 3);
            assert!(seen[1..].iter().all(|seen| seen.at.since(rested_at) >= Duration::from_mins(2)));
            daemon.api.delete(&format!("/v1/subscriptions/{}", id(&subscription))).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_delivery_probes_a_dead_receiver_while_the_others_wait() {
        let daemon = TestDaemon::start().await;
        let slow = Reply::Slow(Duration::from_secs(1), 500);
        let (receiver, subscription) = answering(&daemon, slow, json!({})).await;
        daemon.api.accepted(&todo(1)).await;
        receiver.wait_for(1).await;
        daemon.pass(2).await;
        daemon.api.accepted(&todos(2..=20)).await;
        switched_off(&daemon, &subscription).await;
        assert_eq!(receiver.most_at_once(), 1);
        // After one failure, one other delivery may show whether the event or the receiver is at fault. After
        // two failures only the first delivery goes on and uses up its attempts for all.
        let seen = numbers(&receiver.seen());
        assert_eq!(seen.iter().filter(|n| **n == 1).count(), 5);
        assert!(seen.len() <= 6, "{seen:?}");
        let held = states(&daemon.api, &subscription).await;
        assert_eq!(held.iter().filter(|state| *state == "held").count(), 19);
    }

    #[tokio::test(start_paused = true)]
    async fn missing_and_endless_responses_time_out_at_the_deadline() {
        let daemon = TestDaemon::start().await;
        for reply in [Reply::Hang, Reply::Drip] {
            let (receiver, subscription) = answering(&daemon, reply.clone(), json!({})).await;
            let accepted = daemon.api.accepted(&todo(1)).await;
            receiver.wait_for(1).await;
            receiver.answer(always(Reply::Status(204)));
            settled(&daemon, &subscription).await;
            let path = format!("/v1/events/{}/deliveries", id(&accepted));
            let delivery = daemon.api.list(&path).await.pop().unwrap();
            let (first, second) = (&delivery["attempts"][0], &delivery["attempts"][1]);
            assert_eq!((&first["error"], &second["status"]), (&json!("timeout"), &json!(204)), "{reply:?}");
            assert!((7000..7100).contains(&first["duration_ms"].as_u64().unwrap()), "{reply:?}: {first}");
            daemon.api.delete(&format!("/v1/subscriptions/{}", id(&subscription))).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn requests_in_flight_stay_within_max_in_flight() {
        let daemon = TestDaemon::start().await;
        let slow = Reply::Slow(Duration::from_secs(1), 200);
        let (receiver, subscription) = answering(&daemon, slow.clone(), json!({"max_in_flight": 3})).await;
        let (unlimited, _) = answering(&daemon, slow, json!({})).await;
        daemon.api.accepted(&todos(1..=12)).await;
        settled(&daemon, &subscription).await;
        assert_eq!((receiver.count(), receiver.most_at_once()), (12, 3));
        assert_eq!((unlimited.count(), unlimited.most_at_once()), (12, 12));
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_stay_within_the_rate_limit() {
        let daemon = TestDaemon::start().await;
        let (receiver, subscription) = daemon.subscribed(json!({"rate_limit": "2/s"})).await;
        let (unlimited, _) = daemon.subscribed(json!({})).await;
        daemon.api.accepted(&todos(1..=10)).await;
        settled(&daemon, &subscription).await;
        let span = |seen: &[ReceivedRequest]| seen[9].at.since(seen[0].at).as_millis();
        let limited = receiver.seen();
        assert!((3500..=5500).contains(&span(&limited)), "{} ms", span(&limited));
        for window in limited.windows(5) {
            assert!(window[4].at.since(window[0].at) >= Duration::from_millis(990), "{window:?}");
        }
        assert!(span(&unlimited.seen()) < 500);
    }

    #[tokio::test(start_paused = true)]
    async fn fifo_keeps_the_order_across_retries() {
        let daemon = TestDaemon::start().await;
        let (receiver, subscription) = daemon.subscribed(json!({"ordering": "fifo"})).await;
        let mut failures = 2;
        receiver.answer(Box::new(move |seen| {
            let fails = seen.json()["data"]["n"] == 2 && failures > 0;
            failures -= u32::from(fails);
            Reply::Status(if fails { 500 } else { 200 })
        }));
        daemon.api.accepted(&todos(1..=3)).await;
        daemon.api.accepted(&todos(4..=6)).await;
        settled(&daemon, &subscription).await;
        assert_eq!(numbers(&receiver.seen()), [1, 2, 2, 2, 3, 4, 5, 6]);
        assert_eq!(receiver.most_at_once(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_receiver_does_not_delay_another() {
        let daemon = TestDaemon::start().await;
        let (hanging, _) = answering(&daemon, Reply::Hang, json!({})).await;
        let (fast, _) = daemon.subscribed(json!({})).await;
        let before = daemon.clock.now();
        daemon.api.accepted(&todos(1..=40)).await;
        let seen = fast.wait_for(40).await;
        assert!(
            seen[39].at.since(before) < Duration::from_millis(500),
            "{}",
            seen[39].at.since(before).as_millis()
        );
        hanging.wait_for(1).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_manually_disabled_subscription_matches_no_event() {
        let daemon = TestDaemon::start().await;
        let (receiver, subscription) = daemon.subscribed(json!({})).await;
        let path = format!("/v1/subscriptions/{}", id(&subscription));
        let shown = daemon.api.command(&format!("{path}/disable")).await.expect(200);
        assert_eq!(shown["disabled_reason"], "manual");
        assert_eq!(daemon.api.accepted(&todo(1)).await["matched"], 0);
        daemon.api.command(&format!("{path}/enable")).await.expect(200);
        assert_eq!(daemon.api.accepted(&todo(2)).await["matched"], 1);
        settled(&daemon, &subscription).await;
        assert_eq!(numbers(&receiver.seen()), [2]);
    }

    #[tokio::test(start_paused = true)]
    async fn deleting_a_subscription_cancels_its_unfinished_deliveries() {
        let daemon = TestDaemon::start().await;
        let (receiver, subscription) = answering(&daemon, Reply::Status(500), json!({})).await;
        let accepted = daemon.api.accepted(&todo(1)).await;
        receiver.wait_for(1).await;
        daemon.pass(1).await;
        daemon.api.delete(&format!("/v1/subscriptions/{}", id(&subscription))).await;
        daemon.pass(3600).await;
        assert_eq!(receiver.count(), 1);
        let delivery =
            daemon.api.list(&format!("/v1/events/{}/deliveries", id(&accepted))).await.pop().unwrap();
        assert_eq!(delivery["state"], "cancelled");
        assert!(delivery["reason"].as_str().unwrap().contains("deleted"), "{delivery}");
        assert_eq!(daemon.api.accepted(&todo(2)).await["matched"], 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_clean_stop_finishes_attempts_in_flight() {
        let mut daemon = TestDaemon::start().await;
        let (receiver, subscription) =
            answering(&daemon, Reply::Slow(Duration::from_secs(3), 200), json!({})).await;
        daemon.api.accepted(&todo(1)).await;
        receiver.wait_for(1).await;
        let before = daemon.clock.now();
        daemon.restart().await;
        assert!(daemon.clock.now().since(before) >= Duration::from_millis(2900));
        assert_eq!(states(&daemon.api, &subscription).await, ["succeeded"]);
        daemon.pass(3600).await;
        assert_eq!(receiver.count(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_cut_off_by_a_kill_are_repeated() {
        let mut daemon = TestDaemon::start().await;
        let (receiver, subscription) =
            answering(&daemon, Reply::Slow(Duration::from_secs(3), 200), json!({})).await;
        daemon.api.accepted(&todo(1)).await;
        receiver.wait_for(1).await;
        daemon.kill().await;
        daemon.revive().await;
        settled(&daemon, &subscription).await;
        assert_eq!(states(&daemon.api, &subscription).await, ["succeeded"]);
        assert_eq!(receiver.seen().iter().map(ReceivedRequest::attempt).collect::<Vec<_>>(), [1, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn overdue_retries_go_out_soon_after_a_start_and_the_others_on_time() {
        let mut daemon = TestDaemon::start().await;
        let (overdue, first) = answering(&daemon, Reply::Status(500), json!({})).await;
        let (later, second) = answering(&daemon, Reply::Status(500), json!({"retry_schedule": ["3h"]})).await;
        daemon.api.accepted(&todo(1)).await;
        let began = overdue.wait_for(1).await[0].at;
        later.wait_for(1).await;
        daemon.pass(1).await;
        daemon.stop().await;
        for receiver in [&overdue, &later] {
            receiver.answer(always(Reply::Status(200)));
        }
        daemon.pass(3600).await;
        assert_eq!((overdue.count(), later.count()), (1, 1));
        daemon.revive().await;
        let restarted = daemon.clock.now();
        settled(&daemon, &first).await;
        assert!(overdue.seen()[1].at.since(restarted) < Duration::from_mins(1));
        settled(&daemon, &second).await;
        assert!(later.seen()[1].at.since(began) >= Duration::from_mins(3 * 60 * 8 / 10));
    }
}
