//! The senders: connections that submit events one after the other, in a closed loop or at a given rate.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, StatusCode};
use tokio::sync::SemaphorePermit;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::board::Board;
use crate::console::client::{Client, Driver, read_answer};
use crate::model::time::Clock;

/// When an event is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Pace {
    /// As soon as the one before it is answered.
    Answer,
    /// As soon as there is a place in the board's window.
    Window,
    /// So many a second, over all connections.
    PerSecond(f64),
}

/// What is sent, and how.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// The project of every event.
    pub(super) project: String,
    /// How many connections send at once.
    pub(super) connections: usize,
    /// About how long `data` is.
    pub(super) data_bytes: usize,
    /// Events in a request.
    pub(super) batch: usize,
    /// When.
    pub(super) pace: Pace,
}

/// Sends until `stop`, then waits for the answers that are out.
///
/// # Errors
/// Any answer but 202, and connections that break off: what was measured then is something else.
pub(super) async fn send(
    client: &Arc<Client>,
    plan: &Plan,
    board: &Arc<Board>,
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
    plan: Plan,
    board: Arc<Board>,
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
            let response = requests.send_request(request).await.context("the daemon broke off")?;
            let answer = read_answer(response).await?;
            if answer.status != StatusCode::ACCEPTED {
                bail!("the daemon answered {}: {}", answer.status, String::from_utf8_lossy(&answer.body));
            }
            self.board.note_accepted(self.plan.batch as u64, at);
        }
        Ok(())
    }

    /// The time that so many events take at the rate that was asked for.
    fn interval(&self, events: usize) -> Duration {
        match self.plan.pace {
            Pace::PerSecond(rate) => {
                Duration::from_secs_f64(super::figures::approximate(events as u64) / rate)
            }
            Pace::Answer | Pace::Window => Duration::ZERO,
        }
    }

    /// Waits until the next request may go; false once there are to be no more.
    async fn may_send(&self, next: tokio::time::Instant) -> bool {
        let turn = async {
            match self.plan.pace {
                Pace::Answer => true,
                Pace::PerSecond(_) => {
                    tokio::time::sleep_until(next).await;
                    true
                }
                Pace::Window => {
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

    /// A request's body, and when its first event was made.
    fn body(&self) -> (Bytes, u64) {
        let Plan { project, data_bytes, batch, .. } = &self.plan;
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
