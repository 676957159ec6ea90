//! The service manager that started the process, in systemd's protocol: the sockets that it hands over, what it is
//! told, and its watchdog. Without one nothing of this does anything.

use std::convert::Infallible;
use std::time::Duration;

use anyhow::Context as _;
use libsystemd::daemon::{self, NotifyState};
use listenfd::ListenFd;
use rustix::time::{ClockId, clock_gettime};

use crate::api::serve::Inherited;
use crate::flow::Flow;

/// The sockets that were handed over; they take the place of `server.listen`.
///
/// # Errors
/// When one of them is no listening stream socket.
pub(super) fn sockets() -> anyhow::Result<Vec<Inherited>> {
    let mut handed = ListenFd::from_env();
    (0..handed.len()).map(|index| socket(&mut handed, index)).collect()
}

fn socket(handed: &mut ListenFd, index: usize) -> anyhow::Result<Inherited> {
    if let Ok(Some(listener)) = handed.take_unix_listener(index) {
        return Ok(Inherited::Unix(listener));
    }
    let listener = handed.take_tcp_listener(index);
    let listener = listener.and_then(|found| found.ok_or_else(|| std::io::Error::other("it is gone")));
    let context = || format!("failed to take over socket {index} of those that were handed over");
    listener.map(Inherited::Tcp).with_context(context)
}

/// The variable that has the configuration name the sockets that were handed over, and nothing else.
pub(super) fn listen_variable(sockets: &[Inherited]) -> anyhow::Result<Option<(String, String)>> {
    if sockets.is_empty() {
        return Ok(None);
    }
    let mut listens = Vec::with_capacity(sockets.len());
    for socket in sockets {
        let listen = socket.listen().context("failed to use a socket that was handed over")?;
        listens.push(serde_json::Value::from(listen.to_string()));
    }
    Ok(Some(("POSTRIDER_SERVER__LISTEN".to_owned(), serde_json::Value::from(listens).to_string())))
}

/// The daemon is ready, for the first time or again.
pub(super) fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status.to_owned())]);
}

/// The configuration is being read again; [`ready`] has to follow.
pub(super) fn reloading() {
    let now = clock_gettime(ClockId::Monotonic);
    let now_us = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
    notify(&[NotifyState::Reloading, NotifyState::Other(format!("MONOTONIC_USEC={now_us}"))]);
}

/// The daemon is stopping.
pub(super) fn stopping() {
    notify(&[NotifyState::Stopping, NotifyState::Status("finishing the attempts in flight".to_owned())]);
}

fn notify(state: &[NotifyState]) {
    if let Err(error) = daemon::notify(false, state) {
        tracing::error!(%error, "failed to tell the service manager: it may think that the daemon hangs");
    }
}

/// Tells the watchdog, if the service manager has one, twice in its time, but only while the daemon shows signs of
/// life.
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
            Ok(Err(error)) => tracing::error!(%error, "the log shows no sign of life"),
            Err(_) => tracing::error!(
                secs = (limit / 2).as_secs_f64(),
                "no sign of life from the log and the timers; the service manager is not told that all is well"
            ),
        }
    }
}
