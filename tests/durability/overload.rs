//! Several times the load that the daemon can take, against the real executable.
//!
//! The daemon answers 429 with `Retry-After` to what exceeds its limits, in events or in bytes. Its memory
//! stays bounded. It delivers everything accepted and nothing refused, and responses are prompt again within
//! seconds. `OVERLOAD_SECS` sets the duration (default 5).

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::net::SocketAddr;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use bytes::Bytes;
    use http::{Method, Request, Response};
    use http_body_util::{BodyExt as _, Full};
    use hyper::body::Incoming;
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use postrider::model::time::Clock;
    use serde_json::{Value, json};
    use tempfile::TempDir;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::watch;
    use tokio::task::JoinSet;
    use tokio::time::Instant;

    use crate::support::client::{ApiClient, event};
    use crate::support::process::{DaemonSetup, RunningDaemon};
    use crate::support::receiver::{Receiver, Reply, always};
    use crate::support::{eventually, passes, variable};

    /// A small queue that is full immediately. Four requests of the largest size fill it.
    const WRAPPER: [&str; 3] =
        ["env", "POSTRIDER_SERVER__QUEUE_EVENTS_MAX=200", "POSTRIDER_SERVER__BATCH_EVENTS_MAX=50"];
    const BATCH: u64 = 50;
    const SENDERS: usize = 32;
    /// The wait of a sender after a 429, far shorter than the requested one.
    const IMPATIENCE: Duration = Duration::from_millis(10);
    const FILL_BYTES: usize = 200;
    const MEMORY_KIB_MAX: u64 = 512 * 1024;
    /// A response below this limit is prompt. This many in a row end the measurement.
    const PROMPT: Duration = Duration::from_millis(250);
    const PROMPT_IN_A_ROW: u32 = 5;
    const RECOVERED_WITHIN: Duration = Duration::from_secs(5);
    const DRAINED_WITHIN: Duration = Duration::from_mins(30);

    /// The outcome of each event, by its number.
    #[derive(Clone, Copy, Default)]
    struct Fate {
        accepted: bool,
        taken: u32,
    }

    /// The outcomes of all events, recorded independently of the daemon.
    #[derive(Clone, Default)]
    struct Book(Arc<Mutex<Vec<Fate>>>);

    impl Book {
        fn note(&self, number: u64, note: impl Fn(&mut Fate)) {
            let mut fates = self.0.lock().unwrap();
            let index = usize::try_from(number).unwrap();
            if fates.len() <= index {
                fates.resize(index + 1, Fate::default());
            }
            note(&mut fates[index]);
        }

        fn count(&self, is: impl Fn(&Fate) -> bool) -> usize {
            self.0.lock().unwrap().iter().filter(|fate| is(fate)).count()
        }
    }

    /// Starts a receiver that records numbers and nothing else.
    async fn note_taken(book: Book) -> (SocketAddr, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let book = book.clone();
                connections.spawn(async move {
                    let service = service_fn(|request| take(request, &book));
                    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
                });
            }
        });
        (address, server)
    }

    async fn take(request: Request<Incoming>, book: &Book) -> Result<Response<Full<Bytes>>, Infallible> {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap();
        book.note(body["data"]["n"].as_u64().unwrap(), |fate| fate.taken += 1);
        Ok(Response::new(Full::default()))
    }

    /// The totals of all senders.
    #[derive(Default)]
    struct Counts {
        offered: AtomicU64,
        accepted: AtomicU64,
        next: AtomicU64,
    }

    /// Sends batches as fast as possible until told to end.
    async fn send(address: SocketAddr, book: Book, counts: Arc<Counts>, stop: watch::Receiver<bool>) {
        let api = ApiClient::new(address);
        let fill = "x".repeat(FILL_BYTES);
        while !*stop.borrow() {
            let first = counts.next.fetch_add(BATCH, Ordering::Relaxed);
            let numbers = first..first + BATCH;
            let events: Value = numbers
                .clone()
                .map(|n| json!({"type": "LOAD", "project": "p", "data": {"n": n, "fill": fill}}))
                .collect();
            let answer = api.submit(&events).await.unwrap();
            counts.offered.fetch_add(BATCH, Ordering::Relaxed);
            match answer.status.as_u16() {
                202 => {
                    counts.accepted.fetch_add(BATCH, Ordering::Relaxed);
                    numbers.for_each(|n| book.note(n, |fate| fate.accepted = true));
                }
                429 => {
                    let wait = answer.headers.get("retry-after").expect("a 429 says when to come again");
                    assert!(wait.to_str().unwrap().parse::<u64>().unwrap() >= 1, "{wait:?}");
                    passes(IMPATIENCE).await;
                }
                status => panic!("{status} {:?}", answer.body),
            }
        }
    }

    /// Lets the load run for a while. Returns the highest memory use in each half, in KiB.
    async fn watch_memory(running: &RunningDaemon, length: Duration) -> [u64; 2] {
        let began = Instant::now();
        let mut most = [0; 2];
        while began.elapsed() < length {
            let half = usize::from(began.elapsed() > length / 2);
            most[half] = most[half].max(running.memory_kib());
            passes(Duration::from_millis(100)).await;
        }
        most
    }

    /// Returns the time until single events are answered and delivered promptly again.
    async fn recovery(api: &ApiClient, probe: &Receiver) -> Duration {
        let began = Instant::now();
        let mut in_a_row = 0;
        while in_a_row < PROMPT_IN_A_ROW {
            let (asked, count) = (Instant::now(), probe.count());
            let answer = api.submit(&event("PROBE", "p", 0)).await.unwrap();
            let is_prompt = if answer.status == 202 {
                probe.wait_for(count + 1).await;
                asked.elapsed() < PROMPT
            } else {
                assert_eq!(answer.status, 429);
                passes(IMPATIENCE).await;
                false
            };
            in_a_row = if is_prompt { in_a_row + 1 } else { 0 };
            assert!(began.elapsed() < Duration::from_mins(1), "not prompt after a minute");
        }
        began.elapsed()
    }

    fn ratio(offered: u64, accepted: u64) -> String {
        let tenths = offered * 10 / accepted.max(1);
        format!("{}.{}", tenths / 10, tenths % 10)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn overload_is_refused_and_every_accepted_event_is_delivered() {
        let length = Duration::from_secs(variable("OVERLOAD_SECS", 5));
        let setup = DaemonSetup::new(TempDir::new().unwrap(), "");
        let mut running = setup.spawn(&WRAPPER);
        let api = setup.ready(&mut running).await;
        let (book, counts) = (Book::default(), Arc::new(Counts::default()));
        let (address, _server) = note_taken(book.clone()).await;
        api.subscribe(&json!({"url": format!("http://{address}/"), "events": ["LOAD"]})).await;
        let probe = Receiver::start(Clock::system(), always(Reply::Status(200))).await;
        api.subscribe(&json!({"url": probe.url(), "events": ["PROBE"]})).await;

        let (stop, stopped) = watch::channel(false);
        let mut senders = JoinSet::new();
        for _ in 0..SENDERS {
            senders.spawn(send(setup.address, book.clone(), Arc::clone(&counts), stopped.clone()));
        }
        let most = watch_memory(&running, length).await;
        stop.send_replace(true);
        let recovered = recovery(&api, &probe).await;
        while let Some(sender) = senders.join_next().await {
            sender.unwrap();
        }
        let ended = Instant::now();
        let drained = async || (api.unfinished().await == 0).then_some(());
        eventually("every delivery is final", DRAINED_WITHIN, Duration::from_millis(200), drained).await;

        let (offered, accepted) =
            (counts.offered.load(Ordering::Relaxed), counts.accepted.load(Ordering::Relaxed));
        let lost = book.count(|fate| fate.accepted && fate.taken == 0);
        let twice = book.count(|fate| fate.taken > 1);
        let uncalled = book.count(|fate| !fate.accepted && fate.taken > 0);
        println!(
            "{length:?}: {offered} offered, {accepted} accepted ({}x), {lost} lost, {twice} duplicated, {uncalled} delivered though refused; \
             memory at most {} and {} MiB in each half; prompt again after {recovered:?}; all delivered {:?} later",
            ratio(offered, accepted),
            most[0] / 1024,
            most[1] / 1024,
            ended.elapsed(),
        );
        assert_eq!((lost, twice, uncalled), (0, 0, 0));
        assert!(accepted > 0 && offered >= 3 * accepted, "that was no overload");
        assert!(most[0].max(most[1]) < MEMORY_KIB_MAX, "{most:?}");
        assert!(recovered < RECOVERED_WITHIN, "{recovered:?}");
        assert!(running.has_ended().is_none(), "{}", setup.log());
    }

    const KIB: usize = 1024;

    /// Begins a submission of `promised` bytes and sends `sent` of them.
    async fn begin(address: SocketAddr, promised: usize, sent: usize) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST /v1/events HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {promised}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![b' '; sent]).await.unwrap();
        stream
    }

    /// Returns the bytes of request bodies in the daemon's memory.
    async fn held(api: &ApiClient) -> usize {
        let metrics = api.call(Method::GET, "/metrics", "", "").await.unwrap();
        let metrics = String::from_utf8(metrics.body.to_vec()).unwrap();
        let value = metrics.lines().find_map(|line| line.strip_prefix("postrider_queue_bytes "));
        value.unwrap().parse().unwrap()
    }

    #[tokio::test]
    async fn body_memory_is_reserved_as_bytes_arrive_and_excess_requests_get_429() {
        let setup = DaemonSetup::new(TempDir::new().unwrap(), "");
        let mut running = setup.spawn(&["env", "POSTRIDER_SERVER__QUEUE_BYTES_MAX=1MiB"]);
        let api = setup.ready(&mut running).await;
        let pause = Duration::from_millis(5);
        let slow = begin(setup.address, 900 * KIB, 600 * KIB).await;
        let taken = async || (held(&api).await == 600 * KIB).then_some(());
        eventually("the room is taken", RECOVERED_WITHIN, pause, taken).await;

        let mut refused = begin(setup.address, 900 * KIB, 500 * KIB).await;
        let mut answer = Vec::new();
        refused.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 429 ") && answer.contains("\r\nretry-after: 1\r\n"), "{answer}");
        let small = event("A", "p", 1);
        api.accepted(&small).await;

        drop(slow);
        let given_back = async || (held(&api).await == 0).then_some(());
        eventually("the room is given back", RECOVERED_WITHIN, pause, given_back).await;
        let large = json!({"type": "A", "project": "p", "data": "x".repeat(900 * KIB)});
        api.accepted(&large).await;
        eventually("the room is given back", RECOVERED_WITHIN, pause, given_back).await;
    }
}
