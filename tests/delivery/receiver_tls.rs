//! A subscription's TLS settings from the API to the receiver, across a restart. The client key is never
//! shown.

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::net::SocketAddr;
    use std::sync::Arc;

    use bytes::Bytes;
    use http::{Method, Response};
    use http_body_util::{BodyExt as _, Full};
    use hyper::body::Incoming;
    use hyper::service::service_fn;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use hyper_util::server::conn::auto;
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
    use rustls::pki_types::PrivatePkcs8KeyDer;
    use rustls::server::WebPkiClientVerifier;
    use rustls::{RootCertStore, ServerConfig};
    use serde_json::{Value, json};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::watch;
    use tokio::task::JoinSet;
    use tokio_rustls::TlsAcceptor;

    use crate::support::client::event;
    use crate::support::daemon::TestDaemon;

    type Authority = CertifiedIssuer<'static, KeyPair>;

    fn authority() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    fn issue(authority: &Authority, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_after = rcgen::date_time_ymd(2031, 2, 3);
        (params.signed_by(&key, authority).unwrap(), key)
    }

    /// A receiver that accepts clients with a certificate of `authority`.
    struct Receiver {
        address: SocketAddr,
        taken: watch::Sender<usize>,
        _tasks: JoinSet<()>,
    }

    impl Receiver {
        async fn start(authority: &Authority) -> Self {
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let mut roots = RootCertStore::empty();
            roots.add(authority.der().clone()).unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
            let (certificate, key) = issue(authority, "127.0.0.1");
            let key = PrivatePkcs8KeyDer::from(key.serialize_der());
            let mut config = ServerConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_client_cert_verifier(verifier.build().unwrap())
                .with_single_cert(vec![certificate.der().clone()], key.into())
                .unwrap();
            config.alpn_protocols = vec![b"h2".to_vec()];
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let taken = watch::Sender::new(0);
            let mut tasks = JoinSet::new();
            tasks.spawn(accept(listener, TlsAcceptor::from(Arc::new(config)), taken.clone()));
            Self { address, taken, _tasks: tasks }
        }

        async fn has_taken(&self, count: usize) {
            self.taken.subscribe().wait_for(|taken| *taken >= count).await.unwrap();
        }
    }

    async fn accept(listener: TcpListener, acceptor: TlsAcceptor, taken: watch::Sender<usize>) {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(converse(stream, acceptor.clone(), taken.clone()));
        }
    }

    async fn converse(stream: TcpStream, acceptor: TlsAcceptor, taken: watch::Sender<usize>) {
        // Clients that are refused are the subject of the test.
        let Ok(stream) = acceptor.accept(stream).await else { return };
        let service = service_fn(|request: http::Request<Incoming>| {
            let taken = taken.clone();
            async move {
                request.into_body().collect().await.unwrap();
                taken.send_modify(|taken| *taken += 1);
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
            }
        });
        let builder = auto::Builder::new(TokioExecutor::new());
        drop(builder.serve_connection(TokioIo::new(stream), service).await);
    }

    async fn submit(daemon: &TestDaemon, n: u64) {
        daemon.api.accepted(&event("TODO_CREATED", "acme/website", n)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_client_certificate_is_presented_to_the_receiver_and_its_key_is_never_shown() {
        let mut daemon = TestDaemon::start().await;
        let authority = authority();
        let receiver = Receiver::start(&authority).await;
        let (certificate, key) = issue(&authority, "postrider");
        let url = format!("https://{}/hook", receiver.address);
        let mut members = json!({"url": url, "tls_ca": authority.pem()});
        let stranger = daemon.api.subscribe(&members).await;
        assert_eq!((&stranger["tls_client"], &stranger["tls_client_cert"]), (&Value::Null, &Value::Null));
        members["tls_client_cert"] = json!(certificate.pem());
        members["tls_client_key"] = json!(key.serialize_pem());
        let created = daemon.api.subscribe(&members).await;
        let path = format!("/v1/subscriptions/{}", created["id"].as_str().unwrap());
        let shown = json!({"subject": "CN=postrider", "expires_at": "2031-02-03T00:00:00.000Z"});
        assert_eq!((&created["tls_client"], &created["tls_ca"]), (&shown, &json!(authority.pem())));

        submit(&daemon, 1).await;
        receiver.has_taken(1).await;
        let failing = async || {
            let stranger = daemon.api.subscription(stranger["id"].as_str().unwrap()).await;
            (stranger["health"] == "failing").then_some(())
        };
        daemon.until("the one without a certificate is refused", failing).await;
        assert_eq!(*receiver.taken.borrow(), 1);

        daemon.restart().await;
        submit(&daemon, 2).await;
        receiver.has_taken(2).await;
        let changed = daemon.api.patch(&path, &json!({"name": "crm"})).await;
        assert_eq!((&changed["name"], &changed["tls_client"]), (&json!("crm"), &shown));
        submit(&daemon, 3).await;
        receiver.has_taken(3).await;
        for path in ["/v1/subscriptions", &path, "/v1/deliveries"] {
            let answer = daemon.api.call(Method::GET, path, "", "").await.unwrap();
            let text = String::from_utf8(answer.body.to_vec()).unwrap();
            assert!(
                text.len() > 100 && !text.contains("PRIVATE") && !text.contains("tls_client_key"),
                "{text}"
            );
        }
        let dropped = daemon.api.patch(&path, &json!({"tls_client_cert": null})).await;
        assert_eq!(dropped["tls_client"], Value::Null);
    }

    #[tokio::test(start_paused = true)]
    async fn a_private_key_of_another_certificate_is_refused() {
        let daemon = TestDaemon::start().await;
        let authority = authority();
        let ((certificate, key), (_, other)) = (issue(&authority, "us"), issue(&authority, "us"));
        let mut members = json!({
            "url": "https://127.0.0.1/", "tls_client_cert": certificate.pem(), "tls_client_key": other.serialize_pem(),
        });
        let refused = daemon.api.post("/v1/subscriptions", &members).await.expect(422);
        assert_eq!(refused["errors"][0]["pointer"], "/tls_client_key");
        assert!(!refused.to_string().contains("PRIVATE"), "{refused}");
        members["tls_client_key"] = json!(key.serialize_pem());
        daemon.api.post("/v1/subscriptions", &members).await.expect(201);
    }
}
