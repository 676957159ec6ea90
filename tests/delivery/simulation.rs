//! Simulates weeks of traffic on paused time from a seed.
//!
//! Receivers fail in every known way, people change subscriptions, and the daemon stops and dies. At the end
//! of each week the ledger's laws must hold. `SEEDS` sets the number of weeks (default 8), `SEED_FROM` the
//! first seed.

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::mpsc::RecvTimeoutError;
    use std::time::Duration;

    use postrider::model::time::{Clock, Timestamp};
    use rand::rngs::StdRng;
    use rand::{RngExt as _, SeedableRng as _};
    use serde_json::{Value, json};

    use crate::support::client::{CallError, event};
    use crate::support::daemon::TestDaemon;
    use crate::support::laws::Report;
    use crate::support::ledger::{Accepted, ExpectedSubscription, Ledger, ObservedState};
    use crate::support::receiver::{Receiver, Reply, Script, always};
    use crate::support::variable;

    const WEEK: Duration = Duration::from_hours(7 * 24);
    /// The real time within which a week must end.
    const SEED_WITHIN: Duration = Duration::from_mins(1);
    const HOUR: u64 = 3600;
    const SCHEDULE_SECS: [u64; 4] = [5, 30, 120, 600];
    const JITTER: f64 = 0.2;
    const RECEIVERS: usize = 6;
    const SUBSCRIPTIONS: std::ops::Range<usize> = 3..10;
    /// The virtual time within which everything must go out once all receivers are well.
    const CALM_WITHIN: u64 = 12 * HOUR;
    /// The most scheduler turns that a submission gets before the daemon dies.
    const TURNS_MAX: u32 = 2000;

    fn pick<'a, T>(rng: &mut StdRng, of: &'a [T]) -> &'a T {
        &of[rng.random_range(0..of.len())]
    }

    /// Returns a receiver's script for a week: mostly well, with spells of failures.
    fn weather(from: Timestamp, rng: &mut StdRng) -> Script {
        let mut spells: Vec<(Timestamp, Timestamp, Reply)> = Vec::new();
        for _ in 0..rng.random_range(0..6) {
            let begin = from.after(Duration::from_secs(rng.random_range(0..WEEK.as_secs())));
            let end = begin.after(Duration::from_secs(rng.random_range(60..18 * HOUR)));
            let troubles = [
                Reply::Status(500),
                Reply::Status(302),
                Reply::Status(410),
                Reply::RetryAfter(503, rng.random_range(1..2 * HOUR)),
                Reply::RetryAfter(429, rng.random_range(1..600)),
                Reply::Hang,
                Reply::Drip,
                Reply::Slow(Duration::from_millis(rng.random_range(1..9000)), 200),
            ];
            spells.push((begin, end, pick(rng, &troubles).clone()));
        }
        let flaky = *pick(rng, &[0.0, 0.0, 0.1, 0.4]);
        let mut rng = StdRng::seed_from_u64(rng.random());
        Box::new(move |seen| {
            let spell = spells.iter().find(|(begin, end, _)| (*begin..*end).contains(&seen.at));
            match spell {
                Some((_, _, trouble)) => trouble.clone(),
                None if rng.random_bool(flaky) => {
                    Reply::Slow(Duration::from_millis(rng.random_range(0..500)), 500)
                }
                None => Reply::Slow(Duration::from_millis(rng.random_range(0..200)), 204),
            }
        })
    }

    fn made_up_event(n: u64, rng: &mut StdRng) -> Value {
        const TYPES: [&str; 6] =
            ["TODO_CREATED", "TODO_DELETED", "TODO_TAG_ADDED", "invoice.paid", "invoice.void", "COMMENT"];
        const PROJECTS: [&str; 6] =
            ["acme/website", "acme/app", "acme/secret", "globex/website", "website", "initech/x"];
        let mut event = event(pick::<&str>(rng, &TYPES), pick::<&str>(rng, &PROJECTS), n);
        if rng.random_bool(0.5) {
            event["id"] = json!(format!("own-{n}"));
        }
        event
    }

    fn made_up_selectors(rng: &mut StdRng) -> Value {
        let events = [
            json!(["*"]),
            json!(["TODO_*", "!TODO_DELETED"]),
            json!(["invoice.paid", "COMMENT"]),
            json!(["!TODO_*"]),
            json!(["invoice.*", "TODO_CREATED"]),
        ];
        let projects = [
            json!(["*"]),
            json!(["acme/*", "!acme/secret"]),
            json!(["website"]),
            json!(["globex/website", "acme/website"]),
            json!(["!initech/*"]),
        ];
        json!({"events": pick(rng, &events), "projects": pick(rng, &projects)})
    }

    /// One simulated week.
    struct Week {
        daemon: TestDaemon,
        ledger: Ledger,
        rng: StdRng,
        receivers: Vec<Receiver>,
        /// Accepted events with a sender's id, for repeated submissions.
        repeatable: Vec<Value>,
        count: u64,
        done: BTreeMap<&'static str, u32>,
    }

    impl Week {
        async fn begin(seed: u64) -> Self {
            let daemon = TestDaemon::start_with("", seed).await;
            let mut rng = StdRng::seed_from_u64(seed);
            let mut receivers = Vec::new();
            for _ in 0..RECEIVERS {
                let script = weather(daemon.clock.now(), &mut rng);
                receivers.push(daemon.receiver(script).await);
            }
            let ledger = Ledger::new(JITTER);
            let (repeatable, done) = (Vec::new(), BTreeMap::new());
            let mut week = Self { daemon, ledger, rng, receivers, repeatable, count: 0, done };
            for _ in 0..=SUBSCRIPTIONS.start {
                week.create().await;
            }
            week
        }

        async fn live(&mut self) {
            let end = self.daemon.clock.now().after(WEEK);
            while self.daemon.clock.now() < end {
                let pause = match self.rng.random_range(0..10) {
                    0..4 => self.rng.random_range(0..15_000),
                    _ => self.rng.random_range(60_000..5_400_000),
                };
                crate::support::passes(Duration::from_millis(pause)).await;
                self.act().await;
            }
        }

        async fn act(&mut self) {
            let action = match self.rng.random_range(0..100) {
                0..62 => "submit",
                62..68 => "repeat",
                68..80 => "mend",
                80..83 => "switch off",
                83..86 => "create",
                86..88 => "delete",
                88..91 => "edit",
                91..94 => "restart",
                94..97 => "kill",
                _ => "kill while submitting",
            };
            *self.done.entry(action).or_default() += 1;
            match action {
                "submit" => self.submit().await,
                "repeat" => self.repeat().await,
                "mend" => self.mend(0.6).await,
                "switch off" => self.switch_off().await,
                "create" => self.create().await,
                "delete" => self.delete().await,
                "edit" => self.edit().await,
                "restart" => self.daemon.restart().await,
                "kill" => self.kill().await,
                _ => self.kill_while_submitting().await,
            }
        }

        fn batch(&mut self) -> Vec<Value> {
            let events = 0..*pick(&mut self.rng, &[1, 1, 1, 2, 3, 8]);
            events
                .map(|_| {
                    self.count += 1;
                    made_up_event(self.count, &mut self.rng)
                })
                .collect()
        }

        async fn submit(&mut self) {
            let events = self.batch();
            self.submit_all(&events).await;
        }

        async fn submit_all(&mut self, events: &[Value]) {
            let expected: Vec<Accepted> = events.iter().map(|event| self.ledger.expect(event)).collect();
            let answer = self.daemon.api.accepted(&json!(events)).await;
            let results = answer["results"].as_array().unwrap();
            assert_eq!(results.len(), expected.len());
            for (expected, result) in expected.into_iter().zip(results) {
                if expected.content["id"].is_string() {
                    self.repeatable.push(expected.content.clone());
                }
                self.ledger.note(expected, result);
            }
        }

        /// Submits an event again. It is a new event if its dedup window is over, else a duplicate.
        async fn repeat(&mut self) {
            if self.repeatable.is_empty() {
                return;
            }
            let again = pick(&mut self.rng, &self.repeatable).clone();
            let expected = self.ledger.expect(&again);
            let result = self.daemon.api.accepted(&again).await;
            let known = self.ledger.accepted.contains_key(result["id"].as_str().unwrap());
            assert_eq!(result["duplicate"], known, "{result}");
            self.ledger.note(expected, &result);
        }

        async fn create(&mut self) {
            if self.daemon.api.list("/v1/subscriptions").await.len() >= SUBSCRIPTIONS.end {
                return;
            }
            let mut members = made_up_selectors(&mut self.rng);
            members["format"] =
                pick(&mut self.rng, &["standard", "raw", "blue", "cloudevents"]).to_owned().into();
            members["ordering"] = pick(&mut self.rng, &["none", "none", "none", "fifo"]).to_owned().into();
            members["max_in_flight"] = json!(pick(&mut self.rng, &[1, 2, 16]));
            let receiver = pick(&mut self.rng, &self.receivers);
            let created = self.daemon.subscribe(receiver, members.clone()).await;
            members["secret"] = created["secret"].clone();
            let known = ExpectedSubscription::new(&members, &SCHEDULE_SECS.map(Duration::from_secs));
            self.ledger.subscribed(created["id"].as_str().unwrap(), known);
        }

        /// Returns the ids of the listed subscriptions for which `which` holds.
        async fn those(&self, which: impl Fn(&Value) -> bool) -> Vec<String> {
            let listed = self.daemon.api.list("/v1/subscriptions").await;
            let id = |subscription: &Value| subscription["id"].as_str().unwrap().to_owned();
            listed.iter().filter(|subscription| which(subscription)).map(id).collect()
        }

        async fn delete(&mut self) {
            let ids = self.those(|_| true).await;
            if ids.len() <= SUBSCRIPTIONS.start {
                return;
            }
            let id = pick(&mut self.rng, &ids);
            self.daemon.api.delete(&format!("/v1/subscriptions/{id}")).await;
            let now = self.daemon.clock.now();
            let known = self.ledger.known(id);
            (known.active, known.deleted_at) = (false, Some(now));
        }

        /// Changes a subscription's selectors, and sometimes its URL.
        async fn edit(&mut self) {
            let ids = self.those(|_| true).await;
            let id = pick(&mut self.rng, &ids).clone();
            let mut change = made_up_selectors(&mut self.rng);
            let edited = ExpectedSubscription::new(&change, &[]);
            if self.rng.random_bool(0.3) {
                change["url"] = json!(pick(&mut self.rng, &self.receivers).url());
            }
            self.daemon.api.patch(&format!("/v1/subscriptions/{id}"), &change).await;
            let known = self.ledger.known(&id);
            (known.events, known.projects) = (edited.events, edited.projects);
        }

        async fn switch_off(&mut self) {
            let ids = self.those(|subscription| subscription["enabled"] == true).await;
            if ids.is_empty() {
                return;
            }
            let id = pick(&mut self.rng, &ids);
            self.daemon.api.command(&format!("/v1/subscriptions/{id}/disable")).await.expect(200);
            self.ledger.known(id).active = false;
        }

        /// Enables each disabled subscription with this likelihood.
        async fn mend(&mut self, likelihood: f64) {
            for id in self.those(|subscription| subscription["enabled"] == false).await {
                if !self.rng.random_bool(likelihood) {
                    continue;
                }
                let before = self.daemon.clock.now();
                let answer = self.daemon.api.command(&format!("/v1/subscriptions/{id}/enable")).await;
                if answer.status.as_u16() == 409 {
                    continue;
                }
                assert_eq!(answer.expect(200)["enabled"], true);
                let after = self.daemon.clock.now();
                let known = self.ledger.known(&id);
                known.active = true;
                known.enabled_at.extend([before, after]);
            }
        }

        async fn kill(&mut self) {
            self.submit().await;
            crate::support::passes(Duration::from_millis(self.rng.random_range(0..10_000))).await;
            self.die().await;
        }

        async fn die(&mut self) {
            self.daemon.kill().await;
            self.ledger.crashes += 1;
            if self.rng.random_bool(0.3) {
                self.daemon.pass(self.rng.random_range(0..4 * HOUR)).await;
            }
            self.daemon.revive().await;
        }

        /// Kills the daemon at a random moment of a submission. Events with a sender's id are then submitted
        /// again.
        async fn kill_while_submitting(&mut self) {
            let events = self.batch();
            let expected: Vec<Accepted> = events.iter().map(|event| self.ledger.expect(event)).collect();
            let turns = self.rng.random_range(0..TURNS_MAX);
            let body = json!(events);
            let answer = tokio::select! {
                biased;
                answer = self.daemon.api.submit(&body) => answer,
                () = turn(turns) => Err(CallError::Unanswered("the daemon died".to_owned())),
            };
            if let Ok(answer) = answer {
                let answer = answer.expect(202);
                for (expected, result) in expected.into_iter().zip(answer["results"].as_array().unwrap()) {
                    self.ledger.note(expected, result);
                }
                return self.die().await;
            }
            for expected in expected {
                self.ledger.lost_sight_of(expected);
            }
            self.die().await;
            let again: Vec<Value> = events.into_iter().filter(|event| event["id"].is_string()).collect();
            if !again.is_empty() {
                self.submit_all(&again).await;
            }
        }

        /// Makes every receiver well and waits until everything has gone out.
        async fn calm_down(&mut self) {
            self.receivers.iter().for_each(|receiver| receiver.answer(always(Reply::Status(200))));
            let until = self.daemon.clock.now().after(Duration::from_secs(CALM_WITHIN));
            loop {
                self.mend(1.0).await;
                let unfinished = self.daemon.api.unfinished().await;
                if unfinished == 0 {
                    return;
                }
                if self.daemon.clock.now() > until {
                    let stuck = self.daemon.api.list("/v1/deliveries?state=pending,held,in_flight").await;
                    panic!("{unfinished} deliveries are stuck: {:#?}", stuck.first());
                }
                self.daemon.pass(600).await;
            }
        }

        /// Checks that the subscriptions' own counts agree with the log.
        async fn check_stats(&self, facts: &ObservedState) {
            for subscription in self.daemon.api.list("/v1/subscriptions").await {
                for state in ["succeeded", "exhausted", "cancelled"] {
                    let of = facts.deliveries.iter().filter(|row| subscription["id"] == row.subscription);
                    let count = of.filter(|row| row.state == state).count();
                    assert_eq!(subscription["stats"][state], count, "{state} of {subscription}");
                }
            }
        }

        async fn run(seed: u64) -> (Report, BTreeMap<&'static str, u32>) {
            let mut week = Self::begin(seed).await;
            week.live().await;
            week.calm_down().await;
            let facts = ObservedState::gather(&week.daemon.api, week.receivers.iter()).await;
            let report = week.ledger.check(&facts);
            report.assert_lawful();
            week.check_stats(&facts).await;
            week.daemon.stop().await;
            (report, week.done)
        }
    }

    async fn turn(turns: u32) {
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
    }

    /// Runs a week on its own thread with a limit in real time. A busy loop never lets virtual time pass.
    fn in_real_time(seed: u64) -> (Report, BTreeMap<&'static str, u32>) {
        let (done, result) = std::sync::mpsc::sync_channel(1);
        let week = std::thread::spawn(move || {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            let runtime = builder.enable_all().start_paused(true).build().unwrap();
            drop(done.send(runtime.block_on(Week::run(seed))));
        });
        match result.recv_timeout(SEED_WITHIN) {
            Ok(result) => result,
            Err(RecvTimeoutError::Timeout) => {
                panic!("the week of seed {seed} is not over after {SEED_WITHIN:?}")
            }
            Err(RecvTimeoutError::Disconnected) => std::panic::resume_unwind(week.join().unwrap_err()),
        }
    }

    #[test]
    fn the_laws_hold_over_a_simulated_week_of_failures() {
        let from: u64 = variable("SEED_FROM", 1);
        let seeds: u64 = variable("SEEDS", 8);
        let clock = Clock::system();
        let mut delivered = 0;
        for seed in from..from + seeds {
            println!("SEED_FROM={seed} SEEDS=1");
            let began = clock.now();
            let (report, done) = in_real_time(seed);
            println!("  {report}; {done:?}; {} ms", clock.now().since(began).as_millis());
            delivered += report.delivered;
        }
        assert!(delivered > 0, "nothing happened");
    }
}
