//! `GET /v1/stats`: the statistics of the daemon.

use axum::Json;
use axum::extract::State;

use crate::api::error::ApiError;
use crate::api::openapi::responses::CommonErrors;
use crate::api::request::query::NoQuery;
use crate::api::state::{ApiState, run_blocking};
use crate::api::wire::stats::DaemonStatsBody;

/// Returns the statistics of the daemon.
///
/// Deliveries and subscriptions are counted as of now. Events and attempts are counted since the start of the process.
/// Rates and percentiles cover the last minute.
#[utoipa::path(
    get, path = "/v1/stats", tag = "daemon", operation_id = "get_stats",
    responses((status = 200, description = "The statistics.", body = DaemonStatsBody), CommonErrors),
)]
pub async fn stats(State(api): State<ApiState>, _: NoQuery) -> Result<Json<DaemonStatsBody>, ApiError> {
    run_blocking(move || {
        let numbers = api.flow.daemon_stats().map_err(|error| ApiError::internal(&error))?;
        Ok(Json(DaemonStatsBody::new(&numbers, api.flow.config().storage.disk_reserve)))
    })
    .await
}
