//! `/v1/stream`: ordered messages to readers that reconnect, filter, stall or are too many.

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Method;
    use serde_json::{Value, json};

    use crate::support::client::event;
    use crate::support::daemon::TestDaemon;
    use crate::support::receiver::{Reply, always};
    use crate::support::stream_reader::{StreamMessage, StreamReader};

    fn todo(n: u64) -> Value {
        event("TODO_CREATED", "acme/website", n)
    }

    fn kinds(told: &[StreamMessage]) -> Vec<&str> {
        told.iter().map(|one| one.event.as_str()).collect()
    }

    async fn listen(daemon: &TestDaemon, query: &str, last: Option<u64>) -> StreamReader {
        let listener = StreamReader::start(daemon.api.address, query, last).await;
        assert_eq!(listener.head[0], "http/1.1 200 ok");
        listener
    }

    /// Waits until this many readers are connected.
    async fn readers(daemon: &TestDaemon, count: u64) {
        let there = async || (daemon.api.get("/v1/stats").await["stream"]["readers"] == count).then_some(());
        daemon.until("the readers are as many as expected", there).await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_stream_reports_all_events_in_order() {
        let daemon = TestDaemon::start().await;
        let mut listener = listen(&daemon, "", None).await;
        for line in ["content-type: text/event-stream", "cache-control: no-store", "x-accel-buffering: no"] {
            assert!(listener.head.iter().any(|one| one == line), "{line}: {:?}", listener.head);
        }
        let (receiver, subscription) = daemon.subscribed(json!({"retry_schedule": ["5s"]})).await;
        receiver.answer(always(Reply::Status(503)));
        let accepted = daemon.api.accepted(&todo(1)).await;
        let told = listener.take(7).await;
        let expected = [
            "subscription.changed",
            "event.accepted",
            "attempt.finished",
            "subscription.changed",
            "attempt.finished",
            "delivery.settled",
            "subscription.changed",
        ];
        assert_eq!(kinds(&told), expected);
        assert!(told.windows(2).all(|pair| pair[0].id < pair[1].id), "{told:?}");
        assert_eq!(
            (&told[0].data["subscription"], &told[0].data["change"]),
            (&subscription["id"], &json!("created"))
        );
        let data = &told[1].data;
        assert_eq!(
            (&data["event"], &data["type"], &data["matched"]),
            (&accepted["id"], &json!("TODO_CREATED"), &json!(1))
        );
        assert_eq!((&data["project"], &data["company"]), (&json!("website"), &json!("acme")));
        let data = &told[4].data;
        assert_eq!(
            (&data["event"], &data["number"], &data["status"]),
            (&accepted["id"], &json!(2), &json!(503))
        );
        assert_eq!(
            (&told[5].data["delivery"], &told[5].data["state"]),
            (&data["delivery"], &json!("exhausted"))
        );
        let health = |one: &StreamMessage| (one.data["health"].clone(), one.data["disabled_reason"].clone());
        assert_eq!(health(&told[3]), (json!("failing"), Value::Null));
        assert_eq!(health(&told[6]), (json!("disabled"), json!("exhausted")));
        // A duplicate event is not reported again.
        let mut own = todo(2);
        own["id"] = json!("own");
        daemon.api.accepted(&own).await;
        daemon.api.accepted(&own).await;
        daemon.api.delete(&format!("/v1/subscriptions/{}", subscription["id"].as_str().unwrap())).await;
        let told = listener.take(2).await;
        assert_eq!(kinds(&told), ["event.accepted", "subscription.changed"]);
        assert_eq!(told[1].data["change"], "deleted");
    }

    #[tokio::test(start_paused = true)]
    async fn a_reconnecting_reader_misses_nothing_or_is_told_of_the_gap() {
        let mut daemon = TestDaemon::start_with("[api]\nstream_events_max = 10\n", 1).await;
        let mut listener = listen(&daemon, "", None).await;
        daemon.api.accepted(&todo(1)).await;
        let first = listener.take(1).await[0].id;
        drop(listener);
        for n in 2..=4 {
            daemon.api.accepted(&todo(n)).await;
        }
        let told = listen(&daemon, "", Some(first)).await.take(3).await;
        assert_eq!(told.iter().map(|one| one.id).collect::<Vec<_>>(), [first + 1, first + 2, first + 3]);

        for n in 5..=15 {
            daemon.api.accepted(&todo(n)).await;
        }
        let told = listen(&daemon, "", Some(first)).await.take(11).await;
        assert_eq!((told[0].event.as_str(), told[0].id, told[1].id), ("stream.gap", first + 4, first + 5));
        let (after, resumes_at) = (first.to_string(), (first + 5).to_string());
        assert_eq!(told[0].data, json!({"after": after, "resumes_at": resumes_at}));
        assert_eq!(told.last().unwrap().id, first + 14);

        daemon.pass(1).await;
        daemon.restart().await;
        let mut listener = listen(&daemon, "", Some(first + 14)).await;
        daemon.api.accepted(&todo(16)).await;
        let told = listener.take(2).await;
        assert_eq!(kinds(&told), ["stream.gap", "event.accepted"]);
        assert!(told[1].id > first + 14);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_gets_only_the_kinds_it_asked_for_and_heartbeats() {
        let daemon = TestDaemon::start().await;
        let (_receiver, subscription) = daemon.subscribed(json!({})).await;
        let (_other, _) = daemon.subscribed(json!({})).await;
        let id = subscription["id"].as_str().unwrap();
        let query = format!("?types=attempt.finished,delivery.settled&subscription={id}");
        let mut listener = listen(&daemon, &query, None).await;
        let mut all = listen(&daemon, "", None).await;
        daemon.api.accepted(&todo(1)).await;
        assert_eq!(all.take(5).await.len(), 5);
        let told = listener.take(2).await;
        assert_eq!(kinds(&told), ["attempt.finished", "delivery.settled"]);
        assert!(told.iter().all(|one| one.data["subscription"] == id));
        let next = tokio::time::timeout(Duration::from_secs(61), listener.next()).await;
        assert!(next.is_err(), "{next:?}");
        assert_eq!(listener.comments, 4);
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_readers_is_limited_and_bad_queries_are_refused() {
        let daemon = TestDaemon::start_with("[api]\nstream_readers_max = 2\n", 1).await;
        let first = listen(&daemon, "", None).await;
        let _second = listen(&daemon, "", None).await;
        readers(&daemon, 2).await;
        let third = StreamReader::start(daemon.api.address, "", None).await;
        assert_eq!(third.head[0], "http/1.1 429 too many requests");
        assert!(third.head.iter().any(|line| line == "retry-after: 10"), "{:?}", third.head);
        drop(first);
        readers(&daemon, 1).await;
        listen(&daemon, "", None).await;
        for path in ["/v1/stream?types=event.lost", "/v1/stream?subscription=1", "/v1/stream?x=1"] {
            daemon.api.call(Method::GET, path, "", "").await.unwrap().expect(400);
        }
        let mut headers = http::HeaderMap::new();
        headers.insert("last-event-id", "abc".parse().unwrap());
        daemon.api.send(Method::GET, "/v1/stream", headers, "").await.unwrap().expect(400);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_reader_is_dropped_and_delays_nothing() {
        const BATCH: u64 = 1000;
        let daemon = TestDaemon::start_with("[api]\nstream_events_max = 1000000\n", 1).await;
        let (receiver, _) = daemon.subscribed(json!({"events": ["T"]})).await;
        let _stuck = listen(&daemon, "", None).await;
        readers(&daemon, 1).await;
        let long = "x".repeat(128);
        let batch: Value = (0..BATCH).map(|n| event(&long, &format!("{long}/{long}"), n)).collect();
        let mut batches = 0;
        let gone = async || {
            if batches < 60 {
                daemon.api.accepted(&batch).await;
                batches += 1;
            }
            (daemon.api.get("/v1/stats").await["stream"]["readers"] == 0).then_some(())
        };
        daemon.until("the reader is dropped", gone).await;
        // The ring still held its position. It was dropped because it read nothing for 30 s.
        assert!(batches * BATCH < 1_000_000);
        daemon.api.accepted(&event("T", "p", 1)).await;
        receiver.wait_for(1).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_is_cut_off_and_told_of_the_gap_when_it_reconnects() {
        let daemon = TestDaemon::start_with("[api]\nstream_events_max = 3000\n", 1).await;
        let mut slow = listen(&daemon, "", None).await;
        let long = "x".repeat(128);
        let batch: Value = (0..1000).map(|n| event(&long, &format!("{long}/{long}"), n)).collect();
        for _ in 0..20 {
            daemon.api.accepted(&batch).await;
        }
        let (mut heard, mut last) = (0, 0);
        while let Some(told) = slow.next().await {
            (heard, last) = (heard + 1, told.id);
        }
        assert!((1..20_000).contains(&heard), "{heard}");
        let told = listen(&daemon, "", Some(last)).await.take(3001).await;
        assert_eq!(told[0].event, "stream.gap");
        assert_eq!(told[1].id + 2999, told[3000].id);
        readers(&daemon, 0).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_does_not_wait_for_readers() {
        let mut daemon = TestDaemon::start().await;
        let mut listener = listen(&daemon, "", None).await;
        let before = daemon.clock.now();
        daemon.stop().await;
        assert!(daemon.clock.now().since(before) < Duration::from_secs(5));
        assert_eq!(listener.next().await, None);
    }
}
