//! `If-Match` and `ETag`: changes to the version of a subscription that the caller has seen (RFC 9110, 13.1.1).

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, header};

use crate::api::error::ApiError;
use crate::flow::Entry;
use crate::flow::{Expected, Version};

/// Extracts the versions that `If-Match` permits a change of.
#[derive(Clone, Debug)]
pub struct IfMatchHeader(pub Expected);

impl<S: Sync> FromRequestParts<S> for IfMatchHeader {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        if_match(&parts.headers).map(Self)
    }
}

/// Returns the `ETag` of a subscription. It is strong, and changes with each setting of the subscription.
pub fn etag(entry: &Entry) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("\"{}\"", entry.version())).ok()
}

/// Reads the versions that `If-Match` permits.
///
/// A missing header and `*` match every version. A weak tag, and a tag that the daemon did not issue, match none.
///
/// # Errors
/// `malformed` if the header is not `*` or a list of entity tags.
pub fn if_match(headers: &HeaderMap) -> Result<Expected, ApiError> {
    let values: Vec<&HeaderValue> = headers.get_all(header::IF_MATCH).iter().collect();
    if values.is_empty() {
        return Ok(Expected::Any);
    }
    let malformed =
        || ApiError::malformed("invalid If-Match: expected * or a list of entity tags such as \"0123…\"");
    let texts: Option<Vec<&str>> = values.iter().map(|value| value.to_str().ok()).collect();
    let text = texts.ok_or_else(malformed)?.join(",");
    if text.trim() == "*" {
        return Ok(Expected::Any);
    }
    let mut versions = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (is_weak, quoted) = rest.strip_prefix("W/").map_or((false, rest), |rest| (true, rest));
        let (tag, after) =
            quoted.strip_prefix('"').and_then(|rest| rest.split_once('"')).ok_or_else(malformed)?;
        versions.extend(tag.parse::<Version>().ok().filter(|_| !is_weak));
        rest = match after.trim_start().strip_prefix(',') {
            Some(after) => after.trim_start(),
            None if after.trim().is_empty() => "",
            None => return Err(malformed()),
        };
    }
    Ok(Expected::OneOf(versions))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Option<Expected> {
        let values = values.iter().map(|value| (header::IF_MATCH, HeaderValue::from_str(value).unwrap()));
        if_match(&values.collect()).ok()
    }

    #[test]
    fn only_strong_tags_of_the_daemon_match() {
        let version = |text: &str| text.parse::<Version>().unwrap();
        let one = Some(Expected::OneOf(vec![version("1f")]));
        assert_eq!((read(&[]), read(&["*"])), (Some(Expected::Any), Some(Expected::Any)));
        assert_eq!((read(&["\"1f\""]), read(&[" \"a,b\" , \"1f\", "])), (one.clone(), one));
        assert_eq!(read(&["W/\"1f\""]), Some(Expected::OneOf(vec![])));
        let two = Some(Expected::OneOf(vec![version("1"), version("2")]));
        assert_eq!((read(&["\"1\",\"2\""]), read(&["\"1\"", "\"2\""])), (two.clone(), two));
        for bad in ["1f", "\"1f", "\"1f\" \"2\"", "W/1", "\"1\",*"] {
            assert_eq!(read(&[bad]), None, "{bad}");
        }
    }
}
