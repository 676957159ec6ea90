//! The body of every error response: the problem details of RFC 9457.

use serde::Serialize;
use utoipa::ToSchema;

use super::wire::delivery::AttemptBody;

/// The media type of every error response.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// The most problems that one error response lists.
pub const PROBLEMS_MAX: usize = 1000;

/// The start of every `type` URI.
pub const TYPE_PREFIX: &str = "urn:postrider:problem:";

/// The body of every error response (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// The kind of problem, as a stable URI `urn:postrider:problem:…`.
    #[schema(format = "uri", examples("urn:postrider:problem:invalid-input"))]
    pub r#type: String,
    /// A summary of the kind of problem, for people.
    pub title: &'static str,
    /// The HTTP status code.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// The error of this request, and how to fix it.
    pub detail: String,
    /// The problems of single members or parameters of the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub errors: Vec<MemberProblem>,
    /// The failed health check, for `health-check-failed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = AttemptBody, required = false)]
    pub attempt: Option<AttemptBody>,
}

impl ProblemBody {
    /// Returns the part of `type` after the common prefix, such as `invalid-input`.
    pub fn slug(&self) -> &str {
        self.r#type.strip_prefix(TYPE_PREFIX).unwrap_or(&self.r#type)
    }
}

/// A problem of one member or parameter of a request.
#[derive(Serialize, ToSchema)]
#[schema(as = MemberProblem)]
pub struct MemberProblem {
    /// The JSON Pointer (RFC 6901) of the member; empty for the whole body, `?name` for a query parameter.
    #[schema(examples("/3/type", "?limit"))]
    pub pointer: String,
    /// The error of the value, and what is allowed.
    pub detail: String,
}
