//! Probes: whether the daemon lives and is ready.

use axum::extract::State;

use crate::api::openapi::responses::NotNow;
use crate::api::problem::ApiError;
use crate::api::state::Api;

/// Answers as long as the process serves.
#[utoipa::path(
    get, path = "/healthz", tag = "daemon", operation_id = "get_health", security(()),
    responses((status = 200, description = "It lives", body = String, example = json!("ok\n"))),
)]
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// Answers 200 once events are taken, and 503 while starting, stopping, or after the store failed.
#[utoipa::path(
    get, path = "/readyz", tag = "daemon", operation_id = "get_readiness", security(()),
    responses((status = 200, description = "It is ready", body = String, example = json!("ready\n")), NotNow),
)]
pub async fn readyz(State(api): State<Api>) -> Result<&'static str, ApiError> {
    if api.flow.is_ready() {
        return Ok("ready\n");
    }
    Err(ApiError::Unavailable("the daemon is starting, stopping, or its store has failed"))
}
