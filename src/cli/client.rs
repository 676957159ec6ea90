//! A small HTTP client for a daemon nearby: plain HTTP/1 over TCP or a Unix socket, a connection a request.

use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, RETRY_AFTER};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;
use url::Url;

const DEADLINE: Duration = Duration::from_mins(1);
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Speaks to one daemon.
#[derive(Debug)]
pub(super) struct Client {
    target: Target,
    authority: String,
    key: Option<String>,
}

#[derive(Debug)]
enum Target {
    Tcp(String),
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
    /// A client of the daemon at `http://host:port` or `unix:/path`, with an API key or none.
    pub(super) fn new(url: &str, key: Option<String>) -> anyhow::Result<Self> {
        if let Some(path) = url.strip_prefix("unix:") {
            let target = Target::Unix(path.to_owned());
            return Ok(Self { target, authority: "localhost".to_owned(), key });
        }
        let parsed = Url::parse(url).with_context(|| format!("'{url}' is not a URL"))?;
        let (Some(host), "http") = (parsed.host_str(), parsed.scheme()) else {
            bail!(
                "'{url}' is not a daemon's address such as http://127.0.0.1:8740 or unix:/run/postrider.sock"
            );
        };
        let authority = format!("{host}:{}", parsed.port_or_known_default().unwrap_or(80));
        Ok(Self { target: Target::Tcp(authority.clone()), authority, key })
    }

    /// Posts a body and reads the answer whole.
    ///
    /// # Errors
    /// No connection, no complete answer within a minute, or one that is too large.
    pub(super) async fn post(&self, path: &str, content_type: &str, body: Bytes) -> anyhow::Result<Answer> {
        let request = self.request(path, content_type, body)?;
        let exchange = tokio::time::timeout(DEADLINE, self.exchange(request)).await;
        exchange
            .with_context(|| format!("{} gave no answer within {} s", self.authority, DEADLINE.as_secs()))?
    }

    fn request(&self, path: &str, content_type: &str, body: Bytes) -> anyhow::Result<Request<Full<Bytes>>> {
        let mut builder =
            Request::post(path).header(HOST, &self.authority).header(CONTENT_TYPE, content_type);
        if let Some(key) = &self.key {
            builder = builder.header(AUTHORIZATION, format!("Bearer {key}"));
        }
        builder.body(Full::new(body)).context("the API key is not printable ASCII")
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> anyhow::Result<Answer> {
        match &self.target {
            Target::Tcp(address) => {
                let stream = TcpStream::connect(address).await.with_context(|| {
                    format!("failed to reach the daemon at {address} (is `postrider serve` running?)")
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
