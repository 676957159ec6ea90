//! `POST /v1/backup`: backups of the data directory.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::header;
use tokio::sync::mpsc;

use crate::api::error::ApiError;
use crate::api::openapi::responses::{CommonErrors, ConflictError, UnavailableError};
use crate::api::request::actor::AuditActor;
use crate::api::request::query::NoQuery;
use crate::api::state::ApiState;
use crate::store::BackupError;

/// The most pieces of the backup that are prepared before the caller reads them.
const PIECES_AHEAD: usize = 2;

/// Takes a backup of the whole log.
///
/// The body is a file for `postrider restore`, which creates a data directory from it. It holds the log as of the end of
/// the response, followed by a checksum. The daemon continues to work meanwhile. The secrets in the backup are encrypted
/// with the key file, which the backup does not contain. A response that ends early is not a valid backup. Only one
/// backup can run at a time.
#[utoipa::path(
    post, path = "/v1/backup", tag = "daemon", operation_id = "take_backup",
    responses(
        (status = 200, description = "The backup.", body = String, content_type = "application/octet-stream", example = json!("postrider backup…")),
        CommonErrors, ConflictError, UnavailableError,
    ),
)]
pub async fn backup(
    State(api): State<ApiState>,
    AuditActor(actor): AuditActor,
    _: NoQuery,
) -> Result<Response, ApiError> {
    let backup = api.flow.begin_backup(&actor).await?;
    let (sender, pieces) = mpsc::channel(PIECES_AHEAD);
    let flow = api.flow.clone();
    // The task ends when the caller has read the whole body, or has disconnected.
    api.tasks.spawn(async move { flow.stream_backup(backup, sender).await });
    let body = stream::unfold(pieces, async |mut pieces| Some((pieces.recv().await?, pieces)));
    let headers = [(header::CONTENT_TYPE, "application/octet-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(body)).into_response())
}

impl From<BackupError> for ApiError {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::Busy => Self::Conflict("another backup is running: wait until it ends".to_owned()),
            BackupError::Overrun | BackupError::Store(_) => Self::internal(&error),
        }
    }
}
