//! The audit log: who did what to which id, one line per change and none for a refused call.

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use http::Method;
    use postrider::flow::audit::{Action, TARGET};
    use serde_json::{Value, json};
    use tracing_subscriber::EnvFilter;

    use crate::support::client::event;
    use crate::support::daemon::TestDaemon;
    use crate::support::receiver::{Reply, always};

    /// Collects the log as the daemon writes it with `log.format = "json"`.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Log {
        fn start(&self) -> tracing::subscriber::DefaultGuard {
            let log = self.clone();
            let subscriber = tracing_subscriber::fmt().json().with_env_filter(EnvFilter::new("info"));
            tracing::subscriber::set_default(subscriber.with_writer(move || log.clone()).finish())
        }

        /// Returns the fields of the audit lines since the last call.
        fn take(&self) -> Vec<Value> {
            let text = String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap();
            let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
            lines.filter(|line| line["target"] == TARGET).map(|mut line| line["fields"].take()).collect()
        }
    }

    fn id(thing: &Value) -> &str {
        thing["id"].as_str().unwrap()
    }

    /// Asserts that this is the only line since the last call, and records its action.
    fn expect(log: &Log, actions: &mut BTreeSet<String>, action: &str, id: &str, detail: &str) {
        let lines = log.take();
        assert_eq!(lines.len(), 1, "{action}: {lines:?}");
        let line = lines[0].as_object().unwrap();
        let members: Vec<&str> = line.keys().map(String::as_str).collect();
        assert_eq!(members, ["action", "by", "detail", "from", "id", "message"]);
        let seen = (&line["message"], &line["action"], &line["id"], &line["detail"], &line["by"]);
        let expected = (&json!("audit"), &json!(action), &json!(id), &json!(detail), &json!("local"));
        assert_eq!(seen, expected);
        let from = line["from"].as_str().unwrap();
        assert!(from.starts_with("127.0.0.1:"), "{from}");
        actions.insert(action.to_owned());
    }

    #[tokio::test(start_paused = true)]
    async fn every_change_has_an_audit_line_and_a_refusal_has_none() {
        let log = Log::default();
        let _guard = log.start();
        let daemon = TestDaemon::start_with("[api]\nreplay_backlog_max = 1\n", 1).await;
        let mut seen = BTreeSet::new();
        let (receiver, subscription) = daemon.subscribed(json!({"name": "crm"})).await;
        let subscription = id(&subscription).to_owned();
        let path = format!("/v1/subscriptions/{subscription}");
        expect(&log, &mut seen, "subscription.created", &subscription, "crm");
        daemon.api.patch(&path, &json!({"timeout": "3s", "name": "erp"})).await;
        expect(&log, &mut seen, "subscription.changed", &subscription, "name,timeout");
        daemon.api.patch(&path, &json!({"enabled": false})).await;
        expect(&log, &mut seen, "subscription.disabled", &subscription, "");
        daemon.api.command(&format!("{path}/enable")).await.expect(200);
        expect(&log, &mut seen, "subscription.enabled", &subscription, "");
        daemon.api.command(&format!("{path}/rotate-secret")).await.expect(200);
        expect(&log, &mut seen, "subscription.secret_rotated", &subscription, "grace 1d");
        daemon.api.command(&format!("{path}/test")).await.expect(200);
        expect(&log, &mut seen, "subscription.tested", &subscription, "200");

        receiver.answer(always(Reply::Status(500)));
        let accepted = daemon.api.accepted(&event("T", "p", 1)).await;
        receiver.wait_for(2).await;
        daemon.pass(1).await;
        assert_eq!(log.take(), Vec::<Value>::new(), "events and deliveries are no changes of anybody's");
        let delivery =
            id(&daemon.api.list(&format!("/v1/events/{}/deliveries", id(&accepted))).await[0]).to_owned();
        daemon.api.command(&format!("/v1/deliveries/{delivery}/cancel")).await.expect(200);
        expect(&log, &mut seen, "delivery.cancelled", &delivery, "");
        daemon.api.command(&format!("/v1/deliveries/{delivery}/cancel")).await.expect(409);
        daemon
            .api
            .call(Method::PATCH, &path, "application/json", "{\"timeout\":0}")
            .await
            .unwrap()
            .expect(422);
        assert_eq!(log.take(), Vec::<Value>::new());
        daemon.api.command(&format!("/v1/deliveries/{delivery}/retry")).await.expect(200);
        expect(&log, &mut seen, "delivery.retried", &delivery, "");

        receiver.answer(always(Reply::Status(200)));
        let quiet =
            async || (daemon.api.subscription(&subscription).await["stats"]["pending"] == 0).then_some(());
        daemon.until("nothing is pending", quiet).await;
        // A delivery that stays in flight delays the subscription's replay.
        receiver.answer(always(Reply::Hang));
        daemon.api.command(&format!("/v1/events/{}/replay", id(&accepted))).await.expect(202);
        expect(&log, &mut seen, "event.replayed", id(&accepted), "deliveries=1");
        let job = daemon.api.command(&format!("{path}/replay")).await.expect(202);
        expect(&log, &mut seen, "replay.started", id(&job), &format!("subscription={subscription}"));
        let cancelled = daemon.api.command(&format!("/v1/replays/{}/cancel", id(&job))).await.expect(200);
        let made = format!("made={}", cancelled["made"]);
        expect(&log, &mut seen, "replay.cancelled", id(&job), &made);

        let backup = daemon.api.call(Method::POST, "/v1/backup", "", "").await.unwrap();
        assert_eq!(backup.status, 200);
        expect(&log, &mut seen, "backup.begun", "", "");

        daemon.api.delete(&path).await;
        expect(&log, &mut seen, "subscription.deleted", &subscription, "");
        let all: BTreeSet<String> = Action::ALL.iter().map(|action| action.as_str().to_owned()).collect();
        assert_eq!(seen, all, "every action is tried here");
    }
}
