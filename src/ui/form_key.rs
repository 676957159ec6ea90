//! Idempotency keys of forms that create something.
//!
//! Each such page carries a key, as an API call carries an `Idempotency-Key`. A form that is sent twice, by a double
//! click, a reload or a broken connection, then creates one thing.

use rand::RngExt as _;

use super::form::Form;
use super::viewer::Viewer;
use crate::api::request::idempotency::IdempotencyKeyHeader;
use crate::store::IdempotentRequest;

/// Generates the key of a form that is about to be shown.
pub(super) fn generate() -> String {
    hex::encode(rand::rng().random::<[u8; 16]>())
}

/// Returns the idempotency key of a submitted form. `route` and `body` say what the form asks for.
pub(super) fn of_form(viewer: &Viewer, route: &str, form: &Form, body: &[u8]) -> Option<IdempotentRequest> {
    IdempotencyKeyHeader::from_form(&viewer.name, route, form.get("once")).with_body(body)
}
