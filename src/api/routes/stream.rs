//! `GET /v1/stream`: live updates as server-sent events.
//!
//! The body of a response is produced only as fast as its reader takes it. A reader that is too slow is disconnected
//! when its next event is no longer in the ring of recent events. A reader that stops reading is disconnected by the
//! write timeout of its connection.

use std::convert::Infallible;
use std::io::Write as _;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Uri, header};
use tokio::time::{Instant, timeout_at};

use crate::api::error::ApiError;
use crate::api::openapi::responses::CommonErrors;
use crate::api::request::query::QueryParams;
use crate::api::state::ApiState;
use crate::api::wire::schema::{StreamEventKind, StreamIdText, SubscriptionIdText};
use crate::api::wire::stream::{EventStream, StreamEventBody, StreamGapBody};
use crate::flow::Flow;
use crate::flow::stream::{Gap, Kind, Listener, Received, StreamItem};
use crate::model::id::SubscriptionId;

/// The longest silence of a stream. Then it sends a comment, so that both sides notice a dead connection.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// The start of every stream: the time in milliseconds after which a disconnected reader reconnects.
const PREAMBLE: &[u8] = b"retry: 1000\n\n";
const RETRY_AFTER: Duration = Duration::from_secs(10);
const LAST_EVENT_ID: &str = "last-event-id";

/// Streams live updates as server-sent events.
///
/// The `event` field is `event.accepted`, `attempt.finished`, `delivery.settled` or `subscription.changed`. The `data`
/// field is a JSON object on one line, and `id` increases. To resume after a disconnect, send the last `id` as
/// `Last-Event-ID`. The daemon keeps the last `api.stream_events_max` events. If it no longer has all events since that
/// `id`, the stream starts with `stream.gap`. A reader that falls too far behind is disconnected. After 15 s without an
/// event, the stream sends a comment.
#[utoipa::path(
    get, path = "/v1/stream", tag = "daemon", operation_id = "get_stream",
    params(
        ("types" = Option<Vec<StreamEventKind>>, Query, style = Form, explode = false, min_items = 1, description = "Only events of these kinds."),
        ("subscription" = inline(Option<SubscriptionIdText>), Query, description = "Only events about this subscription. `event.accepted` is about none."),
        ("Last-Event-ID" = inline(Option<StreamIdText>), Header, description = "The `id` of the last event that you received."),
    ),
    responses((status = 200, description = "A stream of events that does not end.", body = EventStream, content_type = "text/event-stream"), CommonErrors),
)]
pub async fn stream(State(api): State<ApiState>, headers: HeaderMap, uri: Uri) -> Result<Response, ApiError> {
    respond(&api.flow, &headers, &uri)
}

/// Returns the stream that a request asks for, as a response.
///
/// # Errors
/// `malformed` for invalid parameters, or `too-many-requests` if `api.stream_readers_max` readers are connected.
pub fn respond(flow: &Flow, headers: &HeaderMap, uri: &Uri) -> Result<Response, ApiError> {
    let mut params = QueryParams::new(uri, &["types", "subscription"]);
    let filter = StreamFilter { kinds: params.get_list("types"), subscription: params.get("subscription") };
    params.finish()?;
    let last = last_event_id(headers)?;
    let (listener, gap) = flow.listen(last).ok_or(ApiError::TooManyRequests {
        detail: "api.stream_readers_max readers are already connected: retry later",
        retry_after: RETRY_AFTER,
    })?;
    let reader =
        StreamReader { listener, filter, heartbeat_at: Instant::now(), preamble: Some(preamble(gap)) };
    let body = stream::unfold(reader, async |mut reader| {
        let text = reader.next().await?;
        Some((Ok::<_, Infallible>(text), reader))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        // Asks a proxy not to buffer the response.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, ApiError> {
    let Some(value) = headers.get(LAST_EVENT_ID) else { return Ok(None) };
    let read = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    read.map(Some).ok_or_else(|| {
        ApiError::malformed("invalid Last-Event-ID: expected the id of an event of this stream")
    })
}

fn preamble(gap: Option<Gap>) -> Bytes {
    let mut text = PREAMBLE.to_vec();
    if let Some(gap) = gap {
        write(&mut text, gap.resumes_at.saturating_sub(1), "stream.gap", &StreamGapBody::from(gap));
    }
    text.into()
}

/// The events that a reader asks for. An empty filter matches all events.
struct StreamFilter {
    kinds: Vec<Kind>,
    subscription: Option<SubscriptionId>,
}

impl StreamFilter {
    fn matches(&self, item: &StreamItem) -> bool {
        let event = &item.event;
        (self.kinds.is_empty() || self.kinds.contains(&event.kind()))
            && (self.subscription.is_none() || self.subscription == event.subscription())
    }
}

/// The state of a reader's stream.
struct StreamReader {
    listener: Listener,
    filter: StreamFilter,
    /// The time when the next heartbeat is due.
    heartbeat_at: Instant,
    preamble: Option<Bytes>,
}

impl StreamReader {
    /// Waits for the next piece of the body; returns `None` at its end.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(preamble) = self.preamble.take() {
            return Some(self.sent(preamble));
        }
        loop {
            let Ok(received) = timeout_at(self.heartbeat_at, self.listener.receive()).await else {
                return Some(self.sent(Bytes::from_static(b":\n\n")));
            };
            let items = match received {
                Received::Items(items) => items,
                Received::Disconnected => return None,
                Received::Lagged => {
                    tracing::info!("disconnected a reader of /v1/stream that was too slow");
                    return None;
                }
            };
            let mut text = Vec::new();
            for item in items.iter().filter(|item| self.filter.matches(item)) {
                text.extend_from_slice(&item.text(render));
            }
            if !text.is_empty() {
                return Some(self.sent(text.into()));
            }
            // Many events may not match the filter, and other tasks wait for this thread.
            tokio::task::consume_budget().await;
        }
    }

    /// Returns a piece of the body, and postpones the heartbeat.
    fn sent(&mut self, text: Bytes) -> Bytes {
        self.heartbeat_at = Instant::now() + HEARTBEAT;
        text
    }
}

/// Returns the server-sent event of an update.
fn render(item: &StreamItem) -> Bytes {
    let mut text = Vec::with_capacity(320);
    write(&mut text, item.number, item.event.kind().as_str(), &StreamEventBody::from(&item.event));
    text.into()
}

/// Appends a server-sent event. The JSON form of `data` never contains a line break.
fn write<T: serde::Serialize>(text: &mut Vec<u8>, id: u64, event: &str, data: &T) {
    // Neither can fail: the target is a vector, and all data has a JSON form.
    let _ = write!(text, "id: {id}\nevent: {event}\ndata: ");
    let _ = serde_json::to_writer(&mut *text, data);
    text.extend_from_slice(b"\n\n");
}
