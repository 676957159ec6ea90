//! What happens, live, as server-sent events.
//!
//! A reader's body is made only as fast as it takes it: one that is too slow is sent away once what it has yet to hear
//! is no longer known, and one that takes nothing at all by the time-out of its connection.

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
use crate::api::wire::schema::{HappeningKind, StreamIdText, SubscriptionIdText};
use crate::api::wire::stream::{GapBody, Happenings, StreamEventBody};
use crate::flow::Flow;
use crate::flow::stream::{Gap, Heard, Kind, Listener, Told};
use crate::model::id::SubscriptionId;

/// A reader that hears nothing for so long gets a comment, so that both sides notice a dead connection.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// What a reader gets first: after how many milliseconds it may come back when it was cut off.
const GREETING: &[u8] = b"retry: 1000\n\n";
const RETRY_AFTER: Duration = Duration::from_secs(10);
const LAST_EVENT_ID: &str = "last-event-id";

/// What happens, live, as server-sent events.
///
/// `event` is `event.accepted`, `attempt.finished`, `delivery.settled` or `subscription.changed`, `data` a JSON object of
/// one line, and `id` goes up. A reader that comes back with `Last-Event-ID` misses nothing, as long as the daemon still
/// knows what followed (`api.stream_events_max`); else the first event is `stream.gap`. A reader that falls further behind
/// is cut off. A comment comes every 15 s when there is nothing else.
#[utoipa::path(
    get, path = "/v1/stream", tag = "daemon", operation_id = "get_stream",
    params(
        ("types" = Option<Vec<HappeningKind>>, Query, style = Form, explode = false, min_items = 1, description = "Only these"),
        ("subscription" = inline(Option<SubscriptionIdText>), Query, description = "Only what is about this subscription; accepted events are about none"),
        ("Last-Event-ID" = inline(Option<StreamIdText>), Header, description = "The last `id` that was heard"),
    ),
    responses((status = 200, description = "Events without end", body = Happenings, content_type = "text/event-stream"), CommonErrors),
)]
pub async fn stream(State(api): State<ApiState>, headers: HeaderMap, uri: Uri) -> Result<Response, ApiError> {
    answer(&api.flow, &headers, &uri)
}

/// The stream that a request asks for.
///
/// # Errors
/// As the route refuses it.
pub fn answer(flow: &Flow, headers: &HeaderMap, uri: &Uri) -> Result<Response, ApiError> {
    let mut params = QueryParams::new(uri, &["types", "subscription"]);
    let filter = Filter { kinds: params.get_list("types"), subscription: params.get("subscription") };
    params.finish()?;
    let last = last_event_id(headers)?;
    let (listener, gap) = flow.listen(last).ok_or(ApiError::TooManyRequests {
        detail: "api.stream_readers_max readers are there already: come back later",
        retry_after: RETRY_AFTER,
    })?;
    let reader = Reader { listener, filter, quiet_until: Instant::now(), greeting: Some(greeting(gap)) };
    let body = stream::unfold(reader, async |mut reader| {
        let text = reader.next().await?;
        Some((Ok::<_, Infallible>(text), reader))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        // Proxies that gather answers before they pass them on are asked not to.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, ApiError> {
    let Some(value) = headers.get(LAST_EVENT_ID) else { return Ok(None) };
    let read = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    read.map(Some).ok_or_else(|| ApiError::malformed("Last-Event-ID is not an id of this stream"))
}

fn greeting(gap: Option<Gap>) -> Bytes {
    let mut text = GREETING.to_vec();
    if let Some(gap) = gap {
        write(&mut text, gap.resumes_at.saturating_sub(1), "stream.gap", &GapBody::from(gap));
    }
    text.into()
}

/// What a reader wants to hear; nothing named is everything.
struct Filter {
    kinds: Vec<Kind>,
    subscription: Option<SubscriptionId>,
}

impl Filter {
    fn wants(&self, told: &Told) -> bool {
        let happening = &told.happening;
        (self.kinds.is_empty() || self.kinds.contains(&happening.kind()))
            && (self.subscription.is_none() || self.subscription == happening.subscription())
    }
}

struct Reader {
    listener: Listener,
    filter: Filter,
    /// When a heartbeat is due.
    quiet_until: Instant,
    greeting: Option<Bytes>,
}

impl Reader {
    /// The next piece of the body; none at its end.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(greeting) = self.greeting.take() {
            return Some(self.sent(greeting));
        }
        loop {
            let Ok(heard) = timeout_at(self.quiet_until, self.listener.hear()).await else {
                return Some(self.sent(Bytes::from_static(b":\n\n")));
            };
            let told = match heard {
                Heard::Told(told) => told,
                Heard::HungUp => return None,
                Heard::Behind => {
                    tracing::info!("a reader of the stream was too slow and is cut off");
                    return None;
                }
            };
            let mut text = Vec::new();
            for told in told.iter().filter(|told| self.filter.wants(told)) {
                text.extend_from_slice(&told.text(render));
            }
            if !text.is_empty() {
                return Some(self.sent(text.into()));
            }
            // Much may pass that this reader does not want, and others wait for this thread.
            tokio::task::consume_budget().await;
        }
    }

    fn sent(&mut self, text: Bytes) -> Bytes {
        self.quiet_until = Instant::now() + HEARTBEAT;
        text
    }
}

fn render(told: &Told) -> Bytes {
    let mut text = Vec::with_capacity(320);
    write(&mut text, told.number, told.happening.kind().as_str(), &StreamEventBody::from(&told.happening));
    text.into()
}

/// Adds one server-sent event. JSON has no line break in it.
fn write<T: serde::Serialize>(text: &mut Vec<u8>, id: u64, event: &str, data: &T) {
    // Writing to a vector does not fail, and texts, numbers and lists have a JSON form.
    let _ = write!(text, "id: {id}\nevent: {event}\ndata: ");
    let _ = serde_json::to_writer(&mut *text, data);
    text.extend_from_slice(b"\n\n");
}
