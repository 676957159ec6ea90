//! What went wrong, for a person: a handler returns it, the guard makes a page of it in the viewer's language.

use std::fmt;

use axum::response::{IntoResponse, Response};
use http::StatusCode;

use crate::api::problem::Failure;
use crate::flow::subscriptions::ChangeError;

/// Why there is no page.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) status: StatusCode,
    /// In the API's words.
    pub(super) detail: String,
}

impl Fault {
    /// There is no such thing.
    pub(super) fn not_found(what: &str, id: impl fmt::Display) -> Self {
        Failure::no_such(what, id).into()
    }

    /// The viewer may not do that.
    pub(super) fn forbidden(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::FORBIDDEN, detail: detail.into() }
    }

    /// A request that no page of ours makes.
    pub(super) fn malformed(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, detail: detail.into() }
    }

    /// A fault of ours, which the log has in full.
    pub(super) fn internal(error: &dyn fmt::Debug) -> Self {
        Failure::internal(error).into()
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

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        Self { status: failure.status(), detail: failure.detail() }
    }
}

impl From<ChangeError> for Fault {
    fn from(error: ChangeError) -> Self {
        Failure::from(error).into()
    }
}

/// Carries itself to the guard.
impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
