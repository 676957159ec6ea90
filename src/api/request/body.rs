//! Request bodies, with limits on their size and on the time that they may take.

use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use serde_json::{Map, Value};

use super::media_type::{ANY_KNOWN, MediaType, unsupported};
use crate::api::error::ApiError;
use crate::flow::Flow;
use crate::flow::intake::BodyPermit;
use crate::model::setting::reader::kind;

/// The longest time from the head of a request to the last byte of its body.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// A request's body, with the memory reserved for it.
#[derive(Debug)]
pub struct RequestBody {
    /// The media type of the body.
    pub media_type: MediaType,
    /// The whole body.
    pub bytes: Bytes,
    /// The reservation of the memory. Keep it as long as the bytes.
    pub permit: BodyPermit,
}

/// Reads a body of `application/json` or `application/x-ndjson`.
///
/// Memory is reserved as the body arrives, so that a caller who sends nothing reserves nothing.
///
/// # Errors
/// If the body is of another media type, larger than `server.body_bytes_max`, not complete within [`BODY_TIMEOUT`], or if
/// bodies already use as much memory as they may.
pub async fn read(request: Request, flow: &Flow) -> Result<RequestBody, ApiError> {
    let bytes_max = flow.config().server.body_bytes_max;
    read_within(request, bytes_max, |permit, bytes| Ok(flow.reserve_body(permit, bytes)?)).await
}

async fn read_within(
    request: Request,
    bytes_max: usize,
    reserve: impl Fn(&mut BodyPermit, usize) -> Result<(), ApiError>,
) -> Result<RequestBody, ApiError> {
    let media_type =
        MediaType::of(request.headers()).ok_or_else(|| unsupported(request.headers(), ANY_KNOWN))?;
    let collecting = collect(request.into_body(), bytes_max, reserve);
    match tokio::time::timeout(BODY_TIMEOUT, collecting).await {
        Ok(collected) => collected.map(|(bytes, permit)| RequestBody { media_type, bytes, permit }),
        Err(_) => Err(ApiError::BodyTimeout(BODY_TIMEOUT)),
    }
}

/// Collects a whole body, and reserves memory for each piece of it.
async fn collect(
    mut body: Body,
    bytes_max: usize,
    reserve: impl Fn(&mut BodyPermit, usize) -> Result<(), ApiError>,
) -> Result<(Bytes, BodyPermit), ApiError> {
    let too_large =
        || ApiError::TooLarge(format!("the body is larger than server.body_bytes_max = {bytes_max} bytes"));
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(too_large());
    }
    let mut permit = BodyPermit::default();
    let mut whole = Bytes::new();
    // A body of several pieces is copied into one buffer, so that its pieces do not keep the connection's read buffers
    // alive.
    let mut pieces = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|error| ApiError::malformed(format_args!("the body ended early: {error}")))?;
        let Ok(piece) = frame.into_data() else { continue };
        if whole.len() + pieces.len() + piece.len() > bytes_max {
            return Err(too_large());
        }
        reserve(&mut permit, piece.len())?;
        if pieces.is_empty() && whole.is_empty() {
            whole = piece;
            continue;
        }
        if pieces.is_empty() {
            pieces.extend_from_slice(&std::mem::take(&mut whole));
        }
        pieces.extend_from_slice(&piece);
    }
    Ok((if pieces.is_empty() { whole } else { pieces.freeze() }, permit))
}

/// Reads a body of `application/json`.
///
/// # Errors
/// See [`read`].
pub async fn read_json(request: Request, flow: &Flow) -> Result<Bytes, ApiError> {
    if MediaType::of(request.headers()) == Some(MediaType::Json) {
        return read(request, flow).await.map(|read| read.bytes);
    }
    Err(unsupported(request.headers(), "application/json"))
}

/// Reads a body that is a JSON object, and returns its members.
///
/// # Errors
/// See [`read`], and if the body is not a JSON object.
pub async fn read_members(request: Request, flow: &Flow) -> Result<Map<String, Value>, ApiError> {
    members(&read_json(request, flow).await?)
}

/// Returns the members of a JSON object.
///
/// # Errors
/// If the body is not a JSON object.
pub fn members(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(other) => Err(ApiError::malformed(format_args!("is {}: expected a JSON object", kind(&other)))),
        Err(error) => Err(ApiError::malformed(error)),
    }
}

/// Reads an optional body of `application/json`; returns no bytes if there is none, or if it is `null`.
///
/// Without a body, `Content-Type` is ignored.
///
/// # Errors
/// See [`read`].
pub async fn read_optional_json(request: Request, flow: &Flow) -> Result<Bytes, ApiError> {
    if request.body().is_end_stream() {
        return Ok(Bytes::new());
    }
    let bytes = read_json(request, flow).await?;
    Ok(if bytes.trim_ascii() == b"null" { Bytes::new() } else { bytes })
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;
    use crate::flow::intake::BodyBudget;

    fn request(media_type: &str, body: Body) -> Request {
        Request::builder().header("content-type", media_type).body(body).unwrap()
    }

    fn within(room: &BodyBudget) -> impl Fn(&mut BodyPermit, usize) -> Result<(), ApiError> {
        |permit, bytes| if room.reserve(permit, bytes) { Ok(()) } else { Err(ApiError::malformed("no room")) }
    }

    fn chunks(count: usize) -> Body {
        let chunks = std::iter::repeat_n(Bytes::from_static(b"12345"), count);
        Body::from_stream(stream::iter(chunks.map(Ok::<_, std::io::Error>)))
    }

    #[tokio::test]
    async fn bodies_of_other_media_types_are_refused() {
        for (text, expected) in [
            ("application/json", Some(MediaType::Json)),
            ("Application/JSON; charset=utf-8", Some(MediaType::Json)),
            ("application/x-ndjson", Some(MediaType::Ndjson)),
            ("text/plain", None),
            ("application/jsonp", None),
            ("", None),
        ] {
            let read = read_within(request(text, Body::from("{}")), 2, within(&BodyBudget::new(100))).await;
            assert_eq!(read.ok().map(|read| read.media_type), expected, "{text}");
        }
        assert!(read_within(Request::new(Body::from("{}")), 2, within(&BodyBudget::new(100))).await.is_err());
    }

    #[tokio::test]
    async fn the_size_of_a_body_is_limited_with_and_without_content_length() {
        for (body, fits) in [
            (Body::from("1234567890"), true),
            (Body::from("12345678901"), false),
            (chunks(2), true),
            (chunks(3), false),
        ] {
            match read_within(request("application/json", body), 10, within(&BodyBudget::new(100))).await {
                Ok(read) => assert!(fits && read.bytes.len() == 10),
                Err(failure) => assert!(!fits && matches!(failure, ApiError::TooLarge(_)), "{failure:?}"),
            }
        }
    }

    #[tokio::test]
    async fn a_body_reserves_memory_as_it_arrives_and_frees_it_when_dropped() {
        let room = BodyBudget::new(12);
        let read = read_within(request("application/json", chunks(2)), 100, within(&room)).await.unwrap();
        assert_eq!((&*read.bytes, room.usage()), (&b"1234512345"[..], (10, 12)));
        assert!(read_within(request("application/json", chunks(1)), 100, within(&room)).await.is_err());
        drop(read);
        assert!(read_within(request("application/json", chunks(3)), 100, within(&room)).await.is_err());
        assert_eq!(room.usage(), (0, 12));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_end_times_out() {
        let body = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        let failure = read_within(request("application/json", body), 10, within(&BodyBudget::new(100)))
            .await
            .unwrap_err();
        assert!(matches!(failure, ApiError::BodyTimeout(BODY_TIMEOUT)), "{failure:?}");
    }
}
