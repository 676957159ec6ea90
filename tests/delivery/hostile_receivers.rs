//! Receivers that answer garbage, endlessly, or far too much, against the real executable.
//!
//! Each costs one attempt of its own, is reported by its error class, and is cut off at a limit of time or
//! bytes. A healthy receiver beside them gets its events promptly, and memory does not grow.

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use postrider::model::time::Clock;
    use serde_json::{Value, json};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::task::JoinSet;

    use crate::support::client::{ApiClient, event};
    use crate::support::process::DaemonSetup;
    use crate::support::receiver::{Receiver, Reply, always};
    use crate::support::{eventually, memory_dir};

    const SETTINGS: &str = "[delivery]\nallow_networks = [\"127.0.0.0/8\"]\ntimeout = \"2s\"\nretry_schedule = [\"1h\"]\n\
         [health]\ndisable = \"never\"\n";
    const TIMEOUT_MS: u64 = 2000;
    /// The delay with which a busy machine may notice a deadline.
    const SLACK_MS: u64 = 1500;
    const WITHIN: Duration = Duration::from_secs(30);
    const PAUSE: Duration = Duration::from_millis(20);
    const GIB: u64 = 1 << 30;
    const PIECE_BYTES: usize = 64 * 1024;
    /// The bytes that the sockets of both sides hold at most, before the daemon's limit on reading shows.
    const UNREAD_BYTES_MAX: u64 = 32 << 20;
    const MEMORY_GROWTH_KIB_MAX: u64 = 64 * 1024;

    /// A hostile receiver's output: a beginning, then a piece repeated until the connection is cut off.
    #[derive(Clone)]
    struct Script {
        name: &'static str,
        beginning: String,
        repeated: Vec<u8>,
        expected: Expected,
    }

    #[derive(Clone, Copy, Debug)]
    enum Expected {
        /// An immediate failure of this class.
        AtOnce(&'static str),
        /// A timeout at the deadline.
        TimedOut,
        /// A success, whatever follows the first bytes.
        Success,
    }

    fn once(name: &'static str, beginning: &str, class: &'static str) -> Script {
        Script {
            name,
            beginning: beginning.to_owned(),
            repeated: Vec::new(),
            expected: Expected::AtOnce(class),
        }
    }

    fn endless(name: &'static str, beginning: &str, repeated: &str, expected: Expected) -> Script {
        let times = (PIECE_BYTES / repeated.len()).max(1);
        Script {
            name,
            beginning: beginning.to_owned(),
            repeated: repeated.repeat(times).into_bytes(),
            expected,
        }
    }

    fn scripts() -> Vec<Script> {
        use Expected::{AtOnce, Success, TimedOut};
        let ok = "HTTP/1.1 200 OK\r\n";
        let huge = format!("{ok}content-length: {}\r\n\r\n", 10 * GIB);
        let chunk = format!("10\r\n{}\r\n", "x".repeat(16));
        vec![
            once("nothing at all", "", "protocol"),
            once("another protocol", "SSH-2.0-OpenSSH_9.9\r\n", "protocol"),
            once("bytes of TLS", "\u{15}\u{3}\u{1}\u{0}\u{2}\u{2}\u{46}", "protocol"),
            once("HTTP/2 unasked", "\u{0}\u{0}\u{0}\u{4}\u{0}\u{0}\u{0}\u{0}\u{0}", "protocol"),
            once("a status that is none", "HTTP/1.1 20 OK\r\n\r\n", "protocol"),
            once("half a head", "HTTP/1.1 200 OK\r\ncontent-le", "protocol"),
            once("less than promised", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc", "protocol"),
            once(
                "two lengths",
                "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
                "protocol",
            ),
            once("a length below nothing", "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", "protocol"),
            once(
                "a length beyond all",
                &format!("{ok}content-length: {}\r\n\r\n", "9".repeat(40)),
                "protocol",
            ),
            once(
                "a chunk that is none",
                &format!("{ok}transfer-encoding: chunked\r\n\r\nzz\r\n"),
                "protocol",
            ),
            once(
                "a chunk beyond all",
                &format!("{ok}transfer-encoding: chunked\r\n\r\n{}\r\n", "f".repeat(40)),
                "protocol",
            ),
            endless("zeroes", "", "\0", AtOnce("protocol")),
            endless("a status line without end", "HTTP/1.1 200 ", "OK", AtOnce("protocol")),
            endless("a header without end", &format!("{ok}x: "), "y", AtOnce("protocol")),
            endless("headers without end", ok, "x: y\r\n", AtOnce("protocol")),
            endless("interim answers without end", "", "HTTP/1.1 103 Early Hints\r\n\r\n", TimedOut),
            endless("a body of 10 GiB", &huge, "x", Success),
            endless(
                "chunks without end",
                &format!("{ok}transfer-encoding: chunked\r\n\r\n"),
                &chunk,
                Success,
            ),
            endless("a body until the end of the connection", &format!("{ok}\r\n"), "x", Success),
            endless(
                "one chunk of 10 GiB",
                &format!("{ok}transfer-encoding: chunked\r\n\r\n{:x}\r\n", 10 * GIB),
                "x",
                Success,
            ),
        ]
    }

    /// A receiver that follows its script on every connection and counts the bytes it could send.
    struct Rude {
        address: SocketAddr,
        sent: Arc<AtomicU64>,
        _server: JoinSet<()>,
    }

    impl Rude {
        async fn start(script: Script) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let sent = Arc::new(AtomicU64::new(0));
            let mut server = JoinSet::new();
            let counter = Arc::clone(&sent);
            server.spawn(async move {
                let mut connections = JoinSet::new();
                while let Ok((stream, _)) = listener.accept().await {
                    connections.spawn(perform(stream, script.clone(), Arc::clone(&counter)));
                }
            });
            Self { address, sent, _server: server }
        }
    }

    /// Follows the script until the connection is cut, which is the intended end.
    async fn perform(mut stream: TcpStream, script: Script, sent: Arc<AtomicU64>) {
        let mut request = [0; 4096];
        if !matches!(stream.read(&mut request).await, Ok(1..)) {
            return;
        }
        if stream.write_all(script.beginning.as_bytes()).await.is_err() {
            return;
        }
        // Each piece begins where the previous one ended.
        let mut from = 0;
        while !script.repeated.is_empty() {
            let Ok(count) = stream.write(&script.repeated[from..]).await else { return };
            sent.fetch_add(count as u64, Ordering::Relaxed);
            from = (from + count) % script.repeated.len();
        }
    }

    async fn attempts(api: &ApiClient, subscription: &str) -> Vec<Value> {
        let deliveries = api.list(&format!("/v1/deliveries?subscription={subscription}")).await;
        deliveries.iter().flat_map(|delivery| delivery["attempts"].as_array().unwrap().clone()).collect()
    }

    fn check(script: &Script, attempt: &Value) {
        let class = attempt["error"].as_str();
        let duration = attempt["duration_ms"].as_u64().unwrap();
        let as_expected = match script.expected {
            Expected::AtOnce(expected) => class == Some(expected) && duration < TIMEOUT_MS,
            Expected::TimedOut => {
                class == Some("timeout") && (TIMEOUT_MS..TIMEOUT_MS + SLACK_MS).contains(&duration)
            }
            Expected::Success => attempt["status"] == 200 && class.is_none() && duration < TIMEOUT_MS,
        };
        assert!(as_expected, "{}: expected {:?}, was {attempt}", script.name, script.expected);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_hostile_receiver_costs_one_attempt_and_does_not_affect_others() {
        let setup = DaemonSetup::new(memory_dir(), SETTINGS);
        let mut running = setup.spawn(&[]);
        let api = setup.ready(&mut running).await;
        let honest = Receiver::start(Clock::system(), always(Reply::Status(200))).await;
        api.subscribe(&json!({"url": honest.url()})).await;
        let mut rude = Vec::new();
        for script in scripts() {
            let receiver = Rude::start(script.clone()).await;
            let url = format!("http://{}/hook", receiver.address);
            let members = json!({"url": url, "name": script.name});
            let id = api.subscribe(&members).await["id"].as_str().unwrap().to_owned();
            rude.push((script, receiver, id));
        }
        let memory = running.memory_kib();
        api.accepted(&event("A", "p", 1)).await;
        honest.wait_for(1).await;
        for (script, receiver, id) in &rude {
            let over = async || attempts(&api, id).await.pop();
            let attempt = eventually(script.name, WITHIN, PAUSE, over).await;
            check(script, &attempt);
            let sent = receiver.sent.load(Ordering::Relaxed);
            println!("{}: {attempt}; {sent} bytes sent", script.name);
            if !matches!(script.expected, Expected::TimedOut) {
                assert!(sent < UNREAD_BYTES_MAX, "{}: {sent} bytes were taken", script.name);
            }
        }
        let growth = running.memory_kib().saturating_sub(memory);
        println!("{} rude receivers: memory grew by {growth} KiB", rude.len());
        assert!(growth < MEMORY_GROWTH_KIB_MAX, "memory grew by {growth} KiB");
        api.accepted(&event("A", "p", 2)).await;
        honest.wait_for(2).await;
        assert!(running.has_ended().is_none(), "{}", setup.log());
    }
}
