//! Forms that make something: each page of one carries a key, as a call carries an `Idempotency-Key`, so that a form
//! sent twice (a double click, a reload, a connection that broke) makes one thing.

use axum::response::Response;
use http::{HeaderValue, header};
use rand::RngExt as _;

use super::form::Form;
use super::guard;
use super::viewer::Viewer;
use crate::api::request::idempotency::IdempotencyKeyHeader;
use crate::store::IdempotentRequest;

/// A key for a form that is about to be shown.
pub(super) fn fresh() -> String {
    hex::encode(rand::rng().random::<[u8; 16]>())
}

/// The key that a form was sent with, for all that it asks for.
pub(super) fn of(viewer: &Viewer, route: &str, form: &Form, asked: &[u8]) -> Option<IdempotentRequest> {
    IdempotencyKeyHeader::from_form(&viewer.name, route, form.get("once")).with_body(asked)
}

/// A page with such a form. It is not kept: shown once more, it would have a key that is used up.
pub(super) fn html(template: &impl askama::Template) -> Response {
    let mut page = guard::html(template);
    page.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    page
}
