//! Encodes and decodes records. No other file knows the encoding.
//!
//! A record is one byte of version, followed by bincode. A record that may outgrow a row is *long*: the
//! version, the length of the whole record (u32, big-endian), bincode, and for an event the plain bytes of
//! its targets and data. It is cut into chunks of [`CHUNK_BYTES`]. Decoding checks every guarantee of the
//! types.

mod job;
mod meta;
mod once;
mod replay;
mod subscription;

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bincode::{Decode, Encode, config};
use bytes::Bytes;

use crate::model::attempt::{Attempt, ErrorClass, Outcome};
use crate::model::delivery::{Delivery, Progress};
use crate::model::event::EventContent;
use crate::model::id::{DeliveryId, EventId, SubscriptionId};
use crate::model::problem::Problem;
use crate::model::subscription::{Disabled, DisabledReason, HealthState};
use crate::model::time::Timestamp;
use crate::model::trace::TraceContext;

pub(in crate::store) use job::{job, read_job};
pub(in crate::store) use meta::{FORMAT, Meta, meta, read_format, read_meta};
pub(in crate::store) use once::{IdempotencyRecord, once, read_idempotency};
pub(in crate::store) use replay::{is_replay, read_replay, replay, replay_count};
pub(in crate::store) use subscription::{is_plain, read_subscription, sealed_by, subscription};

/// The version that is written, except for subscriptions (see [`mod@subscription`]) and events with a trace.
/// Every version up to it can be read.
pub(in crate::store) const VERSION: u8 = 1;

/// The version of events with a trace.
const VERSION_WITH_TRACE: u8 = 2;

/// The longest chunk. It keeps rows under 7,000 bytes: sled would put a page of longer rows in a file of its
/// own, which it neither forces to the disk nor removes.
pub(in crate::store) const CHUNK_BYTES: usize = 6 * 1024;

const PREFIX: usize = 5;

/// The fault of a record, without its key. The caller adds the key.
pub(in crate::store) type RecordError = String;

type Read<T> = Result<T, RecordError>;

/// The initial capacity of an encoded record. It suffices for most records, so they are not moved while they
/// grow.
const USUAL_BYTES: usize = 256;

fn encode(prefix: usize, value: impl Encode) -> Vec<u8> {
    encode_as(VERSION, prefix, value)
}

fn encode_as(version: u8, prefix: usize, value: impl Encode) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(USUAL_BYTES);
    bytes.resize(prefix, 0);
    if let Some(first) = bytes.first_mut() {
        *first = version;
    }
    let written = bincode::encode_into_std_write(value, &mut bytes, config::standard());
    debug_assert!(written.is_ok(), "a Vec takes every byte");
    bytes
}

fn set_length(bytes: &mut [u8]) {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    if let Some(place) = bytes.get_mut(1..PREFIX) {
        place.copy_from_slice(&length.to_be_bytes());
    }
}

/// Decodes one value. Returns it and the bytes after it.
fn decode<T: Decode<()>>(prefix: usize, bytes: &[u8]) -> Read<(T, &[u8])> {
    match bytes.first() {
        Some(&VERSION) => {}
        Some(other) => return Err(format!("unknown version {other}")),
        None => return Err("it is empty".to_owned()),
    }
    decode_body(prefix, bytes)
}

/// Decodes one value without checking the version.
fn decode_body<T: Decode<()>>(prefix: usize, bytes: &[u8]) -> Read<(T, &[u8])> {
    let body = bytes.get(prefix..).ok_or("it is too short")?;
    let limited = config::standard().with_limit::<{ 8 << 20 }>();
    let (value, used) = bincode::decode_from_slice(body, limited).map_err(|error| error.to_string())?;
    Ok((value, body.get(used..).unwrap_or_default()))
}

fn decode_all<T: Decode<()>>(prefix: usize, bytes: &[u8]) -> Read<T> {
    match decode(prefix, bytes)? {
        (value, []) => Ok(value),
        (_, rest) => Err(format!("{} bytes are left over", rest.len())),
    }
}

fn parse<T: FromStr<Err: ToString>>(text: &str) -> Read<T> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

/// Describes invalid terms of a selector.
fn bad_terms(problems: &[Problem]) -> RecordError {
    format!("invalid terms: {problems:?}")
}

/// Returns the length of the long record that begins with `chunk`.
pub(in crate::store) fn length(chunk: &[u8]) -> Read<usize> {
    let bytes = chunk.get(1..PREFIX).and_then(|bytes| bytes.try_into().ok()).ok_or("it is too short")?;
    Ok(u32::from_be_bytes(bytes) as usize)
}

/// Returns the number of rows of a long record of this length.
pub(in crate::store) fn chunk_count(length: usize) -> u16 {
    u16::try_from(length.div_ceil(CHUNK_BYTES).max(1)).unwrap_or(u16::MAX)
}

#[derive(Encode, Decode)]
struct EventHeadV1 {
    event_type: String,
    project: String,
    company: Option<String>,
    sender_id: Option<String>,
    occurred_at: Option<u64>,
    targets: u32,
    data: Option<u32>,
}

/// The `traceparent` and `tracestate` headers as they are sent.
#[derive(Encode, Decode)]
struct TraceV2(String, Option<String>);

fn trace(context: &TraceContext) -> TraceV2 {
    TraceV2(context.to_string(), context.state().map(str::to_owned))
}

fn read_trace(TraceV2(parent, state): &TraceV2) -> Read<TraceContext> {
    TraceContext::read(parent, state.as_deref()).ok_or_else(|| format!("'{parent}' is not a trace context"))
}

/// The part of an event that its first chunk contains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventHead {
    /// The id of the event.
    pub id: EventId,
    /// The submitted members, without the data.
    pub content: EventContent,
    /// The size of the data in bytes, if the event has data.
    pub data_bytes: Option<u32>,
    /// The number of deliveries that the event began.
    pub targets: u32,
}

/// Encodes an event: head, targets, data.
pub(in crate::store) fn event(content: &EventContent, targets: &[SubscriptionId]) -> Vec<u8> {
    let size = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    let head = EventHeadV1 {
        event_type: content.event_type.to_string(),
        project: content.project.to_string(),
        company: content.company.as_ref().map(ToString::to_string),
        sender_id: content.sender_id.as_ref().map(ToString::to_string),
        occurred_at: content.occurred_at.map(Timestamp::as_millis),
        targets: size(targets.len()),
        data: content.data.as_ref().map(|data| size(data.len())),
    };
    let mut bytes = match content.trace.as_deref() {
        None => encode(PREFIX, head),
        Some(of) => encode_as(VERSION_WITH_TRACE, PREFIX, (head, trace(of))),
    };
    let data = content.data.as_deref().unwrap_or_default();
    bytes.reserve_exact(targets.len() * 16 + data.len());
    for target in targets {
        bytes.extend_from_slice(&target.to_bytes());
    }
    bytes.extend_from_slice(data);
    set_length(&mut bytes);
    bytes
}

/// Decodes the head of an event from its first chunk or its whole record. Returns it and the bytes after it.
pub(in crate::store) fn read_event_head(id: EventId, chunk: &[u8]) -> Read<(EventHead, &[u8])> {
    let (head, traced, rest) = if chunk.first() == Some(&VERSION_WITH_TRACE) {
        let ((head, trace), rest): ((EventHeadV1, TraceV2), _) = decode_body(PREFIX, chunk)?;
        (head, Some(read_trace(&trace)?), rest)
    } else {
        let (head, rest): (EventHeadV1, _) = decode(PREFIX, chunk)?;
        (head, None, rest)
    };
    let content = EventContent {
        event_type: parse(&head.event_type)?,
        project: parse(&head.project)?,
        company: head.company.as_deref().map(parse).transpose()?,
        sender_id: head.sender_id.as_deref().map(parse).transpose()?,
        occurred_at: head.occurred_at.map(Timestamp::from_millis),
        data: None,
        trace: traced.map(Arc::new),
    };
    Ok((EventHead { id, content, data_bytes: head.data, targets: head.targets }, rest))
}

/// Decodes the targets, which follow the head of an event. Returns them and the bytes after them.
pub(in crate::store) fn read_targets<'a>(
    head: &EventHead,
    rest: &'a [u8],
) -> Read<(Vec<SubscriptionId>, &'a [u8])> {
    let (ids, data) = rest.split_at_checked(head.targets as usize * 16).ok_or("its targets are cut off")?;
    Ok((ids.as_chunks().0.iter().map(|id| SubscriptionId::from_bytes(*id)).collect(), data))
}

/// Decodes a whole event and its targets.
pub(in crate::store) fn read_event(id: EventId, record: &[u8]) -> Read<(EventContent, Vec<SubscriptionId>)> {
    let (head, rest) = read_event_head(id, record)?;
    let (targets, data) = read_targets(&head, rest)?;
    if data.len() != head.data_bytes.unwrap_or(0) as usize {
        return Err(format!("it has {} bytes of data, not {:?}", data.len(), head.data_bytes));
    }
    let data = head.data_bytes.map(|_| Bytes::copy_from_slice(data));
    Ok((EventContent { data, ..head.content }, targets))
}

#[derive(Encode, Decode)]
enum ProgressV1 {
    Waiting(u64),
    Succeeded,
    Exhausted,
    Cancelled,
}

#[derive(Encode, Decode)]
enum OutcomeV1 {
    Success(u16),
    Rejected(u16, Option<Duration>),
    Failed(String, String),
}

#[derive(Encode, Decode)]
struct AttemptV1 {
    number: u32,
    started_at: u64,
    duration: Duration,
    outcome: OutcomeV1,
    excerpt: Vec<u8>,
}

#[derive(Encode, Decode)]
struct DeliveryV1 {
    event: [u8; 16],
    subscription: [u8; 16],
    progress: ProgressV1,
    attempts_before: u32,
    attempts: Vec<AttemptV1>,
}

impl From<Progress> for ProgressV1 {
    fn from(progress: Progress) -> Self {
        match progress {
            Progress::Waiting { due } => Self::Waiting(due.as_millis()),
            Progress::Succeeded => Self::Succeeded,
            Progress::Exhausted => Self::Exhausted,
            Progress::Cancelled => Self::Cancelled,
        }
    }
}

impl From<ProgressV1> for Progress {
    fn from(progress: ProgressV1) -> Self {
        match progress {
            ProgressV1::Waiting(due) => Self::Waiting { due: Timestamp::from_millis(due) },
            ProgressV1::Succeeded => Self::Succeeded,
            ProgressV1::Exhausted => Self::Exhausted,
            ProgressV1::Cancelled => Self::Cancelled,
        }
    }
}

fn attempt(attempt: &Attempt) -> AttemptV1 {
    let outcome = match &attempt.outcome {
        Outcome::Success { status } => OutcomeV1::Success(*status),
        Outcome::Rejected { status, retry_after } => OutcomeV1::Rejected(*status, *retry_after),
        Outcome::Failed { class, detail } => OutcomeV1::Failed(class.as_str().to_owned(), detail.clone()),
    };
    AttemptV1 {
        number: attempt.number,
        started_at: attempt.started_at.as_millis(),
        duration: attempt.duration,
        outcome,
        excerpt: attempt.excerpt.clone(),
    }
}

fn read_attempt(attempt: AttemptV1) -> Read<Attempt> {
    let outcome = match attempt.outcome {
        OutcomeV1::Success(status) => Outcome::Success { status },
        OutcomeV1::Rejected(status, retry_after) => Outcome::Rejected { status, retry_after },
        OutcomeV1::Failed(word, detail) => {
            let class = ErrorClass::ALL.into_iter().find(|class| class.as_str() == word);
            Outcome::Failed { class: class.ok_or_else(|| format!("'{word}' is not an error class"))?, detail }
        }
    };
    Ok(Attempt {
        number: attempt.number,
        started_at: Timestamp::from_millis(attempt.started_at),
        duration: attempt.duration,
        outcome,
        excerpt: attempt.excerpt,
    })
}

/// Encodes a delivery as a long record.
pub(in crate::store) fn delivery(delivery: &Delivery) -> Vec<u8> {
    let value = DeliveryV1 {
        event: delivery.event.to_bytes(),
        subscription: delivery.subscription.to_bytes(),
        progress: delivery.progress.into(),
        attempts_before: delivery.attempts_before,
        attempts: delivery.attempts.iter().map(attempt).collect(),
    };
    let mut bytes = encode(PREFIX, value);
    set_length(&mut bytes);
    bytes
}

/// Decodes a whole delivery.
pub(in crate::store) fn read_delivery(id: DeliveryId, record: &[u8]) -> Read<Delivery> {
    let value: DeliveryV1 = decode_all(PREFIX, record)?;
    Ok(Delivery {
        id,
        event: EventId::from_bytes(value.event),
        subscription: SubscriptionId::from_bytes(value.subscription),
        progress: value.progress.into(),
        attempts: value.attempts.into_iter().map(read_attempt).collect::<Result<_, _>>()?,
        attempts_before: value.attempts_before,
    })
}

/// Decodes the subscription and the progress of a delivery from its first chunk.
pub(in crate::store) fn read_progress(chunk: &[u8]) -> Read<(SubscriptionId, Progress)> {
    let ((_, subscription, progress), _): (([u8; 16], [u8; 16], ProgressV1), _) = decode(PREFIX, chunk)?;
    Ok((SubscriptionId::from_bytes(subscription), progress.into()))
}

#[derive(Encode, Decode)]
struct HealthStateV1 {
    disabled: Option<(String, u64, String)>,
    failing_since: Option<u64>,
    last_success_at: Option<u64>,
    last_failure_at: Option<u64>,
    probe: Option<u128>,
}

/// The longest reason for a disabled subscription that is stored, in characters. It keeps the row short.
const DETAIL_CHARS_MAX: usize = 1024;

/// Encodes the health of a subscription.
pub(in crate::store) fn health(health: &HealthState) -> Vec<u8> {
    let disabled = |d: &Disabled| {
        let detail = d.detail.chars().take(DETAIL_CHARS_MAX).collect();
        (d.reason.to_string(), d.at.as_millis(), detail)
    };
    let value = HealthStateV1 {
        disabled: health.disabled.as_ref().map(disabled),
        failing_since: health.failing_since.map(Timestamp::as_millis),
        last_success_at: health.last_success_at.map(Timestamp::as_millis),
        last_failure_at: health.last_failure_at.map(Timestamp::as_millis),
        probe: health.probe.map(DeliveryId::bits),
    };
    encode(1, value)
}

/// Decodes the health of a subscription.
pub(in crate::store) fn read_health(record: &[u8]) -> Read<HealthState> {
    let value: HealthStateV1 = decode_all(1, record)?;
    let disabled = |(reason, at, detail): (String, u64, String)| {
        let reason = parse::<DisabledReason>(&reason)?;
        Ok::<_, RecordError>(Disabled { reason, at: Timestamp::from_millis(at), detail })
    };
    Ok(HealthState {
        disabled: value.disabled.map(disabled).transpose()?,
        failing_since: value.failing_since.map(Timestamp::from_millis),
        last_success_at: value.last_success_at.map(Timestamp::from_millis),
        last_failure_at: value.last_failure_at.map(Timestamp::from_millis),
        probe: value.probe.map(DeliveryId::from_bits),
    })
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
