//! `GET /healthz` and `GET /readyz`: probes for a supervisor or load balancer.

use axum::extract::State;

use crate::api::error::ApiError;
use crate::api::openapi::responses::UnavailableError;
use crate::api::state::ApiState;

/// Returns 200 while the process serves requests.
#[utoipa::path(
    get, path = "/healthz", tag = "daemon", operation_id = "get_health", security(()),
    responses((status = 200, description = "The process serves requests.", body = String, example = json!("ok\n"))),
)]
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// Returns 200 while the daemon accepts events.
///
/// Returns 503 while the daemon starts or stops, and after its store has failed.
#[utoipa::path(
    get, path = "/readyz", tag = "daemon", operation_id = "get_readiness", security(()),
    responses((status = 200, description = "The daemon accepts events.", body = String, example = json!("ready\n")), UnavailableError),
)]
pub async fn readyz(State(api): State<ApiState>) -> Result<&'static str, ApiError> {
    if api.flow.is_ready() {
        return Ok("ready\n");
    }
    Err(ApiError::Unavailable("the daemon is starting or stopping, or its store has failed: see its log"))
}
