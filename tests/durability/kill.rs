//! Kills the real executable with SIGKILL at random moments under load: no acknowledged event may be lost.
//!
//! `KILLS` sets the number of kills (default 12), `SEED` repeats a run's decisions. The ledger cannot know
//! the outcome of a request without a response. Events with a sender's id are submitted again until there is
//! one. The others may or may not exist.

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use postrider::model::time::Clock;
    use rand::rngs::StdRng;
    use rand::{RngExt as _, SeedableRng as _};
    use serde_json::{Value, json};
    use tokio::sync::watch;
    use tokio::task::JoinSet;

    use crate::support::client::{ApiClient, CallError, event};
    use crate::support::ledger::{Accepted, ExpectedSubscription, Ledger, ObservedState};
    use crate::support::process::DaemonSetup;
    use crate::support::receiver::{Receiver, failing};
    use crate::support::{eventually, memory_dir, variable};

    const SUBMITTERS: u64 = 4;
    const BATCH_MAX: usize = 12;
    const JITTER: f64 = 0.2;
    const WAIT_MS: u64 = 40;
    const RETRIES: usize = 8;
    /// The longest life of a daemon, from the start of its process.
    const LIFE_MS_MAX: u64 = 600;
    const DRAINED_WITHIN: Duration = Duration::from_mins(2);

    /// Returns the selectors, formats and failure shares of the subscriptions.
    fn subscriptions() -> Vec<(Value, f64)> {
        let secret = |letter: &str| format!("whsec_{}", letter.repeat(32));
        vec![
            (json!({"name": "all", "events": ["*"], "projects": ["*"], "secret": secret("A")}), 0.05),
            (
                json!({"name": "todos", "events": ["TODO_*", "!TODO_DELETED"], "projects": ["acme/*"], "secret": secret("B")}),
                0.3,
            ),
            (
                json!({"name": "raw", "events": ["*"], "projects": ["website"], "format": "raw", "secret": secret("C")}),
                0.2,
            ),
            (
                json!({"name": "none", "events": ["INVOICE_*"], "projects": ["globex/*"], "secret": secret("D")}),
                0.5,
            ),
        ]
    }

    fn settings(receivers: &[Receiver]) -> String {
        let waits = vec![format!("\"{WAIT_MS}ms\""); RETRIES].join(", ");
        let mut text = format!(
            "[delivery]\nallow_networks = [\"127.0.0.0/8\"]\nretry_schedule = [{waits}]\njitter = {JITTER}\n\
             [health]\ndisable = \"never\"\n"
        );
        for ((members, _), receiver) in subscriptions().iter().zip(receivers) {
            writeln!(text, "[[subscriptions]]\nurl = \"{}\"", receiver.url()).unwrap();
            for (name, value) in members.as_object().unwrap() {
                writeln!(text, "{name} = {value}").unwrap();
            }
        }
        text
    }

    /// A submitter's view of the daemon: the current life, the ledger, and the signal to end.
    #[derive(Clone)]
    struct Desk {
        setup: Arc<DaemonSetup>,
        ledger: Arc<Mutex<Ledger>>,
        /// The number of the daemon's current life, or `None` as the signal to end.
        life: watch::Receiver<Option<u64>>,
    }

    impl Desk {
        /// Submits events until told to end, and then until every event with a sender's id has a response.
        async fn submit(mut self, lane: u64, mut rng: StdRng) {
            let mut api = ApiClient::new(self.setup.address);
            let mut count = 0;
            while self.life.borrow().is_some() {
                // An event with a sender's id can be submitted again.
                let repeatable = rng.random_bool(0.5);
                let events: Vec<Value> = (0..rng.random_range(1..=BATCH_MAX))
                    .map(|_| {
                        count += 1;
                        made_up(lane * 1_000_000_000 + count, repeatable, &mut rng)
                    })
                    .collect();
                self.deliver(&mut api, &events, &mut rng).await;
            }
        }

        /// Submits a batch until it gets a response or must not be submitted again.
        async fn deliver(&mut self, api: &mut ApiClient, events: &[Value], rng: &mut StdRng) {
            let repeatable = events.iter().all(|event| event["id"].is_string());
            let ndjson = rng.random_bool(0.3);
            let expected: Vec<Accepted> = {
                let ledger = self.ledger.lock().unwrap();
                events.iter().map(|event| ledger.expect(event)).collect()
            };
            loop {
                let life = *self.life.borrow_and_update();
                match send(api, events, ndjson).await {
                    Ok(results) => return self.note(expected, results.as_deref()),
                    Err(CallError::Unanswered(_)) if !repeatable => return self.lose_sight(expected),
                    Err(lost) => assert!(life.is_some(), "the last daemon does not answer: {lost:?}"),
                }
                // The daemon is dead: wait for its next life and submit again.
                *api = ApiClient::new(self.setup.address);
                drop(self.life.wait_for(|now| *now != life).await.unwrap());
            }
        }

        fn note(&self, expected: Vec<Accepted>, results: Option<&[Value]>) {
            let mut ledger = self.ledger.lock().unwrap();
            match results {
                Some(results) => {
                    assert_eq!(results.len(), expected.len());
                    expected
                        .into_iter()
                        .zip(results)
                        .for_each(|(expected, result)| ledger.note(expected, result));
                }
                None => expected.iter().for_each(|expected| ledger.was_refused(&expected.content)),
            }
        }

        fn lose_sight(&self, expected: Vec<Accepted>) {
            let mut ledger = self.ledger.lock().unwrap();
            for expected in expected {
                ledger.lost_sight_of(expected);
            }
        }
    }

    fn made_up(n: u64, repeatable: bool, rng: &mut StdRng) -> Value {
        const TYPES: [&str; 4] = ["TODO_CREATED", "TODO_DELETED", "INVOICE_PAID", "COMMENT_CREATED"];
        const PROJECTS: [&str; 4] = ["acme/website", "acme/app", "globex/website", "website"];
        let event_type = TYPES[rng.random_range(0..TYPES.len())];
        let mut event = event(event_type, PROJECTS[rng.random_range(0..PROJECTS.len())], n);
        if repeatable {
            event["id"] = json!(format!("own-{n}"));
        }
        event
    }

    /// Returns the results of a 202, or `None` for a refusal.
    async fn send(api: &ApiClient, events: &[Value], ndjson: bool) -> Result<Option<Vec<Value>>, CallError> {
        let answer = if ndjson {
            let lines: Vec<String> = events.iter().map(ToString::to_string).collect();
            api.call(http::Method::POST, "/v1/events", "application/x-ndjson", lines.join("\n")).await?
        } else if let [event] = events {
            api.submit(event).await?
        } else {
            api.submit(&json!(events)).await?
        };
        match answer.status.as_u16() {
            202 => {
                let body = answer.json();
                Ok(Some(body["results"].as_array().cloned().unwrap_or_else(|| vec![body])))
            }
            429 | 503 => Ok(None),
            _ => panic!("{} {:?}", answer.status, answer.body),
        }
    }

    /// Kills the daemon `kills` times at random moments, and leaves the last one running.
    async fn spree(
        setup: &DaemonSetup,
        kills: u64,
        life: &watch::Sender<Option<u64>>,
        rng: &mut StdRng,
    ) -> usize {
        let mut before_ready = 0;
        for kill in 1..=kills {
            let mut running = setup.spawn(&[]);
            let moment = Duration::from_micros(rng.random_range(0..LIFE_MS_MAX * 1000));
            // The random moment is the point: some kills hit the start and the recovery, most the load.
            let killed_at = crate::support::passes(moment);
            tokio::pin!(killed_at);
            tokio::select! {
                biased;
                () = &mut killed_at => before_ready += 1,
                _ = setup.ready(&mut running) => {
                    life.send_replace(Some(kill));
                    killed_at.await;
                }
            }
            running.kill();
        }
        before_ready
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_acknowledged_event_is_lost_after_sigkill() {
        let seed: u64 = variable("SEED", 7);
        let kills: u64 = variable("KILLS", 12);
        println!("SEED={seed} KILLS={kills}");
        let mut rng = StdRng::seed_from_u64(seed);
        let mut receivers = Vec::new();
        for (index, (_, share)) in subscriptions().iter().enumerate() {
            receivers.push(Receiver::start(Clock::system(), failing(*share, seed + index as u64)).await);
        }
        let setup = Arc::new(DaemonSetup::new(memory_dir(), &settings(&receivers)));
        let ledger = Arc::new(Mutex::new(Ledger::new(JITTER)));
        note_subscriptions(&setup, &ledger).await;

        let (life, watched) = watch::channel(Some(0));
        let desk = Desk { setup: Arc::clone(&setup), ledger: Arc::clone(&ledger), life: watched };
        let mut submitters = JoinSet::new();
        for lane in 0..SUBMITTERS {
            submitters.spawn(desk.clone().submit(lane, StdRng::seed_from_u64(rng.random())));
        }
        let before_ready = spree(&setup, kills, &life, &mut rng).await;

        let mut last = setup.spawn(&[]);
        let api = setup.ready(&mut last).await;
        life.send_replace(None);
        while let Some(submitter) = submitters.join_next().await {
            submitter.unwrap();
        }
        let drained = async || (api.unfinished().await == 0).then_some(());
        eventually("every delivery is final", DRAINED_WITHIN, Duration::from_millis(50), drained).await;
        let facts = ObservedState::gather(&api, receivers.iter()).await;
        let mut ledger = ledger.lock().unwrap().clone();
        (ledger.crashes, ledger.disables) = (usize::try_from(kills).unwrap(), false);
        let report = ledger.check(&facts);
        println!(
            "{kills} kills ({before_ready} before /readyz): {report}, {} unanswered, {} refused",
            ledger.unanswered.len(),
            ledger.refused.len()
        );
        report.assert_lawful();
        assert!(report.delivered > 0 && report.accepted > 0, "nothing happened: {report}");
    }

    /// Starts the daemon once, so that the config file's subscriptions get their ids, and stops it.
    async fn note_subscriptions(setup: &DaemonSetup, ledger: &Mutex<Ledger>) {
        let mut running = setup.spawn(&[]);
        let api = setup.ready(&mut running).await;
        let listed = api.list("/v1/subscriptions").await;
        let schedule = [Duration::from_millis(WAIT_MS); RETRIES];
        for (members, _) in subscriptions() {
            let found = listed.iter().find(|subscription| subscription["name"] == members["name"]).unwrap();
            ledger
                .lock()
                .unwrap()
                .subscribed(found["id"].as_str().unwrap(), ExpectedSubscription::new(&members, &schedule));
        }
        running.kill();
    }
}
