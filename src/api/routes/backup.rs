//! A backup of everything, as a body that is made while it is read.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::{Uri, header};
use tokio::sync::mpsc;

use crate::api::openapi::responses::{Common, InConflict, NotNow};
use crate::api::problem::ApiError;
use crate::api::request::actor::By;
use crate::api::request::query::Params;
use crate::api::state::Api;
use crate::store::BackupError;

/// How many pieces are read ahead of the connection.
const PIECES_AHEAD: usize = 2;

/// Take a backup.
///
/// The whole log as it is when the body ends, and a checksum: `postrider restore` makes a data directory of it. Everything
/// goes on meanwhile. Secrets in it are sealed with the key file, which is not in it. A body that breaks off is no
/// backup. One is taken at a time.
#[utoipa::path(
    post, path = "/v1/backup", tag = "daemon", operation_id = "take_backup",
    responses(
        (status = 200, description = "The backup", body = String, content_type = "application/octet-stream", example = json!("postrider backup…")),
        Common, InConflict, NotNow,
    ),
)]
pub async fn backup(State(api): State<Api>, by: By, uri: Uri) -> Result<Response, ApiError> {
    Params::new(&uri, &[]).finish()?;
    let backup = api.flow.begin_backup(&by.0).await?;
    let (sender, pieces) = mpsc::channel(PIECES_AHEAD);
    let flow = api.flow.clone();
    // It ends by itself when the body is read to its end, or dropped.
    api.tasks.spawn(async move { flow.pour(backup, sender).await });
    let body = stream::unfold(pieces, async |mut pieces| Some((pieces.recv().await?, pieces)));
    let headers = [(header::CONTENT_TYPE, "application/octet-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(body)).into_response())
}

impl From<BackupError> for ApiError {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::Busy => Self::Conflict("another backup is under way: wait for its end".to_owned()),
            BackupError::Overrun | BackupError::Store(_) => Self::internal(&error),
        }
    }
}
