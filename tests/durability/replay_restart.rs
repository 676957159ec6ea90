//! Kills the real executable with SIGKILL during replays: exactly the requested deliveries are made, and all
//! arrive.
//!
//! `REPLAY_EVENTS` sets the number of events in the log (default 3,000), `KILLS` the number of kills.

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::time::Duration;

    use postrider::model::time::Clock;
    use serde_json::{Value, json};

    use crate::support::client::{ApiClient, event};
    use crate::support::process::{DaemonSetup, RunningDaemon};
    use crate::support::receiver::{ReceivedRequest, Receiver, Reply, always};
    use crate::support::{eventually, memory_dir, variable};

    const BATCH: u64 = 1000;
    const PATIENCE: Duration = Duration::from_mins(10);
    const LOOK: Duration = Duration::from_millis(2);

    /// Returns an event. The subscription wants two of four: one has another type, and the filter excludes
    /// one.
    fn made_up(n: u64) -> Value {
        event(if n.is_multiple_of(4) { "OTHER" } else { "TODO_CREATED" }, "acme/website", n)
    }

    fn is_wanted(n: u64) -> bool {
        matches!(n % 4, 1 | 2)
    }

    fn id(thing: &Value) -> &str {
        thing["id"].as_str().unwrap()
    }

    /// Fills the log. Returns the ids of the events that the subscription will want.
    async fn fill(api: &ApiClient, events: u64) -> BTreeSet<String> {
        let mut wanted = BTreeSet::new();
        for first in (0..events).step_by(usize::try_from(BATCH).unwrap()) {
            let numbers = first..events.min(first + BATCH);
            let batch: Value = numbers.clone().map(made_up).collect();
            let answer = api.accepted(&batch).await;
            for (n, result) in numbers.zip(answer["results"].as_array().unwrap()) {
                if is_wanted(n) {
                    wanted.insert(id(result).to_owned());
                }
            }
        }
        wanted
    }

    async fn job(api: &ApiClient, path: &str) -> Value {
        api.get(path).await
    }

    /// Waits until this many deliveries are made or the job has ended. Prints the progress now and then.
    async fn until_made(api: &ApiClient, path: &str, made: u64) -> Value {
        let mut told = 0;
        let reached = async || {
            let job = job(api, path).await;
            let tenths =
                job["looked_at"].as_u64().unwrap() * 10 / job["total"].as_u64().unwrap_or(u64::MAX).max(1);
            if tenths > told {
                println!("  looked_at={} made={} of total={}", job["looked_at"], job["made"], job["total"]);
                told = tenths;
            }
            (job["made"].as_u64() >= Some(made) || job["state"] != "running").then_some(job)
        };
        eventually("deliveries are made", PATIENCE, LOOK, reached).await
    }

    async fn drained(api: &ApiClient) {
        let drained = async || (api.unfinished().await == 0).then_some(());
        eventually("every delivery is final", PATIENCE, Duration::from_millis(20), drained).await;
    }

    fn per_second(count: usize, took: Duration) -> f64 {
        f64::from(u32::try_from(count).unwrap()) / took.as_secs_f64()
    }

    /// Counts the occurrences of each id.
    fn counted<'a>(ids: impl Iterator<Item = &'a str>) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for id in ids {
            *counts.entry(id.to_owned()).or_default() += 1;
        }
        counts
    }

    struct Run {
        setup: DaemonSetup,
        running: RunningDaemon,
        api: ApiClient,
    }

    impl Run {
        async fn start(setup: DaemonSetup) -> Self {
            let mut running = setup.spawn(&[]);
            let api = setup.ready(&mut running).await;
            Self { setup, running, api }
        }

        async fn killed(self) -> Self {
            self.running.kill();
            Self::start(self.setup).await
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_killed_replay_delivers_exactly_the_requested_events() {
        let (events, kills): (u64, u64) = (variable("REPLAY_EVENTS", 3000), variable("KILLS", 2));
        println!("REPLAY_EVENTS={events} KILLS={kills}");
        let clock = Clock::system();
        let receiver = Receiver::start(clock.clone(), always(Reply::Status(200))).await;
        let settings = "[api]\nreplay_backlog_max = 500\n";
        let mut run = Run::start(DaemonSetup::new(memory_dir(), settings)).await;
        let began = clock.instant();
        let wanted = fill(&run.api, events).await;
        println!(
            "{events} events in the log after {:.1} s, {} of them wanted",
            began.elapsed().as_secs_f64(),
            wanted.len()
        );

        let members = json!({"url": receiver.url(), "events": ["TODO_*"], "filter": "event.data.n % 4 != 3"});
        let subscription = run.api.subscribe(&members).await;
        let path = format!("/v1/subscriptions/{}/replay", id(&subscription));
        let dry = run.api.post(&path, &json!({"dry_run": true})).await.expect(200);
        assert_eq!(dry["matching"], wanted.len());
        let began = clock.instant();
        let started = run.api.post(&path, &json!({})).await.expect(202);
        let replay = format!("/v1/replays/{}", id(&started));
        for kill in 1..=kills {
            let made = wanted.len() as u64 * kill / (kills + 1);
            let seen = until_made(&run.api, &replay, made).await;
            assert_eq!(seen["state"], "running", "it was to be killed in the middle: {seen}");
            run = run.killed().await;
            let after = job(&run.api, &replay).await;
            println!(
                "killed at looked_at={} made={}; goes on at made={}",
                seen["looked_at"], seen["made"], after["made"]
            );
            // Progress is durable together with its deliveries, so everything shown was durable.
            assert!(after["made"].as_u64() >= seen["made"].as_u64(), "{seen} {after}");
        }
        let done = until_made(&run.api, &replay, u64::MAX).await;
        drained(&run.api).await;
        let took = began.elapsed();
        assert_eq!(
            (&done["state"], &done["total"], &done["looked_at"]),
            (&json!("done"), &json!(events), &json!(events))
        );
        assert_eq!((&done["made"], &done["skipped"]), (&json!(wanted.len()), &json!(0)));

        let listed = run.api.list(&format!("/v1/deliveries?subscription={}", id(&subscription))).await;
        let made = counted(listed.iter().map(|delivery| delivery["event"].as_str().unwrap()));
        assert!(listed.iter().all(|delivery| delivery["state"] == "succeeded"));
        assert!(made.values().all(|count| *count == 1), "an event has more than one delivery");
        assert!(made.keys().eq(&wanted), "made for {} events, {} are wanted", made.len(), wanted.len());
        let requests = receiver.seen();
        let arrived = counted(requests.iter().map(ReceivedRequest::event));
        assert!(arrived.keys().eq(&wanted), "{} events arrived, {} are wanted", arrived.len(), wanted.len());
        let twice: u64 = arrived.values().map(|count| count - 1).sum();
        assert!(
            twice < arrived.len() as u64 / 4,
            "{twice} requests were made again, not only what a kill cut off"
        );
        println!(
            "replayed {} of {events} in {:.2} s with {kills} kills: {:.0} a second; deliveries made = events wanted = events arrived; {twice} requests twice",
            wanted.len(),
            took.as_secs_f64(),
            per_second(wanted.len(), took)
        );
    }
}
