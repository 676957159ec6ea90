//! `Idempotency-Key`: a call made again within 24 hours does nothing again and gets the same answer.

use axum::extract::FromRequestParts;
use axum::response::Response;
use http::HeaderValue;
use http::request::Parts;
use ring::digest::{Context, SHA256};

use crate::api::caller::Caller;
use crate::api::error::ApiError;
use crate::store::OnceKey;

const HEADER: &str = "idempotency-key";
const REPLAYED: &str = "idempotency-mark_replayed";
const KEY_BYTES_MAX: usize = 255;

/// The key of a call, if it has one.
#[derive(Clone, Copy, Debug)]
pub struct IdempotencyKeyHeader(Option<[u8; 16]>);

impl IdempotencyKeyHeader {
    /// The key that a form carries in the place of the header, for the caller and the route.
    pub fn from_form(caller: &str, route: &str, key: &str) -> Self {
        let is_key = (1..=KEY_BYTES_MAX).contains(&key.len());
        Self(is_key.then(|| digest(&[caller.as_bytes(), route.as_bytes(), key.as_bytes()])))
    }

    /// The key together with the body, which has to be the same each time.
    pub fn with_body(self, body: &[u8]) -> Option<OnceKey> {
        self.0.map(|key| OnceKey { key, fingerprint: digest(&[body]) })
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
            let detail =
                format!("Idempotency-Key has to be one of 1 to {KEY_BYTES_MAX} visible ASCII characters");
            return Err(ApiError::malformed(detail));
        }
        // Another caller's key, or another route's, is another key.
        let caller = parts.extensions.get::<Caller>().map_or("", Caller::name);
        let route = format!("{} {}", parts.method, parts.uri.path());
        Ok(Self(Some(digest(&[caller.as_bytes(), route.as_bytes(), key]))))
    }
}

/// Half of a SHA-256, with each part's length before it so that no two lists of parts are the same text.
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

/// Marks the answer if it is that of an earlier call.
pub fn mark_replayed(mut answer: Response, is_repeat: bool) -> Response {
    if is_repeat {
        answer.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    answer
}
