//! The daemon in numbers.

use axum::Json;
use axum::extract::State;
use http::Uri;

use crate::api::openapi::responses::Common;
use crate::api::problem::ApiError;
use crate::api::request::query::Params;
use crate::api::state::{Api, blocking};
use crate::api::wire::stats::NumbersBody;

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
