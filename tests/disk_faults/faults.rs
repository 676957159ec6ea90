//! Makes every durable step of the daemon fail once.
//!
//! The n-th change of the data directory ends in an error, or is the last, for n = 1, 2, 3 and so on until a
//! run passes without a fault. After each, the daemon starts again on the remaining files, and the ledger's
//! laws must hold.
//!
//! `STRIDE` sets the step between two values of n (default 23; 1 covers every step). `SEED` sets the first
//! one.

#[cfg(test)]
mod tests {
    use std::fs;
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
    use std::path::Path;
    use std::time::Duration;

    use postrider::app::{Daemon, Options};
    use postrider::config::Config;
    use postrider::model::time::Clock;
    use serde_json::{Value, json};
    use tempfile::TempDir;

    use crate::faulty_disk::{self, Fault, image};
    use crate::support::client::{ApiClient, event};
    use crate::support::ledger::{ExpectedSubscription, Ledger, ObservedState};
    use crate::support::receiver::{Receiver, Reply, always};
    use crate::support::{daemon, eventually, memory_dir, variable};

    /// The end of a run without a fault, far beyond the number of changes in one run.
    const STEPS_MAX: u64 = 5_000;
    const EVENTS: u64 = 6;
    const SECRET: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    const DRAINED_WITHIN: Duration = Duration::from_secs(30);
    const STOPS_WITHIN: Duration = Duration::from_secs(20);
    const KILLED_WITHIN: Duration = Duration::from_secs(3);

    /// The way in which the n-th step fails.
    #[derive(Clone, Copy, Debug)]
    enum Kind {
        Broken,
        Full,
        Cut,
    }

    impl Kind {
        fn at(self, n: u64) -> Fault {
            match self {
                Self::Broken => Fault::Error(n, libc::EIO),
                Self::Full => Fault::Error(n, libc::ENOSPC),
                Self::Cut => Fault::Cut(n),
            }
        }
    }

    /// One daemon with one subscription and some events.
    struct Run {
        dir: TempDir,
        ledger: Ledger,
        receiver: Receiver,
        count: u64,
        /// Submitted events that are not acknowledged.
        open: Vec<Value>,
        /// Whether the daemon reported that it cannot continue.
        has_ended: bool,
    }

    impl Run {
        async fn new() -> Self {
            let receiver = Receiver::start(Clock::system(), always(Reply::Status(200))).await;
            let (dir, ledger) = (memory_dir(), Ledger::new(0.2));
            Self { dir, ledger, receiver, count: 0, open: Vec::new(), has_ended: false }
        }

        fn data(&self) -> std::path::PathBuf {
            self.dir.path().join("data")
        }

        async fn daemon(&self, data: &Path) -> Result<Daemon, String> {
            let url = self.receiver.url();
            let settings =
                format!("[[subscriptions]]\nname = \"all\"\nurl = \"{url}\"\nsecret = \"{SECRET}\"\n");
            let text = daemon::config(data, &settings);
            let config = Config::parse(&text, "test.toml", std::iter::empty()).unwrap();
            Daemon::start(config, Options::seeded(Clock::system(), 1))
                .await
                .map_err(|error| format!("{error:#}"))
        }

        /// Starts, submits and stops repeatedly on a disk that fails. Returns whether it failed.
        async fn meet(&mut self, fault: Fault) -> bool {
            faulty_disk::start(&self.data(), Some(fault));
            for _ in 0..2 {
                let started = tokio::time::timeout(STOPS_WITHIN, self.daemon(&self.data())).await;
                let Ok(mut daemon) = started.expect("a start that fails ends") else { break };
                let api = ApiClient::new(daemon.addresses()[0]);
                self.subscribed(&api).await;
                if !self.submit(&api, &mut daemon).await {
                    self.is_poisoned(&api, &mut daemon).await;
                    // A thread that waits forever for a failed write keeps the daemon alive here. The end of
                    // a process would not.
                    drop(tokio::time::timeout(KILLED_WITHIN, daemon.kill()).await);
                    break;
                }
                // An error during the stop loses nothing, which the laws check later.
                if !matches!(tokio::time::timeout(STOPS_WITHIN, daemon.stop()).await, Ok(Ok(()))) {
                    break;
                }
            }
            let fired = faulty_disk::fired();
            faulty_disk::stop();
            fired
        }

        async fn subscribed(&mut self, api: &ApiClient) {
            let listed = api.list("/v1/subscriptions").await;
            let members = json!({"events": ["*"], "projects": ["*"], "secret": SECRET});
            let schedule = [5, 30, 120, 600].map(Duration::from_secs);
            let id = listed[0]["id"].as_str().unwrap();
            self.ledger.subscribed(id, ExpectedSubscription::new(&members, &schedule));
        }

        /// Submits some events one after the other. Returns whether all were accepted.
        async fn submit(&mut self, api: &ApiClient, daemon: &mut Daemon) -> bool {
            for _ in 0..EVENTS {
                self.count += 1;
                let mut event = event("TODO_CREATED", "acme/website", self.count);
                event["id"] = json!(format!("own-{}", self.count));
                let expected = self.ledger.expect(&event);
                // Only the end of the process answers a request that is stuck.
                let answer = tokio::select! {
                    answer = api.submit(&event) => Some(answer.unwrap()),
                    _ = daemon.failed() => {
                        self.has_ended = true;
                        None
                    }
                };
                match answer {
                    Some(answer) if answer.status == 202 => self.ledger.note(expected, &answer.json()),
                    unsure => {
                        if let Some(answer) = unsure {
                            assert!(answer.status.is_server_error(), "{} {:?}", answer.status, answer.body);
                        }
                        self.ledger.lost_sight_of(expected);
                        self.open.push(event);
                        return false;
                    }
                }
            }
            true
        }

        /// Checks that the daemon accepts nothing after a failed write, that `/readyz` reports it, and that
        /// the daemon ends.
        async fn is_poisoned(&mut self, api: &ApiClient, daemon: &mut Daemon) {
            let unready = async || {
                let ready = api.call(http::Method::GET, "/readyz", "", "").await.unwrap();
                (ready.status == 503).then_some(())
            };
            eventually("/readyz tells of a failed write", STOPS_WITHIN, Duration::from_millis(1), unready)
                .await;
            for _ in 0..3 {
                self.count += 1;
                let event = event("TODO_CREATED", "acme/website", self.count);
                let answer = api.submit(&event).await.unwrap();
                assert!(answer.status.is_server_error(), "an event was taken after a failed write");
                self.ledger.was_refused(&event);
            }
            let ended = self.has_ended || tokio::time::timeout(STOPS_WITHIN, daemon.failed()).await.is_ok();
            assert!(ended, "the daemon goes on after a failed write");
        }

        /// Starts the daemon on the files that the disk holds and checks the laws.
        async fn recover(&mut self) -> String {
            let copy = self.dir.path().join("copy");
            fs::create_dir_all(&copy).unwrap();
            if self.data().is_dir() {
                for path in image::files(&self.data()).keys() {
                    fs::create_dir_all(copy.join(path).parent().unwrap()).unwrap();
                    fs::copy(self.data().join(path), copy.join(path)).unwrap();
                }
            }
            let mut daemon =
                self.daemon(&copy).await.unwrap_or_else(|error| panic!("does not start again: {error}"));
            let api = ApiClient::new(daemon.addresses()[0]);
            self.subscribed(&api).await;
            for event in std::mem::take(&mut self.open) {
                let expected = self.ledger.expect(&event);
                let answer = api.accepted(&event).await;
                self.ledger.note(expected, &answer);
            }
            assert!(self.submit(&api, &mut daemon).await, "events are not taken after the restart");
            let drained = async || (api.unfinished().await == 0).then_some(());
            eventually("every delivery is final", DRAINED_WITHIN, Duration::from_millis(5), drained).await;
            let facts = ObservedState::gather(&api, std::iter::once(&self.receiver)).await;
            self.ledger.crashes = 1;
            let report = self.ledger.check(&facts);
            report.assert_lawful();
            assert!(report.delivered >= usize::try_from(EVENTS).unwrap());
            daemon.stop().await.unwrap();
            report.to_string()
        }
    }

    /// Runs one fault on its own runtime. A panic is reported together with n.
    fn run(fault: Fault) -> Result<bool, String> {
        let ended = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            let mut run = runtime.block_on(Run::new());
            // The panic is caught first: dropping a runtime waits for its threads, which may wait forever.
            let ended = catch_unwind(AssertUnwindSafe(|| {
                runtime.block_on(async {
                    let fired = run.meet(fault).await;
                    // Requests that the old daemon had sent must not arrive later. A stuck daemon keeps idle
                    // connections only.
                    drop(tokio::time::timeout(KILLED_WITHIN, run.receiver.settled()).await);
                    run.recover().await;
                    fired
                })
            }));
            runtime.shutdown_background();
            ended.unwrap_or_else(|panic| resume_unwind(panic))
        })
        .join();
        faulty_disk::clear();
        ended.map_err(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
            format!("{fault:?}: {}", text.unwrap_or_default())
        })
    }

    #[test]
    fn every_durable_step_fails_once() {
        let _one_test = faulty_disk::ONE_TEST.blocking_lock();
        let (seed, stride): (u64, usize) = (variable("SEED", 7), variable("STRIDE", 23));
        println!("SEED={seed} STRIDE={stride}");
        let (clock, mut bad) = (Clock::system(), Vec::new());
        for kind in [Kind::Broken, Kind::Full, Kind::Cut] {
            let (mut runs, mut slow, mut last) = (0, 0, 0);
            for n in (1 + seed % stride as u64..STEPS_MAX).step_by(stride) {
                let begun = clock.instant();
                let fired = run(kind.at(n)).unwrap_or_else(|problem| {
                    println!("{problem}");
                    bad.push(problem);
                    true
                });
                runs += 1;
                slow += usize::from(clock.instant() - begun > Duration::from_secs(1));
                if !fired {
                    last = n;
                    break;
                }
            }
            println!(
                "{kind:?}: {runs} runs, until no step was left at {last}; {slow} of them took over a second"
            );
            assert!(last > 0, "the runs never came to an end");
        }
        assert!(bad.is_empty(), "{} bad:\n{}", bad.len(), bad.join("\n"));
    }
}
