//! A small HTTP client for a daemon: HTTP/1 over TCP, TLS or a Unix socket, a connection a request.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, RETRY_AFTER};
use http::request::Builder;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use url::Url;

use crate::api::tls::certificates;

const DEADLINE: Duration = Duration::from_mins(1);
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Speaks to one daemon.
#[derive(Debug)]
pub(super) struct Client {
    target: Target,
    authority: String,
    key: Option<String>,
    /// The only authorities that are trusted; else those of the system.
    authorities: Option<Vec<CertificateDer<'static>>>,
}

#[derive(Debug)]
enum Target {
    Tcp(String),
    Tls(String, ServerName<'static>),
    Unix(String),
}

/// What the daemon answered.
#[derive(Debug)]
pub(super) struct Answer {
    /// The HTTP status.
    pub(super) status: StatusCode,
    /// What `Retry-After` asks for, if it is a number of seconds.
    pub(super) retry_after: Option<Duration>,
    /// The whole body.
    pub(super) body: Bytes,
}

impl Client {
    /// A client of the daemon at `http://host:port`, `https://host:port` or `unix:/path`, with an API key or none.
    pub(super) fn new(url: &str, key: Option<String>) -> anyhow::Result<Self> {
        if let Some(path) = url.strip_prefix("unix:") {
            let target = Target::Unix(path.to_owned());
            return Ok(Self { target, authority: "localhost".to_owned(), key, authorities: None });
        }
        let parsed = Url::parse(url).with_context(|| format!("'{url}' is not a URL"))?;
        let (Some(host), "http" | "https") = (parsed.host_str(), parsed.scheme()) else {
            bail!(
                "'{url}' is not a daemon's address such as http://127.0.0.1:8740 or unix:/run/postrider.sock"
            );
        };
        let authority = format!("{host}:{}", parsed.port_or_known_default().unwrap_or(80));
        let target = if parsed.scheme() == "https" {
            let name = host.trim_matches(['[', ']']).to_owned();
            let name =
                ServerName::try_from(name).with_context(|| format!("'{host}' is not a host's name"))?;
            Target::Tls(authority.clone(), name)
        } else {
            Target::Tcp(authority.clone())
        };
        Ok(Self { target, authority, key, authorities: None })
    }

    /// The same, trusting the authorities of a PEM file alone, if one is given.
    pub(super) fn trusting(self, ca: Option<&Path>) -> anyhow::Result<Self> {
        let authorities = ca.map(certificates).transpose().context("failed to use --ca")?;
        Ok(Self { authorities, ..self })
    }

    /// Gets a path and reads the answer whole.
    ///
    /// # Errors
    /// As [`post`](Self::post).
    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.answer(Request::get(path), Bytes::new()).await
    }

    /// Posts a body and reads the answer whole.
    ///
    /// # Errors
    /// No connection, no complete answer within a minute, or one that is too large.
    pub(super) async fn post(&self, path: &str, content_type: &str, body: Bytes) -> anyhow::Result<Answer> {
        self.answer(Request::post(path).header(CONTENT_TYPE, content_type), body).await
    }

    async fn answer(&self, builder: Builder, body: Bytes) -> anyhow::Result<Answer> {
        let mut builder = builder.header(HOST, &self.authority);
        if let Some(key) = &self.key {
            builder = builder.header(AUTHORIZATION, format!("Bearer {key}"));
        }
        let request = builder.body(Full::new(body)).context("the API key is not printable ASCII")?;
        let exchange = tokio::time::timeout(DEADLINE, self.exchange(request)).await;
        exchange
            .with_context(|| format!("{} gave no answer within {} s", self.authority, DEADLINE.as_secs()))?
    }

    fn connector(&self) -> anyhow::Result<TlsConnector> {
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_safe_default_protocol_versions()?;
        let config = match &self.authorities {
            None => builder.with_platform_verifier()?.with_no_client_auth(),
            Some(authorities) => {
                let mut roots = RootCertStore::empty();
                let (added, _) = roots.add_parsable_certificates(authorities.iter().cloned());
                anyhow::ensure!(added > 0, "failed to use --ca: no certificate in it can be read");
                builder.with_root_certificates(roots).with_no_client_auth()
            }
        };
        Ok(TlsConnector::from(Arc::new(config)))
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> anyhow::Result<Answer> {
        match &self.target {
            Target::Tcp(address) => exchange_over(connect(address).await?, request).await,
            Target::Tls(address, name) => {
                let (stream, connector) = (connect(address).await?, self.connector()?);
                let stream = connector.connect(name.clone(), stream).await.with_context(|| {
                    format!("failed to speak TLS with {address} (its authority not known here? name it: --ca FILE)")
                })?;
                exchange_over(stream, request).await
            }
            Target::Unix(path) => {
                let stream = UnixStream::connect(path).await.with_context(|| {
                    format!("failed to reach the daemon at unix:{path} (is `postrider serve` running?)")
                })?;
                exchange_over(stream, request).await
            }
        }
    }
}

async fn connect(address: &str) -> anyhow::Result<TcpStream> {
    TcpStream::connect(address)
        .await
        .with_context(|| format!("failed to reach the daemon at {address} (is `postrider serve` running?)"))
}

async fn exchange_over<S>(stream: S, request: Request<Full<Bytes>>) -> anyhow::Result<Answer>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Dropping the set ends the connection.
    let mut connections = JoinSet::new();
    connections.spawn(connection);
    let (head, body) = sender.send_request(request).await.context("the daemon broke off")?.into_parts();
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    let body =
        body.map_err(|error| anyhow::anyhow!(error)).context("the daemon's answer broke off")?.to_bytes();
    Ok(Answer { status: head.status, retry_after: retry_after(&head.headers), body })
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}
