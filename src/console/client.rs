//! A small HTTP client of the daemon's API: HTTP/1 over TCP, TLS or a Unix socket. Each request has its own connection,
//! except through [`Client::connect`].

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, RETRY_AFTER};
use http::request::Builder;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use url::Url;

use crate::api::serve::tls::certificates;

const DEADLINE: Duration = Duration::from_mins(1);
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// A client of one daemon.
#[derive(Debug)]
pub(crate) struct Client {
    target: Target,
    authority: String,
    key: Option<String>,
    /// The only trusted certificate authorities; none means those of the system.
    authorities: Option<Vec<CertificateDer<'static>>>,
}

#[derive(Debug)]
enum Target {
    Tcp(String),
    Tls(String, ServerName<'static>),
    Unix(String),
}

/// A complete response of the daemon.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The HTTP status.
    pub(crate) status: StatusCode,
    /// The value of `Retry-After`, if it is a number of seconds.
    pub(crate) retry_after: Option<Duration>,
    /// The complete body.
    pub(crate) body: Bytes,
}

impl Answer {
    /// Returns the JSON of a successful response, or null if it has no body.
    ///
    /// # Errors
    /// The daemon refused the request, or the body is not JSON.
    pub(crate) fn json(&self) -> anyhow::Result<Value> {
        if !self.status.is_success() {
            bail!("{}", self.problem());
        }
        if self.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&self.body).context("the daemon's answer is not JSON")
    }

    /// Returns a problem+json body as text, with a line for each invalid member; any other body unchanged.
    pub(crate) fn problem(&self) -> String {
        let Ok(problem) = serde_json::from_slice::<Value>(&self.body) else {
            let text = String::from_utf8_lossy(&self.body);
            return format!("the daemon answered {}: {}", self.status, text.trim());
        };
        let text = |value: &Value, name: &str| {
            value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let mut lines = vec![format!("the daemon answered {}: {}", self.status, text(&problem, "title"))];
        let errors = problem.get("errors").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        // If there are errors of members, the detail repeats them.
        if errors.is_empty() {
            lines.extend(Some(text(&problem, "detail")).filter(|detail| !detail.is_empty()));
        }
        for error in errors {
            let pointer = Some(text(error, "pointer")).filter(|pointer| !pointer.is_empty());
            let member = pointer.map_or_else(String::new, |pointer| format!("{pointer}: "));
            lines.push(format!("  {member}{}", text(error, "detail")));
        }
        lines.join("\n")
    }
}

/// A response that is read piece by piece. Dropping it closes its connection.
pub(crate) struct Stream {
    body: Incoming,
    _connection: Connection,
}

impl Stream {
    /// Returns the next piece of the body; none at the end.
    pub(crate) async fn next(&mut self) -> Option<anyhow::Result<Bytes>> {
        loop {
            match self.body.frame().await? {
                Ok(frame) => match frame.into_data() {
                    Ok(data) => return Some(Ok(data)),
                    Err(_trailers) => {}
                },
                Err(error) => return Some(Err(error.into())),
            }
        }
    }
}

impl Client {
    /// Returns a client of the daemon at `http://host:port`, `https://host:port` or `unix:/path`.
    pub(crate) fn new(url: &str, key: Option<String>) -> anyhow::Result<Self> {
        if let Some(path) = url.strip_prefix("unix:") {
            let target = Target::Unix(path.to_owned());
            return Ok(Self { target, authority: "localhost".to_owned(), key, authorities: None });
        }
        let parsed = Url::parse(url).with_context(|| format!("invalid address '{url}': expected an address such as http://127.0.0.1:8740 or unix:/run/postrider.sock"))?;
        let (Some(host), "http" | "https") = (parsed.host_str(), parsed.scheme()) else {
            bail!(
                "invalid address '{url}': expected an address such as http://127.0.0.1:8740 or unix:/run/postrider.sock"
            );
        };
        let authority = format!("{host}:{}", parsed.port_or_known_default().unwrap_or(80));
        let target = if parsed.scheme() == "https" {
            let name = host.trim_matches(['[', ']']).to_owned();
            let name = ServerName::try_from(name).with_context(|| format!("invalid host name '{host}'"))?;
            Target::Tls(authority.clone(), name)
        } else {
            Target::Tcp(authority.clone())
        };
        Ok(Self { target, authority, key, authorities: None })
    }

    /// Trusts only the certificate authorities of a PEM file, if one is given.
    pub(crate) fn trusting(self, ca: Option<&Path>) -> anyhow::Result<Self> {
        let authorities =
            ca.map(certificates).transpose().context("failed to read the certificates of --ca")?;
        Ok(Self { authorities, ..self })
    }

    /// Sends a GET request and reads the complete response.
    ///
    /// # Errors
    /// As [`post`](Self::post).
    #[cfg(any(feature = "bench", feature = "demo"))]
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.answer(Request::get(path), Bytes::new()).await
    }

    /// Posts a body and reads the complete response.
    ///
    /// # Errors
    /// The connection fails, the response is not complete within a minute, or it is too large.
    pub(crate) async fn post(&self, path: &str, content_type: &str, body: Bytes) -> anyhow::Result<Answer> {
        self.answer(Request::post(path).header(CONTENT_TYPE, content_type), body).await
    }

    /// Sends a request with an optional JSON body and returns the JSON of the response.
    ///
    /// # Errors
    /// As [`post`](Self::post), and every response that is not a success.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let request = Request::builder().method(method).uri(path);
        let answer = match body {
            Some(body) => {
                self.answer(request.header(CONTENT_TYPE, "application/json"), body.to_string().into())
            }
            None => self.answer(request, Bytes::new()),
        };
        answer.await?.json()
    }

    /// Opens an event stream that starts after the event `last_id`.
    ///
    /// # Errors
    /// The connection fails, or the daemon refuses the request with [`Refused`].
    pub(crate) async fn open(&self, path: &str, last_id: Option<&str>) -> anyhow::Result<Stream> {
        let mut builder = Request::get(path).header(ACCEPT, "text/event-stream");
        if let Some(id) = last_id {
            builder = builder.header("last-event-id", id);
        }
        self.stream(self.request(builder, Bytes::new())?).await
    }

    async fn stream(&self, request: Request<Full<Bytes>>) -> anyhow::Result<Stream> {
        let opened = tokio::time::timeout(DEADLINE, self.send(request)).await;
        let (response, connection) = opened.with_context(|| {
            format!("{} did not answer within {} s", self.authority, DEADLINE.as_secs())
        })??;
        if response.status() == StatusCode::OK {
            return Ok(Stream { body: response.into_body(), _connection: connection });
        }
        Err(Refused(read_answer(response).await?.problem()).into())
    }

    /// Posts an empty body and returns a response of any length.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(crate) async fn post_stream(&self, path: &str) -> anyhow::Result<Stream> {
        self.stream(self.request(Request::post(path), Bytes::new())?).await
    }

    async fn answer(&self, builder: Builder, body: Bytes) -> anyhow::Result<Answer> {
        let request = self.request(builder, body)?;
        let exchange = async {
            // The connection is closed after the response.
            let (response, _connection) = self.send(request).await?;
            read_answer(response).await
        };
        let exchange = tokio::time::timeout(DEADLINE, exchange).await;
        exchange
            .with_context(|| format!("{} did not answer within {} s", self.authority, DEADLINE.as_secs()))?
    }

    /// Completes a request with the host and the API key.
    ///
    /// # Errors
    /// The key or the path contains characters that are not printable ASCII.
    pub(crate) fn request(&self, builder: Builder, body: Bytes) -> anyhow::Result<Request<Full<Bytes>>> {
        let mut builder = builder.header(HOST, &self.authority);
        if let Some(key) = &self.key {
            builder = builder.header(AUTHORIZATION, format!("Bearer {key}"));
        }
        builder.body(Full::new(body)).context("the API key or the path is not printable ASCII")
    }

    fn connector(&self) -> anyhow::Result<TlsConnector> {
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_safe_default_protocol_versions()?;
        let config = match &self.authorities {
            None => builder.with_platform_verifier()?.with_no_client_auth(),
            Some(authorities) => {
                let mut roots = RootCertStore::empty();
                let (added, _) = roots.add_parsable_certificates(authorities.iter().cloned());
                anyhow::ensure!(added > 0, "the file of --ca contains no usable certificate");
                builder.with_root_certificates(roots).with_no_client_auth()
            }
        };
        Ok(TlsConnector::from(Arc::new(config)))
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> anyhow::Result<(Response<Incoming>, Connection)> {
        let (mut sender, running) = self.connect().await?;
        let mut connection = JoinSet::new();
        connection.spawn(running);
        let response = sender
            .send_request(request)
            .await
            .context("the daemon closed the connection without an answer")?;
        Ok((response, connection))
    }

    /// Opens a connection for many requests. The caller must poll the future to drive it.
    ///
    /// # Errors
    /// The connection or the TLS handshake fails.
    pub(crate) async fn connect(&self) -> anyhow::Result<(SendRequest<Full<Bytes>>, Driver)> {
        match &self.target {
            Target::Tcp(address) => handshake(connect(address).await?).await,
            Target::Tls(address, name) => {
                let (stream, connector) = (connect(address).await?, self.connector()?);
                let stream = connector.connect(name.clone(), stream).await.with_context(|| {
                    format!("failed to establish TLS with {address}: if its certificate authority is private, use --ca FILE")
                })?;
                handshake(stream).await
            }
            Target::Unix(path) => {
                let stream = UnixStream::connect(path).await.with_context(|| {
                    format!("failed to connect to the daemon at unix:{path}: is `postrider serve` running?")
                })?;
                handshake(stream).await
            }
        }
    }
}

async fn connect(address: &str) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(address).await;
    let stream = stream.with_context(|| {
        format!("failed to connect to the daemon at {address}: is `postrider serve` running?")
    })?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The daemon refused the request. Repeating it does not help.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Refused(String);

/// The task that drives a connection. Dropping it closes the connection.
type Connection = JoinSet<Result<(), hyper::Error>>;

/// The future that drives a connection.
pub(crate) type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

async fn handshake<S>(stream: S) -> anyhow::Result<(SendRequest<Full<Bytes>>, Driver)>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    Ok((sender, Box::pin(connection)))
}

/// Reads a response to its end.
///
/// # Errors
/// The connection breaks, or the response is too large.
pub(crate) async fn read_answer(response: Response<Incoming>) -> anyhow::Result<Answer> {
    let (head, body) = response.into_parts();
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    let body = body
        .map_err(|error| anyhow::anyhow!(error))
        .context("the daemon closed the connection during its answer")?
        .to_bytes();
    Ok(Answer { status: head.status, retry_after: retry_after(&head.headers), body })
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}
