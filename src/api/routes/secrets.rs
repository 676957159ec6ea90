//! `POST /v1/subscriptions/{id}/rotate-secret`.

use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use serde::Serialize;
use utoipa::ToSchema;

use super::subscriptions::{answer, read_id, show};
use crate::api::openapi::responses::{BadBody, Common, InConflict, NotNow, NotThere, Outdated};
use crate::api::problem::ApiError;
use crate::api::request::actor::By;
use crate::api::request::if_match::if_match;
use crate::api::request::json_members::Members;
use crate::api::request::query::Params;
use crate::api::state::Api;
use crate::api::wire::schema::{EntityTagText, GraceText, IfMatchText, SecretText, SubscriptionIdText};
use crate::api::wire::subscription::SubscriptionBody;
use crate::flow::secrets::{GRACE, Rotation, check_grace};
use crate::model::time::Interval;

/// How a secret is exchanged. All of it may be left out, the body too.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Rotation, examples(json!({ "grace": "24h" })))]
pub struct RotationBody {
    /// How long the present secrets go on signing beside the new one; `"24h"` if left out.
    #[schema(value_type = Option<GraceText>)]
    grace: Option<String>,
    /// The new secret; one of the present one's kind is made if left out.
    #[schema(value_type = Option<SecretText>)]
    secret: Option<String>,
}

/// Gives a subscription a new secret, which is shown in this answer and never again.
///
/// The new one and those before it sign every request side by side until the grace is over; at most four.
#[utoipa::path(
    post, path = "/v1/subscriptions/{id}/rotate-secret", tag = "subscriptions", operation_id = "rotate_secret",
    params(
        ("id" = inline(SubscriptionIdText), Path, description = "The subscription's id"),
        ("If-Match" = inline(Option<IfMatchText>), Header, description = "Its `ETag` as it was read: refuses to change another version"),
    ),
    request_body(content = Option<RotationBody>),
    responses(
        (
            status = 200, description = "The subscription, with its new secret", body = SubscriptionBody,
            headers(("ETag" = inline(EntityTagText), description = "Its version")),
        ),
        Common, BadBody, NotThere, InConflict, Outdated, NotNow,
    ),
)]
pub async fn rotate(
    State(api): State<Api>,
    Path(text): Path<String>,
    By(actor): By,
    request: Request,
) -> Result<Response, ApiError> {
    Params::new(request.uri(), &[]).finish()?;
    let id = read_id(&text)?;
    let expected = if_match(request.headers())?;
    let members = Members::read(request, &api.flow, &MEMBERS).await?;
    let rotation = read(members)?;
    let flow = api.flow.clone();
    let change = async move {
        let entry = flow.rotate_secret(actor, id, expected, rotation).await?;
        Ok(entry)
    };
    let entry = api.carry_out(change).await?;
    let made = entry.clone();
    let mut shown = answer(api, entry, move |flow| Ok(show(flow, &made)?.revealing(&made))).await?;
    shown.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(shown.into_response())
}

const MEMBERS: [&str; 2] = ["grace", "secret"];

/// Reads the members, with everything that is wrong with them.
fn read(mut members: Members) -> Result<Rotation, ApiError> {
    let grace = members.text::<Interval>("grace").unwrap_or(GRACE);
    if let Err(detail) = check_grace(grace) {
        members.refuse("grace", detail);
    }
    let secret = members.text("secret");
    members.finish()?;
    Ok(Rotation { grace, secret })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::problem::Problem;

    fn read(value: &Value) -> Result<Rotation, Vec<Problem>> {
        let members = Members::new(value.as_object().unwrap().clone(), &MEMBERS);
        super::read(members).map_err(|failure| match failure {
            ApiError::Invalid(problems) => problems,
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn a_rotation_is_read_with_all_that_is_wrong() {
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
