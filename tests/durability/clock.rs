//! The wall clock jumps back and forth by hours under the real executable, through libfaketime.
//!
//! The daemon keeps accepting and delivering events once each, with ids in order. Requests carry the current
//! wall-clock time. A retry does not wait for hours when the clock is set back.

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use postrider::model::time::Clock;
    use serde_json::json;

    use crate::support::client::{ApiClient, event};
    use crate::support::process::DaemonSetup;
    use crate::support::receiver::{Receiver, Reply, always};
    use crate::support::{eventually, memory_dir};

    const LIBRARIES: [&str; 3] = [
        "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
        "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
        "/usr/lib/faketime/libfaketime.so.1",
    ];
    const SETTINGS: &str = "[delivery]\nallow_networks = [\"127.0.0.0/8\"]\nretry_schedule = [\"300ms\", \"300ms\", \"300ms\", \"300ms\", \"300ms\", \"300ms\", \"300ms\", \"300ms\"]\n\
         [health]\ndisable = \"never\"\n";
    const WITHIN: Duration = Duration::from_mins(1);
    const PAUSE: Duration = Duration::from_millis(20);
    const HOUR_SECS: u64 = 3600;
    /// The successive offsets of the daemon's clock from the true time.
    const STEPS: [&str; 7] = ["+0", "+5h", "-7h", "+30h", "-1h", "+2h", "+0"];

    fn library() -> Option<&'static str> {
        let found = LIBRARIES.into_iter().find(|path| std::path::Path::new(path).exists());
        if found.is_none() {
            assert!(std::env::var_os("CI").is_none(), "this test needs libfaketime");
            println!("==> SKIPPED, NOT TESTED: libfaketime is not installed");
        }
        found
    }

    /// A daemon's setup with a clock that can be set.
    struct Watch {
        setup: DaemonSetup,
        wrapper: Vec<String>,
    }

    impl Watch {
        fn new(library: &str) -> Self {
            let setup = DaemonSetup::new(memory_dir(), SETTINGS);
            let file = setup.dir.path().join("clock");
            let wrapper = [
                "env".to_owned(),
                format!("LD_PRELOAD={library}"),
                format!("FAKETIME_TIMESTAMP_FILE={}", file.display()),
                "FAKETIME_NO_CACHE=1".to_owned(),
                "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
            ];
            let watch = Self { setup, wrapper: wrapper.to_vec() };
            watch.set("+0");
            watch
        }

        /// Sets the clock to this offset from the true time.
        fn set(&self, offset: &str) {
            let path = self.setup.dir.path().join("clock");
            // The file is replaced atomically, since the daemon reads it each time that it asks for the time.
            std::fs::write(path.with_extension("new"), offset).unwrap();
            std::fs::rename(path.with_extension("new"), path).unwrap();
        }
    }

    /// Returns the seconds of an offset such as `+5h`, `-7h` or `+0`.
    fn secs(offset: &str) -> i64 {
        let hours: i64 = offset.trim_end_matches('h').parse().unwrap();
        hours * i64::try_from(HOUR_SECS).unwrap()
    }

    async fn drained(api: &ApiClient) {
        let drained = async || (api.unfinished().await == 0).then_some(());
        eventually("every delivery is final", WITHIN, PAUSE, drained).await;
    }

    #[tokio::test]
    async fn events_are_delivered_while_the_clock_jumps() {
        let Some(library) = library() else { return };
        let watch = Watch::new(library);
        let wrapper: Vec<&str> = watch.wrapper.iter().map(String::as_str).collect();
        let mut running = watch.setup.spawn(&wrapper);
        let api = watch.setup.ready(&mut running).await;
        let receiver = Receiver::start(Clock::system(), always(Reply::Status(200))).await;
        api.subscribe(&json!({"url": receiver.url()})).await;
        let mut ids = Vec::new();
        for (round, offset) in STEPS.into_iter().enumerate() {
            watch.set(offset);
            for n in 0..10_u64 {
                let accepted = api.accepted(&event("A", "p", round as u64 * 10 + n)).await;
                ids.push(accepted["id"].as_str().unwrap().to_owned());
            }
            let seen = receiver.wait_for(ids.len()).await;
            let newest = seen.last().unwrap();
            let sent: i64 = newest.header("webhook-timestamp").parse().unwrap();
            let expected = i64::try_from(newest.at.as_secs()).unwrap() + secs(offset);
            assert!((sent - expected).abs() <= 5, "at {offset}: {sent} is not {expected}");
        }
        drained(&api).await;
        assert!(ids.is_sorted(), "the order of ids broke");
        let numbers: BTreeSet<u64> =
            receiver.seen().iter().map(|seen| seen.json()["data"]["n"].as_u64().unwrap()).collect();
        assert_eq!((receiver.count(), numbers.len()), (ids.len(), ids.len()));
        let listed = api.list("/v1/events").await;
        assert_eq!(listed.len(), ids.len());
        running.kill();
        // Ids keep increasing across a restart, although by the clock the log is in the future.
        watch.set("-30h");
        let mut running = watch.setup.spawn(&wrapper);
        let api = watch.setup.ready(&mut running).await;
        let accepted = api.accepted(&event("A", "p", 1000)).await;
        assert!(accepted["id"].as_str().unwrap() > ids.last().unwrap().as_str(), "{accepted}");
        receiver.wait_for(ids.len() + 1).await;
    }

    #[tokio::test]
    async fn a_retry_is_not_delayed_by_hours_when_the_clock_is_set_back() {
        let Some(library) = library() else { return };
        let watch = Watch::new(library);
        let wrapper: Vec<&str> = watch.wrapper.iter().map(String::as_str).collect();
        let mut running = watch.setup.spawn(&wrapper);
        let api = watch.setup.ready(&mut running).await;
        let receiver = Receiver::start(Clock::system(), always(Reply::Status(500))).await;
        api.subscribe(&json!({"url": receiver.url()})).await;
        for n in 0..10 {
            api.accepted(&event("A", "p", n)).await;
        }
        receiver.wait_for(2).await;
        watch.set("-7h");
        receiver.answer(always(Reply::Status(200)));
        drained(&api).await;
        let listed = api.list("/v1/deliveries").await;
        assert!(listed.iter().all(|delivery| delivery["state"] == "succeeded"), "{listed:?}");
    }
}
