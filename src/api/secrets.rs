//! `POST /v1/subscriptions/{id}/rotate-secret`.

use axum::Json;
use axum::extract::{Extension, Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::access::Caller;
use super::page::Params;
use super::problem::{Failure, Refusals};
use super::subscriptions::{read_id, show};
use super::wire::subscription::SubscriptionBody;
use super::{Api, blocking, body};
use crate::flow::secrets::{GRACE, Rotation, check_grace};
use crate::model::input::kind;
use crate::model::problem::Problem;
use crate::model::time::Interval;

/// How a secret is exchanged. All of it may be left out, the body too.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the schema of what is read member by member")]
pub struct RotationBody {
    /// How long the present secrets go on signing beside the new one: `"0s"` to `"30d"`, `"24h"` if left out.
    #[schema(example = "24h")]
    grace: Option<String>,
    /// The new secret; made if left out.
    secret: Option<String>,
}

/// Gives a subscription a new secret, which is shown in this answer and never again.
///
/// The new one and those before it sign every request side by side until the grace is over; at most four.
#[utoipa::path(
    post, path = "/v1/subscriptions/{id}/rotate-secret", tag = "subscriptions",
    params(("id" = String, Path, description = "`sub_…`")),
    request_body(content = Option<RotationBody>),
    responses((status = 200, description = "The subscription, with its new secret", body = SubscriptionBody), Refusals),
)]
pub async fn rotate(
    State(api): State<Api>,
    Path(text): Path<String>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Failure> {
    Params::new(request.uri(), &[]).finish()?;
    let id = read_id(&text)?;
    let members = body::read_members_or_none(request, api.flow.config().server.body_bytes_max).await?;
    let rotation = read(&members).map_err(Failure::Invalid)?;
    let flow = api.flow.clone();
    let change = async move {
        let grace = rotation.grace;
        let entry = flow.rotate_secret(id, rotation).await?;
        tracing::info!(by = caller.name(), %id, %grace, "secret rotated");
        Ok(entry)
    };
    let entry = api.carry_out(change).await?;
    let shown = blocking(move || Ok(show(&api.flow, &entry)?.revealing(&entry))).await?;
    Ok((StatusCode::OK, [(header::CACHE_CONTROL, "no-store")], Json(shown)).into_response())
}

/// Reads the members, with everything that is wrong with them.
fn read(members: &Map<String, Value>) -> Result<Rotation, Vec<Problem>> {
    let (mut rotation, mut problems) = (Rotation { grace: GRACE, secret: None }, Vec::new());
    for (name, value) in members.iter().filter(|(_, value)| !value.is_null()) {
        let pointer = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
        let done = match (name.as_str(), value.as_str()) {
            ("grace", Some(text)) => text
                .parse::<Interval>()
                .map_err(|error| error.to_string())
                .and_then(check_grace)
                .map(|grace| rotation.grace = grace),
            ("secret", Some(text)) => {
                text.parse().map(|secret| rotation.secret = Some(secret)).map_err(|error| format!("{error}"))
            }
            ("grace" | "secret", None) => Err(format!("is {}: expected a string", kind(value))),
            _ => Err("is not a member of a rotation: expected grace, secret".to_owned()),
        };
        problems.extend(done.err().map(|detail| Problem::new(pointer, detail)));
    }
    if problems.is_empty() { Ok(rotation) } else { Err(problems) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rotation_is_read_with_all_that_is_wrong() {
        let read = |value: &Value| read(value.as_object().unwrap());
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
