//! Tests of the client behind a proxy: which requests the proxy gets, and which it never gets.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use url::Url;

use super::Client;
use super::tests::{BODY, Names, class, options, post_with};
use super::tls_tests::{Authority, Receiver};
use crate::model::attempt::{ErrorClass, Outcome};
use crate::model::proxy::Proxy;
use crate::model::tls::Tls;

/// A proxy on loopback. It tunnels to any target, and answers plain requests itself, with status 207.
struct Relay {
    address: SocketAddr,
    /// The heads of the requests that the proxy got.
    asked: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Relay {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&asked)));
        Self { address, asked, _tasks: tasks }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn client(&self, host: &str, allowed: &[&str], no_proxy: &[&str], names: &[&[&str]]) -> Client {
        let url = format!("http://ada:hid%20den@{host}:{}", self.address.port()).parse().unwrap();
        let proxy = Proxy::new(url, no_proxy.iter().map(|text| text.parse().unwrap()).collect());
        Client::new(options(allowed, Some(proxy)), Names::answering(names)).unwrap()
    }
}

async fn accept(listener: TcpListener, asked: Arc<Mutex<Vec<String>>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(relay(BufReader::new(stream), Arc::clone(&asked)));
    }
}

async fn relay(mut stream: BufReader<TcpStream>, asked: Arc<Mutex<Vec<String>>>) {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await.unwrap() == 0 {
            return;
        }
    }
    asked.lock().unwrap().push(head.clone());
    if let Some(target) = head.strip_prefix("CONNECT ") {
        let target = target.split(' ').next().unwrap();
        stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await.unwrap();
        let mut receiver = TcpStream::connect(target).await.unwrap();
        drop(copy_bidirectional(&mut stream, &mut receiver).await);
    } else {
        stream.read_exact(&mut vec![0; BODY.len()]).await.unwrap();
        stream.write_all(b"HTTP/1.1 207 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await.unwrap();
    }
}

fn url(text: &str) -> Url {
    text.parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn proxy_forwards_http_and_tunnels_https() {
    let (relay, authority) = (Relay::start().await, Authority::new());
    let client = relay.client("127.0.0.1", &["127.0.0.0/8"], &[], &[&["8.8.8.8"]]);
    let exchange = post_with(&client, &url("http://crm.example/hooks?x=1"), &Tls::default()).await;
    assert_eq!(exchange.outcome, Outcome::Success { status: 207 });
    let asked = relay.asked().pop().unwrap();
    assert!(asked.starts_with("POST http://crm.example/hooks?x=1 HTTP/1.1\r\n"), "{asked}");
    let authorization = "proxy-authorization: Basic YWRhOmhpZCBkZW4=";
    assert!(asked.to_lowercase().contains(&authorization.to_lowercase()), "{asked}");

    let receiver = Receiver::start(&authority, &["h2", "http/1.1"]).await;
    for turn in 1..=2 {
        let exchange = post_with(&client, &receiver.url(), &authority.trusted()).await;
        assert_eq!(exchange.outcome, Outcome::Success { status: 200 }, "{turn}");
    }
    let asked = relay.asked();
    assert_eq!((asked.len(), receiver.connections()), (2, 1), "both requests use one tunnel");
    assert!(asked[1].starts_with(&format!("CONNECT {}", receiver.url().authority())), "{asked:?}");
    assert!(asked[1].to_lowercase().contains(&authorization.to_lowercase()), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn forbidden_targets_never_reach_the_proxy() {
    let relay = Relay::start().await;
    // The proxy's own address is forbidden for receivers, but the config file chose it.
    let client = relay.client("127.0.0.1", &[], &[], &[&["10.0.0.1"], &["8.8.8.8"]]);
    let plain = &Tls::default();
    for target in ["http://10.0.0.1/", "http://crm.example/", "https://[::1]/"] {
        let exchange = post_with(&client, &url(target), plain).await;
        assert_eq!(class(&exchange), Some(ErrorClass::ForbiddenAddress), "{target}: {exchange:?}");
    }
    assert!(relay.asked().is_empty());
    let exchange = post_with(&client, &url("http://crm.example/"), plain).await;
    assert_eq!(
        exchange.outcome,
        Outcome::Success { status: 207 },
        "the name now resolves to an allowed address"
    );
    let blind = relay.client("127.0.0.1", &[], &[], &[]);
    let exchange = post_with(&blind, &url("http://crm.example/"), plain).await;
    assert_eq!(
        exchange.outcome,
        Outcome::Success { status: 207 },
        "a name that only the proxy resolves is allowed"
    );
}

#[tokio::test(start_paused = true)]
async fn proxy_name_may_resolve_to_a_private_address() {
    let relay = Relay::start().await;
    let client = relay.client("proxy.internal", &[], &[], &[&["8.8.8.8"], &["127.0.0.1"]]);
    let exchange = post_with(&client, &url("http://crm.example/"), &Tls::default()).await;
    assert_eq!(exchange.outcome, Outcome::Success { status: 207 });
    assert_eq!(relay.asked().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn no_proxy_receivers_are_called_directly() {
    let (relay, authority) = (Relay::start().await, Authority::new());
    let receiver = Receiver::start(&authority, &["http/1.1"]).await;
    let tls = authority.trusted();
    let client = relay.client("127.0.0.1", &["127.0.0.0/8"], &["127.0.0.0/8"], &[&["8.8.8.8"]]);
    let exchange = post_with(&client, &receiver.url(), &tls).await;
    assert_eq!(exchange.outcome, Outcome::Success { status: 200 });
    assert!(relay.asked().is_empty());
    let exchange = post_with(&client, &url("http://crm.example/"), &Tls::default()).await;
    assert_eq!((exchange.outcome, relay.asked().len()), (Outcome::Success { status: 207 }, 1));
    // Without the proxy, the address of the connection is checked as usual.
    let closed = relay.client("127.0.0.1", &[], &["crm.example"], &[&["8.8.8.8"], &["127.0.0.1"]]);
    assert_eq!(closed.check_target(&url("http://crm.example/")).await, Ok(()));
    let exchange = post_with(&closed, &url("http://crm.example/"), &Tls::default()).await;
    assert_eq!(class(&exchange), Some(ErrorClass::ForbiddenAddress), "{exchange:?}");
}

#[tokio::test(start_paused = true)]
async fn unreachable_proxy_is_a_connect_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = url(&format!("http://{}", listener.local_addr().unwrap()));
    drop(listener);
    let names = Names::answering(&[&["8.8.8.8"]]);
    let client = Client::new(options(&[], Some(Proxy::new(proxy, Vec::new()))), names).unwrap();
    for target in ["http://crm.example/", "https://crm.example/"] {
        let exchange = post_with(&client, &url(target), &Tls::default()).await;
        assert_eq!(class(&exchange), Some(ErrorClass::Connect), "{exchange:?}");
    }
}
