//! Encodes and decodes replay jobs.

use bincode::{Decode, Encode};

use super::{Read, decode_all, encode, parse};
use crate::model::delivery::DeliveryState;
use crate::model::id::{EventId, ReplayId, SubscriptionId};
use crate::model::replay::{JobState, ReplayJob};
use crate::model::time::Timestamp;

#[derive(Encode, Decode)]
struct JobV1 {
    subscription: [u8; 16],
    since: Option<u64>,
    until: Option<u64>,
    states: Vec<String>,
    state: String,
    failure: Option<String>,
    counts: [u64; 4],
    cursor: Option<[u8; 16]>,
    created_at: u64,
    finished_at: Option<u64>,
}

/// The longest description of a failure that is stored, in characters. It keeps the row short.
const FAILURE_CHARS_MAX: usize = 1024;

/// Encodes a replay job.
pub(in crate::store) fn job(job: &ReplayJob) -> Vec<u8> {
    let value = JobV1 {
        subscription: job.subscription.to_bytes(),
        since: job.since.map(Timestamp::as_millis),
        until: job.until.map(Timestamp::as_millis),
        states: job.states.iter().map(|state| state.as_str().to_owned()).collect(),
        state: job.state.as_str().to_owned(),
        failure: job.failure.as_ref().map(|text| text.chars().take(FAILURE_CHARS_MAX).collect()),
        counts: [job.total, job.looked_at, job.made, job.skipped],
        cursor: job.cursor.map(EventId::to_bytes),
        created_at: job.created_at.as_millis(),
        finished_at: job.finished_at.map(Timestamp::as_millis),
    };
    encode(1, value)
}

/// Decodes a replay job.
pub(in crate::store) fn read_job(id: ReplayId, record: &[u8]) -> Read<ReplayJob> {
    let value: JobV1 = decode_all(1, record)?;
    let [total, looked_at, made, skipped] = value.counts;
    let state = JobState::ALL.into_iter().find(|state| state.as_str() == value.state);
    Ok(ReplayJob {
        id,
        subscription: SubscriptionId::from_bytes(value.subscription),
        since: value.since.map(Timestamp::from_millis),
        until: value.until.map(Timestamp::from_millis),
        states: value.states.iter().map(|text| parse::<DeliveryState>(text)).collect::<Result<_, _>>()?,
        state: state.ok_or_else(|| format!("'{}' is not a job state", value.state))?,
        failure: value.failure,
        total,
        looked_at,
        made,
        skipped,
        cursor: value.cursor.map(EventId::from_bytes),
        created_at: Timestamp::from_millis(value.created_at),
        finished_at: value.finished_at.map(Timestamp::from_millis),
    })
}
