//! The daemon in numbers.

use axum::Json;
use axum::extract::State;
use http::Uri;

use super::page::Params;
use super::problem::ApiError;
use super::refusals::Common;
use super::wire::stats::NumbersBody;
use super::{Api, blocking};

/// The daemon in numbers, now.
///
/// Deliveries and subscriptions are counted as they stand; events and attempts since the start of the process; rates
/// and percentiles over the last minute.
#[utoipa::path(
    get, path = "/v1/stats", tag = "daemon", operation_id = "get_stats",
    responses((status = 200, description = "Every number", body = NumbersBody), Common),
)]
pub async fn stats(State(api): State<Api>, uri: Uri) -> Result<Json<NumbersBody>, ApiError> {
    Params::new(&uri, &[]).finish()?;
    blocking(move || {
        let numbers = api.flow.numbers().map_err(|error| ApiError::internal(&error))?;
        Ok(Json(NumbersBody::new(&numbers, api.flow.config().storage.disk_reserve)))
    })
    .await
}
