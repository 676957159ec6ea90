//! Manual changes to deliveries and subscriptions, on paused time: retry, cancel, test and safe edits.

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderMap, Method};
    use serde_json::{Value, json};

    use crate::support::client::{Answer, event};
    use crate::support::daemon::TestDaemon;
    use crate::support::receiver::{ReceivedRequest, Receiver, Reply, always};

    fn todo(n: u64) -> Value {
        event("TODO_CREATED", "acme/website", n)
    }

    fn id(thing: &Value) -> &str {
        thing["id"].as_str().unwrap()
    }

    /// Returns the only delivery of an accepted event.
    async fn delivery(daemon: &TestDaemon, accepted: &Value) -> Value {
        let mut listed = daemon.api.list(&format!("/v1/events/{}/deliveries", id(accepted))).await;
        assert_eq!(listed.len(), 1, "{listed:?}");
        listed.pop().unwrap()
    }

    async fn state_of(daemon: &TestDaemon, accepted: &Value) -> String {
        delivery(daemon, accepted).await["state"].as_str().unwrap().to_owned()
    }

    async fn settled(daemon: &TestDaemon, subscription: &Value) {
        let quiet = async || {
            let stats = daemon.api.subscription(id(subscription)).await["stats"].take();
            (stats["pending"] == 0 && stats["in_flight"] == 0).then_some(())
        };
        daemon.until("nothing is pending or in flight", quiet).await;
    }

    async fn refusing(daemon: &TestDaemon, members: Value) -> (Receiver, Value) {
        let (receiver, subscription) = daemon.subscribed(members).await;
        receiver.answer(always(Reply::Status(500)));
        (receiver, subscription)
    }

    /// Returns the waits between attempts in rounded seconds.
    fn waits(seen: &[ReceivedRequest]) -> Vec<u64> {
        let between =
            |pair: &[ReceivedRequest]| u64::try_from(pair[1].at.since(pair[0].at).as_millis()).unwrap();
        seen.windows(2).map(|pair| (between(pair) + 500) / 1000).collect()
    }

    #[tokio::test]
    async fn a_retry_is_accepted_as_soon_as_the_final_state_is_visible() {
        let daemon = TestDaemon::start().await;
        let (receiver, _) = daemon.subscribed(json!({})).await;
        for n in 0..100 {
            let accepted = daemon.api.accepted(&todo(n)).await;
            let mut dlv = delivery(&daemon, &accepted).await;
            while dlv["state"] != "succeeded" {
                dlv = delivery(&daemon, &accepted).await;
            }
            // The result may not be on the disk yet.
            daemon.api.command(&format!("/v1/deliveries/{}/retry", id(&dlv))).await.expect(200);
        }
        receiver.wait_for(200).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_manual_retry_never_takes_scheduled_attempts_away() {
        let settings = "[delivery]\nallow_networks = [\"127.0.0.0/8\"]\njitter = 0.0\n";
        let daemon = TestDaemon::start_with(settings, 1).await;
        let (receiver, subscription) = refusing(&daemon, json!({})).await;
        let accepted = daemon.api.accepted(&todo(1)).await;
        // Two scheduled attempts are made, and the third is due in half a minute.
        receiver.wait_for(2).await;
        daemon.pass(1).await;
        let dlv = id(&delivery(&daemon, &accepted).await).to_owned();
        let path = format!("/v1/deliveries/{dlv}/retry");
        let retried = daemon.api.command(&path).await.expect(200);
        assert_eq!(
            (&retried["due_at"].is_string(), retried["attempts"].as_array().unwrap().len()),
            (&true, 2)
        );
        settled(&daemon, &subscription).await;
        let seen = receiver.seen();
        assert_eq!(waits(&seen), [5, 1, 5, 30, 120, 600]);
        let numbers: Vec<u64> = seen.iter().map(ReceivedRequest::attempt).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(state_of(&daemon, &accepted).await, "exhausted");
        // The subscription is disabled. Another retry waits until it is enabled, and then has the full
        // schedule.
        assert_eq!(daemon.api.command(&path).await.expect(200)["state"], "held");
        receiver.answer(always(Reply::Status(200)));
        daemon.pass(3600).await;
        assert_eq!((receiver.count(), state_of(&daemon, &accepted).await.as_str()), (7, "held"));
        daemon.api.command(&format!("/v1/subscriptions/{}/enable", id(&subscription))).await.expect(200);
        settled(&daemon, &subscription).await;
        assert_eq!(state_of(&daemon, &accepted).await, "succeeded");
        assert_eq!(receiver.seen().last().unwrap().attempt(), 8);
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiting_delivery_can_be_cancelled_and_retried() {
        let daemon = TestDaemon::start().await;
        let (receiver, subscription) = refusing(&daemon, json!({})).await;
        let accepted = daemon.api.accepted(&todo(1)).await;
        receiver.wait_for(1).await;
        daemon.pass(1).await;
        let path = format!("/v1/deliveries/{}", id(&delivery(&daemon, &accepted).await));
        let cancelled = daemon.api.command(&format!("{path}/cancel")).await.expect(200);
        assert_eq!((&cancelled["state"], &cancelled["due_at"]), (&json!("cancelled"), &Value::Null));
        assert_eq!(cancelled["reason"], "cancelled manually");
        assert_eq!(daemon.api.get(&path).await, cancelled);
        daemon.pass(86_400).await;
        assert_eq!(receiver.count(), 1);
        let stats = daemon.api.subscription(id(&subscription)).await["stats"].take();
        assert_eq!((&stats["cancelled"], &stats["pending"]), (&json!(1), &json!(0)));
        daemon.api.command(&format!("{path}/cancel")).await.expect(409);

        receiver.answer(always(Reply::Status(200)));
        daemon.api.command(&format!("{path}/retry")).await.expect(200);
        settled(&daemon, &subscription).await;
        assert_eq!((receiver.count(), state_of(&daemon, &accepted).await.as_str()), (2, "succeeded"));
        let refused = daemon.api.command(&format!("{path}/cancel")).await.expect(409);
        assert!(refused["detail"].as_str().unwrap().contains("succeeded"), "{refused}");
    }

    #[tokio::test(start_paused = true)]
    async fn only_waiting_and_held_deliveries_can_be_cancelled() {
        let mut daemon = TestDaemon::start().await;
        let (receiver, subscription) = daemon.subscribed(json!({"max_in_flight": 1})).await;
        receiver.answer(always(Reply::Slow(Duration::from_secs(3), 200)));
        let (out, waiting) = (daemon.api.accepted(&todo(1)).await, daemon.api.accepted(&todo(2)).await);
        receiver.wait_for(1).await;
        let cancel = async |daemon: &TestDaemon, accepted: &Value| {
            let delivery = delivery(daemon, accepted).await;
            daemon.api.command(&format!("/v1/deliveries/{}/cancel", id(&delivery))).await
        };
        cancel(&daemon, &out).await.expect(409);
        assert_eq!(cancel(&daemon, &waiting).await.expect(200)["state"], "cancelled");
        settled(&daemon, &subscription).await;
        assert_eq!((receiver.count(), state_of(&daemon, &out).await.as_str()), (1, "succeeded"));

        receiver.answer(always(Reply::Status(410)));
        daemon.api.accepted(&todo(3)).await;
        receiver.wait_for(2).await;
        daemon.pass(1).await;
        let held = daemon.api.accepted(&todo(4)).await;
        assert_eq!(state_of(&daemon, &held).await, "held");
        assert_eq!(cancel(&daemon, &held).await.expect(200)["state"], "cancelled");
        daemon.restart().await;
        assert_eq!(state_of(&daemon, &held).await, "cancelled");
        receiver.answer(always(Reply::Status(200)));
        daemon.api.command(&format!("/v1/subscriptions/{}/enable", id(&subscription))).await.expect(200);
        settled(&daemon, &subscription).await;
        let sent: Vec<Value> = receiver.seen().iter().map(|seen| seen.json()["data"]["n"].clone()).collect();
        assert_eq!(sent, [json!(1), json!(3), Value::Null, json!(3)]);
    }

    #[tokio::test(start_paused = true)]
    async fn cancelling_the_probe_makes_another_delivery_the_probe() {
        let daemon = TestDaemon::start().await;
        let (receiver, subscription) = refusing(&daemon, json!({"max_in_flight": 1})).await;
        let first = daemon.api.accepted(&todo(1)).await;
        receiver.wait_for(1).await;
        let second = daemon.api.accepted(&todo(2)).await;
        receiver.wait_for(3).await;
        daemon.pass(1).await;
        assert_eq!(receiver.seen()[2].json()["data"]["n"], 1, "the first is the probe");
        receiver.answer(always(Reply::Status(200)));
        let probe = delivery(&daemon, &first).await;
        daemon.api.command(&format!("/v1/deliveries/{}/cancel", id(&probe))).await.expect(200);
        settled(&daemon, &subscription).await;
        assert_eq!(state_of(&daemon, &second).await, "succeeded");
        assert_eq!(state_of(&daemon, &first).await, "cancelled");
        assert_eq!(daemon.api.subscription(id(&subscription)).await["health"], "healthy");
    }

    #[tokio::test(start_paused = true)]
    async fn a_test_delivery_is_sent_immediately_and_is_not_stored() {
        let daemon = TestDaemon::start().await;
        let (receiver, subscription) = daemon.subscribed(json!({"projects": ["acme/website"]})).await;
        let path = format!("/v1/subscriptions/{}/test", id(&subscription));
        let tested = daemon.api.command(&path).await.expect(200);
        assert_eq!((&tested["attempt"]["number"], &tested["attempt"]["status"]), (&json!(1), &json!(200)));
        let seen = receiver.seen().pop().unwrap();
        assert!(seen.is_signed_with(subscription["secret"].as_str().unwrap()));
        assert_eq!((seen.delivery(), seen.event()), ("", seen.json()["id"].as_str().unwrap()));
        let body = seen.json();
        assert_eq!((&body["type"], &body["project"]), (&json!("webhook.test"), &json!("website")));

        daemon.api.command(&format!("/v1/subscriptions/{}/disable", id(&subscription))).await.expect(200);
        receiver.answer(always(Reply::Status(500)));
        let before = daemon.api.subscription(id(&subscription)).await;
        let tested = daemon.api.post(&path, &json!({"type": "TODO_CREATED"})).await.expect(200);
        assert_eq!(tested["attempt"]["status"], 500);
        assert_eq!(receiver.seen().pop().unwrap().json()["type"], "TODO_CREATED");
        assert_eq!(daemon.api.subscription(id(&subscription)).await, before);
        assert_eq!(daemon.api.list("/v1/events").await, Vec::<Value>::new());
        daemon.pass(86_400).await;
        assert_eq!(receiver.count(), 2);

        daemon.api.post(&path, &json!({"type": "a b", "typ": 1})).await.expect(422);
        daemon.api.post(&path, &json!([])).await.expect(400);
        daemon.api.command("/v1/subscriptions/sub_00000000000000000000000000/test").await.expect(404);
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_with_an_outdated_etag_is_refused() {
        let daemon = TestDaemon::start().await;
        let (receiver, subscription) = daemon.subscribed(json!({"name": "a"})).await;
        let path = format!("/v1/subscriptions/{}", id(&subscription));
        let tag = async || {
            let answer = daemon.api.call(Method::GET, &path, "", "").await.unwrap();
            answer.headers["etag"].to_str().unwrap().to_owned()
        };
        let send = async |method: Method, path: &str, tag: &str, body: &Value| -> Answer {
            let mut headers = HeaderMap::new();
            headers.insert("if-match", tag.parse().unwrap());
            let body = if body.is_null() { String::new() } else { body.to_string() };
            if !body.is_empty() {
                headers.insert("content-type", "application/json".parse().unwrap());
            }
            daemon.api.send(method, path, headers, body).await.unwrap()
        };
        let first = tag().await;
        // Deliveries and failures do not change the version.
        receiver.answer(always(Reply::Status(500)));
        daemon.api.accepted(&todo(1)).await;
        receiver.wait_for(1).await;
        daemon.pass(1).await;
        assert_eq!(tag().await, first);

        let change = json!({"name": "b"});
        let changed = send(Method::PATCH, &path, &first, &change).await;
        let second = changed.headers["etag"].to_str().unwrap().to_owned();
        assert_eq!(changed.expect(200)["name"], "b");
        assert_eq!(tag().await, second);
        // Setting the same values again is still a change that another person has not seen.
        assert_ne!(send(Method::PATCH, &path, &second, &change).await.headers["etag"], second);
        let third = tag().await;
        for (method, path, body) in [
            (Method::PATCH, path.clone(), change.clone()),
            (Method::PATCH, path.clone(), json!({"enabled": true})),
            (Method::PATCH, path.clone(), json!({})),
            (Method::POST, format!("{path}/disable"), Value::Null),
            (Method::POST, format!("{path}/enable"), Value::Null),
            (Method::DELETE, path.clone(), Value::Null),
        ] {
            let refused = send(method.clone(), &path, &first, &body).await.expect(412);
            assert_eq!(refused["type"], "urn:postrider:problem:precondition-failed", "{method} {path}");
            send(method, &path, "nonsense", &body).await.expect(400);
        }
        assert_eq!(tag().await, third);
        let off = send(Method::POST, &format!("{path}/disable"), &third, &Value::Null).await;
        let fourth = off.headers["etag"].to_str().unwrap().to_owned();
        off.expect(200);
        send(Method::POST, &format!("{path}/disable"), &third, &Value::Null).await.expect(412);
        send(Method::PATCH, &path, &fourth, &json!({"name": "c", "enabled": false})).await.expect(200);
        send(Method::DELETE, &path, "*", &Value::Null).await.expect(204);
        send(Method::DELETE, &path, "*", &Value::Null).await.expect(404);
    }

    #[tokio::test(start_paused = true)]
    async fn statistics_add_up() {
        let daemon = TestDaemon::start().await;
        let (receiver, subscription) = daemon.subscribed(json!({})).await;
        let (gone, off) = daemon.subscribed(json!({})).await;
        gone.answer(always(Reply::Status(410)));
        let mut repeated = todo(1);
        repeated["id"] = json!("own");
        daemon.api.accepted(&repeated).await;
        gone.wait_for(1).await;
        settled(&daemon, &off).await;
        daemon.api.accepted(&repeated).await;
        receiver.answer(always(Reply::Slow(Duration::from_millis(250), 500)));
        daemon.api.accepted(&todo(2)).await;
        receiver.wait_for(2).await;
        daemon.pass(1).await;
        let stats = daemon.api.get("/v1/stats").await;
        let events = &stats["events"];
        assert_eq!((&events["accepted"], &events["duplicates"]), (&json!(2), &json!(1)));
        assert_eq!((&events["queued"], &events["queued_max"]), (&json!(0), &json!(10_000)));
        assert!(events["accepted_per_second"].as_f64().unwrap() > 0.0);
        let expected =
            json!({"pending": 1, "in_flight": 0, "held": 2, "succeeded": 1, "exhausted": 0, "cancelled": 0});
        assert_eq!(stats["deliveries"], expected);
        let attempts = &stats["attempts"];
        assert_eq!(
            (&attempts["total"], &attempts["succeeded"], &attempts["rejected"]),
            (&json!(3), &json!(1), &json!(2))
        );
        assert_eq!(attempts["failed"]["timeout"], 0);
        assert_eq!(stats["subscriptions"], json!({"total": 2, "healthy": 0, "failing": 1, "disabled": 1}));
        let latency = &stats["latency"];
        assert_eq!((&latency["accept"]["count"], &latency["first_attempt"]["count"]), (&json!(3), &json!(3)));
        let longest = latency["attempt"]["max_ms"].as_f64().unwrap();
        assert!((250.0..260.0).contains(&longest), "{latency}");
        assert!(
            stats["disk"]["log_bytes"].as_u64() > Some(0) && stats["disk"]["free_bytes"].as_u64() > Some(0)
        );
        assert_eq!(
            (&stats["disk"]["reserve_bytes"], &stats["version"]),
            (&json!(1 << 20), &json!(env!("CARGO_PKG_VERSION")))
        );

        daemon.api.delete(&format!("/v1/subscriptions/{}", id(&subscription))).await;
        daemon.pass(120).await;
        let stats = daemon.api.get("/v1/stats").await;
        assert_eq!(
            (&stats["deliveries"]["pending"], &stats["deliveries"]["cancelled"]),
            (&json!(0), &json!(1))
        );
        assert_eq!(
            (&stats["latency"]["attempt"]["count"], &stats["attempts"]["total"]),
            (&json!(0), &json!(3))
        );
        assert!(stats["uptime_seconds"].as_u64() >= Some(120));
    }

    #[tokio::test(start_paused = true)]
    async fn the_catalog_is_listed_in_order_and_in_pages() {
        let settings = "[[event_types]]\nname = \"B\"\n[[event_types]]\nname = \"A\"\ngroup = \"g\"\ndescription = \"d\"\n\
             [[event_types]]\nname = \"C\"\n[[projects]]\ncompany = \"acme\"\nid = \"z\"\nname = \"Z\"\n\
             [[projects]]\nid = \"z\"\n[[projects]]\ncompany = \"acme\"\nid = \"a\"\n";
        let mut daemon = TestDaemon::start_with(settings, 1).await;
        for (event_type, project) in [("A", "acme/z"), ("A", "globex/x"), ("Z", "acme/z"), ("0", "y")] {
            daemon.api.accepted(&event(event_type, project, 1)).await;
        }
        let last = daemon.api.get("/v1/events?limit=1").await["items"][0]["accepted_at"].clone();
        daemon.restart().await;
        let types = daemon.api.list("/v1/event-types").await;
        let names: Vec<&Value> = types.iter().map(|one| &one["name"]).collect();
        assert_eq!(names, ["0", "A", "B", "C", "Z"]);
        let events =
            |list: &[Value]| list.iter().map(|one| one["events"].as_u64().unwrap()).collect::<Vec<_>>();
        assert_eq!(events(&types), [1, 2, 0, 0, 1]);
        assert_eq!((&types[0]["configured"], &types[0]["last_seen_at"]), (&json!(false), &last));
        assert_eq!((&types[2]["configured"], &types[2]["last_seen_at"]), (&json!(true), &Value::Null));
        let first = &types[1];
        assert_eq!(
            (&first["group"], &first["description"], &first["configured"]),
            (&json!("g"), &json!("d"), &json!(true))
        );
        let projects = daemon.api.list("/v1/projects").await;
        let key = |one: &Value| {
            format!("{}/{}", one["company"].as_str().unwrap_or(""), one["id"].as_str().unwrap())
        };
        assert_eq!(
            projects.iter().map(key).collect::<Vec<_>>(),
            ["/y", "/z", "acme/a", "acme/z", "globex/x"]
        );
        assert_eq!(events(&projects), [1, 0, 0, 2, 1]);
        for (path, whole) in [("/v1/event-types", types), ("/v1/projects", projects)] {
            let (mut paged, mut cursor) = (Vec::new(), String::new());
            loop {
                let page = daemon.api.get(&format!("{path}?limit=1{cursor}")).await;
                paged.extend(page["items"].as_array().unwrap().clone());
                let Some(next) = page["next_cursor"].as_str() else { break };
                cursor = format!("&cursor={next}");
            }
            assert_eq!(paged, whole);
            let bad = format!("{path}?cursor=a%20b");
            daemon.api.call(Method::GET, &bad, "", "").await.unwrap().expect(400);
        }
    }
}
