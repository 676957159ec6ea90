//! Errors of page handlers. The guard renders them in the viewer's language.

use std::borrow::Borrow;
use std::fmt;

use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::language::Language;
use super::localize::{localize, not_found, of_change};
use crate::api::error::ApiError;
use crate::flow::ChangeError;
use crate::model::problem::Message;

/// The reason why a page cannot be shown.
#[derive(Clone, Debug)]
pub(super) struct PageError {
    pub(super) status: StatusCode,
    /// The error in the API's words.
    pub(super) detail: String,
    /// The error as a message that can be localized, if there is one.
    message: Option<Message>,
}

impl PageError {
    /// Returns the error for something that does not exist.
    pub(super) fn not_found(what: &str, id: impl fmt::Display) -> Self {
        let message = not_found(what, &id);
        Self { message: Some(message), ..ApiError::not_found(what, id).into() }
    }

    /// Returns the error for a viewer who may not do something.
    pub(super) fn forbidden(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::FORBIDDEN, detail: detail.into(), message: None }
    }

    /// Returns the error for a status, with the path as its detail.
    pub(super) const fn at(status: StatusCode, path: String) -> Self {
        Self { status, detail: path, message: None }
    }

    /// Returns the error for a request that no page makes.
    pub(super) fn malformed(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, detail: detail.into(), message: None }
    }

    /// Logs an internal error and returns an error without its details.
    pub(super) fn internal(error: &dyn fmt::Debug) -> Self {
        ApiError::internal(error).into()
    }

    /// Returns the text of the error in a language.
    pub(super) fn text(&self, language: impl Borrow<Language>) -> String {
        let language = *language.borrow();
        self.message.as_ref().map_or_else(|| self.detail.clone(), |message| localize(language, message))
    }

    /// Returns the ID of the message for the page's title.
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

/// Puts the error in the extensions of the response, where the guard finds it.
impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
