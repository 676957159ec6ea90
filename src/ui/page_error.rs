//! What went wrong, for a person: a handler returns it, the guard makes a page of it in the viewer's language.

use std::borrow::Borrow;
use std::fmt;

use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::language::Language;
use super::localize::{localize, not_found, of_change};
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
        let message = not_found(what, &id);
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
    pub(super) fn text(&self, language: impl Borrow<Language>) -> String {
        let language = *language.borrow();
        self.message.as_ref().map_or_else(|| self.detail.clone(), |message| localize(language, message))
    }

    /// The message that tells what this kind of fault means.
    pub(super) const fn title_id(&self) -> &'static str {
        match self.status {
            StatusCode::NOT_FOUND => "page-error-not-found",
            StatusCode::FORBIDDEN => "page-error-forbidden",
            StatusCode::CONFLICT => "page-error-conflict",
            status if status.as_u16() < 500 => "page-error-request",
            _ => "page-error-internal",
        }
    }
}

impl From<ApiError> for PageError {
    fn from(error: ApiError) -> Self {
        Self { status: error.status(), detail: error.detail(), message: None }
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
