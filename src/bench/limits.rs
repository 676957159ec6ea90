//! The upper bounds of ingest: HTTP without a log, and the log without HTTP.
//!
//! Ingest cannot be faster than either. The distance to them is the cost of the code between.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use http::{StatusCode, header};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::figures::Figures;
use super::scoreboard::Scoreboard;
use super::steady::{Measured, MeasurementWindow};
use crate::api::request::submission::{self, Submission};
use crate::api::serve::{Limits, Listener, serve};
use crate::config::Listen;
use crate::model::time::Clock;
use crate::store::{Append, Store, StoreOptions, open};

const BODY_BYTES_MAX: usize = 1 << 20;
/// A response with the length of the real response to one event.
const ANSWER: &[u8] = br#"{"id":"evt_00000000000000000000000000","matched":0,"duplicate":false}"#;
const CACHE_BYTES: u64 = 32 << 20;
const QUEUE_STEPS_MAX: usize = 10_000;

/// Serves the HTTP part of ingest forever: reads and checks events, and answers without storing them.
///
/// # Errors
/// The address cannot be bound.
pub(super) async fn serve_http(address: SocketAddr) -> anyhow::Result<()> {
    let listener = Listener::bind(&Listen::Tcp(address), 0).await?;
    let router =
        Router::new().route("/v1/events", post(answer)).route("/readyz", get(async || StatusCode::OK));
    serve(vec![listener], router, None, Limits::default(), CancellationToken::new()).await;
    Ok(())
}

async fn answer(request: Request) -> Response {
    let Ok(body) = axum::body::to_bytes(request.into_body(), BODY_BYTES_MAX).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    match submission::read_json(&body, 1) {
        Ok(Submission::One(_)) => {
            let json = Bytes::from_static(ANSWER);
            (StatusCode::ACCEPTED, [(header::CONTENT_TYPE, "application/json")], json).into_response()
        }
        _ => StatusCode::UNPROCESSABLE_ENTITY.into_response(),
    }
}

/// Measures how fast the log makes events durable, with one sender for each connection of the other modes.
///
/// # Errors
/// The log cannot be opened or written.
pub(super) async fn store(measurement: &MeasurementWindow, parent: &Path) -> anyhow::Result<Figures> {
    let directory = tempfile::tempdir_in(parent).context("failed to make a temporary directory")?;
    let path = directory.path().join("data");
    let measurement = measurement.clone();
    let measured = tokio::task::spawn_blocking(move || {
        // The same number of threads as the daemon.
        tokio::runtime::Runtime::new()?.block_on(append(measurement, path))
    });
    measured.await.context("the run panicked")?
}

async fn append(measurement: MeasurementWindow, path: std::path::PathBuf) -> anyhow::Result<Figures> {
    let options = StoreOptions {
        path,
        cache_bytes: CACHE_BYTES,
        dedup_window: Duration::from_hours(24),
        queue_steps_max: QUEUE_STEPS_MAX,
        key_file: None,
    };
    let opened = open(&options, Clock::system(), StdRng::from_rng(&mut rand::rng()), &mut |_| {})?;
    let mut committer = JoinSet::new();
    committer.spawn(opened.committer.run());
    let (board, stop) = (Arc::new(Scoreboard::new(0, 0)), CancellationToken::new());
    let mut senders = JoinSet::new();
    for _ in 0..measurement.plan.connections {
        senders.spawn(append_one_by_one(
            opened.store.clone(),
            measurement.clone(),
            Arc::clone(&board),
            stop.clone(),
        ));
    }
    let measured = Measured::of(&measurement, &board, Some(std::process::id()), &stop).await?;
    while let Some(joined) = senders.join_next().await {
        joined.context("a sender panicked")??;
    }
    drop((opened.store, opened.reader));
    while let Some(ended) = committer.join_next().await {
        ended.context("the committer panicked")??;
    }
    opened.released.wait().await;
    Ok(measured.figures(false, &board))
}

async fn append_one_by_one(
    store: Store,
    measurement: MeasurementWindow,
    board: Arc<Scoreboard>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    while !stop.is_cancelled() {
        let mut json = format!("{{\"type\":\"LOAD\",\"project\":\"{}\",\"data\":", measurement.plan.project);
        let at = board.next_data(measurement.plan.data_bytes, &mut json);
        json.push('}');
        let content = submission::read_one(&json.into());
        let content = content.map_err(|error| anyhow::anyhow!("the run made an invalid event: {error:?}"))?;
        let (answer, answered) = oneshot::channel();
        let place = store.reserve().await?;
        place.append(vec![Append { content, targets: Vec::new() }], move |result| drop(answer.send(result)));
        answered.await.context("the log did not answer")??;
        board.record_accepted(1, at);
    }
    Ok(())
}
