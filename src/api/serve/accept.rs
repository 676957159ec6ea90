//! The accept loop: takes connections from a listener and runs each in a task of its own.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::connection::Connections;
use super::connection_limit::ConnectionLimit;
use super::limits::Limits;
use super::listener::{Listener, Stream};
use super::tls::Tls;
use crate::api::caller::Peer;

/// The pause of the accept loop after a connection could not be accepted, usually for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `router` on every listener until `shutdown`, and returns when every connection is closed.
///
/// TCP listeners speak TLS if `tls` is given. On shutdown the listeners accept no more connections. An open connection
/// closes after its next response, or after a quarter of a second if no request comes. Requests that are still open
/// after [`Limits::shutdown_timeout`] are cut off.
pub async fn serve(
    listeners: Vec<Listener>,
    router: Router,
    tls: Option<Tls>,
    limits: Limits,
    shutdown: CancellationToken,
) {
    let connection_limit = ConnectionLimit::new(limits.connections_max);
    let mut loops = JoinSet::new();
    for listener in listeners {
        let connections =
            Connections { router: router.clone(), tls: tls.clone(), limits, shutdown: shutdown.clone() };
        loops.spawn(accept_loop(listener, connections, Arc::clone(&connection_limit)));
    }
    while let Some(joined) = loops.join_next().await {
        if let Err(error) = joined {
            tracing::error!(%error, "an accept loop panicked; its listener is closed");
        }
    }
}

/// Accepts connections until the stop, then waits for them to finish.
///
/// The loop accepts at most one connection more than the limit permits: the one that waits for a permit. Further
/// connections wait in the kernel's queue.
async fn accept_loop(listener: Listener, connections: Connections, limit: Arc<ConnectionLimit>) {
    let mut tasks = JoinSet::new();
    let mut waiting = None;
    loop {
        tokio::select! {
            biased;
            () = connections.shutdown.cancelled() => break,
            Some(joined) = tasks.join_next() => log_panic(joined),
            accepted = accept(&listener), if waiting.is_none() => waiting = accepted,
            Some(permit) = limit.acquire(), if waiting.is_some() => {
                let Some((stream, peer)) = waiting.take() else { continue };
                tasks.spawn(connections.clone().serve(stream, peer, permit));
            }
        }
    }
    drop(listener);
    let finished = async {
        // Its client sees an accepted connection and can be in the middle of a request, so it is served too.
        if let Some((stream, peer)) = waiting
            && let Some(permit) = limit.acquire().await
        {
            tasks.spawn(connections.clone().serve(stream, peer, permit));
        }
        while let Some(joined) = tasks.join_next().await {
            log_panic(joined);
        }
    };
    if tokio::time::timeout(connections.limits.shutdown_timeout, finished).await.is_err() {
        tracing::warn!(connections = tasks.len(), "the stop timed out: open requests were cut off");
        tasks.shutdown().await;
    }
}

/// Waits for the next connection; returns `None` after a failure, which it logs. Cancel safe.
async fn accept(listener: &Listener) -> Option<(Stream, Peer)> {
    match listener.accept().await {
        Ok(connection) => Some(connection),
        Err(error) => {
            tracing::warn!(%error, "failed to accept a connection");
            sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

fn log_panic(joined: Result<(), tokio::task::JoinError>) {
    if let Err(error) = joined {
        tracing::error!(%error, "the task of a connection panicked; the connection is closed");
    }
}
