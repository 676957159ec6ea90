//! One connection: the TLS handshake, then HTTP until the connection ends.
//!
//! A connection ends when its peer closes it, when it breaks a limit of [`Limits`], when the
//! [`connection_limit`](super::connection_limit) evicts it in favour of a new one, or when the daemon stops.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{HeaderValue, Request, Response, Version, header};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::connection_limit::{ConnectionPermit, ConnectionState};
use super::limits::Limits;
use super::listener::Stream;
use super::tls::Tls;
use super::tracked_body::{TrackedRequestBody, TrackedResponseBody};
use super::write_timeout::WriteTimeout;
use crate::api::caller::Peer;

const H2_STREAMS_MAX: u32 = 256;
const H2_PING_EVERY: Duration = Duration::from_secs(20);
const HEAD_BYTES_MAX: u32 = 16 * 1024;
/// The time for which open connections may still bring requests after a stop begins.
///
/// A request that is already on its way would otherwise meet a closed connection. Each response after the stop begins
/// carries `Connection: close`.
pub(super) const LINGER: Duration = Duration::from_millis(250);

/// The settings that all connections of a listener share.
#[derive(Clone)]
pub(super) struct Connections {
    /// The routes to serve.
    pub(super) router: Router,
    /// The certificate for TCP connections; plain HTTP without.
    pub(super) tls: Option<Tls>,
    /// The limits of each connection.
    pub(super) limits: Limits,
    /// Cancelled when the stop begins.
    pub(super) shutdown: CancellationToken,
}

impl Connections {
    /// Serves one connection until it ends.
    pub(super) async fn serve(self, stream: Stream, peer: Peer, permit: ConnectionPermit) {
        match (stream, peer, self.tls.clone()) {
            (Stream::Tcp(stream), Peer::Tcp(address), Some(tls)) => {
                let stream = tokio::select! {
                    stream = self.handshake(&tls, stream, peer) => stream,
                    () = permit.evicted() => None,
                };
                if let Some(stream) = stream {
                    self.serve_http(stream, Peer::Tls(address), permit).await;
                }
            }
            (Stream::Tcp(stream), ..) => self.serve_http(stream, peer, permit).await,
            (Stream::Unix(stream), ..) => self.serve_http(stream, peer, permit).await,
        }
    }

    /// Makes the TLS handshake; returns `None` after a failure, which it logs.
    async fn handshake(&self, tls: &Tls, stream: TcpStream, peer: Peer) -> Option<TlsStream<TcpStream>> {
        let accepting = tokio::time::timeout(self.limits.handshake_timeout, tls.accept(stream));
        let accepted = tokio::select! {
            accepted = accepting => accepted,
            () = self.linger_over() => return None,
        };
        match accepted {
            Ok(Ok(Some(stream))) => return Some(stream),
            Ok(Ok(None)) => tracing::debug!(?peer, "refused plain HTTP on a TLS port"),
            Ok(Err(error)) => tracing::debug!(?peer, %error, "a TLS handshake failed"),
            Err(_) => tracing::debug!(?peer, "a TLS handshake timed out"),
        }
        None
    }

    /// Waits until [`LINGER`] has passed since the stop began. Cancel safe.
    async fn linger_over(&self) {
        self.shutdown.cancelled().await;
        sleep(LINGER).await;
    }

    /// Serves HTTP on a connection until it ends.
    ///
    /// Hyper's own head timeout starts only when hyper knows which version of HTTP the peer speaks. Until the first
    /// request, a timer of this function gives the whole connection the same time.
    async fn serve_http<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        self,
        stream: S,
        peer: Peer,
        permit: ConnectionPermit,
    ) {
        let builder = http_builder(&self.limits);
        let state = Arc::clone(permit.state());
        let service = http_service(self.router.clone(), peer, state, self.shutdown.clone());
        let stream = WriteTimeout::new(stream, self.limits.write_timeout);
        let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let mut first_request_timeout = pin!(sleep(self.limits.head_timeout));
        let mut linger_over = pin!(self.linger_over());
        let (mut awaits_first_request, mut is_stopping) = (true, false);
        loop {
            tokio::select! {
                // Hyper goes first: the bytes that it reads may be the request that a timer waits for.
                biased;
                result = serving.as_mut() => {
                    if let Err(error) = result {
                        tracing::debug!(?peer, %error, "a connection failed");
                    }
                    return;
                }
                () = linger_over.as_mut(), if !is_stopping => {
                    is_stopping = true;
                    serving.as_mut().graceful_shutdown();
                }
                () = permit.evicted() => {
                    tracing::debug!(?peer, "evicted an idle connection in favour of a new one");
                    return;
                }
                () = first_request_timeout.as_mut(), if awaits_first_request => {
                    if !permit.state().has_sent_request() {
                        tracing::debug!(?peer, "a connection timed out before its first request");
                        return;
                    }
                    awaits_first_request = false;
                }
            }
        }
    }
}

fn http_builder(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.head_timeout);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(H2_STREAMS_MAX)
        .max_header_list_size(HEAD_BYTES_MAX)
        .keep_alive_interval(H2_PING_EVERY)
        .keep_alive_timeout(limits.head_timeout);
    builder
}

/// Returns the service that answers the requests of one connection.
///
/// The service adds the [`Peer`] to each request and records in `state` when the connection works and when it waits
/// for its peer.
fn http_service(
    router: Router,
    peer: Peer,
    state: Arc<ConnectionState>,
    shutdown: CancellationToken,
) -> impl Service<
    Request<Incoming>,
    Response = Response<TrackedResponseBody>,
    Error = Infallible,
    Future: Send + 'static,
> {
    service_fn(move |request: Request<Incoming>| {
        let active = state.begin_request();
        let mut request = request.map(|body| Body::new(TrackedRequestBody::new(body, Arc::clone(&state))));
        request.extensions_mut().insert(peer);
        // HTTP/2 has no such header: hyper ends the connection with a GOAWAY frame instead.
        let is_http1 = request.version() < Version::HTTP_2;
        let (answering, shutdown) = (router.clone().oneshot(request), shutdown.clone());
        async move {
            let mut response = answering.await?;
            if is_http1 && shutdown.is_cancelled() {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response.map(|body| TrackedResponseBody::new(body, active)))
        }
    })
}
