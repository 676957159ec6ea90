//! `GET /openapi.json`: the OpenAPI document.

use axum::extract::State;
use axum::response::IntoResponse;
use http::header;

use crate::api::openapi::responses::CommonErrors;
use crate::api::state::ApiState;

/// Returns this OpenAPI document.
#[utoipa::path(
    get, path = "/openapi.json", tag = "daemon", operation_id = "get_openapi",
    responses((status = 200, description = "The OpenAPI 3.1 document.", body = Object, example = json!({ "openapi": "3.1.0" })), CommonErrors),
)]
pub async fn get(State(api): State<ApiState>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], api.document.as_str())
}
