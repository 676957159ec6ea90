//! Lanes, on paused time: a subscription's own settings, and fairness between receivers.

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use postrider::model::time::Timestamp;
    use serde_json::{Value, json};

    use crate::support::client::event;
    use crate::support::daemon::TestDaemon;
    use crate::support::receiver::{ReceivedRequest, Receiver, Reply, always};

    const PROMPT: Duration = Duration::from_millis(100);

    fn todos(numbers: std::ops::RangeInclusive<u64>) -> Value {
        numbers.map(|n| event("TODO_CREATED", "acme/website", n)).collect()
    }

    fn numbers(seen: &[ReceivedRequest]) -> Vec<u64> {
        seen.iter().map(|seen| seen.json()["data"]["n"].as_u64().unwrap()).collect()
    }

    async fn bounded(max_in_flight: usize) -> TestDaemon {
        let settings =
            format!("[delivery]\nallow_networks = [\"127.0.0.0/8\"]\nmax_in_flight = {max_in_flight}\n");
        TestDaemon::start_with(&settings, 1).await
    }

    async fn answering(daemon: &TestDaemon, reply: Reply, members: Value) -> (Receiver, Value) {
        let (receiver, subscription) = daemon.subscribed(members).await;
        receiver.answer(always(reply));
        (receiver, subscription)
    }

    /// Starts receivers with default settings that give this reply.
    async fn crowd(daemon: &TestDaemon, count: usize, reply: Reply) -> Vec<Receiver> {
        let mut receivers = Vec::with_capacity(count);
        for _ in 0..count {
            receivers.push(answering(daemon, reply.clone(), json!({})).await.0);
        }
        receivers
    }

    /// Starts a receiver that has accepted an event, which the other receivers got too.
    async fn proven(daemon: &TestDaemon, crowd: &[Receiver]) -> Receiver {
        let (fast, _) = daemon.subscribed(json!({})).await;
        daemon.api.accepted(&todos(1..=1)).await;
        for receiver in crowd.iter().chain([&fast]) {
            receiver.wait_for(1).await;
        }
        daemon.until("all is settled", async || (daemon.api.unfinished().await == 0).then_some(())).await;
        fast
    }

    /// Submits 50 events a second and asserts that each arrives promptly.
    async fn flows(daemon: &TestDaemon, fast: &Receiver, events: u64) {
        let mut count = fast.count();
        for n in 0..events {
            daemon.api.accepted(&todos(1000 + n..=1000 + n)).await;
            let accepted: Timestamp = daemon.clock.now();
            count += 1;
            let seen = fast.wait_for(count).await;
            let waited = seen[count - 1].at.since(accepted);
            assert!(waited < PROMPT, "event {n} came after {} ms", waited.as_millis());
            crate::support::passes(Duration::from_millis(20)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn receivers_that_stop_answering_leave_slots_for_the_others() {
        let daemon = bounded(64).await;
        let hanging = crowd(&daemon, 10, Reply::Status(200)).await;
        let fast = proven(&daemon, &hanging).await;
        for receiver in &hanging {
            receiver.answer(always(Reply::Hang));
        }
        flows(&daemon, &fast, 100).await;
        let most: Vec<usize> = hanging.iter().map(Receiver::most_at_once).collect();
        assert!(most.iter().all(|most| (5..=7).contains(most)), "they share alike: {most:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn receivers_that_never_answered_leave_half_of_the_slots_to_healthy_ones() {
        let daemon = bounded(64).await;
        let fast = proven(&daemon, &[]).await;
        let hanging = crowd(&daemon, 50, Reply::Hang).await;
        let dripping = crowd(&daemon, 20, Reply::Drip).await;
        let refusing = crowd(&daemon, 20, Reply::Status(503)).await;
        flows(&daemon, &fast, 100).await;
        let out: usize = hanging.iter().chain(&dripping).map(Receiver::most_at_once).sum();
        assert!((25..=64).contains(&out), "{out} in all, over time");
        assert!(hanging.iter().chain(&refusing).filter(|receiver| receiver.count() > 0).count() >= 30);
    }

    #[tokio::test(start_paused = true)]
    async fn a_single_receiver_gets_all_slots_within_its_own_limits() {
        let daemon = bounded(64).await;
        let slow = Reply::Slow(Duration::from_secs(1), 200);
        let (receiver, _) = answering(&daemon, slow, json!({"max_in_flight": 30})).await;
        daemon.api.accepted(&todos(1..=60)).await;
        receiver.wait_for(60).await;
        assert_eq!(receiver.most_at_once(), 30);
    }

    #[tokio::test(start_paused = true)]
    async fn lanes_take_turns() {
        let daemon = bounded(1).await;
        let slow = Reply::Slow(Duration::from_secs(1), 200);
        let (first, _) = answering(&daemon, slow.clone(), json!({})).await;
        let (second, _) = answering(&daemon, slow, json!({})).await;
        daemon.api.accepted(&todos(1..=10)).await;
        let tag = |receiver: &[ReceivedRequest], tag| {
            receiver.iter().map(|seen| (seen.at, tag)).collect::<Vec<_>>()
        };
        let mut order = tag(&first.wait_for(10).await, 1);
        order.extend(tag(&second.wait_for(10).await, 2));
        order.sort();
        assert!(order.windows(3).all(|three| three.iter().any(|(_, tag)| *tag != three[0].1)), "{order:?}");
        assert!(
            order.windows(2).all(|two| two[1].0.since(two[0].0) >= Duration::from_millis(990)),
            "{order:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_subscription_has_its_own_retry_schedule() {
        let daemon = TestDaemon::start().await;
        for (members, waits) in [
            (json!({"retry_schedule": ["1s", "1h"]}), vec![1, 3600]),
            (json!({"retry_schedule": []}), vec![]),
            (json!({}), vec![5, 30, 120, 600]),
        ] {
            let (receiver, subscription) = answering(&daemon, Reply::Status(500), members).await;
            daemon.api.accepted(&todos(1..=1)).await;
            let id = subscription["id"].as_str().unwrap();
            let disabled = async || {
                let shown = daemon.api.subscription(id).await;
                (shown["disabled_reason"] == "exhausted").then_some(())
            };
            daemon.until("its attempts are used up", disabled).await;
            let seen = receiver.seen();
            assert_eq!(seen.len(), waits.len() + 1);
            for (pair, wait) in seen.windows(2).zip(waits) {
                let (waited, wait) = (pair[1].at.since(pair[0].at).as_secs_f64(), f64::from(wait));
                assert!((wait * 0.79..=wait * 1.21 + 0.5).contains(&waited), "{waited} s for {wait} s");
            }
            daemon.api.delete(&format!("/v1/subscriptions/{id}")).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_subscription_has_its_own_timeout_and_headers() {
        let daemon = TestDaemon::start().await;
        let members = json!({"timeout": "1s", "headers": {"X-Team": "sales", "authorization": "Bearer t"}});
        let (own, _) = answering(&daemon, Reply::Hang, members).await;
        let (plain, _) = answering(&daemon, Reply::Hang, json!({})).await;
        let accepted = daemon.api.accepted(&todos(1..=1)).await;
        let (first, other) = (own.wait_for(1).await.remove(0), plain.wait_for(1).await.remove(0));
        assert_eq!((first.header("x-team"), first.header("authorization")), ("sales", "Bearer t"));
        assert_eq!((other.header("x-team"), other.header("authorization")), ("", ""));
        for receiver in [&own, &plain] {
            receiver.answer(always(Reply::Status(200)));
            receiver.wait_for(2).await;
        }
        let id = accepted["results"][0]["id"].as_str().unwrap();
        let mut took: Vec<u64> = daemon
            .api
            .list(&format!("/v1/events/{id}/deliveries"))
            .await
            .iter()
            .map(|delivery| delivery["attempts"][0]["duration_ms"].as_u64().unwrap())
            .collect();
        took.sort_unstable();
        assert!((1000..1100).contains(&took[0]) && (7000..7100).contains(&took[1]), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn only_fifo_waits_for_its_head_delivery_and_honours_its_retry_after() {
        let daemon = TestDaemon::start().await;
        let mut orders = Vec::new();
        for ordering in ["fifo", "none"] {
            let (receiver, subscription) =
                daemon.subscribed(json!({"ordering": ordering, "max_in_flight": 1})).await;
            let mut refusals = 1;
            receiver.answer(Box::new(move |seen| {
                let refuses = seen.json()["data"]["n"] == 2 && refusals > 0;
                refusals -= u32::from(refuses);
                if refuses { Reply::RetryAfter(429, 60) } else { Reply::Status(200) }
            }));
            daemon.api.accepted(&todos(1..=4)).await;
            let seen = receiver.wait_for(5).await;
            let rested = seen[2].at.since(seen[1].at);
            assert!(rested >= Duration::from_mins(1), "{ordering}: {} s", rested.as_secs());
            orders.push(numbers(&seen));
            let path = format!("/v1/subscriptions/{}", subscription["id"].as_str().unwrap());
            daemon.api.delete(&path).await;
        }
        assert_eq!(orders[0], [1, 2, 2, 3, 4]);
        assert_eq!(orders[1][..2], [1, 2]);
        assert_eq!(orders[1].iter().filter(|n| **n == 2).count(), 2);
    }
}
