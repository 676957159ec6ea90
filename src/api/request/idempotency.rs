//! `Idempotency-Key`: a header that makes requests safe to retry.
//!
//! For 24 hours, a request with the same key and the same body does nothing and returns the response of the first one.

use axum::extract::FromRequestParts;
use axum::response::Response;
use http::HeaderValue;
use http::request::Parts;
use ring::digest::{Context, SHA256};

use crate::api::caller::Caller;
use crate::api::error::ApiError;
use crate::store::IdempotentRequest;

const HEADER: &str = "idempotency-key";
const REPLAYED: &str = "idempotency-replayed";
const KEY_BYTES_MAX: usize = 255;

/// Extracts the idempotency key of a request, if it has one.
///
/// Keys of different callers or routes never collide.
#[derive(Clone, Copy, Debug)]
pub struct IdempotencyKeyHeader(Option<[u8; 16]>);

impl IdempotencyKeyHeader {
    /// Returns the key that a form of the web page carries instead of the header.
    pub fn from_form(caller: &str, route: &str, key: &str) -> Self {
        let is_key = (1..=KEY_BYTES_MAX).contains(&key.len());
        Self(is_key.then(|| digest(&[caller.as_bytes(), route.as_bytes(), key.as_bytes()])))
    }

    /// Returns the key together with the body that every request with the key must have; `None` without a key.
    pub fn with_body(self, body: &[u8]) -> Option<IdempotentRequest> {
        self.0.map(|key| IdempotentRequest { key, fingerprint: digest(&[body]) })
    }
}

impl<S: Sync> FromRequestParts<S> for IdempotencyKeyHeader {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let mut values = parts.headers.get_all(HEADER).iter();
        let Some(value) = values.next() else { return Ok(Self(None)) };
        let key = value.as_bytes();
        let is_visible = !key.is_empty() && key.iter().all(u8::is_ascii_graphic);
        if values.next().is_some() || !is_visible || key.len() > KEY_BYTES_MAX {
            let detail = format!(
                "Idempotency-Key must be given once, and have 1 to {KEY_BYTES_MAX} visible ASCII characters"
            );
            return Err(ApiError::malformed(detail));
        }
        let caller = parts.extensions.get::<Caller>().map_or("", Caller::name);
        let route = format!("{} {}", parts.method, parts.uri.path());
        Ok(Self(Some(digest(&[caller.as_bytes(), route.as_bytes(), key]))))
    }
}

/// Returns the first half of the SHA-256 digest of all parts.
///
/// The length of each part precedes it, so that different lists of parts never have the same digest.
fn digest(parts: &[&[u8]]) -> [u8; 16] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut half = [0; 16];
    half.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    half
}

/// Adds `Idempotency-Replayed` to a response that repeats the result of an earlier request.
pub fn mark_replayed(mut response: Response, is_repeat: bool) -> Response {
    if is_repeat {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}
