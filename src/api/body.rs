//! Request bodies: their type, their size and the time that they may take.

use std::error::Error;
use std::time::Duration;

use axum::body::HttpBody as _;
use axum::extract::Request;
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::LengthLimitError;
use serde_json::{Map, Value};

use super::problem::Failure;
use crate::model::input::kind;

/// How long a body may take from its head to its last byte.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(30);

const EITHER: &str = "application/json or application/x-ndjson";

/// The types of bodies that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaType {
    /// `application/json`
    Json,
    /// `application/x-ndjson`
    Lines,
}

impl MediaType {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
        let essence = text.split(';').next()?.trim_ascii();
        if essence.eq_ignore_ascii_case("application/json") {
            Some(Self::Json)
        } else if essence.eq_ignore_ascii_case("application/x-ndjson") {
            Some(Self::Lines)
        } else {
            None
        }
    }
}

/// Refuses a body whose type is none that any route reads, also where the route would pass over it: what a form
/// of a web page can send is not heard.
pub fn check_type(request: &Request) -> Result<(), Failure> {
    if request.body().is_end_stream() || MediaType::of(request.headers()).is_some() {
        return Ok(());
    }
    Err(wrong_type(request, EITHER))
}

/// Reads a body of JSON or lines of at most `bytes_max`, within [`BODY_TIMEOUT`].
pub async fn read(request: Request, bytes_max: usize) -> Result<(MediaType, Bytes), Failure> {
    let media_type = MediaType::of(request.headers()).ok_or_else(|| wrong_type(&request, EITHER))?;
    let body = request.into_body();
    let too_large =
        || Failure::TooLarge(format!("the body has more than server.body_bytes_max = {bytes_max}"));
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(too_large());
    }
    let read = tokio::time::timeout(BODY_TIMEOUT, axum::body::to_bytes(body, bytes_max)).await;
    match read {
        Err(_) => Err(Failure::BodyTimeout(BODY_TIMEOUT)),
        Ok(Ok(bytes)) => Ok((media_type, bytes)),
        Ok(Err(error)) if error.source().is_some_and(<dyn Error>::is::<LengthLimitError>) => Err(too_large()),
        Ok(Err(error)) => Err(Failure::malformed(format_args!("the body broke off: {error}"))),
    }
}

/// Reads a body of `application/json` alone, as [`read`] does.
pub async fn read_json(request: Request, bytes_max: usize) -> Result<Bytes, Failure> {
    if MediaType::of(request.headers()) == Some(MediaType::Json) {
        return read(request, bytes_max).await.map(|(_, bytes)| bytes);
    }
    Err(wrong_type(&request, "application/json"))
}

/// Reads the members of a JSON object, as [`read_json`] does.
pub async fn read_members(request: Request, bytes_max: usize) -> Result<Map<String, Value>, Failure> {
    members(&read_json(request, bytes_max).await?)
}

/// The members of the JSON object that a body is.
pub fn members(body: &[u8]) -> Result<Map<String, Value>, Failure> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(other) => Err(Failure::malformed(format_args!("is {}: expected an object", kind(&other)))),
        Err(error) => Err(Failure::malformed(error)),
    }
}

/// As [`read_json`], of a body that may be left out, whatever its type then is said to be, or be null: it is empty then.
pub async fn read_optional_json(request: Request, bytes_max: usize) -> Result<Bytes, Failure> {
    if request.body().is_end_stream() {
        return Ok(Bytes::new());
    }
    let bytes = read_json(request, bytes_max).await?;
    Ok(if bytes.trim_ascii() == b"null" { Bytes::new() } else { bytes })
}

fn wrong_type(request: &Request, expected: &'static str) -> Failure {
    let given = request.headers().get(header::CONTENT_TYPE);
    let given = given.map_or_else(|| "missing".to_owned(), |given| format!("{given:?}"));
    Failure::MediaType { given, expected }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use futures_util::stream;

    use super::*;

    fn request(media_type: &str, body: Body) -> Request {
        Request::builder().header("content-type", media_type).body(body).unwrap()
    }

    #[tokio::test]
    async fn only_json_and_lines_are_read() {
        for (text, expected) in [
            ("application/json", Some(MediaType::Json)),
            ("Application/JSON; charset=utf-8", Some(MediaType::Json)),
            ("application/x-ndjson", Some(MediaType::Lines)),
            ("text/plain", None),
            ("application/jsonp", None),
            ("", None),
        ] {
            let read = read(request(text, Body::from("{}")), 2).await;
            assert_eq!(read.ok().map(|(media_type, _)| media_type), expected, "{text}");
        }
        assert!(read(Request::new(Body::from("{}")), 2).await.is_err());
        assert!(read_json(request("application/x-ndjson", Body::from("{}")), 2).await.is_err());
    }

    #[tokio::test]
    async fn a_body_has_a_bound_with_and_without_a_length() {
        let chunks = |count| {
            Body::from_stream(stream::iter(
                (0..count).map(|_| Ok::<_, std::io::Error>(Bytes::from_static(b"12345"))),
            ))
        };
        for (body, fits) in [
            (Body::from("1234567890"), true),
            (Body::from("12345678901"), false),
            (chunks(2), true),
            (chunks(3), false),
        ] {
            match read(request("application/json", body), 10).await {
                Ok((_, bytes)) => assert!(fits && bytes.len() == 10),
                Err(failure) => assert!(!fits && matches!(failure, Failure::TooLarge(_)), "{failure:?}"),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_end_is_given_up() {
        let body = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        let failure = read(request("application/json", body), 10).await.unwrap_err();
        assert!(matches!(failure, Failure::BodyTimeout(BODY_TIMEOUT)), "{failure:?}");
    }
}
