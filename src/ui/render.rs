//! Responses with a rendered template.

use axum::response::{Html, IntoResponse, Response};
use http::{HeaderValue, header};

use super::page_error::PageError;

/// Renders a page.
pub(super) fn html(template: &impl askama::Template) -> Response {
    match template.render() {
        Ok(text) => Html(text).into_response(),
        Err(error) => PageError::internal(&error).into_response(),
    }
}

/// Renders a page that contains a form key. The browser must not store it: a form key can be used only once.
pub(super) fn uncached_html(template: &impl askama::Template) -> Response {
    let mut page = html(template);
    page.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    page
}
