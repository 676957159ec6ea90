//! TLS of the listeners, with generated certificates: HTTP/1.1 and HTTP/2, reloads of the certificate, and
//! plain connections.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use postrider::app::{Daemon, Options};
use postrider::config::{Config, TlsFiles};
use postrider::model::time::Clock;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::eventually;
use crate::support::process::DaemonSetup;

const WITHIN: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(5);

/// A certificate authority and the directory with the certificates that it issued.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Self { issuer, dir: tempfile::tempdir().unwrap() };
        fs::write(authority.ca(), authority.issuer.pem()).unwrap();
        authority
    }

    fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    fn files(&self) -> TlsFiles {
        TlsFiles { cert: self.dir.path().join("cert.pem"), key: self.dir.path().join("key.pem") }
    }

    /// Replaces the certificate and key for localhost by new ones.
    fn issue(&self) -> CertificateDer<'static> {
        let key = KeyPair::generate().unwrap();
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let cert = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        let TlsFiles { cert: cert_file, key: key_file } = self.files();
        fs::write(cert_file, cert.pem()).unwrap();
        fs::write(key_file, key.serialize_pem()).unwrap();
        cert.der().clone()
    }

    /// Returns a config file with the certificate in its `[server]` section.
    fn configured(&self, text: &str) -> String {
        let TlsFiles { cert, key } = self.files();
        let section =
            format!("[server]\ntls_cert = \"{}\"\ntls_key = \"{}\"\n", cert.display(), key.display());
        text.replacen("[server]\n", &section, 1)
    }

    async fn connect(&self, address: SocketAddr, protocol: &[u8]) -> std::io::Result<TlsStream<TcpStream>> {
        self.connect_by(address, protocol, rustls::DEFAULT_VERSIONS).await
    }

    async fn connect_by(
        &self,
        address: SocketAddr,
        protocol: &[u8],
        versions: &[&'static SupportedProtocolVersion],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        let stream = TcpStream::connect(address).await?;
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
    }
}

fn certificate(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

/// A daemon in process with TLS, and the authority of its certificate.
struct Served {
    daemon: Daemon,
    address: SocketAddr,
    authority: Authority,
    first: CertificateDer<'static>,
    _data: tempfile::TempDir,
}

async fn serve() -> Served {
    let (authority, data) = (Authority::new(), crate::support::memory_dir());
    let first = authority.issue();
    let text = crate::support::daemon::config(&data.path().join("data"), "");
    let config = Config::parse(&authority.configured(&text), "test.toml", []);
    let config = config.unwrap_or_else(|error| panic!("{error}"));
    let daemon = Daemon::start(config, Options::seeded(Clock::system(), 1)).await.unwrap();
    let address = daemon.addresses()[0];
    Served { daemon, address, authority, first, _data: data }
}

fn request(address: SocketAddr, path: &str) -> Request<Empty<Bytes>> {
    let uri = format!("https://localhost:{}{path}", address.port());
    let host = format!("localhost:{}", address.port());
    Request::get(uri).header("host", host).body(Empty::new()).unwrap()
}

/// A kept HTTP/1.1 connection and the task that drives it.
struct Kept {
    sender: http1::SendRequest<Empty<Bytes>>,
    certificate: CertificateDer<'static>,
    address: SocketAddr,
    _driver: JoinSet<()>,
}

impl Kept {
    async fn open(authority: &Authority, address: SocketAddr) -> std::io::Result<Self> {
        let stream = authority.connect(address, b"http/1.1").await?;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"http/1.1".as_slice()));
        let certificate = certificate(&stream);
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        let mut driver = JoinSet::new();
        driver.spawn(async move { drop(connection.await) });
        Ok(Self { sender, certificate, address, _driver: driver })
    }

    async fn get(&mut self, path: &str) -> (StatusCode, Bytes) {
        self.sender.ready().await.unwrap();
        let answer = self.sender.send_request(request(self.address, path)).await.unwrap();
        (answer.status(), answer.into_body().collect().await.unwrap().to_bytes())
    }
}

#[tokio::test]
async fn http_1_and_http_2_work_over_tls_1_2_and_1_3() {
    let served = serve().await;
    let mut kept = Kept::open(&served.authority, served.address).await.unwrap();
    assert_eq!(kept.certificate, served.first);
    for _ in 0..2 {
        let (status, body) = kept.get("/v1/subscriptions").await;
        assert_eq!((status, body), (StatusCode::OK, Bytes::from(r#"{"items":[],"next_cursor":null}"#)));
    }
    let stream = served.authority.connect(served.address, b"h2").await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    assert_eq!(stream.get_ref().1.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let mut driver = JoinSet::new();
    driver.spawn(async move { drop(connection.await) });
    let answer = sender.send_request(request(served.address, "/v1/subscriptions")).await.unwrap();
    assert_eq!((answer.status(), answer.version()), (StatusCode::OK, http::Version::HTTP_2));
    let older = [&rustls::version::TLS12];
    let stream = served.authority.connect_by(served.address, b"http/1.1", &older).await.unwrap();
    assert_eq!(stream.get_ref().1.protocol_version(), Some(ProtocolVersion::TLSv1_2));
    // The handshake refuses a client that offers neither protocol.
    assert!(served.authority.connect(served.address, b"spdy/1").await.is_err());
    drop((kept, sender));
    served.daemon.stop().await.unwrap();
}

#[tokio::test]
async fn a_new_certificate_serves_new_connections_and_a_bad_one_is_ignored() {
    let Served { daemon, address, authority, first, _data } = serve().await;
    let tls = daemon.tls().unwrap();
    let mut old = Kept::open(&authority, address).await.unwrap();
    assert!(!tls.reload(&authority.files()).unwrap(), "it is the same");
    let second = authority.issue();
    assert_eq!(
        Kept::open(&authority, address).await.unwrap().certificate,
        first,
        "not before it is asked for"
    );
    assert!(tls.reload(&authority.files()).unwrap());
    let mut new = Kept::open(&authority, address).await.unwrap();
    assert_eq!((&old.certificate, &new.certificate), (&first, &second));
    assert_eq!((old.get("/healthz").await.0, new.get("/healthz").await.0), (StatusCode::OK, StatusCode::OK));

    let TlsFiles { cert, key } = authority.files();
    let (good_cert, good_key) = (fs::read(&cert).unwrap(), fs::read(&key).unwrap());
    let other_key = KeyPair::generate().unwrap().serialize_pem();
    let broken = |path: &Path, bytes: &[u8], what: &str| {
        fs::write(path, bytes).unwrap();
        let error = tls.reload(&authority.files()).unwrap_err().to_string();
        assert!(error.contains(path.to_str().unwrap()) && error.contains(what), "{error}");
        fs::write(&cert, &good_cert).unwrap();
        fs::write(&key, &good_key).unwrap();
    };
    broken(&key, other_key.as_bytes(), "KeyMismatch");
    broken(&key, b"", "no items found");
    broken(&cert, b"not PEM", "no certificate");
    broken(&cert, &good_key, "no certificate");
    broken(&cert, b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "");
    fs::remove_file(&cert).unwrap();
    assert!(tls.reload(&authority.files()).unwrap_err().to_string().contains("cert.pem"));
    assert_eq!(Kept::open(&authority, address).await.unwrap().certificate, second);
    assert_eq!(old.get("/healthz").await.0, StatusCode::OK);
}

#[tokio::test]
async fn plain_http_to_a_tls_port_gets_an_error_or_is_closed() {
    let served = serve().await;
    let host = served.address;
    for method in ["GET /healthz HTTP/1.1", "POST /v1/events HTTP/1.1", "PRI * HTTP/2.0"] {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        let body = "x".repeat(30_000);
        let text = format!("{method}\r\nhost: {host}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(text.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("https://"), "{answer}");
        let body: serde_json::Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
        assert_eq!(body["status"], 400);
    }
    // A handshake's first byte and then garbage: the daemon sends an alert and closes.
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(&[0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0]).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.first().is_none_or(|byte| *byte == 0x15), "{answer:?}");
    // A peer that disconnects immediately leaves no trace.
    drop(TcpStream::connect(served.address).await.unwrap());
    assert!(Kept::open(&served.authority, served.address).await.is_ok(), "the next is served as ever");
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_reloads_the_certificate_and_explains_a_bad_one() {
    let authority = Authority::new();
    let first = authority.issue();
    let setup = DaemonSetup::new(crate::support::memory_dir(), "");
    let text = fs::read_to_string(setup.dir.path().join("config.toml")).unwrap();
    fs::write(setup.dir.path().join("config.toml"), authority.configured(&text)).unwrap();
    let mut running = setup.spawn(&[]);
    let connect = async || Kept::open(&authority, setup.address).await.ok();
    let mut old = eventually("it serves", WITHIN, PAUSE, connect).await;
    assert_eq!(old.certificate, first);

    let second = authority.issue();
    running.hang_up();
    let is_second = async || connect().await.filter(|kept| kept.certificate == second).map(|_| ());
    eventually("new connections get the second certificate", WITHIN, PAUSE, is_second).await;
    assert_eq!(old.get("/healthz").await.0, StatusCode::OK, "old connections go on");

    fs::write(authority.files().key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    running.hang_up();
    let is_told = async || setup.log().contains("the current one stays in use").then_some(());
    eventually("the log says why", WITHIN, PAUSE, is_told).await;
    assert!(setup.log().contains("KeyMismatch"), "{}", setup.log());
    assert_eq!(connect().await.unwrap().certificate, second);
    assert!(running.has_ended().is_none());

    authority.issue();
    let send = |ca: bool| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_postrider"));
        command.env_remove("POSTRIDER_KEY").env_remove("POSTRIDER_CA");
        let url = format!("https://localhost:{}", setup.address.port());
        command.args(["send", "--server", &url, "--type", "T", "--project", "p", "--json"]);
        if ca {
            command.arg("--ca").arg(authority.ca());
        }
        command.output().unwrap()
    };
    let taken = send(true);
    assert!(taken.status.success(), "{}", String::from_utf8_lossy(&taken.stderr));
    let result: serde_json::Value = serde_json::from_slice(&taken.stdout).unwrap();
    assert_eq!(result["duplicate"], json!(false));
    let distrusted = send(false);
    let told = String::from_utf8_lossy(&distrusted.stderr);
    assert!(distrusted.status.code() == Some(1) && told.contains("--ca"), "{told}");
}

#[test]
fn a_pair_that_cannot_be_used_is_told_before_the_start() {
    let authority = Authority::new();
    authority.issue();
    let file = authority.dir.path().join("config.toml");
    fs::write(&file, authority.configured("[server]\n")).unwrap();
    let run = |command: &str| {
        let mut postrider = Command::new(env!("CARGO_BIN_EXE_postrider"));
        postrider.current_dir(authority.dir.path()).args([command, "--config"]).arg(&file).output().unwrap()
    };
    assert!(run("check").status.success());
    fs::write(authority.files().key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    for command in ["check", "serve"] {
        let output = run(command);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains("cert.pem") && told.contains("KeyMismatch"), "{told}");
    }
}
