//! A full or read-only data disk, against the real executable.
//!
//! Below `storage.disk_reserve` the daemon refuses events with 507 and continues to deliver. If it cannot
//! write at all, it exits with 1 and explains why, and the next start has everything acknowledged. Mounting
//! needs root: without it these tests report that they are skipped, and fail if `CI` is set.

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};
    use std::process::{Command, ExitStatus};
    use std::time::Duration;

    use postrider::model::time::Clock;
    use serde_json::{Value, json};
    use tempfile::TempDir;

    use crate::support::client::{ApiClient, CallError, event};
    use crate::support::eventually;
    use crate::support::process::{DaemonSetup, RunningDaemon};
    use crate::support::receiver::{Receiver, Reply, always};

    const WITHIN: Duration = Duration::from_secs(30);
    const PAUSE: Duration = Duration::from_millis(20);
    const DISK: &str = "48m";
    /// The value of `storage.disk_reserve` in every test.
    const RESERVE_BYTES: u64 = 1 << 20;
    const SETTINGS: &str = "[delivery]\nallow_networks = [\"127.0.0.0/8\"]\nretry_schedule = [\"200ms\", \"200ms\", \"1s\", \"1s\", \"1s\", \"1s\", \"1s\", \"1s\", \"1s\", \"1s\"]\n\
         [health]\ndisable = \"never\"\n";

    fn run(program: &str, args: &[&str]) -> Result<(), String> {
        let output = Command::new(program).args(args).output().map_err(|error| error.to_string())?;
        let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if output.status.success() { Ok(()) } else { Err(format!("{program} {args:?}: {words}")) }
    }

    /// A mounted file system. Dropping it unmounts it.
    struct Disk(PathBuf);

    impl Disk {
        /// Mounts a small disk at `at`. Returns `None`, after a message, if mounting is not allowed.
        fn mount(at: &Path, kind: &str, options: &str, device: &str) -> Option<Self> {
            std::fs::create_dir_all(at).unwrap();
            let mounted = run("mount", &["-t", kind, "-o", options, device, at.to_str().unwrap()]);
            if let Err(error) = mounted {
                assert!(std::env::var_os("CI").is_none(), "the disk's tests need to mount: {error}");
                println!("==> SKIPPED, NOT TESTED: no disk can be mounted here ({error})");
                return None;
            }
            Some(Self(at.to_owned()))
        }

        fn in_memory(at: &Path) -> Option<Self> {
            Self::mount(at, "tmpfs", &format!("size={DISK}"), "tmpfs")
        }

        fn remount(&self, options: &str) -> Result<(), String> {
            run("mount", &["-o", &format!("remount,{options}"), self.0.to_str().unwrap()])
        }

        fn free(&self) -> u64 {
            let stat = rustix::fs::statvfs(&self.0).unwrap();
            stat.f_bavail * stat.f_frsize
        }

        fn filler(&self) -> PathBuf {
            self.0.join("filler")
        }

        /// Fills the disk until this many bytes are free.
        fn fill(&self, leave: u64) {
            let filler = std::fs::File::create(self.filler()).unwrap();
            rustix::fs::fallocate(&filler, rustix::fs::FallocateFlags::empty(), 0, self.free() - leave)
                .unwrap();
        }

        fn make_room(&self) {
            std::fs::remove_file(self.filler()).unwrap();
        }
    }

    impl Drop for Disk {
        fn drop(&mut self) {
            if let Err(error) = run("umount", &["-l", self.0.to_str().unwrap()]) {
                println!("{error}");
            }
        }
    }

    /// Returns a setup whose data directory is its own disk.
    fn setup() -> Option<(DaemonSetup, Disk)> {
        let setup = DaemonSetup::new(TempDir::new().unwrap(), SETTINGS);
        let disk = Disk::in_memory(&setup.data())?;
        Some((setup, disk))
    }

    async fn receiver(api: &ApiClient, reply: Reply) -> Receiver {
        let receiver = Receiver::start(Clock::system(), always(reply)).await;
        api.subscribe(&json!({"url": receiver.url()})).await;
        receiver
    }

    async fn ended(running: &mut RunningDaemon) -> ExitStatus {
        eventually("the process has ended", WITHIN, PAUSE, async || running.has_ended()).await
    }

    async fn drained(api: &ApiClient) {
        let drained = async || (api.unfinished().await == 0).then_some(());
        eventually("every delivery is final", WITHIN, PAUSE, drained).await;
    }

    /// Returns the numbers of the events that a receiver accepted.
    fn taken(receiver: &Receiver) -> BTreeSet<u64> {
        let taken = receiver.seen().into_iter().filter(|seen| seen.reply.is_success());
        taken.map(|seen| seen.json()["data"]["n"].as_u64().unwrap()).collect()
    }

    #[tokio::test]
    async fn below_the_disk_reserve_events_are_refused_and_deliveries_continue() {
        let Some((setup, disk)) = setup() else { return };
        let mut running = setup.spawn(&[]);
        let api = setup.ready(&mut running).await;
        let receiver = receiver(&api, Reply::Status(500)).await;
        for n in 0..20 {
            api.accepted(&event("A", "p", n)).await;
        }
        receiver.wait_for(1).await;
        disk.fill(RESERVE_BYTES - 64 * 1024);
        let refused = async || {
            let answer = api.submit(&event("A", "p", 99)).await.unwrap();
            (answer.status != 202).then_some(answer)
        };
        let refused = eventually("events are refused", WITHIN, PAUSE, refused).await;
        let problem = refused.expect(507);
        assert!(problem["detail"].as_str().unwrap().contains("disk_reserve"), "{problem}");
        receiver.answer(always(Reply::Status(200)));
        drained(&api).await;
        assert!(taken(&receiver).is_superset(&(0..20).collect()));
        assert_eq!(api.call(http::Method::GET, "/readyz", "", "").await.unwrap().status, 200);
        disk.make_room();
        let taken_again = async || {
            let answer = api.submit(&event("A", "p", 100)).await.unwrap();
            (answer.status == 202).then_some(())
        };
        eventually("events are taken again", WITHIN, PAUSE, taken_again).await;
        drained(&api).await;
        assert!(taken(&receiver).contains(&100));
        assert!(running.has_ended().is_none(), "{}", setup.log());
    }

    /// Submits events until one is refused. Returns the numbers of the accepted ones.
    async fn submit_until_refused(api: &ApiClient, from: u64) -> BTreeSet<u64> {
        let mut accepted = BTreeSet::new();
        for n in from.. {
            let mut event = event("A", "p", n);
            event["data"]["fill"] = json!("x".repeat(20_000));
            match api.submit(&event).await {
                Ok(answer) if answer.status == 202 => drop(accepted.insert(n)),
                Ok(answer) => {
                    println!("event {n}: {} {:?}", answer.status, answer.body);
                    return accepted;
                }
                Err(CallError::Unanswered(error) | CallError::Unsent(error)) => {
                    println!("event {n}: {error}");
                    return accepted;
                }
            }
        }
        accepted
    }

    #[tokio::test]
    async fn a_full_disk_stops_the_process_and_loses_nothing() {
        let Some((setup, disk)) = setup() else { return };
        // Without a reserve the log itself reaches the end of the disk.
        let wrapper = ["env", "POSTRIDER_STORAGE__DISK_RESERVE=0B"];
        let mut accepted = BTreeSet::new();
        let mut subscribed = None;
        for round in 0..3_u64 {
            let mut running = setup.spawn(&wrapper);
            let api = setup.ready(&mut running).await;
            let receiver = match subscribed.take() {
                None => receiver(&api, Reply::Status(503)).await,
                Some(receiver) => receiver,
            };
            disk.fill(3 << 20);
            accepted.append(&mut submit_until_refused(&api, round * 1_000_000).await);
            let status = ended(&mut running).await;
            let log = setup.log();
            assert_eq!(status.code(), Some(1), "{log}");
            assert!(log.contains("No space left"), "{log}");
            assert!(!log.contains("panicked at"), "{log}");
            // The disk is still full: the start either reports that or serves the existing data.
            let mut again = setup.spawn(&wrapper);
            let answers = async || {
                let answer = ApiClient::new(setup.address).call(http::Method::GET, "/readyz", "", "").await;
                (answer.is_ok() || again.has_ended().is_some()).then_some(())
            };
            eventually("the daemon serves or has ended", WITHIN, PAUSE, answers).await;
            again.kill();
            disk.make_room();
            subscribed = Some(receiver);
        }
        let receiver = subscribed.unwrap();
        receiver.answer(always(Reply::Status(200)));
        let mut running = setup.spawn(&wrapper);
        let api = setup.ready(&mut running).await;
        drained(&api).await;
        let taken = taken(&receiver);
        let lost: Vec<&u64> = accepted.difference(&taken).collect();
        println!("{} accepted, {} taken, {} lost", accepted.len(), taken.len(), lost.len());
        assert!(lost.is_empty() && accepted.len() > 30, "{lost:?}");
    }

    #[tokio::test]
    async fn a_read_only_disk_prevents_the_start_and_is_named() {
        let Some((setup, disk)) = setup() else { return };
        let mut running = setup.spawn(&[]);
        let api = setup.ready(&mut running).await;
        let receiver = receiver(&api, Reply::Status(500)).await;
        api.accepted(&event("A", "p", 1)).await;
        running.kill();
        disk.remount("ro").unwrap();
        let mut running = setup.spawn(&[]);
        let status = ended(&mut running).await;
        let log = setup.log();
        let last = log.lines().last().unwrap_or_default();
        println!("{last}");
        assert_eq!(status.code(), Some(1), "{log}");
        assert!(last.contains("Read-only file system") && last.contains("data"), "{log}");
        disk.remount("rw").unwrap();
        receiver.answer(always(Reply::Status(200)));
        let mut running = setup.spawn(&[]);
        let api = setup.ready(&mut running).await;
        drained(&api).await;
        assert_eq!(taken(&receiver), BTreeSet::from([1]));
    }

    /// The kernel remounts a disk like this after a device error: every write fails.
    #[tokio::test]
    async fn a_disk_that_becomes_read_only_stops_the_process_and_loses_nothing() {
        let folder = TempDir::new().unwrap();
        let image = folder.path().join("image");
        std::fs::File::create(&image).unwrap().set_len(64 << 20).unwrap();
        if let Err(error) = run("mkfs.ext4", &["-q", "-F", image.to_str().unwrap()]) {
            assert!(std::env::var_os("CI").is_none(), "the disk's tests need mkfs.ext4: {error}");
            println!("==> SKIPPED, NOT TESTED: {error}");
            return;
        }
        let setup = DaemonSetup::new(TempDir::new().unwrap(), SETTINGS);
        let mount = || Disk::mount(&setup.data(), "ext4", "loop,errors=remount-ro", image.to_str().unwrap());
        let Some(disk) = mount() else { return };
        let mut running = setup.spawn(&[]);
        let api = setup.ready(&mut running).await;
        let receiver = receiver(&api, Reply::Status(500)).await;
        let mut accepted: BTreeSet<u64> = BTreeSet::new();
        for n in 0..20 {
            api.accepted(&event("A", "p", n)).await;
            accepted.insert(n);
        }
        disk.remount("abort").unwrap();
        accepted.append(&mut submit_until_refused(&api, 20).await);
        let status = ended(&mut running).await;
        assert_eq!(status.code(), Some(1), "{}", setup.log());
        println!("{}", setup.log().lines().last().unwrap_or_default());
        drop(disk);
        run("fsck.ext4", &["-p", "-f", image.to_str().unwrap()]).unwrap_or_else(|error| println!("{error}"));
        let _disk = mount().unwrap();
        receiver.answer(always(Reply::Status(200)));
        let mut running = setup.spawn(&[]);
        let api = setup.ready(&mut running).await;
        drained(&api).await;
        let lost: Vec<u64> = accepted.difference(&taken(&receiver)).copied().collect();
        assert!(lost.is_empty(), "{lost:?}");
        let listed: Vec<Value> = api.list("/v1/events").await;
        assert!(listed.len() >= accepted.len());
    }
}
