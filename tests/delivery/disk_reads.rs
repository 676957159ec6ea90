//! Lanes with a backlog read from the disk in turn, against the real executable.
//!
//! However many lanes there are, they share a few threads. One thread per lane took gigabytes, since a thread
//! cannot reuse memory that another thread freed.

#[cfg(test)]
mod tests {
    use postrider::model::time::Clock;
    use serde_json::json;

    use crate::support::client::event;
    use crate::support::memory_dir;
    use crate::support::process::DaemonSetup;
    use crate::support::receiver::{Receiver, Reply, always};

    const LANES: usize = 300;
    const EVENTS: usize = 6;
    /// The limit on threads. The daemon has about forty at rest and under reads and writes. On a busy machine
    /// the runtime may start a thread before a finished one counts as idle, which can add a hundred for a
    /// while. Without a bound there would be one per lane.
    const THREADS_MAX: u64 = 200;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn many_lanes_with_a_backlog_share_a_few_reader_threads() {
        // Each lane holds one delivery in memory and reads each of the others.
        let setup = DaemonSetup::new(memory_dir(), "lane_page = 1\n");
        let mut running = setup.spawn(&[]);
        let api = setup.ready(&mut running).await;
        let receiver = Receiver::start(Clock::system(), always(Reply::Status(503))).await;
        for number in 0..LANES {
            let url = format!("{}{number}", receiver.url());
            api.subscribe(&json!({"url": url, "retry_schedule": ["1s", "1s", "1s", "1s"]})).await;
        }
        for number in 0..EVENTS {
            api.accepted(&event("A", "p", number as u64)).await;
        }
        running.kill();
        receiver.answer(always(Reply::Status(200)));
        let before = receiver.seen().iter().filter(|seen| seen.reply.is_success()).count();
        let mut running = setup.spawn(&[]);
        let mut most = 0;
        while receiver.seen().iter().filter(|seen| seen.reply.is_success()).count() < before + LANES {
            most = most.max(running.threads());
            tokio::task::yield_now().await;
        }
        println!("{most} threads at most");
        assert!(most <= THREADS_MAX, "{most} threads");
        assert!(running.has_ended().is_none(), "{}", setup.log());
    }
}
