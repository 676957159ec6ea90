//! The media types of request bodies.

use axum::body::HttpBody as _;
use axum::extract::Request;
use http::{HeaderMap, header};

use crate::api::error::ApiError;

/// The media types of bodies that some route reads, for error texts.
pub const ANY_KNOWN: &str = "application/json or application/x-ndjson";

/// A media type of bodies that some route reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaType {
    /// A body of `application/json`.
    Json,
    /// A body of `application/x-ndjson`: one JSON value per line.
    Ndjson,
}

impl MediaType {
    /// Reads `Content-Type`; `None` if it is missing or names another type. Parameters such as `charset` are ignored.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
        let essence = text.split(';').next()?.trim_ascii();
        if essence.eq_ignore_ascii_case("application/json") {
            Some(Self::Json)
        } else if essence.eq_ignore_ascii_case("application/x-ndjson") {
            Some(Self::Ndjson)
        } else {
            None
        }
    }
}

/// Refuses a request with a body of a media type that no route reads.
///
/// The check applies also to routes that ignore their body, so that no form of a web page has an effect: a form
/// cannot send these media types.
///
/// # Errors
/// `unsupported-media-type`.
pub fn check(request: &Request) -> Result<(), ApiError> {
    if request.body().is_end_stream() || MediaType::of(request.headers()).is_some() {
        return Ok(());
    }
    Err(unsupported(request.headers(), ANY_KNOWN))
}

/// Returns the error for a body that is not of the `expected` media type.
pub fn unsupported(headers: &HeaderMap, expected: &'static str) -> ApiError {
    let given = headers.get(header::CONTENT_TYPE);
    let given = given.map_or_else(|| "missing".to_owned(), |given| format!("{given:?}"));
    ApiError::UnsupportedMediaType { given, expected }
}
