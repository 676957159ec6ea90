//! `POST /v1/subscriptions/{id}/rotate-secret`: rotate a signing secret.

use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderValue, header};

use super::subscriptions::respond;
use crate::api::error::ApiError;
use crate::api::openapi::parameters::IfMatch;
use crate::api::openapi::responses::{
    BodyErrors, CommonErrors, ConflictError, NotFoundError, PreconditionError, UnavailableError,
};
use crate::api::request::actor::AuditActor;
use crate::api::request::if_match::IfMatchHeader;
use crate::api::request::json_members::JsonMembers;
use crate::api::request::path::PathId;
use crate::api::request::query::NoQuery;
use crate::api::state::ApiState;
use crate::api::wire::rotation::RotationBody;
use crate::api::wire::schema::{EntityTagText, SubscriptionIdText};
use crate::api::wire::subscription::SubscriptionBody;
use crate::flow::manage::secrets::{GRACE, Rotation, check_grace};
use crate::model::id::SubscriptionId;
use crate::model::time::Interval;

/// Rotates the secret of a subscription.
///
/// The response contains the new secret, which is never shown again. Store it now. Until the grace period ends, every
/// request carries a signature of the new secret and of each earlier one. At most four secrets sign at the same time.
#[utoipa::path(
    post, path = "/v1/subscriptions/{id}/rotate-secret", tag = "subscriptions", operation_id = "rotate_secret",
    params(("id" = inline(SubscriptionIdText), Path, description = "The subscription's id."), IfMatch),
    request_body(content = Option<RotationBody>),
    responses(
        (
            status = 200, description = "The subscription, with its new secret.", body = SubscriptionBody,
            headers(("ETag" = inline(EntityTagText), description = "The version of the subscription, for `If-Match`.")),
        ),
        CommonErrors, BodyErrors, NotFoundError, ConflictError, PreconditionError, UnavailableError,
    ),
)]
pub async fn rotate(
    State(api): State<ApiState>,
    AuditActor(actor): AuditActor,
    _: NoQuery,
    IfMatchHeader(expected): IfMatchHeader,
    PathId(id): PathId<SubscriptionId>,
    request: Request,
) -> Result<Response, ApiError> {
    let rotation = read(JsonMembers::read(request, &api.flow, &MEMBERS).await?)?;
    let entry = api.flow.rotate_secret(actor, id, expected, rotation).await?;
    let mut response = respond(api, entry, SubscriptionBody::revealing).await?;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

const MEMBERS: [&str; 2] = ["grace", "secret"];

/// Reads the members of a rotation, and reports all their problems at once.
fn read(mut members: JsonMembers) -> Result<Rotation, ApiError> {
    let grace = members.get::<Interval>("grace").unwrap_or(GRACE);
    if let Err(detail) = check_grace(grace) {
        members.add_problem("grace", detail);
    }
    let secret = members.get("secret");
    members.finish()?;
    Ok(Rotation { grace, secret })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::problem::Problem;

    fn read(value: &Value) -> Result<Rotation, Vec<Problem>> {
        let members = JsonMembers::new(value.as_object().unwrap().clone(), &MEMBERS);
        super::read(members).map_err(|failure| match failure {
            ApiError::Invalid(problems) => problems,
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn a_rotation_is_read_and_all_its_problems_are_reported() {
        let plain = read(&json!({})).unwrap();
        assert_eq!((plain.grace, plain.secret), (GRACE, None));
        let nothing = read(&json!({"grace": null, "secret": null})).unwrap();
        assert_eq!((nothing.grace, nothing.secret), (GRACE, None));
        let text = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        for (grace, interval) in [("0s", Interval::default()), ("30d", Interval::from_secs(30 * 86_400))] {
            let full = read(&json!({"grace": grace, "secret": text})).unwrap();
            assert_eq!((full.grace, full.secret.unwrap().reveal()), (interval, text));
        }
        let problems = read(&json!({"grace": "31d", "secret": 5, "x/y": 1, "secrets": "s"})).unwrap_err();
        let mut pointers: Vec<_> = problems.iter().map(|problem| problem.pointer.as_str()).collect();
        pointers.sort_unstable();
        assert_eq!(pointers, ["/grace", "/secret", "/secrets", "/x~1y"]);
        for bad in [json!({"grace": "-1s"}), json!({"grace": 24}), json!({"secret": "whsec_hush"})] {
            let problems = read(&bad).unwrap_err();
            assert!(problems.len() == 1 && !problems[0].detail.contains("hush"), "{problems:?}");
        }
    }
}
