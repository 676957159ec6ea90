//! What went wrong, for a person: a handler returns it, the guard makes a page of it in the viewer's language.

use std::fmt;

use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::explain::{explain, no_such, of_change};
use super::viewer::Viewer;
use crate::api::error::ApiError;
use crate::flow::ChangeError;
use crate::model::problem::Message;

/// Why there is no page.
#[derive(Clone, Debug)]
pub(super) struct PageError {
    pub(super) status: StatusCode,
    /// In the API's words.
    pub(super) detail: String,
    /// The same for other languages, where they have it.
    message: Option<Message>,
}

impl PageError {
    /// There is no such thing.
    pub(super) fn not_found(what: &str, id: impl fmt::Display) -> Self {
        let message = no_such(what, &id);
        Self { message: Some(message), ..ApiError::not_found(what, id).into() }
    }

    /// The viewer may not do that.
    pub(super) fn forbidden(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::FORBIDDEN, detail: detail.into(), message: None }
    }

    /// What that status says of a path.
    pub(super) const fn at(status: StatusCode, path: String) -> Self {
        Self { status, detail: path, message: None }
    }

    /// A request that no page of ours makes.
    pub(super) fn malformed(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, detail: detail.into(), message: None }
    }

    /// A fault of ours, which the log has in full.
    pub(super) fn internal(error: &dyn fmt::Debug) -> Self {
        ApiError::internal(error).into()
    }

    /// What went wrong, to that viewer.
    pub(super) fn said(&self, v: &Viewer) -> String {
        self.message.as_ref().map_or_else(|| self.detail.clone(), |message| explain(v.language, message))
    }

    /// The message that tells what this kind of fault means.
    pub(super) const fn key(&self) -> &'static str {
        match self.status {
            StatusCode::NOT_FOUND => "fault-not-found",
            StatusCode::FORBIDDEN => "fault-forbidden",
            StatusCode::CONFLICT => "fault-conflict",
            status if status.as_u16() < 500 => "fault-request",
            _ => "fault-internal",
        }
    }
}

impl From<ApiError> for PageError {
    fn from(failure: ApiError) -> Self {
        Self { status: failure.status(), detail: failure.detail(), message: None }
    }
}

impl From<ChangeError> for PageError {
    fn from(error: ChangeError) -> Self {
        let message = of_change(&error);
        Self { message, ..ApiError::from(error).into() }
    }
}

/// Carries itself to the guard.
impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
