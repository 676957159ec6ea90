//! The service manager, in systemd's protocol: inherited sockets, status notifications and the watchdog. All functions
//! do nothing when no service manager started the process.

use std::convert::Infallible;
use std::time::Duration;

use anyhow::Context as _;
use libsystemd::daemon::{self, NotifyState};
use listenfd::ListenFd;
use rustix::time::{ClockId, clock_gettime};

use crate::api::serve::Inherited;
use crate::flow::Flow;

/// Takes over the sockets that the service manager opened. They replace `server.listen`.
///
/// # Errors
/// One of them is not a listening stream socket.
pub(super) fn sockets() -> anyhow::Result<Vec<Inherited>> {
    let mut inherited = ListenFd::from_env();
    (0..inherited.len()).map(|index| socket(&mut inherited, index)).collect()
}

fn socket(inherited: &mut ListenFd, index: usize) -> anyhow::Result<Inherited> {
    if let Ok(Some(listener)) = inherited.take_unix_listener(index) {
        return Ok(Inherited::Unix(listener));
    }
    let listener = inherited.take_tcp_listener(index);
    let listener = listener
        .and_then(|found| found.ok_or_else(|| std::io::Error::other("the descriptor is already in use")));
    let context = || format!("failed to take over socket {index} of the service manager");
    listener.map(Inherited::Tcp).with_context(context)
}

/// Returns the environment variable that sets `server.listen` to the addresses of the sockets.
pub(super) fn listen_variable(sockets: &[Inherited]) -> anyhow::Result<Option<(String, String)>> {
    if sockets.is_empty() {
        return Ok(None);
    }
    let mut listens = Vec::with_capacity(sockets.len());
    for socket in sockets {
        let listen = socket.listen().context("failed to use a socket of the service manager")?;
        listens.push(serde_json::Value::from(listen.to_string()));
    }
    Ok(Some(("POSTRIDER_SERVER__LISTEN".to_owned(), serde_json::Value::from(listens).to_string())))
}

/// Notifies that the daemon is ready, after a start or a reload.
pub(super) fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status.to_owned())]);
}

/// Notifies that the daemon reloads its configuration. [`ready`] must follow.
pub(super) fn reloading() {
    let now = clock_gettime(ClockId::Monotonic);
    let now_us = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
    notify(&[NotifyState::Reloading, NotifyState::Other(format!("MONOTONIC_USEC={now_us}"))]);
}

/// Notifies that the daemon is stopping.
pub(super) fn stopping() {
    notify(&[NotifyState::Stopping, NotifyState::Status("finishing the attempts in flight".to_owned())]);
}

fn notify(state: &[NotifyState]) {
    if let Err(error) = daemon::notify(false, state) {
        tracing::error!(%error, "failed to notify the service manager: it may restart the daemon");
    }
}

/// Notifies the watchdog twice in its interval, as long as the daemon makes progress. Never returns.
pub(super) async fn run_watchdog(flow: Flow) -> Infallible {
    let Some(limit) = daemon::watchdog_enabled(false).filter(|limit| *limit > Duration::ZERO) else {
        return std::future::pending().await;
    };
    let mut turns = tokio::time::interval(limit / 2);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        match tokio::time::timeout(limit / 2, flow.heartbeat()).await {
            Ok(Ok(())) => notify(&[NotifyState::Watchdog]),
            Ok(Err(error)) => tracing::error!(%error, "the log does not respond"),
            Err(_) => tracing::error!(
                secs = (limit / 2).as_secs_f64(),
                "the log and the timers did not respond in time: the watchdog is not notified"
            ),
        }
    }
}
