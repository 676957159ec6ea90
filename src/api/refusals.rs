//! In the OpenAPI document: which refusals a route has, in groups that come together.

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::openapi::header::Header;
use utoipa::openapi::response::Response;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{Content, Ref, RefOr, ResponseBuilder};

use super::problem::PROBLEM_JSON;

type Responses = BTreeMap<String, RefOr<Response>>;

/// 400, 401, 403, 429, 500 and 503: every route behind the guard has them.
pub struct Common;

/// 404: the id names nothing.
pub struct NotThere;

/// 409: it does not fit the present state.
pub struct InConflict;

/// 408, 413, 415 and 422: the body.
pub struct BadBody;

/// 412: `If-Match` names another version.
pub struct Outdated;

impl IntoResponses for Common {
    fn responses() -> Responses {
        let key = "`Authorization: Bearer KEY` is missing, or its key is not one of the configured";
        let mut responses = group(&[
            ("400", "The request cannot be read, or has a parameter that is not known"),
            ("403", "The key's role does not suffice, or the call comes from where none may"),
            ("500", "A fault inside; the daemon's log has it under the id that `detail` names"),
        ]);
        responses.insert("401".to_owned(), with_header(key, "WWW-Authenticate").into());
        for (status, description) in
            [("429", "Too many requests"), ("503", "The daemon is stopping or not ready")]
        {
            responses.insert(status.to_owned(), with_header(description, "Retry-After").into());
        }
        responses
    }
}

impl IntoResponses for NotThere {
    fn responses() -> Responses {
        group(&[("404", "There is no such thing")])
    }
}

impl IntoResponses for InConflict {
    fn responses() -> Responses {
        group(&[("409", "It does not fit the present state; `detail` says why")])
    }
}

impl IntoResponses for BadBody {
    fn responses() -> Responses {
        group(&[
            ("408", "The body did not arrive in time"),
            ("413", "The body is larger than `server.body_bytes_max`"),
            ("415", "The body's type is not one that is read here"),
            ("422", "Members have values that may not be; `errors` lists every one"),
        ])
    }
}

impl IntoResponses for Outdated {
    fn responses() -> Responses {
        group(&[("412", "`If-Match` names another version: get it again")])
    }
}

fn group(refusals: &[(&str, &str)]) -> Responses {
    let refusals = refusals.iter();
    refusals.map(|(status, description)| ((*status).to_owned(), refusal(description).into())).collect()
}

fn refusal(description: &str) -> Response {
    let schema = Ref::from_schema_name("ProblemBody");
    ResponseBuilder::new().description(description).content(PROBLEM_JSON, Content::new(Some(schema))).build()
}

fn with_header(description: &str, name: &str) -> Response {
    let mut response = refusal(description);
    let text = ObjectBuilder::new().schema_type(Type::String).build();
    response.headers.insert(name.to_owned(), Header::new(text).into());
    response
}
