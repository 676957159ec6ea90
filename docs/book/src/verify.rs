use std::error::Error;

use http::HeaderMap;
use serde_json::Value;
use standardwebhooks::Webhook;

/// The event in a request, if it is genuine and new enough.
pub(crate) fn received(secret: &str, headers: &HeaderMap, body: &[u8]) -> Result<Value, Box<dyn Error>> {
    Webhook::new(secret)?.verify(body, headers)?;
    Ok(serde_json::from_slice(body)?)
}
