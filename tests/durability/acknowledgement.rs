//! Every 202 follows a real fdatasync of the data file, and under load many events share one.
//!
//! `strace` watches the real executable: the system calls count, not the daemon's own claims. Without strace,
//! the store's own count of syncs has to do (`Reader::syncs`).

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use serde_json::json;
    use tempfile::TempDir;
    use tokio::task::JoinSet;

    use crate::support::client::{ApiClient, event};
    use crate::support::daemon::TestDaemon;
    use crate::support::eventually;
    use crate::support::process::{DaemonSetup, is_installed};
    use crate::support::trace::{self, Accepted, Call};

    const CALLS: &str =
        "trace=fdatasync,fsync,sync_file_range,read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg";
    const ALONE: u64 = 20;
    const CONNECTIONS: u64 = 48;
    const EACH: u64 = 20;

    const TRACED: &str = "\
        7 recvfrom(9<socket:[50]>, \"POST /v1/events HTTP/1.1\\r\\n\", 8192, 0, NULL, NULL) = 99\n\
        8 fdatasync(4</d/data/db> <unfinished ...>\n\
        7 read(3</etc/x>, \"\", 10) = 0\n\
        8 <... fdatasync resumed>) = 0\n\
        7 writev(9<socket:[50]>, [{iov_base=\"HTTP/1.1 202 Accepted\\r\\n\"}], 1) = 80\n";

    #[test]
    fn the_trace_reader_detects_a_202_without_a_sync() {
        let synced =
            |trace: &str| trace::accepted(&trace::read(trace), "/d/data").iter().all(|one| one.synced);
        assert_eq!(trace::accepted(&trace::read(TRACED), "/d/data").len(), 1);
        assert!(synced(TRACED));
        let sync: Vec<&str> = TRACED.lines().filter(|line| line.contains("fdatasync")).collect();
        for (what, trace) in [
            ("of another file", TRACED.replace("/d/data/db", "/d/data/conf")),
            ("that failed", TRACED.replace("resumed>) = 0", "resumed>) = -1 EIO")),
            (
                "that began too early",
                format!("{}\n{}", sync[0], TRACED.replace(&format!("{}\n", sync[0]), "")),
            ),
            ("that ended too late", format!("{}{}", TRACED.replace(&format!("{}\n", sync[1]), ""), sync[1])),
        ] {
            assert!(!synced(&trace), "a sync {what} went for a good one");
        }
    }

    /// Starts the daemon under strace, does the work, and returns the trace once it is complete up to that
    /// point.
    async fn traced(work: impl AsyncFnOnce(&DaemonSetup)) -> (Vec<Call>, String) {
        // The test uses the disk that a daemon would use. In memory a sync costs nothing and groups nothing.
        let setup = DaemonSetup::new(TempDir::new().unwrap(), "");
        let output = setup.dir.path().join("trace");
        let options = ["strace", "-f", "-qq", "-y", "-s", "48", "-e", "signal=none", "-e", CALLS, "-o"];
        let wrapper: Vec<&str> = options.into_iter().chain([output.to_str().unwrap()]).collect();
        let mut running = setup.spawn(&wrapper);
        setup.ready(&mut running).await;
        work(&setup).await;
        running.terminate_child();
        let ended = async || running.has_ended();
        eventually("strace has ended", Duration::from_secs(30), Duration::from_millis(10), ended).await;
        let data = setup.data().to_str().unwrap().to_owned();
        (trace::read(&std::fs::read_to_string(Path::new(&output)).unwrap()), data)
    }

    #[tokio::test]
    async fn the_sync_counter_increases_before_each_202() {
        let daemon = TestDaemon::start().await;
        for n in 0..ALONE {
            let before = daemon.syncs();
            daemon.api.accepted(&event("TODO_CREATED", "acme/website", n)).await;
            assert!(daemon.syncs() > before, "event {n} was answered without a sync");
        }
    }

    fn syncs_between(calls: &[Call], data: &str, accepted: &[Accepted]) -> usize {
        let (first, last) = (accepted.first().unwrap().read, accepted.last().unwrap().answered);
        calls.iter().filter(|call| call.is_sync_of(data) && call.begin > first && call.end < last).count()
    }

    #[tokio::test]
    async fn each_202_follows_a_sync_of_the_data_file() {
        if !is_installed("strace") {
            println!("strace is not installed: scripts/test installs it where it may");
            return;
        }
        let (calls, data) = traced(async |setup| {
            let api = ApiClient::new(setup.address);
            for n in 0..ALONE {
                api.accepted(&event("TODO_CREATED", "acme/website", n)).await;
            }
        })
        .await;
        let accepted = trace::accepted(&calls, &data);
        assert_eq!(accepted.len() as u64, ALONE);
        assert!(accepted.iter().all(|one| one.synced), "{accepted:?}");
        println!("one after another: {ALONE} events, {} syncs", syncs_between(&calls, &data, &accepted));
    }

    #[tokio::test]
    async fn under_load_many_events_share_one_sync() {
        if !is_installed("strace") {
            println!("strace is not installed: scripts/test installs it where it may");
            return;
        }
        let (calls, data) = traced(async |setup| {
            let mut senders = JoinSet::new();
            for lane in 0..CONNECTIONS {
                let api = ApiClient::new(setup.address);
                senders.spawn(async move {
                    for n in 0..EACH {
                        api.accepted(&event("TODO_CREATED", "acme/website", lane * EACH + n)).await;
                    }
                });
            }
            while let Some(sender) = senders.join_next().await {
                sender.unwrap();
            }
            let listed = ApiClient::new(setup.address).list("/v1/events").await;
            assert_eq!(json!(listed.len()), json!(CONNECTIONS * EACH));
        })
        .await;
        let accepted = trace::accepted(&calls, &data);
        assert_eq!(accepted.len() as u64, CONNECTIONS * EACH);
        let unsynced: Vec<&Accepted> = accepted.iter().filter(|one| !one.synced).collect();
        assert!(unsynced.is_empty(), "{unsynced:?}");
        let syncs = syncs_between(&calls, &data, &accepted);
        println!(
            "{CONNECTIONS} connections: {} events, {syncs} syncs, {} events a sync",
            accepted.len(),
            accepted.len() / syncs
        );
        assert!(syncs < accepted.len(), "no two events shared a sync");
    }
}
