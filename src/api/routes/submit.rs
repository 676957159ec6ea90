//! `POST /v1/events`: submit events.

use std::io::Write as _;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};

use crate::api::error::ApiError;
use crate::api::openapi::parameters::IdempotencyKey;
use crate::api::openapi::responses::{BodyErrors, CommonErrors, DiskFullError, UnavailableError};
use crate::api::request::body;
use crate::api::request::idempotency::{IdempotencyKeyHeader, mark_replayed};
use crate::api::request::media_type::MediaType;
use crate::api::request::query::NoQuery;
use crate::api::request::submission::{self, Submission, SubmissionError};
use crate::api::request::trace::TraceHeaders;
use crate::api::state::ApiState;
use crate::api::wire::event::{EventLines, SubmitRequest, SubmitResponse};
use crate::flow::Accepted;
use crate::flow::intake::BodyPermit;
use crate::model::event::EventContent;
use crate::store::IdempotentRequest;

/// Submits one or more events.
///
/// The body is one event, a JSON array of events, or one event per line (`application/x-ndjson`). A list is accepted as a
/// whole or not at all. The response comes when the events and their deliveries are on stable storage. An event whose
/// request fails with an error is never delivered.
#[utoipa::path(
    post, path = "/v1/events", tag = "events", operation_id = "submit_events",
    params(
        IdempotencyKey,
        ("traceparent" = Option<String>, Header, description = "The trace that the events belong to (W3C Trace Context). Deliveries carry it to the receivers."),
        ("tracestate" = Option<String>, Header, description = "The vendor-specific part of the trace context. Deliveries carry it to the receivers."),
    ),
    request_body(
        description = "One event, an array of events, or one event per line.",
        content((SubmitRequest = "application/json"), (EventLines = "application/x-ndjson")),
    ),
    responses(
        (
            status = 202, description = "The events are on stable storage. For a list, `results` has the order of the request.", body = SubmitResponse,
            headers(("Idempotency-Replayed" = String, description = "`true` if this is the response to an earlier request with the same key.")),
            links(
                ("event" = (operation_id = "get_event", parameters(("id" = "$response.body#/id")))),
                ("deliveries" = (operation_id = "list_event_deliveries", parameters(("id" = "$response.body#/id")))),
            ),
        ),
        CommonErrors, BodyErrors, UnavailableError, DiskFullError,
    ),
)]
pub async fn submit(
    State(api): State<ApiState>,
    key: IdempotencyKeyHeader,
    TraceHeaders(trace): TraceHeaders,
    _: NoQuery,
    request: Request,
) -> Result<Response, ApiError> {
    let body::RequestBody { media_type, bytes: body, permit } = body::read(request, &api.flow).await?;
    let events_max = api.flow.config().server.batch_events_max;
    let submission = match media_type {
        MediaType::Json => submission::read_json(&body, events_max),
        MediaType::Ndjson => submission::read_lines(&body, events_max),
    };
    let once = key.with_body(&body);
    drop(body);
    let (json, is_repeat) = match submission.map_err(|error| to_api_error(error, events_max))? {
        Submission::One(event) => {
            let (accepted, is_repeat) =
                accept(&api, vec![EventContent { trace, ..event }], permit, once).await?;
            (one(&accepted)?, is_repeat)
        }
        Submission::List(events) if events.is_empty() => (list(&[]), false),
        Submission::List(mut events) => {
            for event in &mut events {
                event.trace.clone_from(&trace);
            }
            let (accepted, is_repeat) = accept(&api, events, permit, once).await?;
            (list(&accepted), is_repeat)
        }
    };
    let response = (StatusCode::ACCEPTED, [(header::CONTENT_TYPE, "application/json")], json).into_response();
    Ok(mark_replayed(response, is_repeat))
}

/// Accepts events; returns their results, and whether these are the results of an earlier request.
async fn accept(
    api: &ApiState,
    events: Vec<EventContent>,
    permit: BodyPermit,
    once: Option<IdempotentRequest>,
) -> Result<(Vec<Accepted>, bool), ApiError> {
    Ok(match once {
        Some(once) => api.flow.accept_idempotent(events, permit, once).await?,
        None => (api.flow.accept(events, permit).await?, false),
    })
}

/// Returns the error response to a body that is no valid submission.
pub fn to_api_error(error: SubmissionError, batch_events_max: usize) -> ApiError {
    match error {
        SubmissionError::Malformed(problems) => ApiError::Malformed(problems),
        SubmissionError::Invalid(problems) => ApiError::Invalid(problems),
        SubmissionError::TooMany { events } => ApiError::TooLarge(format!(
            "the list has {events} events, more than server.batch_events_max = {batch_events_max}: split it into \
             several requests"
        )),
    }
}

/// The capacity reserved for the JSON form of one accepted event.
const ACCEPTED_BYTES: usize = 80;

/// Returns the JSON response to a single event.
fn one(accepted: &[Accepted]) -> Result<Vec<u8>, ApiError> {
    let [accepted] = accepted else {
        return Err(ApiError::internal(&"the engine did not return one result for one event"));
    };
    let mut json = Vec::with_capacity(ACCEPTED_BYTES);
    write_accepted(&mut json, accepted);
    Ok(json)
}

/// Returns the JSON response to a list of events.
fn list(accepted: &[Accepted]) -> Vec<u8> {
    let mut json = Vec::with_capacity(16 + ACCEPTED_BYTES * accepted.len());
    json.extend_from_slice(b"{\"results\":[");
    for (index, accepted) in accepted.iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        write_accepted(&mut json, accepted);
    }
    json.extend_from_slice(b"]}");
    json
}

/// Writes the JSON form of one accepted event.
///
/// Written by hand because every event passes here. A test compares it with the form of [`AcceptedBody`].
fn write_accepted(json: &mut Vec<u8>, Accepted { id, matched, duplicate }: &Accepted) {
    // Writing to a vector does not fail.
    let _ = write!(json, "{{\"id\":\"{id}\",\"matched\":{matched},\"duplicate\":{duplicate}}}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::wire::event::{AcceptedBody, AcceptedList};
    use crate::model::id::EventId;

    #[test]
    fn handwritten_responses_equal_their_documented_form() {
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
