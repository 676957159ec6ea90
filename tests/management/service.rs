//! The real executable under a service manager that the test plays: notifications, the watchdog, and restarts
//! on a socket that stays open without a failed request.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use postrider::config::Config;
use postrider::flow::Flow;
use postrider::flow::recover::Dependencies;
use postrider::model::time::Clock;
use postrider::net::{Client, ClientOptions, SystemResolver};
use postrider::rules::target::AllowedNetworks;
use postrider::store::{self, StoreOptions};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::client::{ApiClient, CallError};
use crate::support::process::{DaemonSetup, RunningDaemon};
use crate::support::receiver::{Receiver, Reply, always};
use crate::support::{eventually, memory_dir};

const WITHIN: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(10);

/// The manager's end of the notification socket.
struct Manager {
    socket: UnixDatagram,
    path: String,
}

impl Manager {
    fn new(setup: &DaemonSetup) -> Self {
        let path = setup.dir.path().join("notify").to_str().unwrap().to_owned();
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(WITHIN)).unwrap();
        Self { socket, path }
    }

    /// Returns the next notification.
    fn hear(&self) -> Vec<String> {
        let mut told = [0; 4096];
        let length = self.socket.recv(&mut told).unwrap();
        String::from_utf8_lossy(&told[..length]).lines().map(str::to_owned).collect()
    }

    /// Returns the next notification that is not for the watchdog.
    fn hear_news(&self) -> Vec<String> {
        loop {
            let told = self.hear();
            if told != ["WATCHDOG=1"] {
                return told;
            }
        }
    }
}

async fn ended(running: &mut RunningDaemon) -> bool {
    eventually("it has ended", WITHIN, PAUSE, async || running.has_ended()).await.success()
}

#[tokio::test]
async fn the_service_manager_is_notified_of_each_state_change() {
    let setup = DaemonSetup::new(memory_dir(), "");
    let manager = Manager::new(&setup);
    let mut running = setup.spawn_as_service(&[("NOTIFY_SOCKET", &manager.path)], None);
    let serving = format!("STATUS=serving {}", setup.address);
    assert_eq!(manager.hear(), ["READY=1", &serving]);
    let api = ApiClient::new(setup.address);
    api.call(http::Method::GET, "/readyz", "", "").await.unwrap().expect_text(200, "ready\n");

    setup.configure("[log]\nlevel = \"debug\"\n");
    running.hang_up();
    let told = manager.hear();
    let at: u64 = told[1].strip_prefix("MONOTONIC_USEC=").unwrap().parse().unwrap();
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
    let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
    assert_eq!(told[0], "RELOADING=1");
    assert!(at > 0 && Duration::from_micros(at) <= Duration::from_secs_f64(uptime + 0.1), "{at} {uptime}");
    assert_eq!(manager.hear(), ["READY=1", &serving]);

    setup.configure("[log]\nlevel = 7\n");
    running.hang_up();
    // The daemon may have noticed the changed file on its own before.
    let refused = eventually("the bad file is refused", WITHIN, PAUSE, async || {
        Some(manager.hear()).filter(|told| told[0] == "READY=1")
    });
    assert_eq!(
        refused.await[1],
        format!("{serving}; the last reload failed, see the log"),
        "{}",
        setup.log()
    );
    running.terminate();
    let stopping = eventually("it is stopping", WITHIN, PAUSE, async || {
        Some(manager.hear()).filter(|told| told[0] == "STOPPING=1")
    });
    assert_eq!(stopping.await.len(), 2);
    assert!(ended(&mut running).await);
}

#[tokio::test]
async fn the_watchdog_is_notified_twice_per_interval() {
    let setup = DaemonSetup::new(memory_dir(), "");
    let manager = Manager::new(&setup);
    let variables = [("NOTIFY_SOCKET", manager.path.as_str()), ("WATCHDOG_USEC", "400000")];
    let began = Instant::now();
    let mut running = setup.spawn_as_service(&variables, None);
    assert_eq!(manager.hear()[0], "READY=1");
    for _ in 0..4 {
        assert_eq!(manager.hear(), ["WATCHDOG=1"]);
    }
    assert!(began.elapsed() >= Duration::from_millis(600), "four signs in three halves of the time");
    running.terminate();
    assert_eq!(manager.hear_news()[0], "STOPPING=1");
    assert!(ended(&mut running).await);
}

/// The daemon's flow, and the parts that must run for it to be alive: the log's committer and the timers.
#[tokio::test]
async fn the_watchdog_is_not_notified_when_the_log_or_the_timers_hang() {
    let dir = memory_dir();
    let (clock, rng) = (Clock::system(), || StdRng::seed_from_u64(1));
    let config = Arc::new(Config::default());
    let options = StoreOptions {
        path: dir.path().join("data"),
        key_file: None,
        cache_bytes: 16 << 20,
        dedup_window: Duration::from_mins(1),
        queue_steps_max: 64,
    };
    let opened = store::open(&options, clock.clone(), rng(), &mut |_| {}).unwrap();
    let client = Client::new(
        ClientOptions {
            connect_timeout: Duration::from_secs(1),
            response_bytes_max: 1024,
            networks: AllowedNetworks::new(Vec::new()),
            proxy: None,
            clock: clock.clone(),
        },
        Arc::new(SystemResolver::default()),
    )
    .unwrap();
    let surroundings = Dependencies { config, clock, rng: rng(), client, exporter: None };
    let (flow, recovered, committer) = Flow::recover(surroundings, opened);
    let none = async |why: &str| {
        let beat = tokio::time::timeout(Duration::from_millis(300), flow.heartbeat()).await;
        assert!(beat.is_err(), "a sign of life {why}");
    };
    none("without a committer").await;
    let mut running = JoinSet::new();
    running.spawn(committer.run());
    none("without timers").await;
    flow.start(recovered);
    for _ in 0..3 {
        flow.heartbeat().await.unwrap();
    }
    running.shutdown().await;
    assert!(flow.heartbeat().await.is_err(), "a sign of life from a log that has ended");
    flow.kill().await;
}

/// The results of a client that never repeats a request.
#[derive(Debug, Default)]
struct Found {
    answered: AtomicUsize,
    ids: Mutex<BTreeSet<String>>,
    failures: Mutex<Vec<CallError>>,
    longest: Mutex<Duration>,
    is_over: AtomicBool,
}

impl Found {
    /// Submits events one after the other until the end, each on a new connection if `always_new`.
    async fn submit(self: Arc<Self>, address: std::net::SocketAddr, name: usize, always_new: bool) {
        let mut api = ApiClient::new(address);
        let mut count = 0;
        while !self.is_over.load(Ordering::Relaxed) {
            if always_new {
                api = ApiClient::new(address);
            }
            count += 1;
            let event = json!({"type": "T", "project": "p", "id": format!("{name}-{count}")});
            let began = Instant::now();
            match api.submit(&event).await {
                Ok(answer) => {
                    let id = answer.expect(202)["id"].as_str().unwrap().to_owned();
                    self.ids.lock().unwrap().insert(id);
                    self.answered.fetch_add(1, Ordering::Relaxed);
                }
                Err(lost) => self.failures.lock().unwrap().push(lost),
            }
            let mut longest = self.longest.lock().unwrap();
            *longest = began.elapsed().max(*longest);
        }
    }

    /// Waits for this many more responses.
    async fn more(&self, count: usize) {
        let before = self.answered.load(Ordering::Relaxed);
        let more = async || (self.answered.load(Ordering::Relaxed) >= before + count).then_some(());
        eventually("more is answered", WITHIN, PAUSE, more).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_over_restarts_on_a_socket_that_stays_open() {
    const RESTARTS: usize = 5;
    const SLOW: Duration = Duration::from_secs(3);
    let setup = DaemonSetup::new(memory_dir(), "[health]\ndisable = \"never\"\n");
    let listener = TcpListener::bind(setup.address).unwrap();
    let start = || setup.spawn_as_service(&[], Some(listener.try_clone().unwrap().into()));
    let mut running = start();
    let api = setup.ready(&mut running).await;
    let receiver = Receiver::start(Clock::system(), always(Reply::Status(200))).await;
    api.subscribe(&json!({"name": "quick", "url": receiver.url()})).await;
    // A stop waits for attempts in flight, but submitters do not wait for it.
    let slow = Receiver::start(Clock::system(), always(Reply::Slow(SLOW, 200))).await;
    api.subscribe(&json!({"name": "slow", "url": slow.url(), "events": ["SLOW"]})).await;

    let found = Arc::new(Found::default());
    let mut clients = JoinSet::new();
    for name in 0..16 {
        clients.spawn(Arc::clone(&found).submit(setup.address, name, name % 4 == 0));
    }
    for restart in 0..RESTARTS {
        found.more(200).await;
        let before = slow.count();
        ApiClient::new(setup.address).accepted(&json!({"type": "SLOW", "project": "p"})).await;
        if restart == 0 {
            eventually("a slow one is out", WITHIN, PAUSE, async || (slow.count() > before).then_some(()))
                .await;
        }
        running.terminate();
        assert!(ended(&mut running).await, "{}", setup.log());
        running = start();
    }
    found.more(200).await;
    found.is_over.store(true, Ordering::Relaxed);
    while let Some(joined) = clients.join_next().await {
        joined.unwrap();
    }
    let failures = std::mem::take(&mut *found.failures.lock().unwrap());
    let answered = found.answered.load(Ordering::Relaxed);
    let longest = *found.longest.lock().unwrap();
    println!(
        "{RESTARTS} restarts, {answered} requests, {} failed, the longest took {longest:?}",
        failures.len()
    );
    assert!(failures.is_empty(), "{failures:?}");
    assert!(longest < SLOW, "whoever submits waited for a slow receiver: {longest:?}");

    let api = setup.ready(&mut running).await;
    let drained = async || (api.unfinished().await == 0).then_some(());
    eventually("all is delivered", WITHIN, Duration::from_millis(50), drained).await;
    let seen: BTreeSet<String> = receiver.seen().iter().map(|seen| seen.event().to_owned()).collect();
    let lost: Vec<_> = found.ids.lock().unwrap().difference(&seen).cloned().collect();
    assert!(lost.is_empty(), "{} were accepted and never delivered", lost.len());
}

#[tokio::test]
async fn inherited_sockets_replace_the_configured_addresses() {
    let setup = DaemonSetup::new(memory_dir(), "");
    let path = setup.dir.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let manager = Manager::new(&setup);
    let mut running = setup.spawn_as_service(&[("NOTIFY_SOCKET", &manager.path)], Some(listener.into()));
    assert_eq!(manager.hear(), ["READY=1", &format!("STATUS=serving unix:{}", path.display())]);
    assert!(std::net::TcpStream::connect(setup.address).is_err());
    let stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    let mut conversation = JoinSet::new();
    conversation.spawn(connection);
    let request = http::Request::get("/readyz").header("host", "localhost").body(String::new()).unwrap();
    assert_eq!(sender.send_request(request).await.unwrap().status(), 200);
    running.terminate();
    assert!(ended(&mut running).await);
    assert!(path.exists(), "the manager's socket is not the daemon's to remove");
}

#[tokio::test]
async fn a_public_listener_without_keys_is_refused_even_if_inherited() {
    let setup = DaemonSetup::new(memory_dir(), "");
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let mut running = setup.spawn_as_service(&[], Some(listener.into()));
    assert!(!ended(&mut running).await);
    assert!(
        setup.log().contains("can be reached from other machines, but there is no API key"),
        "{}",
        setup.log()
    );
}
