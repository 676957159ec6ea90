//! Events in: `POST /v1/events` and `POST /v1/match`.

use std::io::Write as _;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{StatusCode, header};

use crate::api::openapi::responses::{BadBody, Common, DiskFull, NotNow};
use crate::api::problem::ApiError;
use crate::api::request::body;
use crate::api::request::idempotency::{Keyed, replayed};
use crate::api::request::media_type::MediaType;
use crate::api::request::query::Params;
use crate::api::request::submission::{self, Submission, SubmissionError};
use crate::api::request::trace::Traced;
use crate::api::state::{Api, blocking};
use crate::api::wire::event::{Answered, EventInput, Lines, MatchBody, Submitted};
use crate::api::wire::list::List;
use crate::api::wire::schema::{IdempotencyKeyText, SubscriptionIdText};
use crate::flow::accept::Accepted;
use crate::flow::intake::Held;
use crate::model::event::EventContent;
use crate::model::id::SubscriptionId;
use crate::store::OnceKey;

/// Takes events in: one object, an array, or lines. A list is all or nothing.
///
/// Answered only once the events and their deliveries are on stable storage. What is answered with an error is
/// never delivered.
#[utoipa::path(
    post, path = "/v1/events", tag = "events", operation_id = "submit_events",
    params(
        ("Idempotency-Key" = inline(Option<IdempotencyKeyText>), Header, description = "The same call again within 24 h gets the same answer"),
        ("traceparent" = Option<String>, Header, description = "The trace that the events belong to (W3C Trace Context); receivers are told of it"),
        ("tracestate" = Option<String>, Header, description = "What tracing systems add to `traceparent`; passed on to receivers"),
    ),
    request_body(
        description = "One event, an array of them, or one a line",
        content((Submitted = "application/json"), (Lines = "application/x-ndjson")),
    ),
    responses(
        (
            status = 202, description = "Stored; `results` in the same order for a list", body = Answered,
            headers(("Idempotency-Replayed" = String, description = "`true` if this is the answer to an earlier call")),
            links(
                ("event" = (operation_id = "get_event", parameters(("id" = "$response.body#/id")))),
                ("deliveries" = (operation_id = "list_event_deliveries", parameters(("id" = "$response.body#/id")))),
            ),
        ),
        Common, BadBody, NotNow, DiskFull,
    ),
)]
pub async fn submit(
    State(api): State<Api>,
    keyed: Keyed,
    Traced(trace): Traced,
    request: Request,
) -> Result<Response, ApiError> {
    Params::new(request.uri(), &[]).finish()?;
    let body::Read { media_type, bytes: body, held } = body::read(request, &api.flow).await?;
    let events_max = api.flow.config().server.batch_events_max;
    let submission = match media_type {
        MediaType::Json => submission::read_json(&body, events_max),
        MediaType::Lines => submission::read_lines(&body, events_max),
    };
    let once = keyed.once(&body);
    drop(body);
    let (json, is_repeat) = match submission.map_err(|error| refusal(error, events_max))? {
        Submission::One(event) => {
            let (accepted, is_repeat) =
                accept(&api, vec![EventContent { trace, ..event }], held, once).await?;
            (one(&accepted)?, is_repeat)
        }
        Submission::List(events) if events.is_empty() => (list(&[]), false),
        Submission::List(mut events) => {
            for event in &mut events {
                event.trace.clone_from(&trace);
            }
            let (accepted, is_repeat) = accept(&api, events, held, once).await?;
            (list(&accepted), is_repeat)
        }
    };
    let answer = (StatusCode::ACCEPTED, [(header::CONTENT_TYPE, "application/json")], json).into_response();
    Ok(replayed(answer, is_repeat))
}

async fn accept(
    api: &Api,
    events: Vec<EventContent>,
    held: Held,
    once: Option<OnceKey>,
) -> Result<(Vec<Accepted>, bool), ApiError> {
    Ok(match once {
        Some(once) => api.flow.accept_once(events, held, once).await?,
        None => (api.flow.accept(events, held).await?, false),
    })
}

fn refusal(error: SubmissionError, batch_events_max: usize) -> ApiError {
    match error {
        SubmissionError::Malformed(problems) => ApiError::Malformed(problems),
        SubmissionError::Invalid(problems) => ApiError::Invalid(problems),
        SubmissionError::TooMany { events } => ApiError::TooLarge(format!(
            "the list has {events} events, more than server.batch_events_max = {batch_events_max}: split it"
        )),
    }
}

/// About the length of one answer.
const ACCEPTED_BYTES: usize = 80;

fn one(accepted: &[Accepted]) -> Result<Vec<u8>, ApiError> {
    let [accepted] = accepted else { return Err(ApiError::internal(&"one event has not one answer")) };
    let mut json = Vec::with_capacity(ACCEPTED_BYTES);
    write(&mut json, accepted);
    Ok(json)
}

fn list(accepted: &[Accepted]) -> Vec<u8> {
    let mut json = Vec::with_capacity(16 + ACCEPTED_BYTES * accepted.len());
    json.extend_from_slice(b"{\"results\":[");
    for (index, accepted) in accepted.iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        write(&mut json, accepted);
    }
    json.extend_from_slice(b"]}");
    json
}

/// Written by hand, since it is in the way of every event; a test holds it to [`AcceptedBody`].
fn write(json: &mut Vec<u8>, Accepted { id, matched, duplicate }: &Accepted) {
    // Writing to a vector does not fail.
    let _ = write!(json, "{{\"id\":\"{id}\",\"matched\":{matched},\"duplicate\":{duplicate}}}");
}

/// Tells for every subscription whether it would match the event and, if not, the first reason. Delivers nothing.
#[utoipa::path(
    post, path = "/v1/match", tag = "events", operation_id = "match_event",
    request_body = EventInput,
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "How many items; 50 if left out"),
        ("cursor" = inline(Option<SubscriptionIdText>), Query, description = "`next_cursor` of the page before"),
    ),
    responses((status = 200, description = "A page, in the order of ids", body = List<MatchBody>), Common, BadBody),
)]
pub async fn explain(State(api): State<Api>, request: Request) -> Result<Json<List<MatchBody>>, ApiError> {
    let mut params = Params::new(request.uri(), &["limit", "cursor"]);
    let (limit, after) = (params.limit(), params.get::<SubscriptionId>("cursor"));
    params.finish()?;
    let body = body::read_json(request, &api.flow).await?;
    let event = read_one(&body)?;
    blocking(move || Ok(Json(page(&api, &event, after, limit)))).await
}

fn read_one(body: &Bytes) -> Result<EventContent, ApiError> {
    submission::read_one(body).map_err(|error| refusal(error, 1))
}

fn page(api: &Api, event: &EventContent, after: Option<SubscriptionId>, limit: usize) -> List<MatchBody> {
    let explanations = api.flow.explain(event).into_iter();
    let mut rest = explanations.filter(|one| after.is_none_or(|after| one.subscription > after)).peekable();
    let mut last = None;
    let items = rest.by_ref().take(limit).inspect(|one| last = Some(one.subscription)).map(MatchBody::from);
    let items = items.collect();
    let next_cursor = rest.peek().and(last).map(|id| id.to_string());
    List { items, next_cursor }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::wire::event::{AcceptedBody, AcceptedList};
    use crate::model::id::EventId;

    #[test]
    fn answers_written_by_hand_are_those_that_the_document_shows() {
        let accepted: Vec<_> = [(0, false), (2, true)]
            .into_iter()
            .map(|(matched, duplicate)| Accepted {
                id: EventId::from_bits(matched as u128),
                matched,
                duplicate,
            })
            .collect();
        for some in [&accepted[..], &accepted[..1], &[]] {
            let results = some.iter().map(AcceptedBody::from).collect();
            let expected = serde_json::to_vec(&AcceptedList { results }).unwrap();
            assert_eq!(String::from_utf8(list(some)), String::from_utf8(expected));
        }
        let alone = serde_json::to_vec(&AcceptedBody::from(&accepted[1])).unwrap();
        assert_eq!(one(&accepted[1..]).unwrap(), alone);
        assert!(alone.len() <= ACCEPTED_BYTES);
    }
}
