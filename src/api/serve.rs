//! The accept loop: connections in, bounded in number and in the time that a request's head may take. Who makes
//! room when there are too many is decided in `crowd`.
//!
//! Every connection is a task of a set that [`serve`] joins; no thread of its own is needed, so that it runs on
//! a test's paused clock.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;
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
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixSocket, UnixStream};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::access::Peer;
use super::crowd::{Answering, Awaited, Crowd, Place, Seat};
use super::patience::Patient;
use super::tls::Tls;
use crate::config::Listen;

/// How long the loop rests when a connection cannot be taken, for want of file descriptors above all.
const ACCEPT_REST: Duration = Duration::from_millis(100);
const H2_STREAMS_MAX: u32 = 256;
const H2_PING_EVERY: Duration = Duration::from_secs(20);
const HEAD_BYTES_MAX: u32 = 16 * 1024;
/// For how long a connection may bring requests once the stop has begun: one that is on its way already must not meet
/// a closed door. Each is answered with `Connection: close`.
const LINGER: Duration = Duration::from_millis(250);
/// How many connections may wait in the kernel to be taken, if it allows so many (`net.core.somaxconn`). Beyond that it
/// drops the first packet, and the client tries again a second later.
const BACKLOG: u32 = 4096;

/// The bounds of the accept loop.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many connections are open at once, over all listeners. One more takes the place of one that keeps the
    /// daemon waiting; if none does, it waits.
    pub connections_max: usize,
    /// How long a connection may take to send a request's head, the time between requests included.
    pub head_timeout: Duration,
    /// How long a peer may take nothing of what is sent to it.
    pub write_timeout: Duration,
    /// How long the handshake of TLS may take.
    pub handshake_timeout: Duration,
    /// How long requests may go on after the stop.
    pub shutdown_timeout: Duration,
}

impl Default for Limits {
    /// 4,096 connections, 30 s for a head, 30 s without taking anything, 10 s for a handshake, 10 s to finish.
    fn default() -> Self {
        Self {
            connections_max: 4096,
            head_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(10),
            shutdown_timeout: Duration::from_secs(10),
        }
    }
}

/// A socket that listens already: whoever started the process opened it, and keeps it open when the process ends.
#[derive(Debug)]
pub enum Inherited {
    /// On an address.
    Tcp(std::net::TcpListener),
    /// On a path.
    Unix(std::os::unix::net::UnixListener),
}

impl Inherited {
    /// Where it listens, as the config would name it.
    ///
    /// # Errors
    /// When the socket does not say, or has no path.
    pub fn listen(&self) -> io::Result<Listen> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(Listen::Tcp),
            Self::Unix(listener) => {
                let address = listener.local_addr()?;
                let path =
                    address.as_pathname().ok_or_else(|| io::Error::other("a Unix socket without a path"))?;
                Ok(Listen::Unix(path.to_owned()))
            }
        }
    }
}

/// A bound socket.
#[derive(Debug)]
pub enum Listener {
    /// On an address.
    Tcp(TcpListener),
    /// On a path.
    Unix(UnixListener),
}

impl Listener {
    /// Binds to what the config names. A Unix socket that a dead process left is taken over; it gets `unix_mode`
    /// before the first connection can be made.
    ///
    /// # Errors
    /// When the address or path is in use or may not be bound to.
    pub async fn bind(listen: &Listen, unix_mode: u32) -> io::Result<Self> {
        match listen {
            Listen::Tcp(address) => {
                let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
                // A restart need not wait until the kernel has forgotten the connections of before.
                socket.set_reuseaddr(true)?;
                socket.bind(*address)?;
                socket.listen(BACKLOG).map(Self::Tcp)
            }
            Listen::Unix(path) => {
                remove_dead(path).await?;
                let socket = UnixSocket::new_stream()?;
                socket.bind(path)?;
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(unix_mode))?;
                socket.listen(BACKLOG).map(Self::Unix)
            }
        }
    }

    /// Serves a socket that listens already.
    ///
    /// # Errors
    /// When it cannot be used here.
    pub fn adopt(inherited: Inherited) -> io::Result<Self> {
        match inherited {
            Inherited::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                TcpListener::from_std(listener).map(Self::Tcp)
            }
            Inherited::Unix(listener) => {
                listener.set_nonblocking(true)?;
                UnixListener::from_std(listener).map(Self::Unix)
            }
        }
    }

    /// The address bound to, with the port that the system chose; none for a Unix socket.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }

    async fn accept(&self) -> io::Result<(Connection, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                // A connection that is gone already fails here; it shows when it is read.
                let _ = stream.set_nodelay(true);
                Ok((Connection::Tcp(stream), Peer::Tcp(address)))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Connection::Unix(stream), Peer::Unix))
            }
        }
    }
}

/// Removes a socket that nobody listens on any more.
async fn remove_dead(path: &Path) -> io::Result<()> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if is_socket
        && UnixStream::connect(path)
            .await
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    {
        return std::fs::remove_file(path);
    }
    Ok(())
}

enum Connection {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Serves `router` on every listener until `shutdown`, with TLS on those of an address if there is one; then takes no
/// more connections, closes those that are open after their next answer or a quarter of a second, lets requests finish within
/// [`Limits::shutdown_timeout`], and returns.
pub async fn serve(
    listeners: Vec<Listener>,
    router: Router,
    tls: Option<Tls>,
    limits: Limits,
    shutdown: CancellationToken,
) {
    let crowd = Crowd::new(limits.connections_max);
    let mut loops = JoinSet::new();
    for listener in listeners {
        let server = Server { router: router.clone(), tls: tls.clone(), limits, shutdown: shutdown.clone() };
        loops.spawn(server.run(listener, Arc::clone(&crowd)));
    }
    while let Some(joined) = loops.join_next().await {
        if let Err(error) = joined {
            tracing::error!(%error, "a listener ended by a panic");
        }
    }
}

#[derive(Clone)]
struct Server {
    router: Router,
    tls: Option<Tls>,
    limits: Limits,
    shutdown: CancellationToken,
}

impl Server {
    async fn run(self, listener: Listener, crowd: Arc<Crowd>) {
        let mut connections = JoinSet::new();
        // A connection that has no place yet.
        let mut at_door = None;
        loop {
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => break,
                Some(joined) = connections.join_next() => log_panic(joined),
                next = next(&listener), if at_door.is_none() => at_door = next,
                Some(place) = crowd.enter(), if at_door.is_some() => {
                    let Some((connection, peer)) = at_door.take() else { continue };
                    connections.spawn(self.clone().converse(connection, peer, place));
                }
            }
        }
        drop(listener);
        let finished = async {
            // Whoever has been taken is served, or would find the connection cut off in the middle of a request.
            if let Some((connection, peer)) = at_door
                && let Some(place) = crowd.enter().await
            {
                connections.spawn(self.clone().converse(connection, peer, place));
            }
            while let Some(joined) = connections.join_next().await {
                log_panic(joined);
            }
        };
        if tokio::time::timeout(self.limits.shutdown_timeout, finished).await.is_err() {
            tracing::warn!(connections = connections.len(), "requests were cut off by the stop");
            connections.shutdown().await;
        }
    }

    async fn converse(self, connection: Connection, peer: Peer, place: Place) {
        match (connection, peer, self.tls.clone()) {
            (Connection::Tcp(stream), Peer::Tcp(address), Some(tls)) => {
                let shaken = tokio::select! {
                    shaken = self.shake_hands(&tls, stream, peer) => shaken,
                    () = place.must_leave() => None,
                };
                if let Some(stream) = shaken {
                    self.converse_over(stream, Peer::Tls(address), place).await;
                }
            }
            (Connection::Tcp(stream), ..) => self.converse_over(stream, peer, place).await,
            (Connection::Unix(stream), ..) => self.converse_over(stream, peer, place).await,
        }
    }

    /// The connection under TLS; none if there will be none, which has been logged.
    async fn shake_hands(&self, tls: &Tls, stream: TcpStream, peer: Peer) -> Option<TlsStream<TcpStream>> {
        let shaking = tokio::time::timeout(self.limits.handshake_timeout, tls.accept(stream));
        let shaken = tokio::select! {
            shaken = shaking => shaken,
            () = self.lingered() => return None,
        };
        match shaken {
            Ok(Ok(Some(stream))) => return Some(stream),
            Ok(Ok(None)) => tracing::debug!(?peer, "plain HTTP on a port of TLS"),
            Ok(Err(error)) => tracing::debug!(?peer, %error, "a TLS handshake broke off"),
            Err(_) => tracing::debug!(?peer, "a TLS handshake took too long"),
        }
        None
    }

    /// Returns once the stop has begun and connections have had their time since.
    async fn lingered(&self) {
        self.shutdown.cancelled().await;
        sleep(LINGER).await;
    }

    /// Serves one connection to its end.
    ///
    /// Hyper's own time-out begins once it knows which HTTP is spoken; until the first request has come the
    /// connection as a whole has the same time.
    async fn converse_over<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        self,
        stream: S,
        peer: Peer,
        place: Place,
    ) {
        let builder = builder(&self.limits);
        let service = service(self.router.clone(), peer, Arc::clone(place.seat()), self.shutdown.clone());
        let stream = Patient::new(stream, self.limits.write_timeout);
        let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let mut silence = pin!(sleep(self.limits.head_timeout));
        let mut lingered = pin!(self.lingered());
        let (mut is_watched, mut is_stopping) = (true, false);
        loop {
            tokio::select! {
                // First what has come: it may be a request, and then nothing is silent.
                biased;
                result = serving.as_mut() => {
                    if let Err(error) = result {
                        tracing::debug!(?peer, %error, "a connection broke off");
                    }
                    return;
                }
                () = lingered.as_mut(), if !is_stopping => {
                    is_stopping = true;
                    serving.as_mut().graceful_shutdown();
                }
                () = place.must_leave() => {
                    tracing::debug!(?peer, "a connection that kept us waiting made room for another");
                    return;
                }
                () = silence.as_mut(), if is_watched => {
                    if !place.seat().has_asked() {
                        tracing::debug!(?peer, "a connection sent no request in time");
                        return;
                    }
                    is_watched = false;
                }
            }
        }
    }
}

/// The next connection; none after a failure, which has been logged.
async fn next(listener: &Listener) -> Option<(Connection, Peer)> {
    match listener.accept().await {
        Ok(connection) => Some(connection),
        Err(error) => {
            tracing::warn!(%error, "a connection could not be taken");
            sleep(ACCEPT_REST).await;
            None
        }
    }
}

fn log_panic(joined: Result<(), tokio::task::JoinError>) {
    if let Err(error) = joined {
        tracing::error!(%error, "a connection ended by a panic");
    }
}

fn builder(limits: &Limits) -> Builder<TokioExecutor> {
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

fn service(
    router: Router,
    peer: Peer,
    seat: Arc<Seat>,
    shutdown: CancellationToken,
) -> impl Service<Request<Incoming>, Response = Response<Answering>, Error = Infallible, Future: Send + 'static>
{
    service_fn(move |request: Request<Incoming>| {
        let turn = seat.begin();
        let mut request = request.map(|body| Body::new(Awaited::new(body, Arc::clone(&seat))));
        request.extensions_mut().insert(peer);
        // HTTP/2 has a way of its own to say it.
        let says_close = request.version() < Version::HTTP_2;
        let (answer, shutdown) = (router.clone().oneshot(request), shutdown.clone());
        async move {
            let mut response = answer.await?;
            if says_close && shutdown.is_cancelled() {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response.map(|body| Answering::new(body, turn)))
        }
    })
}

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;
