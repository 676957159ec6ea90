//! Very many clients, and clients that never finish a request, against the real executable.
//!
//! The daemon promises to serve well-behaved clients promptly, whoever else holds connections open. Its
//! memory stays bounded. Without a free file descriptor it waits and then continues. `CONNECTIONS` sets the
//! number of connections tried (default 10,000).

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::net::SocketAddr;
    use std::time::Duration;

    use postrider::model::time::Clock;
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    use serde_json::json;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpSocket, TcpStream};
    use tokio::task::JoinSet;
    use tokio::time::{Instant, timeout};

    use crate::support::client::{ApiClient, event};
    use crate::support::process::{DaemonSetup, RunningDaemon};
    use crate::support::receiver::{Receiver, Reply, always};
    use crate::support::{eventually, memory_dir, passes, variable};

    /// The number of connections that the daemon serves at once.
    const PLACES: usize = 4096;
    /// The number of connections that an attacker holds open at once, more than the daemon's limit.
    const HELD: usize = PLACES + 1000;
    /// The time within which a well-behaved client must get its 202. It covers three retransmissions of a
    /// dropped SYN, after 1, 3 and 7 s.
    const PROMPT: Duration = Duration::from_secs(8);
    const MEMORY_GROWTH_KIB_MAX: u64 = 192 * 1024;

    /// The bytes that an attacker's connections send before they fall silent.
    const BEGINNINGS: [(&str, &str); 5] = [
        ("nothing", ""),
        ("a byte", "P"),
        ("half a head", "POST /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-"),
        (
            "a head and half a body",
            "POST /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 60\r\n\r\n{\"type\":",
        ),
        ("HTTP/2 without a request", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0"),
    ];

    fn raise_open_files() -> u64 {
        let maximum = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
        maximum.unwrap_or(u64::MAX)
    }

    /// Starts a daemon with a receiver that is subscribed to everything, and a client.
    async fn start() -> (DaemonSetup, RunningDaemon, ApiClient, Receiver) {
        let setup = DaemonSetup::new(memory_dir(), "");
        let mut running = setup.spawn(&[]);
        let api = setup.ready(&mut running).await;
        let receiver = Receiver::start(Clock::system(), always(Reply::Status(200))).await;
        api.subscribe(&json!({"url": receiver.url()})).await;
        (setup, running, api, receiver)
    }

    /// Opens a connection from one of several addresses, so that ports do not run out. Returns `None` if it
    /// is refused.
    async fn connect(to: SocketAddr, number: usize) -> Option<TcpStream> {
        let socket = TcpSocket::new_v4().unwrap();
        let last = 2 + u8::try_from(number % 8).unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, last], 0))).ok()?;
        timeout(Duration::from_secs(5), socket.connect(to)).await.ok()?.ok()
    }

    /// Submits an event of a well-behaved client on its own connection. Returns the time it took.
    async fn honest(address: SocketAddr, n: u64) -> Duration {
        let began = Instant::now();
        let answer = timeout(PROMPT, ApiClient::new(address).accepted(&event("A", "p", n))).await;
        assert!(answer.is_ok(), "an honest client had no answer within {PROMPT:?}");
        began.elapsed()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn slow_clients_do_not_delay_other_clients() {
        let held_max = usize::try_from(raise_open_files()).unwrap_or(usize::MAX) - 500;
        assert!(HELD < held_max, "too few files may be open for this test: raise `ulimit -Hn`");
        let (setup, mut running, _, receiver) = start().await;
        let memory = running.memory_kib();
        for (round, (name, beginning)) in BEGINNINGS.into_iter().enumerate() {
            let mut held = Vec::with_capacity(HELD);
            for number in 0..HELD {
                let Some(mut stream) = connect(setup.address, number).await else { continue };
                // A connection that has been evicted already cannot write, which is fine.
                drop(stream.write_all(beginning.as_bytes()).await);
                held.push(stream);
            }
            let took = honest(setup.address, round as u64).await;
            let growth = running.memory_kib().saturating_sub(memory);
            println!(
                "{name}: {} held, an honest client waited {took:?}, memory grew by {growth} KiB",
                held.len()
            );
            assert!(held.len() > PLACES && growth < MEMORY_GROWTH_KIB_MAX, "{name}: {growth} KiB");
            receiver.wait_for(round + 1).await;
        }
        assert!(running.has_ended().is_none(), "{}", setup.log());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn slow_request_heads_and_bodies_time_out_and_are_not_accepted() {
        // The daemon's limit is 30 s for each part, which its own tests check on the paused clock. A dripping
        // client cannot extend it, since it counts from the beginning.
        const LONGEST: Duration = Duration::from_secs(35);
        let (setup, _running, api, _) = start().await;
        let mut drips = JoinSet::new();
        for (name, beginning) in &BEGINNINGS[2..4] {
            let mut stream = TcpStream::connect(setup.address).await.unwrap();
            stream.write_all(beginning.as_bytes()).await.unwrap();
            drips.spawn(async move {
                let began = Instant::now();
                loop {
                    let mut answer = [0; 1024];
                    let next = timeout(Duration::from_secs(1), stream.read(&mut answer)).await;
                    let Err(_) = next else { return (*name, began.elapsed()) };
                    if stream.write_all(b"a").await.is_err() {
                        return (*name, began.elapsed());
                    }
                    assert!(began.elapsed() < LONGEST, "{name}: still open");
                }
            });
        }
        while let Some(ended) = drips.join_next().await {
            println!("{:?}", ended.unwrap());
        }
        // The earlier connection may have reached its idle limit, so this uses a new one.
        drop(api);
        assert!(ApiClient::new(setup.address).list("/v1/events").await.is_empty());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn well_behaved_clients_are_served_during_a_connection_flood() {
        const AT_ONCE: usize = 64;
        let tries: usize = variable("CONNECTIONS", 10_000);
        let allowed = usize::try_from(raise_open_files()).unwrap_or(usize::MAX);
        // The test's own share of file descriptors, and the ports of eight addresses.
        let open_max = (allowed / 2).min(8 * 20_000).min(tries);
        let (setup, mut running, _, receiver) = start().await;
        let memory = running.memory_kib();
        let (mut held, mut refused, mut honest_count, mut longest) =
            (VecDeque::with_capacity(open_max), 0, 0, Duration::ZERO);
        for first in (0..tries).step_by(AT_ONCE) {
            let mut connecting = JoinSet::new();
            for number in first..tries.min(first + AT_ONCE) {
                connecting.spawn(connect(setup.address, number));
            }
            while let Some(connected) = connecting.join_next().await {
                match connected.unwrap() {
                    Some(stream) => held.push_back(stream),
                    None => refused += 1,
                }
            }
            while held.len() > open_max {
                held.pop_front();
            }
            if (first / AT_ONCE).is_multiple_of(16) {
                longest = longest.max(honest(setup.address, honest_count).await);
                honest_count += 1;
            }
        }
        let growth = running.memory_kib().saturating_sub(memory);
        println!(
            "{tries} connections tried, {refused} refused, up to {open_max} held: {honest_count} honest clients waited {longest:?} at most, memory grew by {growth} KiB, the daemon has {} files open",
            running.open_files()
        );
        assert!(growth < MEMORY_GROWTH_KIB_MAX, "memory grew by {growth} KiB");
        drop(held);
        honest(setup.address, honest_count).await;
        receiver.wait_for(usize::try_from(honest_count).unwrap() + 1).await;
        assert!(running.has_ended().is_none(), "{}", setup.log());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_daemon_recovers_after_running_out_of_file_descriptors() {
        const WITHIN: Duration = Duration::from_secs(20);
        const PAUSE: Duration = Duration::from_millis(20);
        let (setup, mut running, api, receiver) = start().await;
        for n in 0..5 {
            api.accepted(&event("A", "p", n)).await;
        }
        receiver.wait_for(5).await;
        // A second receiver, to which no connection exists yet.
        let other = Receiver::start(Clock::system(), always(Reply::Status(200))).await;
        let other_id = api.subscribe(&json!({"url": other.url()})).await["id"].clone();
        let open = running.open_files();
        running.allow_open_files(open);
        // The existing connections to the API and to the receiver keep working.
        let began = Instant::now();
        let mut n = 5;
        while began.elapsed() < Duration::from_secs(4) {
            api.accepted(&event("A", "p", n)).await;
            n += 1;
            passes(PAUSE).await;
        }
        // A new connection waits.
        let mut stranger = TcpStream::connect(setup.address).await.unwrap();
        stranger.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let told = async || setup.log().contains("failed to accept a connection").then_some(());
        eventually("the log tells of it", WITHIN, PAUSE, told).await;
        assert!(running.has_ended().is_none(), "{}", setup.log());
        running.allow_open_files(open + 100);
        let mut answer = [0; 16];
        stranger.read_exact(&mut answer).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200"));
        let drained = async || (api.unfinished().await == 0).then_some(());
        eventually("every delivery is final", WITHIN, PAUSE, drained).await;
        // The shortage was the daemon's own and is not counted against the receiver.
        let first = api.list(&format!("/v1/deliveries?subscription={}", other_id.as_str().unwrap())).await;
        let attempts: Vec<_> =
            first.iter().map(|delivery| delivery["attempts"].as_array().unwrap().len()).collect();
        assert!(!attempts.is_empty() && attempts.iter().all(|attempts| *attempts == 1), "{attempts:?}");
        let listed = api.list("/v1/deliveries").await;
        assert!(listed.len() > 5 && listed.iter().all(|delivery| delivery["state"] == "succeeded"));
        println!("{} deliveries, {} lines of log", listed.len(), setup.log().lines().count());
    }
}
