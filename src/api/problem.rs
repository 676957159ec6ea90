//! Refusals as the caller sees them: RFC 9457 problem details, one shape for every error.
//!
//! What the caller may know goes into the answer; what only the log may know is logged under an id that the
//! answer repeats. The `type` of a problem is stable: `urn:postrider:problem:` and the word of its [`ApiError`].

use std::fmt;
use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use super::wire::delivery::AttemptBody;
use crate::flow::ChangeError;
use crate::flow::accept::AcceptError;
use crate::model::problem::Problem;

/// The media type of every error answer.
pub const PROBLEM_JSON: &str = "application/problem+json";

const TYPE_PREFIX: &str = "urn:postrider:problem:";

/// When to come back if a bound is reached that a person can do something about.
const COME_BACK_AFTER: Duration = Duration::from_secs(10);

/// The most problems that one answer lists.
pub const PROBLEMS_MAX: usize = 1000;

/// Why a call was refused. The word of each variant ends the `type` of its problem.
#[derive(Debug)]
pub enum ApiError {
    /// `malformed` (400): the body or a query parameter cannot be read at all.
    Malformed(Vec<Problem>),
    /// `invalid-input` (422): readable, but members have values that may not be.
    Invalid(Vec<Problem>),
    /// `unauthorized` (401): no key, or one that is not known.
    Unauthorized(&'static str),
    /// `forbidden` (403): known, but not allowed to.
    Forbidden(String),
    /// `not-found` (404): no such route or thing.
    NotFound(String),
    /// `method-not-allowed` (405): the route has other methods; `Allow` lists them.
    MethodNotAllowed,
    /// `request-timeout` (408): the body did not arrive in time.
    BodyTimeout(Duration),
    /// `conflict` (409): what is asked for does not fit the present state.
    Conflict(String),
    /// `managed-by-config` (409): the config file owns it.
    ManagedByConfig(String),
    /// `health-check-failed` (409): the receiver did not answer the health check with 2xx.
    CheckFailed(Box<AttemptBody>),
    /// `precondition-failed` (412): `If-Match` names another version.
    Outdated(String),
    /// `too-large` (413): more than a named limit of the config.
    TooLarge(String),
    /// `unsupported-media-type` (415): the body's type is none that the route reads.
    MediaType {
        /// What was sent.
        given: String,
        /// What the route reads.
        expected: &'static str,
    },
    /// `idempotency-key-reused` (422): the key stands for another body.
    KeyReused(String),
    /// `too-many-requests` (429): a bound is reached; `Retry-After` says when to come back.
    TooMany {
        /// Which bound.
        detail: &'static str,
        /// How long to wait.
        retry_after: Duration,
    },
    /// `internal` (500): a fault of ours; the log has it under this id.
    Internal(String),
    /// `unavailable` (503): the daemon is stopping or not ready.
    Unavailable(&'static str),
    /// `disk-full` (507): free space is below the reserve.
    DiskFull {
        /// Bytes free.
        free: u64,
        /// Bytes of `storage.disk_reserve`.
        reserve: u64,
    },
}

/// The body of every error answer (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// A stable URI of the kind of problem, `urn:postrider:problem:…`.
    #[schema(format = "uri", examples("urn:postrider:problem:invalid-input"))]
    r#type: String,
    /// The kind of problem in words.
    title: &'static str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What went wrong this time and what to do.
    detail: String,
    /// Each bad member of the input.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<MemberProblem>,
    /// The request that led to the refusal, for a failed health check.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = AttemptBody, required = false)]
    attempt: Option<AttemptBody>,
}

impl ProblemBody {
    /// The kind of problem in words.
    pub const fn title(&self) -> &'static str {
        self.title
    }

    /// The last part of `type`.
    pub fn word(&self) -> &str {
        self.r#type.strip_prefix(TYPE_PREFIX).unwrap_or(&self.r#type)
    }
}

/// One bad member of an input.
#[derive(Serialize, ToSchema)]
#[schema(as = MemberProblem)]
pub struct MemberProblem {
    /// A JSON Pointer (RFC 6901) to the member; empty for the whole, `?name` for a query parameter.
    #[schema(examples("/3/type", "?limit"))]
    pointer: String,
    /// What is wrong and what would be right.
    detail: String,
}

impl ApiError {
    /// A request that cannot be read, for one reason about the whole of it.
    pub fn malformed(detail: impl fmt::Display) -> Self {
        Self::Malformed(vec![Problem::new("", detail)])
    }

    /// Logs a fault of ours in full under a new id and makes the answer that shows only the id.
    pub fn internal(error: &dyn fmt::Debug) -> Self {
        let id = format!("{:016x}", rand::random::<u64>());
        tracing::error!(error_id = %id, ?error, "a request failed inside");
        Self::Internal(id)
    }

    /// A thing that does not exist, or does no longer.
    pub fn no_such(what: &str, id: impl fmt::Display) -> Self {
        Self::NotFound(format!("there is no {what} '{id}'"))
    }

    const fn kind(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Malformed(_) => (StatusCode::BAD_REQUEST, "malformed", "The request cannot be read"),
            Self::Invalid(_) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "invalid-input", "The input has values that may not be")
            }
            Self::Unauthorized(_) => (StatusCode::UNAUTHORIZED, "unauthorized", "A valid API key is needed"),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, "forbidden", "Not allowed"),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "not-found", "Not found"),
            Self::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "The route has other methods")
            }
            Self::BodyTimeout(_) => {
                (StatusCode::REQUEST_TIMEOUT, "request-timeout", "The body did not arrive in time")
            }
            Self::Conflict(_) => (StatusCode::CONFLICT, "conflict", "Not possible in the present state"),
            Self::ManagedByConfig(_) => {
                (StatusCode::CONFLICT, "managed-by-config", "Changed in the config file")
            }
            Self::CheckFailed(_) => {
                (StatusCode::CONFLICT, "health-check-failed", "The receiver failed its health check")
            }
            Self::Outdated(_) => {
                (StatusCode::PRECONDITION_FAILED, "precondition-failed", "Changed since it was read")
            }
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The body is too large"),
            Self::MediaType { .. } => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "The body has another type")
            }
            Self::KeyReused(_) => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency-key-reused",
                "The key stands for another body",
            ),
            Self::TooMany { .. } => (StatusCode::TOO_MANY_REQUESTS, "too-many-requests", "Too many requests"),
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "A fault inside the daemon"),
            Self::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not available now"),
            Self::DiskFull { .. } => (StatusCode::INSUFFICIENT_STORAGE, "disk-full", "The disk is full"),
        }
    }

    /// The HTTP status that says so.
    pub const fn status(&self) -> StatusCode {
        self.kind().0
    }

    /// What went wrong this time and what to do, in words.
    pub fn detail(&self) -> String {
        match self {
            Self::Malformed(problems) | Self::Invalid(problems) => summary(problems),
            Self::Unauthorized(text) | Self::Unavailable(text) => (*text).to_owned(),
            Self::Forbidden(text)
            | Self::NotFound(text)
            | Self::Conflict(text)
            | Self::Outdated(text)
            | Self::KeyReused(text)
            | Self::TooLarge(text) => text.clone(),
            Self::MethodNotAllowed => "the Allow header lists the methods of this route".to_owned(),
            Self::BodyTimeout(limit) => format!("the body was not complete within {} s", limit.as_secs()),
            Self::ManagedByConfig(name) => {
                format!("subscription '{name}' comes from the config file: change it there and reload")
            }
            Self::CheckFailed(attempt) => {
                format!("it stays disabled: the health check was answered with {}", attempt.summary())
            }
            Self::MediaType { given, expected } => {
                format!("Content-Type is {given}: expected {expected}")
            }
            Self::TooMany { detail, .. } => (*detail).to_owned(),
            Self::Internal(id) => format!("the daemon's log tells more under error_id {id}"),
            Self::DiskFull { free, reserve } => format!(
                "{free} bytes are free, less than storage.disk_reserve = {reserve}: free some space; \
                 deliveries go on meanwhile"
            ),
        }
    }

    /// What the answer has beside its body.
    pub fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Self::Unauthorized(_) => {
                Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"postrider\"")))
            }
            Self::TooMany { retry_after, .. } => {
                Some((header::RETRY_AFTER, HeaderValue::from(seconds_up(*retry_after))))
            }
            Self::Unavailable(_) => Some((header::RETRY_AFTER, HeaderValue::from(1_u64))),
            Self::BodyTimeout(_) => Some((header::CONNECTION, HeaderValue::from_static("close"))),
            _ => None,
        }
    }

    /// The body of the answer.
    pub fn into_body(self) -> ProblemBody {
        let (status, word, title) = self.kind();
        let detail = self.detail();
        let (errors, attempt) = match self {
            Self::Malformed(problems) | Self::Invalid(problems) => (members(problems), None),
            Self::CheckFailed(attempt) => (Vec::new(), Some(*attempt)),
            _ => (Vec::new(), None),
        };
        ProblemBody {
            r#type: format!("{TYPE_PREFIX}{word}"),
            title,
            status: status.as_u16(),
            detail,
            errors,
            attempt,
        }
    }
}

/// Whole seconds, rounded up, at least one.
fn seconds_up(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

fn summary(problems: &[Problem]) -> String {
    match problems {
        [only] => only.to_string(),
        _ => format!("{} problems, each in errors", problems.len()),
    }
}

fn members(problems: Vec<Problem>) -> Vec<MemberProblem> {
    let shown = problems.into_iter().take(PROBLEMS_MAX);
    shown.map(|Problem { pointer, detail, .. }| MemberProblem { pointer, detail }).collect()
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status();
        let header = self.header();
        let mut response = (status, Json(self.into_body())).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(header);
        response
    }
}

impl From<AcceptError> for ApiError {
    fn from(error: AcceptError) -> Self {
        match error {
            AcceptError::QueueFull { retry_after } => Self::TooMany {
                detail: "too many events, or bytes of them, wait to be stored: come back later",
                retry_after,
            },
            AcceptError::DiskFull { free, reserve } => Self::DiskFull { free, reserve },
            error @ AcceptError::KeyReused => Self::KeyReused(error.to_string()),
            AcceptError::Stopping => Self::Unavailable("the daemon is stopping"),
            error @ AcceptError::Store(_) => Self::internal(&error),
        }
    }
}

impl From<ChangeError> for ApiError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::NotFound { what, id } => Self::no_such(what, id),
            ChangeError::ManagedByConfig { name } => Self::ManagedByConfig(name),
            ChangeError::Invalid(problems) => Self::Invalid(problems),
            ChangeError::CheckFailed { attempt } => Self::CheckFailed(Box::new((&*attempt).into())),
            error @ ChangeError::Outdated { .. } => Self::Outdated(error.to_string()),
            ChangeError::Conflict(conflict) => Self::Conflict(conflict.to_string()),
            ChangeError::TooMany { detail } => Self::TooMany { detail, retry_after: COME_BACK_AFTER },
            error @ ChangeError::KeyReused => Self::KeyReused(error.to_string()),
            ChangeError::Stopping => Self::Unavailable("the daemon is stopping"),
            error @ (ChangeError::Panicked { .. } | ChangeError::Store(_)) => Self::internal(&error),
        }
    }
}

/// Turns an error answer that is not ours (a framework's rejection) into a problem, keeping its headers.
pub fn mend(response: Response) -> Response {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    let media_type = response.headers().get(header::CONTENT_TYPE);
    if !is_error || media_type.is_some_and(|given| given == PROBLEM_JSON) {
        return response;
    }
    let failure = match status {
        StatusCode::METHOD_NOT_ALLOWED => ApiError::MethodNotAllowed,
        StatusCode::NOT_FOUND => ApiError::NotFound("there is no such route".to_owned()),
        status if status.is_client_error() => ApiError::malformed(status),
        status => ApiError::internal(&status),
    };
    let mut mended = failure.into_response();
    for (name, value) in response.headers() {
        if !matches!(*name, header::CONTENT_TYPE | header::CONTENT_LENGTH | header::CACHE_CONTROL) {
            mended.headers_mut().insert(name, value.clone());
        }
    }
    mended
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_whole_seconds_and_never_none() {
        for (ms, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (90_000, 90)] {
            assert_eq!(seconds_up(Duration::from_millis(ms)), seconds, "{ms}");
        }
    }

    #[test]
    fn a_problem_has_the_members_of_rfc_9457() {
        let failure = ApiError::Invalid(vec![Problem::new("/a", "is bad"), Problem::new("/b", "is worse")]);
        let body = serde_json::to_value(failure.into_body()).unwrap();
        let expected = serde_json::json!({
            "type": "urn:postrider:problem:invalid-input", "title": "The input has values that may not be",
            "status": 422, "detail": "2 problems, each in errors",
            "errors": [{"pointer": "/a", "detail": "is bad"}, {"pointer": "/b", "detail": "is worse"}],
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn answers_of_the_framework_become_problems_and_keep_their_headers() {
        let response = (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET")], "no").into_response();
        let mended = mend(response);
        assert_eq!(mended.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(mended.headers()[header::ALLOW], "GET");
        assert_eq!(mended.headers()[header::CONTENT_TYPE], PROBLEM_JSON);
        let fine = mend("fine".into_response());
        assert_eq!(fine.headers()[header::CONTENT_TYPE], "text/plain; charset=utf-8");
    }
}
