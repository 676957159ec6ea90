//! The errors of the API, and their responses.
//!
//! An error response contains only what its caller may know. The details of an internal error go to the log, under an id
//! that the response repeats.

use std::fmt;
use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::problem::{MemberProblem, PROBLEM_JSON, PROBLEMS_MAX, ProblemBody, TYPE_PREFIX};
use super::wire::delivery::AttemptBody;
use crate::flow::AcceptError;
use crate::flow::ChangeError;
use crate::model::problem::Problem;

/// The `Retry-After` of a limit that stays reached until running work ends or a person acts.
const RETRY_AFTER_LIMIT: Duration = Duration::from_secs(10);

/// An error of the API, and the response to it.
///
/// The documentation of each variant begins with the last part of its stable `type` URI and its HTTP status.
#[derive(Debug)]
pub enum ApiError {
    /// `malformed` (400): the body or a query parameter cannot be parsed.
    Malformed(Vec<Problem>),
    /// `invalid-input` (422): the body can be parsed, but members have invalid values.
    Invalid(Vec<Problem>),
    /// `unauthorized` (401): the request has no key, or an unknown one.
    Unauthorized(&'static str),
    /// `forbidden` (403): the caller is known, but may not do this.
    Forbidden(String),
    /// `not-found` (404): there is no such route or resource.
    NotFound(String),
    /// `method-not-allowed` (405): the route has other methods, which `Allow` lists.
    MethodNotAllowed,
    /// `request-timeout` (408): the body did not arrive within this time.
    BodyTimeout(Duration),
    /// `conflict` (409): the resource is not in a state that allows the change.
    Conflict(String),
    /// `managed-by-config` (409): the subscription of this name belongs to the config file.
    ManagedByConfig(String),
    /// `health-check-failed` (409): the receiver did not answer the health check with 2xx.
    HealthCheckFailed(Box<AttemptBody>),
    /// `precondition-failed` (412): the resource has another version than `If-Match` names.
    PreconditionFailed(String),
    /// `too-large` (413): the request exceeds a limit of the config.
    TooLarge(String),
    /// `unsupported-media-type` (415): the route does not read bodies of this media type.
    UnsupportedMediaType {
        /// The media type of the request.
        given: String,
        /// The media types that the route reads.
        expected: &'static str,
    },
    /// `idempotency-key-reused` (422): the key was used for a request with another body.
    IdempotencyKeyReused(String),
    /// `too-many-requests` (429): a limit is reached. `Retry-After` contains the time to wait.
    TooManyRequests {
        /// The limit that was reached.
        detail: &'static str,
        /// The time to wait before a retry.
        retry_after: Duration,
    },
    /// `internal` (500): an error of the daemon, which the log describes under this id.
    Internal(String),
    /// `unavailable` (503): the daemon is starting or stopping, or its store has failed.
    Unavailable(&'static str),
    /// `disk-full` (507): the free space is below the reserve.
    DiskFull {
        /// The free space in bytes.
        free: u64,
        /// The value of `storage.disk_reserve` in bytes.
        reserve: u64,
    },
}

impl ApiError {
    /// Returns a `malformed` error about the request as a whole.
    pub fn malformed(detail: impl fmt::Display) -> Self {
        Self::Malformed(vec![Problem::new("", detail)])
    }

    /// Logs an error of the daemon under a new id, and returns an error that shows only the id.
    pub fn internal(error: &dyn fmt::Debug) -> Self {
        let id = format!("{:016x}", rand::random::<u64>());
        tracing::error!(error_id = %id, ?error, "a request failed with an internal error");
        Self::Internal(id)
    }

    /// Returns a `not-found` error for a resource that does not exist, or no longer exists.
    pub fn not_found(what: &str, id: impl fmt::Display) -> Self {
        Self::NotFound(format!("there is no {what} '{id}'"))
    }

    /// Returns the status, the last part of the `type` URI, and the title.
    const fn kind(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Malformed(_) => (StatusCode::BAD_REQUEST, "malformed", "The request cannot be parsed"),
            Self::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid-input", "Invalid input"),
            Self::Unauthorized(_) => {
                (StatusCode::UNAUTHORIZED, "unauthorized", "A valid API key is required")
            }
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, "forbidden", "Not allowed"),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "not-found", "Not found"),
            Self::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed")
            }
            Self::BodyTimeout(_) => {
                (StatusCode::REQUEST_TIMEOUT, "request-timeout", "The body did not arrive in time")
            }
            Self::Conflict(_) => (StatusCode::CONFLICT, "conflict", "Not possible in the current state"),
            Self::ManagedByConfig(_) => {
                (StatusCode::CONFLICT, "managed-by-config", "Managed by the config file")
            }
            Self::HealthCheckFailed(_) => {
                (StatusCode::CONFLICT, "health-check-failed", "The receiver failed its health check")
            }
            Self::PreconditionFailed(_) => {
                (StatusCode::PRECONDITION_FAILED, "precondition-failed", "The resource has changed")
            }
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The body is too large"),
            Self::UnsupportedMediaType { .. } => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "Unsupported media type")
            }
            Self::IdempotencyKeyReused(_) => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency-key-reused",
                "The idempotency key was used for another request",
            ),
            Self::TooManyRequests { .. } => {
                (StatusCode::TOO_MANY_REQUESTS, "too-many-requests", "Too many requests")
            }
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error"),
            Self::Unavailable(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Temporarily unavailable")
            }
            Self::DiskFull { .. } => (StatusCode::INSUFFICIENT_STORAGE, "disk-full", "The disk is full"),
        }
    }

    /// Returns the HTTP status of the response.
    pub const fn status(&self) -> StatusCode {
        self.kind().0
    }

    /// Returns what went wrong with this request, and how to fix it.
    pub fn detail(&self) -> String {
        match self {
            Self::Malformed(problems) | Self::Invalid(problems) => summary(problems),
            Self::Unauthorized(text) | Self::Unavailable(text) => (*text).to_owned(),
            Self::Forbidden(text)
            | Self::NotFound(text)
            | Self::Conflict(text)
            | Self::PreconditionFailed(text)
            | Self::IdempotencyKeyReused(text)
            | Self::TooLarge(text) => text.clone(),
            Self::MethodNotAllowed => {
                "this route does not have this method: use one that the Allow header lists".to_owned()
            }
            Self::BodyTimeout(limit) => format!(
                "the body was not complete after {} s: send it faster, or in smaller requests",
                limit.as_secs()
            ),
            Self::ManagedByConfig(name) => {
                format!("subscription '{name}' is managed by the config file: change it there and reload")
            }
            Self::HealthCheckFailed(attempt) => {
                format!(
                    "the receiver did not answer the health check with 2xx ({}): the subscription stays disabled",
                    attempt.summary()
                )
            }
            Self::UnsupportedMediaType { given, expected } => {
                format!("unsupported Content-Type {given}: expected {expected}")
            }
            Self::TooManyRequests { detail, .. } => (*detail).to_owned(),
            Self::Internal(id) => format!("the daemon's log describes the error under error_id {id}"),
            Self::DiskFull { free, reserve } => format!(
                "only {free} bytes are free, less than storage.disk_reserve = {reserve}: free some space. Deliveries \
                 continue meanwhile"
            ),
        }
    }

    /// Returns the header that the response carries for this error, if any.
    pub fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Self::Unauthorized(_) => {
                Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"postrider\"")))
            }
            Self::TooManyRequests { retry_after, .. } => {
                Some((header::RETRY_AFTER, HeaderValue::from(seconds_up(*retry_after))))
            }
            Self::Unavailable(_) => Some((header::RETRY_AFTER, HeaderValue::from(1_u64))),
            Self::BodyTimeout(_) => Some((header::CONNECTION, HeaderValue::from_static("close"))),
            _ => None,
        }
    }

    /// Returns the body of the response.
    pub fn into_body(self) -> ProblemBody {
        let (status, slug, title) = self.kind();
        let detail = self.detail();
        let (errors, attempt) = match self {
            Self::Malformed(problems) | Self::Invalid(problems) => (members(problems), None),
            Self::HealthCheckFailed(attempt) => (Vec::new(), Some(*attempt)),
            _ => (Vec::new(), None),
        };
        ProblemBody {
            r#type: format!("{TYPE_PREFIX}{slug}"),
            title,
            status: status.as_u16(),
            detail,
            errors,
            attempt,
        }
    }
}

/// Returns whole seconds, rounded up, at least one.
fn seconds_up(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

fn summary(problems: &[Problem]) -> String {
    match problems {
        [only] => only.to_string(),
        _ => format!("{} problems, listed in errors", problems.len()),
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
            AcceptError::QueueFull { retry_after } => Self::TooManyRequests {
                detail: "too many events, or too many bytes of them, wait to be stored: retry later",
                retry_after,
            },
            AcceptError::DiskFull { free, reserve } => Self::DiskFull { free, reserve },
            error @ AcceptError::KeyReused => Self::IdempotencyKeyReused(error.to_string()),
            AcceptError::Stopping => Self::Unavailable("the daemon is stopping"),
            error @ AcceptError::Store(_) => Self::internal(&error),
        }
    }
}

impl From<ChangeError> for ApiError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::NotFound { what, id } => Self::not_found(what, id),
            ChangeError::ManagedByConfig { name } => Self::ManagedByConfig(name),
            ChangeError::Invalid(problems) => Self::Invalid(problems),
            ChangeError::CheckFailed { attempt } => Self::HealthCheckFailed(Box::new((&*attempt).into())),
            error @ ChangeError::Outdated { .. } => Self::PreconditionFailed(error.to_string()),
            ChangeError::Conflict(conflict) => Self::Conflict(conflict.to_string()),
            ChangeError::TooMany { detail } => {
                Self::TooManyRequests { detail, retry_after: RETRY_AFTER_LIMIT }
            }
            error @ ChangeError::KeyReused => Self::IdempotencyKeyReused(error.to_string()),
            ChangeError::Stopping => Self::Unavailable("the daemon is stopping"),
            error @ (ChangeError::Panicked { .. } | ChangeError::Store(_)) => Self::internal(&error),
        }
    }
}

/// Turns an error response of the framework into a problem, and keeps its headers.
///
/// Other responses pass unchanged.
pub fn into_problem(response: Response) -> Response {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    let media_type = response.headers().get(header::CONTENT_TYPE);
    if !is_error || media_type.is_some_and(|given| given == PROBLEM_JSON) {
        return response;
    }
    let failure = match status {
        StatusCode::METHOD_NOT_ALLOWED => ApiError::MethodNotAllowed,
        StatusCode::NOT_FOUND => ApiError::NotFound("there is no such route: see /openapi.json".to_owned()),
        status if status.is_client_error() => ApiError::malformed(status),
        status => ApiError::internal(&status),
    };
    let mut problem = failure.into_response();
    for (name, value) in response.headers() {
        if !matches!(*name, header::CONTENT_TYPE | header::CONTENT_LENGTH | header::CACHE_CONTROL) {
            problem.headers_mut().insert(name, value.clone());
        }
    }
    problem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_whole_seconds_and_at_least_one() {
        for (ms, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (90_000, 90)] {
            assert_eq!(seconds_up(Duration::from_millis(ms)), seconds, "{ms}");
        }
    }

    #[test]
    fn a_problem_has_the_members_of_rfc_9457() {
        let failure = ApiError::Invalid(vec![Problem::new("/a", "is bad"), Problem::new("/b", "is worse")]);
        let body = serde_json::to_value(failure.into_body()).unwrap();
        let expected = serde_json::json!({
            "type": "urn:postrider:problem:invalid-input", "title": "Invalid input",
            "status": 422, "detail": "2 problems, listed in errors",
            "errors": [{"pointer": "/a", "detail": "is bad"}, {"pointer": "/b", "detail": "is worse"}],
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn errors_of_the_framework_become_problems_and_keep_their_headers() {
        let response = (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET")], "no").into_response();
        let problem = into_problem(response);
        assert_eq!(problem.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(problem.headers()[header::ALLOW], "GET");
        assert_eq!(problem.headers()[header::CONTENT_TYPE], PROBLEM_JSON);
        let fine = into_problem("fine".into_response());
        assert_eq!(fine.headers()[header::CONTENT_TYPE], "text/plain; charset=utf-8");
    }
}
