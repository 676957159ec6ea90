//! Accepting events and choosing their receivers: matching, bytes, duplicates, lists, addresses and the
//! config file.

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Method;
    use serde_json::{Value, json};
    use tempfile::TempDir;

    use crate::support::client::event;
    use crate::support::daemon::TestDaemon;
    use crate::support::eventually;
    use crate::support::process::DaemonSetup;
    use crate::support::receiver::{ReceivedRequest, Reply, always};

    fn id(value: &Value) -> String {
        value["id"].as_str().unwrap().to_owned()
    }

    async fn drained(daemon: &TestDaemon) {
        let done = async || (daemon.api.unfinished().await == 0).then_some(());
        daemon.until("every delivery is final", done).await;
    }

    #[tokio::test(start_paused = true)]
    async fn subscriptions_created_in_one_millisecond_are_listed_in_creation_order() {
        let daemon = TestDaemon::start().await;
        let receiver = daemon.receiver(always(Reply::Status(200))).await;
        let mut made = Vec::new();
        for _ in 0..8 {
            made.push(daemon.subscribe(&receiver, json!({})).await["id"].clone());
        }
        let listed = daemon.api.list("/v1/subscriptions").await;
        assert_eq!(listed.iter().map(|one| one["id"].clone()).collect::<Vec<_>>(), made);
    }

    #[tokio::test(start_paused = true)]
    async fn each_receiver_gets_exactly_the_events_it_selected() {
        const EVENTS: [(&str, &str); 6] = [
            ("TODO_CREATED", "acme/website"),
            ("TODO_DELETED", "acme/website"),
            ("TODO_CREATED", "acme/secret"),
            ("TODO_CREATED", "globex/website"),
            ("COMMENT_CREATED", "website"),
            ("invoice.paid", "acme/app"),
        ];
        let wanted: [(Value, &[usize]); 7] = [
            (json!({}), &[0, 1, 2, 3, 4, 5]),
            (json!({"events": ["TODO_CREATED"], "projects": ["acme/website"]}), &[0]),
            (json!({"events": ["TODO_*", "!TODO_DELETED"], "projects": ["website"]}), &[0, 3]),
            (json!({"projects": ["acme/*", "!acme/secret"]}), &[0, 1, 5]),
            (json!({"events": ["!TODO_*"]}), &[4, 5]),
            (json!({"events": ["invoice.*", "COMMENT_CREATED"], "projects": ["acme/*", "website"]}), &[4, 5]),
            (json!({"projects": ["initech/*"]}), &[]),
        ];
        let daemon = TestDaemon::start().await;
        let mut subscribed = Vec::new();
        for (members, _) in &wanted {
            subscribed.push(daemon.subscribed(members.clone()).await);
        }
        for (index, (event_type, project)) in EVENTS.into_iter().enumerate() {
            let event = event(event_type, project, index as u64);
            let expected = wanted.iter().map(|(_, indices)| indices.contains(&index));
            let explained = daemon.api.post("/v1/match", &event).await.expect(200);
            let explained = explained["items"].as_array().unwrap().clone();
            for (matches, (_, subscription)) in expected.clone().zip(&subscribed) {
                let of = |item: &&Value| item["subscription"] == subscription["id"];
                assert_eq!(explained.iter().find(of).unwrap()["matches"], matches, "{event} {subscription}");
            }
            assert_eq!(
                daemon.api.accepted(&event).await["matched"],
                expected.filter(|matches| *matches).count()
            );
        }
        drained(&daemon).await;
        for ((receiver, subscription), (_, indices)) in subscribed.iter().zip(&wanted) {
            let mut got: Vec<usize> = receiver
                .seen()
                .iter()
                .map(|seen| usize::try_from(seen.json()["data"]["n"].as_u64().unwrap()).unwrap())
                .collect();
            got.sort_unstable();
            assert_eq!(got, *indices, "{subscription}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn data_is_delivered_byte_for_byte_and_signed() {
        const DATA: &str = r#"{"z":1,"a": 1.000000000000000000001,"big":123456789012345678901234567890,"s":"two  spaces \u00e9 é","z":2}"#;
        let daemon = TestDaemon::start().await;
        let mut subscribed = Vec::new();
        for format in ["standard", "raw", "cloudevents", "blue"] {
            subscribed.push(daemon.subscribed(json!({"format": format})).await);
        }
        let body = format!(r#"{{"type":"A","project":"p","data":{DATA}}}"#);
        let answer = daemon.api.call(Method::POST, "/v1/events", "application/json", body).await.unwrap();
        let accepted = answer.expect(202);
        drained(&daemon).await;
        let bodies: Vec<ReceivedRequest> =
            subscribed.iter().map(|(receiver, _)| receiver.seen().remove(0)).collect();
        for (seen, (_, subscription)) in bodies.iter().zip(&subscribed) {
            assert!(seen.is_signed_with(subscription["secret"].as_str().unwrap()));
            assert_eq!(seen.event(), accepted["id"]);
            let media_type = match subscription["format"].as_str() {
                Some("cloudevents") => "application/cloudevents+json",
                _ => "application/json",
            };
            assert_eq!(seen.header("content-type").split(';').next(), Some(media_type));
            assert!(seen.header("user-agent").starts_with("postrider/"));
        }
        let text = |seen: &ReceivedRequest| String::from_utf8(seen.body.to_vec()).unwrap();
        assert!(text(&bodies[0]).contains(DATA), "{}", text(&bodies[0]));
        assert_eq!(text(&bodies[1]), DATA);
        assert!(text(&bodies[2]).contains(DATA), "{}", text(&bodies[2]));
        assert_eq!(bodies[3].json()["event"], "A");
        let key = subscribed[3].1["secret"].as_str().unwrap();
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key.as_bytes());
        let signature = hex::encode(ring::hmac::sign(&key, &bodies[3].body));
        assert_eq!(bodies[3].header("x-signature"), signature);
        let path = format!("/v1/events/{}", id(&accepted));
        let shown = daemon.api.call(Method::GET, &path, "", "").await.unwrap();
        assert!(String::from_utf8(shown.body.to_vec()).unwrap().contains(DATA));
    }

    #[tokio::test(start_paused = true)]
    async fn a_repeated_sender_id_is_a_duplicate_within_the_dedup_window() {
        let mut daemon = TestDaemon::start().await;
        let (receiver, _) = daemon.subscribed(json!({})).await;
        let mut own = event("A", "acme/website", 1);
        own["id"] = json!("invoice/7");
        let (one, two) = tokio::join!(daemon.api.accepted(&own), daemon.api.accepted(&own));
        assert_eq!(one["id"], two["id"]);
        assert_ne!(one["duplicate"], two["duplicate"]);
        let list = daemon.api.accepted(&json!([own, own])).await;
        assert!(list["results"].as_array().unwrap().iter().all(|result| result["duplicate"] == true));

        let mut elsewhere = own.clone();
        elsewhere["project"] = json!("app");
        assert_eq!(daemon.api.accepted(&elsewhere).await["duplicate"], false);
        daemon.restart().await;
        let again = daemon.api.accepted(&own).await;
        assert_eq!((&again["id"], &again["duplicate"]), (&one["id"], &json!(true)));
        drained(&daemon).await;
        assert_eq!(receiver.count(), 2);

        daemon.pass(25 * 3600).await;
        assert_eq!(daemon.api.accepted(&own).await["duplicate"], false);
        drained(&daemon).await;
        assert_eq!(receiver.count(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_is_accepted_completely_or_not_at_all() {
        let daemon = TestDaemon::start().await;
        let (receiver, _) = daemon.subscribed(json!({})).await;
        let (good, mut bad) = (event("A", "p", 1), event("A", "p", 2));
        bad["typ"] = json!("A");
        let refused = daemon.api.post("/v1/events", &json!([good, bad, good])).await;
        assert!(refused.status.is_client_error());
        let problem = refused.json();
        assert_eq!(problem["errors"][0]["pointer"], "/1/typ", "{problem}");
        daemon.pass(60).await;
        assert_eq!((daemon.api.list("/v1/events").await.len(), receiver.count()), (0, 0));

        let accepted = daemon.api.accepted(&json!([good, good])).await;
        assert_eq!(accepted["results"].as_array().unwrap().len(), 2);
        drained(&daemon).await;
        assert_eq!((daemon.api.list("/v1/events").await.len(), receiver.count()), (2, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn forbidden_addresses_are_refused_at_save_in_every_spelling() {
        let daemon = TestDaemon::start_with("[delivery]\nallow_networks = [\"127.0.0.8/32\"]\n", 1).await;
        for host in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "localhost",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "169.254.169.254",
            "10.0.0.1",
            "192.168.1.1",
            "172.16.0.1",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "[fd00::1]",
            "[fe80::1]",
        ] {
            let refused =
                daemon.api.post("/v1/subscriptions", &json!({"url": format!("http://{host}/")})).await;
            let problem = refused.expect(422);
            assert_eq!(problem["errors"][0]["pointer"], "/url", "{host}: {problem}");
        }
        for host in ["8.8.8.8", "127.0.0.8", "[2606:4700:4700::1111]"] {
            daemon.api.subscribe(&json!({"url": format!("http://{host}/")})).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_client_never_connects_to_a_forbidden_address() {
        let mut daemon = TestDaemon::start().await;
        let (receiver, subscription) = daemon.subscribed(json!({})).await;
        daemon.settings = "[delivery]\nallow_networks = []\n".to_owned();
        daemon.restart().await;
        let accepted = daemon.api.accepted(&event("A", "p", 1)).await;
        let path = format!("/v1/events/{}/deliveries", id(&accepted));
        let attempted = async || {
            let delivery = daemon.api.list(&path).await.pop()?;
            delivery["attempts"].get(0).cloned()
        };
        let attempt = daemon.until("there is an attempt", attempted).await;
        assert_eq!(attempt["error"], "forbidden_address");
        assert_eq!(receiver.count(), 0);
        daemon.settings = String::new();
        daemon.restart().await;
        drained(&daemon).await;
        assert_eq!(receiver.count(), 1);
        assert_eq!(daemon.api.subscription(&id(&subscription)).await["health"], "healthy");
    }

    /// Returns the `[[subscriptions]]` of a config file from names, event types and URLs.
    fn file(entries: &[(&str, &str, &str)]) -> String {
        let entry = |(name, event_type, url): &(&str, &str, &str)| {
            let secret = format!("whsec_{}", "A".repeat(32));
            format!(
                "[[subscriptions]]\nname = \"{name}\"\nurl = \"{url}\"\nevents = [\"{event_type}\"]\nsecret = \"{secret}\"\n"
            )
        };
        entries.iter().map(entry).collect()
    }

    fn named<'a>(listed: &'a [Value], name: &str) -> Option<&'a Value> {
        listed.iter().find(|subscription| subscription["name"] == name)
    }

    #[tokio::test(start_paused = true)]
    async fn subscriptions_of_the_config_file_are_reconciled_at_start() {
        let mut daemon = TestDaemon::start().await;
        let kept = daemon.receiver(always(Reply::Status(200))).await;
        let removed = daemon.receiver(always(Reply::Status(500))).await;
        daemon.settings = file(&[("kept", "A", &kept.url()), ("removed", "A", &removed.url())]);
        daemon.restart().await;
        let before = daemon.api.list("/v1/subscriptions").await;
        assert_eq!(daemon.api.accepted(&event("A", "p", 1)).await["matched"], 2);
        removed.wait_for(1).await;

        daemon.settings = file(&[("kept", "B", &kept.url()), ("added", "B", &kept.url())]);
        daemon.restart().await;
        let after = daemon.api.list("/v1/subscriptions").await;
        assert_eq!(named(&after, "kept").unwrap()["id"], named(&before, "kept").unwrap()["id"]);
        assert!(named(&after, "removed").is_none() && named(&after, "added").is_some());
        let kept_path = format!("/v1/subscriptions/{}", id(named(&after, "kept").unwrap()));
        let refused = daemon.api.call(Method::PATCH, &kept_path, "application/json", r#"{"name":"x"}"#).await;
        refused.unwrap().expect(409);
        assert_eq!(daemon.api.accepted(&event("A", "p", 2)).await["matched"], 0);
        assert_eq!(daemon.api.accepted(&event("B", "p", 3)).await["matched"], 2);
        drained(&daemon).await;
        assert_eq!((kept.count(), removed.count()), (3, 1));
        let cancelled = daemon.api.list("/v1/deliveries?state=cancelled").await;
        assert_eq!(cancelled.len(), 1);
        assert_eq!(cancelled[0]["subscription"], named(&before, "removed").unwrap()["id"]);
    }

    #[tokio::test]
    async fn subscriptions_of_the_config_file_are_reconciled_on_sighup_and_a_bad_file_changes_nothing() {
        const WITHIN: Duration = Duration::from_secs(20);
        const PAUSE: Duration = Duration::from_millis(10);
        let setup = DaemonSetup::new(TempDir::new().unwrap(), "");
        let mut running = setup.spawn(&[]);
        let api = setup.ready(&mut running).await;
        assert!(api.list("/v1/subscriptions").await.is_empty());
        let url = "http://8.8.8.8/";
        setup.configure(&file(&[("one", "A", url), ("two", "A", url)]));
        running.hang_up();
        let two = async || (api.list("/v1/subscriptions").await.len() == 2).then_some(());
        eventually("there are two subscriptions", WITHIN, PAUSE, two).await;
        let before = api.list("/v1/subscriptions").await;

        setup.configure("[delivery]\ntimeuot = \"7s\"\n");
        running.hang_up();
        let told = async || setup.log().contains("timeuot").then_some(());
        eventually("the log names the bad key", WITHIN, PAUSE, told).await;
        assert_eq!(api.list("/v1/subscriptions").await, before);

        setup.configure(&file(&[("two", "B", url)]));
        running.hang_up();
        let changed = async || {
            let listed = api.list("/v1/subscriptions").await;
            (listed.len() == 1 && listed[0]["events"] == json!(["B"])).then_some(listed)
        };
        let after = eventually("one is gone and the other changed", WITHIN, PAUSE, changed).await;
        assert_eq!(after[0]["id"], named(&before, "two").unwrap()["id"]);
    }

    #[tokio::test]
    async fn sigterm_stops_the_daemon_with_exit_code_0() {
        let setup = DaemonSetup::new(TempDir::new().unwrap(), "");
        let mut running = setup.spawn(&[]);
        setup.ready(&mut running).await;
        running.terminate();
        let ended = async || running.has_ended();
        let status =
            eventually("the process has ended", Duration::from_secs(20), Duration::from_millis(5), ended)
                .await;
        assert_eq!(status.code(), Some(0), "{}", setup.log());
    }
}
