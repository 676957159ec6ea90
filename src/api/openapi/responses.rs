//! The error responses of the OpenAPI document, which all routes share.
//!
//! A route lists the groups of errors that it can return. Each status is one shared response, whose examples are problems
//! built by [`ApiError`] itself.

use std::collections::BTreeMap;
use std::time::Duration;

use http::header::{CONNECTION, RETRY_AFTER};
use utoipa::openapi::example::Example;
use utoipa::openapi::header::Header;
use utoipa::openapi::response::Response;
use utoipa::openapi::schema::{Object, Type};
use utoipa::openapi::{Content, Ref, RefOr, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

use crate::api::error::ApiError;
use crate::api::problem::{PROBLEM_JSON, ProblemBody};
use crate::api::request::body::BODY_TIMEOUT;
use crate::api::wire::delivery::AttemptBody;
use crate::model::attempt::{Attempt, Outcome};
use crate::model::problem::Problem;
use crate::model::time::Timestamp;

macro_rules! error_responses {
    ($($(#[$doc:meta])+ $name:ident: $($status:literal)+;)+) => { $(
        $(#[$doc])+
        pub struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                let shared = |status: u16| (status.to_string(), Ref::from_response_name(name(status)).into());
                [$($status),+].into_iter().map(shared).collect()
            }
        }
    )+ };
}

error_responses! {
    /// The errors of every route except the probes: malformed requests, access control and internal errors.
    CommonErrors: 400 401 403 429 500;
    /// The error of a route about a single resource, which may not exist.
    NotFoundError: 404;
    /// The errors of a route that reads a body.
    BodyErrors: 408 413 415 422;
    /// The error of a route whose request may be impossible in the current state.
    ConflictError: 409;
    /// The error of a route that reads `If-Match`.
    PreconditionError: 412;
    /// The error of a route that writes to the log, or that needs a running engine.
    UnavailableError: 503;
    /// The error of a route that accepts events.
    DiskFullError: 507;
}

/// Returns the name of the shared response with this status.
fn name(status: u16) -> &'static str {
    match status {
        400 => "Malformed",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        408 => "BodyTimeout",
        409 => "Conflict",
        412 => "PreconditionFailed",
        413 => "TooLarge",
        415 => "UnsupportedMediaType",
        422 => "InvalidInput",
        429 => "TooManyRequests",
        503 => "Unavailable",
        507 => "DiskFull",
        _ => "Internal",
    }
}

/// Returns every shared response with its name.
pub fn shared() -> Vec<(String, Response)> {
    let mut by_status: BTreeMap<u16, Vec<ApiError>> = BTreeMap::new();
    for failure in examples() {
        by_status.entry(failure.status().as_u16()).or_default().push(failure);
    }
    by_status.into_iter().map(|(status, failures)| (name(status).to_owned(), response(failures))).collect()
}

fn response(failures: Vec<ApiError>) -> Response {
    let mut content = Content::new(Some(Ref::from_schema_name(ProblemBody::name())));
    let mut response = ResponseBuilder::new();
    let mut titles = Vec::new();
    for failure in failures {
        // `Connection` applies to one hop only, so a proxy may not pass it on to the caller.
        if let Some((header, _)) = failure.header().filter(|(name, _)| name != CONNECTION) {
            response = response.header(header.as_str(), header_doc(header.as_str()));
        }
        let body = failure.into_body();
        titles.push(body.title);
        let name = body.slug().to_owned();
        content
            .examples
            .insert(name, Example::builder().value(serde_json::to_value(&body).ok()).build().into());
    }
    response.description(titles.join(", or: ")).content(PROBLEM_JSON, content).build()
}

fn header_doc(name: &str) -> Header {
    if name == RETRY_AFTER {
        let seconds = Object::builder().schema_type(Type::Integer).minimum(Some(1));
        Header::builder()
            .schema(Some(seconds))
            .description(Some("The number of seconds to wait before a retry."))
            .build()
    } else {
        Header::builder()
            .schema(Some(Object::with_type(Type::String)))
            .description(Some("The scheme in which to send an API key."))
            .build()
    }
}

/// Returns an example of each error.
fn examples() -> Vec<ApiError> {
    let name = "crm".to_owned();
    let attempt = Attempt {
        number: 1,
        started_at: Timestamp::from_millis(1_769_846_400_004),
        duration: Duration::from_millis(12),
        outcome: Outcome::Rejected { status: 503, retry_after: None },
        excerpt: b"down for maintenance".to_vec(),
    };
    vec![
        ApiError::Malformed(vec![Problem::new(
            "?limt",
            "is not a parameter of this route: did you mean 'limit'?",
        )]),
        ApiError::Unauthorized("no API key: send one as 'Authorization: Bearer KEY'"),
        ApiError::Forbidden("API key 'crm' has the role read: this route requires admin".to_owned()),
        ApiError::not_found("subscription", "sub_01K3Z9Q0B1D3F5H7K9M1P3R5T7"),
        ApiError::BodyTimeout(BODY_TIMEOUT),
        ApiError::Conflict("the delivery has already succeeded".to_owned()),
        ApiError::ManagedByConfig(name),
        ApiError::HealthCheckFailed(Box::new(AttemptBody::from(&attempt))),
        ApiError::PreconditionFailed(
            "the subscription has changed since: get it again, then repeat the change".to_owned(),
        ),
        ApiError::TooLarge("the body is larger than server.body_bytes_max = 1048576 bytes".to_owned()),
        ApiError::UnsupportedMediaType { given: "\"text/plain\"".to_owned(), expected: "application/json" },
        ApiError::Invalid(vec![
            Problem::new("/url", "is missing: give the http or https URL of the receiver"),
            Problem::new("/timeout", "'5m' is out of range: expected 100ms to 60s"),
        ]),
        ApiError::TooManyRequests {
            detail: "too many events, or too many bytes of them, wait to be stored: retry later",
            retry_after: Duration::from_secs(1),
        },
        ApiError::Internal("9f86d081884c7d65".to_owned()),
        ApiError::Unavailable("the daemon is stopping"),
        ApiError::DiskFull { free: 268_435_456, reserve: 536_870_912 },
    ]
}
