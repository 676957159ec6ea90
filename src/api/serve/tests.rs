//! Tests of the server over loopback on the paused clock. Every peer is a task of the test's own runtime.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::connection::LINGER;
use super::tls::Tls;
use super::{Limits, Listener, serve};
use crate::api::caller::Peer;
use crate::config::Listen;

const LIMITS: Limits = Limits {
    connections_max: 2,
    head_timeout: Duration::from_secs(30),
    write_timeout: Duration::from_secs(30),
    handshake_timeout: Duration::from_secs(10),
    shutdown_timeout: Duration::from_secs(10),
};

struct Running {
    address: SocketAddr,
    shutdown: CancellationToken,
    tasks: JoinSet<()>,
}

async fn start() -> Running {
    start_with(None).await
}

async fn start_with(tls: Option<Tls>) -> Running {
    let router = Router::new()
        .route(
            "/",
            get(async |request: axum::extract::Request| {
                format!("{:?}", request.extensions().get::<Peer>().is_some())
            }),
        )
        .route("/body", axum::routing::post(async |body: String| body))
        .route("/slow", get(async || sleep(Duration::from_secs(5)).await))
        .route("/endless", get(std::future::pending::<()>));
    let listener = Listener::bind(&Listen::Tcp("127.0.0.1:0".parse().unwrap()), 0).await.unwrap();
    let address = listener.address().unwrap();
    let shutdown = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(serve(vec![listener], router, tls, LIMITS, shutdown.clone()));
    Running { address, shutdown, tasks }
}

async fn ask(address: SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    answer
}

#[tokio::test(start_paused = true)]
async fn a_request_is_answered_and_has_its_peer() {
    let running = start().await;
    let answer = ask(running.address, "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\ntrue"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_request_head_times_out() {
    for beginning in ["", "P", "PRI * HT", "GET / HTTP/1.1\r\nhost:"] {
        let running = start().await;
        let began = tokio::time::Instant::now();
        let answer = ask(running.address, beginning).await;
        assert!(!answer.contains("200 OK"), "{beginning}: {answer}");
        let took = began.elapsed();
        assert!(took >= LIMITS.head_timeout && took < 2 * LIMITS.head_timeout, "{beginning}: {took:?}");
    }
}

/// Returns TLS settings with a new self-signed certificate.
fn tls(folder: &Path) -> Tls {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let files = crate::config::TlsFiles { cert: folder.join("cert.pem"), key: folder.join("key.pem") };
    std::fs::write(&files.cert, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    Tls::open(&files).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_slow_handshake_times_out() {
    let folder = tempfile::tempdir().unwrap();
    // Nothing; the first byte of a handshake; half of its first record.
    for beginning in ["", "\u{16}", "\u{16}\u{3}\u{1}\u{1}\u{0}\u{1}"] {
        let running = start_with(Some(tls(folder.path()))).await;
        let began = tokio::time::Instant::now();
        assert_eq!(ask(running.address, beginning).await, "");
        let took = began.elapsed();
        assert!(took >= LIMITS.handshake_timeout && took < 2 * LIMITS.handshake_timeout, "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_a_handshake() {
    let folder = tempfile::tempdir().unwrap();
    let mut running = start_with(Some(tls(folder.path()))).await;
    let _idle = TcpStream::connect(running.address).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    let began = tokio::time::Instant::now();
    running.shutdown.cancel();
    running.tasks.join_next().await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn connections_beyond_the_limit_wait_for_a_permit() {
    let running = start().await;
    let close = "GET /slow HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let began = tokio::time::Instant::now();
    let (a, b, c) =
        tokio::join!(ask(running.address, close), ask(running.address, close), ask(running.address, close));
    let answers = [a, b, c];
    assert!(
        answers.iter().all(|answer| answer.starts_with("HTTP/1.1 200")),
        "{answers:?} after {:?}",
        began.elapsed()
    );
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(10) && took < Duration::from_secs(11), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_evicted_for_a_new_one() {
    const UNFINISHED: &str = "POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{";
    for beginning in ["", "G", "GET / HTTP/1.1\r\nhost:", "PRI * HTTP/2.0", UNFINISHED] {
        let running = start().await;
        let mut held = Vec::new();
        for _ in 0..LIMITS.connections_max {
            let mut stream = TcpStream::connect(running.address).await.unwrap();
            stream.write_all(beginning.as_bytes()).await.unwrap();
            held.push(stream);
        }
        sleep(Duration::from_secs(1)).await;
        let began = tokio::time::Instant::now();
        let answer = ask(running.address, "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{beginning}: {answer}");
        assert!(began.elapsed() < Duration::from_secs(1), "{beginning}: {:?}", began.elapsed());
        // The oldest connection is closed, and the other one is not.
        let mut left = String::new();
        let waited = tokio::time::timeout(Duration::from_secs(1), held[0].read_to_string(&mut left)).await;
        assert!(waited.is_ok(), "{beginning}: the oldest connection was kept");
        let waited = tokio::time::timeout(Duration::from_secs(1), held[1].read_to_string(&mut left)).await;
        assert!(waited.is_err(), "{beginning}: {left}: more connections were evicted than necessary");
    }
}

#[tokio::test(start_paused = true)]
async fn connections_that_never_sent_a_request_are_evicted_first() {
    let running = start().await;
    let get = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut known = TcpStream::connect(running.address).await.unwrap();
    let mut answer = [0; 1024];
    known.write_all(get).await.unwrap();
    assert!(known.read(&mut answer).await.unwrap() > 0);
    for _ in 0..10 {
        let mut silent = TcpStream::connect(running.address).await.unwrap();
        silent.write_all(b"GET").await.unwrap();
        sleep(Duration::from_secs(1)).await;
    }
    known.write_all(get).await.unwrap();
    assert!(known.read(&mut answer).await.unwrap() > 0, "a client that had sent requests was evicted");
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_not_evicted_until_its_request_is_answered() {
    let running = start().await;
    let slow = "GET /slow HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut held = Vec::new();
    for _ in 0..LIMITS.connections_max {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        stream.write_all(slow.as_bytes()).await.unwrap();
        held.push(stream);
    }
    sleep(Duration::from_secs(1)).await;
    let began = tokio::time::Instant::now();
    let answer = ask(running.address, "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(4) && took < Duration::from_secs(5), "{took:?}");
    for stream in &mut held {
        let mut answer = [0; 1024];
        assert!(stream.read(&mut answer).await.unwrap() > 0, "a request was cut off");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_finishes_requests_and_accepts_no_connections() {
    let mut running = start().await;
    let (address, shutdown) = (running.address, running.shutdown.clone());
    let stop = async {
        sleep(Duration::from_secs(1)).await;
        shutdown.cancel();
    };
    let (answer, ()) = tokio::join!(ask(address, "GET /slow HTTP/1.1\r\nhost: x\r\n\r\n"), stop);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    running.tasks.join_next().await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_request_after_the_stop_is_answered_with_connection_close() {
    let mut running = start().await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let mut answer = vec![0; 4096];
    let mut ask = async |stream: &mut TcpStream| {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let length = stream.read(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[..length]).to_lowercase()
    };
    let kept = ask(&mut stream).await;
    assert!(kept.starts_with("http/1.1 200") && !kept.contains("connection: close"), "{kept}");
    running.shutdown.cancel();
    sleep(LINGER / 2).await;
    let last = ask(&mut stream).await;
    assert!(last.starts_with("http/1.1 200") && last.contains("connection: close"), "{last}");
    let began = tokio::time::Instant::now();
    running.tasks.join_next().await.unwrap().unwrap();
    assert!(began.elapsed() < LINGER / 2, "the connection should already be closed");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_waits_for_a_permit_is_served_after_a_stop_begins() {
    let mut running = start().await;
    let mut clients = JoinSet::new();
    for path in ["/slow", "/slow", "/"] {
        let address = running.address;
        clients.spawn(async move { ask(address, &format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await });
        sleep(Duration::from_millis(100)).await;
    }
    running.shutdown.cancel();
    let answers = clients.join_all().await;
    assert!(answers.iter().all(|answer| answer.starts_with("HTTP/1.1 200")), "{answers:?}");
    running.tasks.join_next().await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stop_cuts_off_requests_after_its_timeout() {
    let mut running = start().await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    sleep(Duration::from_secs(1)).await;
    let began = tokio::time::Instant::now();
    running.shutdown.cancel();
    running.tasks.join_next().await.unwrap().unwrap();
    let took = began.elapsed();
    assert!(took >= LIMITS.shutdown_timeout && took < Duration::from_secs(11), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_dead_unix_socket_is_replaced_and_a_live_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let listen = Listen::Unix(folder.path().join("s"));
    let first = Listener::bind(&listen, 0o660).await.unwrap();
    let error = Listener::bind(&listen, 0o660).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    drop(first);
    for wanted in [0o660, 0o600, 0o666] {
        assert!(Listener::bind(&listen, wanted).await.is_ok());
        let mode = std::fs::metadata(folder.path().join("s")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, wanted);
    }
}

#[tokio::test]
async fn a_burst_of_connections_waits_in_the_kernel_queue() {
    let listener = Listener::bind(&Listen::Tcp("127.0.0.1:0".parse().unwrap()), 0).await.unwrap();
    let address = listener.address().unwrap();
    // Nothing accepts them. The kernel would drop the packets of a connection that its queue has no room for.
    let mut waiting = Vec::new();
    for _ in 0..300 {
        let connecting = tokio::time::timeout(Duration::from_secs(10), TcpStream::connect(address));
        waiting.push(connecting.await.expect("the kernel queue has room for 300 connections").unwrap());
    }
    drop(listener);
}
