//! The senders: connections that submit one request after the other, in a closed loop or at a fixed rate.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, StatusCode};
use tokio::sync::SemaphorePermit;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::scoreboard::Scoreboard;
use crate::console::client::{Client, Driver, read_answer};
use crate::model::time::Clock;

/// When an event is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum SendRate {
    /// As soon as the previous request is answered.
    Answer,
    /// As soon as the scoreboard's window has room.
    Window,
    /// At this many events per second, over all connections.
    PerSecond(f64),
}

/// The load that the senders create.
#[derive(Clone, Debug)]
pub(super) struct LoadPlan {
    /// The project of every event.
    pub(super) project: String,
    /// The number of connections.
    pub(super) connections: usize,
    /// The approximate size of `data` in bytes.
    pub(super) data_bytes: usize,
    /// The number of events in one request.
    pub(super) batch: usize,
    /// When requests are sent.
    pub(super) pace: SendRate,
}

/// Sends until `stop`, then waits for the outstanding responses.
///
/// # Errors
/// A response is not 202, or a connection breaks. The measurement would then be wrong.
pub(super) async fn send(
    client: &Arc<Client>,
    plan: &LoadPlan,
    board: &Arc<Scoreboard>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let mut senders = JoinSet::new();
    for number in 0..plan.connections {
        let sender = Sender {
            number,
            client: Arc::clone(client),
            plan: plan.clone(),
            board: Arc::clone(board),
            stop: stop.clone(),
        };
        senders.spawn(sender.run());
    }
    while let Some(joined) = senders.join_next().await {
        joined.context("a sender panicked")??;
    }
    Ok(())
}

struct Sender {
    number: usize,
    client: Arc<Client>,
    plan: LoadPlan,
    board: Arc<Scoreboard>,
    stop: CancellationToken,
}

impl Sender {
    async fn run(self) -> anyhow::Result<()> {
        let (mut requests, connection): (_, Driver) = self.client.connect().await?;
        let mut connections = JoinSet::new();
        connections.spawn(connection);
        let clock = Clock::system();
        let mut next = clock.instant() + self.interval(self.number);
        while self.may_send(next).await {
            next += self.interval(self.plan.connections);
            let (body, at) = self.body();
            let request = Request::post("/v1/events").header(CONTENT_TYPE, "application/json");
            let request = self.client.request(request, body)?;
            let response = requests
                .send_request(request)
                .await
                .context("the daemon closed the connection without an answer")?;
            let answer = read_answer(response).await?;
            if answer.status != StatusCode::ACCEPTED {
                bail!("the daemon answered {}: {}", answer.status, String::from_utf8_lossy(&answer.body));
            }
            self.board.record_accepted(self.plan.batch as u64, at);
        }
        Ok(())
    }

    /// Returns the time that a number of events takes at the chosen rate.
    fn interval(&self, events: usize) -> Duration {
        match self.plan.pace {
            SendRate::PerSecond(rate) => {
                Duration::from_secs_f64(super::figures::approximate(events as u64) / rate)
            }
            SendRate::Answer | SendRate::Window => Duration::ZERO,
        }
    }

    /// Waits until the next request may be sent. Returns false when the load has stopped.
    async fn may_send(&self, next: tokio::time::Instant) -> bool {
        let turn = async {
            match self.plan.pace {
                SendRate::Answer => true,
                SendRate::PerSecond(_) => {
                    tokio::time::sleep_until(next).await;
                    true
                }
                SendRate::Window => {
                    let events = u32::try_from(self.plan.batch).unwrap_or(u32::MAX);
                    let places = self.board.window.acquire_many(events).await;
                    places.map(SemaphorePermit::forget).is_ok()
                }
            }
        };
        tokio::select! {
            biased;
            () = self.stop.cancelled() => false,
            may_send = turn => may_send,
        }
    }

    /// Returns the body of a request, and the time at which its first event was made.
    fn body(&self) -> (Bytes, u64) {
        let LoadPlan { project, data_bytes, batch, .. } = &self.plan;
        let mut json = String::with_capacity(batch * (data_bytes + 64) + 2);
        if *batch == 1 {
            let at = self.event(project, *data_bytes, &mut json);
            return (json.into(), at);
        }
        let mut first = None;
        for _ in 0..*batch {
            json.push(if first.is_none() { '[' } else { ',' });
            let at = self.event(project, *data_bytes, &mut json);
            first.get_or_insert(at);
        }
        json.push(']');
        (json.into(), first.unwrap_or_default())
    }

    fn event(&self, project: &str, data_bytes: usize, json: &mut String) -> u64 {
        json.push_str("{\"type\":\"LOAD\",\"project\":\"");
        json.push_str(project);
        json.push_str("\",\"data\":");
        let at = self.board.next_data(data_bytes, json);
        json.push('}');
        at
    }
}
