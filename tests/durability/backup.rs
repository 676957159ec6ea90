//! A backup taken by the command line under load, and a daemon on the restored directory.
//!
//! Everything acknowledged before the backup began must be there, and the ledger's laws must hold.

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::{Command, Output};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use postrider::model::time::Clock;
    use serde_json::json;
    use tokio::sync::watch;
    use tokio::task::JoinSet;

    use crate::support::client::{ApiClient, event};
    use crate::support::ledger::{ExpectedSubscription, Ledger, ObservedState};
    use crate::support::process::DaemonSetup;
    use crate::support::receiver::{Receiver, Reply, always};
    use crate::support::{eventually, memory_dir};

    const SECRET: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    const SENDERS: u64 = 4;
    const BEFORE: usize = 400;

    fn settings(receiver: &Receiver) -> String {
        let url = receiver.url();
        format!("[[subscriptions]]\nname = \"all\"\nurl = \"{url}\"\nsecret = \"{SECRET}\"\n")
    }

    /// Runs the command line to its end.
    async fn postrider(args: &[&str]) -> Output {
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        let run = move || Command::new(env!("CARGO_BIN_EXE_postrider")).args(args).output().unwrap();
        tokio::task::spawn_blocking(run).await.unwrap()
    }

    fn text(path: &Path) -> &str {
        path.to_str().unwrap()
    }

    async fn known(api: &ApiClient) -> (String, ExpectedSubscription) {
        let listed = api.list("/v1/subscriptions").await;
        let members = json!({"events": ["*"], "projects": ["*"], "secret": SECRET});
        let schedule = [5, 30, 120, 600].map(Duration::from_secs);
        (listed[0]["id"].as_str().unwrap().to_owned(), ExpectedSubscription::new(&members, &schedule))
    }

    /// Submits events until told to end.
    async fn submit(api: ApiClient, ledger: Arc<Mutex<Ledger>>, mut end: watch::Receiver<bool>, lane: u64) {
        for n in lane * 1_000_000.. {
            if *end.borrow_and_update() {
                return;
            }
            let event = event("TODO_CREATED", "acme/website", n);
            let expected = ledger.lock().unwrap().expect(&event);
            let result = api.accepted(&event).await;
            ledger.lock().unwrap().note(expected, &result);
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_backup_taken_under_load_restores_completely() {
        let receiver = Receiver::start(Clock::system(), always(Reply::Status(200))).await;
        let setup = DaemonSetup::new(memory_dir(), &settings(&receiver));
        let mut running = setup.spawn(&[]);
        let api = setup.ready(&mut running).await;
        let ledger = Arc::new(Mutex::new(Ledger::new(0.2)));
        let (id, subscription) = known(&api).await;
        ledger.lock().unwrap().subscribed(&id, subscription);
        let (sender, end) = watch::channel(false);
        let mut senders = JoinSet::new();
        for lane in 0..SENDERS {
            senders.spawn(submit(ApiClient::new(setup.address), ledger.clone(), end.clone(), lane));
        }
        let enough = async || (ledger.lock().unwrap().accepted.len() >= BEFORE).then_some(());
        eventually("some events are there", Duration::from_mins(1), Duration::from_millis(5), enough).await;

        let before = ledger.lock().unwrap().clone();
        let file = setup.dir.path().join("backup");
        let server = format!("http://{}", setup.address);
        let taken = postrider(&["backup", text(&file), "--server", &server, "--json"]).await;
        assert!(taken.status.success(), "{}", String::from_utf8_lossy(&taken.stderr));
        let after = ledger.lock().unwrap().accepted.len();
        sender.send_replace(true);
        while let Some(ended) = senders.join_next().await {
            ended.unwrap();
        }
        running.kill();
        let all = ledger.lock().unwrap().clone();
        restored(&setup, &receiver, before, &all).await;
        println!("{} events before it, {after} at its end, {} in all", BEFORE, all.accepted.len());
    }

    /// Restores the backup as on another machine, and checks the laws on the result.
    async fn restored(setup: &DaemonSetup, receiver: &Receiver, mut before: Ledger, all: &Ledger) {
        let file = setup.dir.path().join("backup");
        let other = DaemonSetup::new(memory_dir(), &settings(receiver));
        let data = other.data();
        let refused = postrider(&["restore", text(&file), "--data-dir", text(&data)]).await;
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(1) && said.contains("--key FILE") && !data.exists(), "{said}");
        let key = setup.data().join("key");
        let args = ["restore", text(&file), "--data-dir", text(&data), "--key", text(&key)];
        let done = postrider(&args).await;
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let again = postrider(&args).await;
        assert!(String::from_utf8_lossy(&again.stderr).contains("is not empty"));

        let mut running = other.spawn(&[]);
        let api = other.ready(&mut running).await;
        let drained = async || (api.unfinished().await == 0).then_some(());
        eventually("every delivery is final", Duration::from_mins(1), Duration::from_millis(20), drained)
            .await;
        let mut facts = ObservedState::gather(&api, std::iter::once(receiver)).await;
        // The backup lacks everything that came after it, so those requests do not count for the restored
        // log.
        let logged: Vec<&str> = facts.deliveries.iter().map(|row| row.id.as_str()).collect();
        facts.seen.retain(|seen| logged.contains(&seen.delivery()));
        for (id, accepted) in &all.accepted {
            if !before.accepted.contains_key(id) {
                before.lost_sight_of(accepted.clone());
            }
        }
        before.crashes = 1;
        let report = before.check(&facts);
        println!("{report}");
        report.assert_lawful();
        assert!(report.accepted >= BEFORE);
    }
}
