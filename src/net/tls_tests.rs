//! Tests of the client against receivers with TLS, HTTP/1.1 and HTTP/2, on the paused clock.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Response, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Barrier, Notify, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use url::Url;

use super::Client;
use super::client_pool::IDLE_PER_HOST_MAX;
use super::tests::{class, loopback_client, post_with};
use crate::model::attempt::{ErrorClass, Outcome};
use crate::model::tls::{ClientIdentity, Tls};

/// The number of requests to `/together` that arrive before the receiver answers any of them, by default.
const TOGETHER: usize = 20;

/// A certificate authority.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn issue(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.0);
        (certificate.unwrap(), key)
    }

    /// Returns TLS settings that trust only this authority.
    pub(super) fn trusted(&self) -> Tls {
        Tls::new(Some(self.0.pem().parse().unwrap()), None)
    }

    /// Returns TLS settings that trust only this authority, with a client certificate that `issuer` issued.
    fn trusted_with(&self, issuer: &Self) -> Tls {
        let (certificate, key) = issuer.issue("postrider");
        let identity =
            ClientIdentity::new(certificate.pem().parse().unwrap(), key.serialize_pem().parse().unwrap());
        Tls::new(Some(self.0.pem().parse().unwrap()), Some(identity.unwrap()))
    }
}

/// The requests that a receiver saw, and the behaviour that a test asks for.
#[derive(Default)]
struct State {
    /// The number of open connections.
    open: watch::Sender<usize>,
    connections: Mutex<Vec<Option<CertificateDer<'static>>>>,
    /// The HTTP version of each request, and the number of its connection.
    requests: Mutex<Vec<(Version, usize)>>,
    /// The reasons that the next streams are reset with.
    resets: Mutex<VecDeque<h2::Reason>>,
    /// Signals every connection to send GOAWAY and accept no more requests.
    goes_away: Notify,
    /// Signals every connection to stay open and send nothing more.
    freezes: Notify,
    together: Option<Barrier>,
}

/// A receiver on loopback with a certificate for 127.0.0.1.
pub(super) struct Receiver {
    address: SocketAddr,
    state: Arc<State>,
    _tasks: JoinSet<()>,
}

impl Receiver {
    pub(super) async fn start(authority: &Authority, alpn: &[&str]) -> Self {
        Self::start_with(authority, alpn, None, TOGETHER).await
    }

    /// Starts a receiver that requires a client certificate issued by `clients`, and that answers requests to
    /// `/together` in groups of this size.
    async fn start_with(
        authority: &Authority,
        alpn: &[&str],
        clients: Option<&Authority>,
        together: usize,
    ) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                roots.add(clients.0.der().clone()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let (certificate, key) = authority.issue("127.0.0.1");
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let mut config = builder.with_single_cert(vec![certificate.der().clone()], key.into()).unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State { together: Some(Barrier::new(together)), ..State::default() });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, TlsAcceptor::from(Arc::new(config)), Arc::clone(&state)));
        Self { address, state, _tasks: tasks }
    }

    pub(super) fn url(&self) -> Url {
        self.url_of("hooks")
    }

    fn url_of(&self, path: &str) -> Url {
        format!("https://{}/{path}", self.address).parse().unwrap()
    }

    pub(super) fn connections(&self) -> usize {
        self.state.connections.lock().unwrap().len()
    }

    fn requests(&self) -> Vec<(Version, usize)> {
        self.state.requests.lock().unwrap().clone()
    }

    fn resets(&self, reason: h2::Reason) {
        self.state.resets.lock().unwrap().push_back(reason);
    }
}

/// Counts an open connection until it is dropped.
struct Open(Arc<State>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.send_modify(|open| *open -= 1);
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(converse(stream, acceptor.clone(), Arc::clone(&state)));
    }
}

async fn converse(stream: TcpStream, acceptor: TlsAcceptor, state: Arc<State>) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    state.open.send_modify(|open| *open += 1);
    let _open = Open(Arc::clone(&state));
    let peer = stream.get_ref().1.peer_certificates().and_then(|list| list.first().cloned());
    let number = {
        let mut connections = state.connections.lock().unwrap();
        connections.push(peer);
        connections.len()
    };
    let service = service_fn(|request: http::Request<Incoming>| {
        let state = Arc::clone(&state);
        async move {
            state.requests.lock().unwrap().push((request.version(), number));
            let path = request.uri().path().to_owned();
            request.into_body().collect().await.unwrap();
            if let Some(reason) = state.resets.lock().unwrap().pop_front() {
                return Err(h2::Error::from(reason));
            }
            if let Some(barrier) = state.together.as_ref().filter(|_| path == "/together") {
                barrier.wait().await;
            }
            Ok(Response::new(Full::new(Bytes::from_static(b"ok"))))
        }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        _ = connection.as_mut() => return,
        () = state.freezes.notified() => std::future::pending().await,
        () = state.goes_away.notified() => connection.as_mut().graceful_shutdown(),
    }
    // A client that closes the connection is not an error of the receiver.
    drop(connection.await);
}

/// Makes concurrent requests, all of which must succeed.
async fn post_successfully(client: &Client, url: &Url, tls: &Tls, count: usize) {
    for exchange in join_all((0..count).map(|_| post_with(client, url, tls))).await {
        assert_eq!((exchange.outcome, exchange.excerpt), (Outcome::Success { status: 200 }, b"ok".to_vec()));
    }
}

#[tokio::test(start_paused = true)]
async fn http_2_receiver_gets_all_requests_on_one_connection() {
    let authority = Authority::new();
    let (client, tls) = (loopback_client(), authority.trusted());
    let both = Receiver::start(&authority, &["h2", "http/1.1"]).await;
    post_successfully(&client, &both.url(), &tls, 1).await;
    post_successfully(&client, &both.url_of("together"), &tls, TOGETHER).await;
    assert_eq!(both.requests(), vec![(Version::HTTP_2, 1); TOGETHER + 1]);
    for alpn in [&["http/1.1"][..], &[]] {
        let old = Receiver::start(&authority, alpn).await;
        post_successfully(&client, &old.url(), &tls, 1).await;
        post_successfully(&client, &old.url_of("together"), &tls, TOGETHER).await;
        assert!(old.requests().iter().all(|(version, _)| *version == Version::HTTP_11));
        assert_eq!(old.connections(), TOGETHER, "one connection carried two requests");
    }
}

#[tokio::test(start_paused = true)]
async fn idle_connections_are_limited_and_time_out() {
    const MANY: usize = IDLE_PER_HOST_MAX + 4;
    let authority = Authority::new();
    let (client, tls) = (loopback_client(), authority.trusted());
    let receiver = Receiver::start_with(&authority, &["http/1.1"], None, MANY).await;
    let mut open = receiver.state.open.subscribe();
    let url = receiver.url_of("together");
    // Connections are opened one after the other, so that the listener's queue does not overflow.
    let requests = (0..MANY).zip(1..).map(async |(_, turn)| {
        tokio::time::sleep(Duration::from_millis(turn)).await;
        post_successfully(&client, &url, &tls, 1).await;
    });
    join_all(requests).await;
    assert_eq!(receiver.connections(), MANY);
    open.wait_for(|open| *open <= IDLE_PER_HOST_MAX).await.unwrap();
    tokio::time::sleep(Duration::from_secs(25)).await;
    assert_eq!(*open.borrow(), IDLE_PER_HOST_MAX);
    let idle_since = Instant::now();
    post_successfully(&client, &receiver.url(), &tls, 1).await;
    assert_eq!(receiver.connections(), MANY, "an idle connection was reused");
    open.wait_for(|open| *open == 0).await.unwrap();
    let elapsed = idle_since.elapsed().as_secs();
    assert!((30..=61).contains(&elapsed), "{elapsed} s");
}

#[tokio::test(start_paused = true)]
async fn goaway_moves_requests_to_a_new_connection() {
    let authority = Authority::new();
    let (client, tls) = (loopback_client(), authority.trusted());
    let receiver = Receiver::start(&authority, &["h2"]).await;
    for turn in 1..=3 {
        post_successfully(&client, &receiver.url(), &tls, 1).await;
        post_successfully(&client, &receiver.url(), &tls, 1).await;
        assert_eq!(receiver.requests().last(), Some(&(Version::HTTP_2, turn)));
        receiver.state.goes_away.notify_waiters();
    }
    assert_eq!(receiver.requests().len(), 6, "each request arrived once");
}

#[tokio::test(start_paused = true)]
async fn refused_stream_is_retried_and_other_resets_are_failures() {
    let authority = Authority::new();
    let (client, tls) = (loopback_client(), authority.trusted());
    let receiver = Receiver::start(&authority, &["h2"]).await;
    receiver.resets(h2::Reason::REFUSED_STREAM);
    post_successfully(&client, &receiver.url(), &tls, 1).await;
    assert_eq!(receiver.requests().len(), 2);
    for reason in [h2::Reason::INTERNAL_ERROR, h2::Reason::CANCEL, h2::Reason::ENHANCE_YOUR_CALM] {
        let before = receiver.requests().len();
        receiver.resets(reason);
        let exchange = post_with(&client, &receiver.url(), &tls).await;
        assert_eq!(class(&exchange), Some(ErrorClass::Protocol), "{exchange:?}");
        assert!(exchange.outcome.to_string().contains("stream"), "{exchange:?}");
        assert_eq!(receiver.requests().len(), before + 1);
    }
    post_successfully(&client, &receiver.url(), &tls, 1).await;
    assert_eq!(receiver.connections(), 1, "a reset stream does not close the connection");
}

#[tokio::test(start_paused = true)]
async fn dead_connection_is_not_reused() {
    let authority = Authority::new();
    let (client, tls) = (loopback_client(), authority.trusted());
    let receiver = Receiver::start(&authority, &["h2"]).await;
    post_successfully(&client, &receiver.url(), &tls, 1).await;
    receiver.state.freezes.notify_waiters();
    let started = Instant::now();
    let exchange = post_with(&client, &receiver.url(), &tls).await;
    assert_eq!(class(&exchange), Some(ErrorClass::Timeout), "{exchange:?}");
    assert!(started.elapsed() <= Duration::from_millis(7100), "{:?}", started.elapsed());
    tokio::time::sleep(Duration::from_secs(1)).await;
    post_successfully(&client, &receiver.url(), &tls, 1).await;
    assert_eq!(receiver.requests(), [(Version::HTTP_2, 1), (Version::HTTP_2, 2)]);
}

#[tokio::test(start_paused = true)]
async fn subscription_authorities_replace_those_of_the_system() {
    let (authority, other) = (Authority::new(), Authority::new());
    let client = loopback_client();
    let receiver = Receiver::start(&authority, &["h2", "http/1.1"]).await;
    post_successfully(&client, &receiver.url(), &authority.trusted(), 1).await;
    for tls in [Tls::default(), other.trusted()] {
        let exchange = post_with(&client, &receiver.url(), &tls).await;
        assert_eq!(class(&exchange), Some(ErrorClass::Tls), "{exchange:?}");
        assert!(exchange.outcome.to_string().contains("invalid peer certificate"), "{exchange:?}");
    }
    let mut by_name = receiver.url();
    by_name.set_host(Some("localhost")).unwrap();
    let named = super::tests::Names::answering(&[&["127.0.0.1"]]);
    let named = Client::new(super::tests::options(&["127.0.0.0/8"], None), named).unwrap();
    let exchange = post_with(&named, &by_name, &authority.trusted()).await;
    assert_eq!(class(&exchange), Some(ErrorClass::Tls), "the certificate has another name: {exchange:?}");
    assert_eq!(receiver.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn client_certificate_is_presented_on_request() {
    let (authority, clients) = (Authority::new(), Authority::new());
    for alpn in ["h2", "http/1.1"] {
        let client = loopback_client();
        let receiver = Receiver::start_with(&authority, &[alpn], Some(&clients), TOGETHER).await;
        for tls in [authority.trusted(), authority.trusted_with(&authority)] {
            let exchange = post_with(&client, &receiver.url(), &tls).await;
            assert_eq!(class(&exchange), Some(ErrorClass::Tls), "{alpn}: {exchange:?}");
        }
        assert!(receiver.requests().is_empty());
        let tls = authority.trusted_with(&clients);
        post_successfully(&client, &receiver.url(), &tls, 1).await;
        let shown = tls.client().unwrap().chain().list().first().cloned();
        assert_eq!(receiver.state.connections.lock().unwrap().last(), Some(&shown));
    }
}

#[tokio::test(start_paused = true)]
async fn connections_are_shared_only_between_equal_tls_settings() {
    let authority = Authority::new();
    let client = loopback_client();
    let receiver = Receiver::start(&authority, &["h2"]).await;
    // A comment in the PEM makes the settings differ.
    let settings = |n: usize| {
        let pem = format!("# {n}\n{}", authority.trusted().authorities().unwrap().pem());
        Tls::new(Some(pem.parse().unwrap()), None)
    };
    for turn in [0, 1, 0, 1] {
        post_successfully(&client, &receiver.url(), &settings(turn), 1).await;
    }
    assert_eq!((receiver.connections(), client.pool().tls_client_count()), (2, 2));
    client.forget(&settings(0));
    assert_eq!(client.pool().tls_client_count(), 1);
    post_successfully(&client, &receiver.url(), &settings(1), 1).await;
    assert_eq!(receiver.connections(), 2, "the other settings keep their connection");
    post_successfully(&client, &receiver.url(), &settings(0), 1).await;
    assert_eq!(receiver.connections(), 3, "dropped settings connect again");
    for n in 2..=300 {
        post_successfully(&client, &receiver.url(), &settings(n), 1).await;
    }
    assert_eq!(client.pool().tls_client_count(), 256);
    post_successfully(&client, &receiver.url(), &settings(300), 1).await;
    assert_eq!(receiver.connections(), 302);
    post_successfully(&client, &receiver.url(), &settings(0), 1).await;
    assert_eq!(receiver.connections(), 303, "the least recently used client was evicted");
}
