//! Reads submitted events: the hot path of everything that comes in.
//!
//! A body is read once. JsonMembers are looked at where they lie in it; `data` is never parsed into a tree but kept
//! as the very bytes that were sent. Every problem of every event is told at once, each with its pointer.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::raw_event::{MEMBERS, RawEvent, RawList};
use crate::api::problem::PROBLEMS_MAX;
use crate::model::event::EventContent;
use crate::model::notice::{TYPE_PREFIX, is_daemon_event};
use crate::model::pointer;
use crate::model::problem::{Problem, nearest};

/// How deep objects and lists may lie in each other in `data`.
pub const NESTING_MAX: usize = 100;

/// Data up to so many bytes is copied out of the request's body, so that it does not keep the connection's
/// read buffer or the rest of a list in memory.
const COPY_BYTES_MAX: usize = 16 * 1024;

// Places in MEMBERS.
const TYPE: usize = 0;
const PROJECT: usize = 1;
const COMPANY: usize = 2;
const DATA: usize = 3;
const ID: usize = 4;
const OCCURRED_AT: usize = 5;

/// What was submitted: one event, or a list to be answered as one.
#[derive(Debug, PartialEq, Eq)]
pub enum Submission {
    /// One object.
    One(EventContent),
    /// An array, or lines.
    List(Vec<EventContent>),
}

/// Why a body is no submission.
#[derive(Debug, PartialEq, Eq)]
pub enum SubmissionError {
    /// It is not JSON.
    Malformed(Vec<Problem>),
    /// JsonMembers of events have values that may not be.
    Invalid(Vec<Problem>),
    /// More events than one request may have.
    TooMany {
        /// How many there are.
        events: usize,
    },
}

/// Reads `application/json`: one event, or an array of at most `batch_events_max`.
///
/// A byte order mark is passed over, as RFC 8259 allows. An empty array is an empty list.
pub fn read_json(body: &Bytes, batch_events_max: usize) -> Result<Submission, SubmissionError> {
    let text = text(body)?;
    if text.trim_ascii_start().starts_with('[') {
        let list = RawList::read(text, batch_events_max).map_err(|error| malformed(&error))?;
        if list.count > batch_events_max {
            return Err(SubmissionError::TooMany { events: list.count });
        }
        let mut problems = Vec::new();
        let mut events = Vec::with_capacity(list.count);
        for (index, raw) in list.events.iter().enumerate() {
            events.extend(read_submitted(raw, body, &format!("/{index}"), &mut problems));
        }
        return list_of(events, problems);
    }
    read_object(text, body, read_submitted).map(Submission::One)
}

/// Reads one event object, as `/v1/match` takes it.
pub fn read_one(body: &Bytes) -> Result<EventContent, SubmissionError> {
    read_object(text(body)?, body, read_event)
}

/// Reads `application/x-ndjson`: one event a line, at most `batch_events_max`. Blank lines are passed over.
///
/// Pointers count events from 0, as in an array; each problem also names its line, counted from 1.
pub fn read_lines(body: &Bytes, batch_events_max: usize) -> Result<Submission, SubmissionError> {
    let text = text(body)?;
    let lines = || text.split('\n').zip(1_usize..).filter(|(line, _)| !line.trim_ascii().is_empty());
    let count = lines().count();
    if count > batch_events_max {
        return Err(SubmissionError::TooMany { events: count });
    }
    let mut malformed = Vec::new();
    let mut problems = Vec::new();
    let mut events = Vec::with_capacity(count);
    for (index, (line, number)) in lines().enumerate() {
        let pointer = format!("/{index}");
        match serde_json::from_str::<RawEvent<'_>>(line) {
            Ok(raw) => {
                let first = problems.len();
                events.extend(read_submitted(&raw, body, &pointer, &mut problems));
                for problem in problems.iter_mut().skip(first) {
                    problem.detail.insert_str(0, &format!("line {number}: "));
                }
            }
            Err(error) => {
                let column = error.column();
                let cause = cause(&error);
                malformed.push(Problem::new(pointer, format!("line {number}, column {column}: {cause}")));
            }
        }
    }
    if !malformed.is_empty() {
        malformed.append(&mut problems);
        return Err(SubmissionError::Malformed(malformed));
    }
    list_of(events, problems)
}

fn list_of(events: Vec<EventContent>, problems: Vec<Problem>) -> Result<Submission, SubmissionError> {
    if problems.is_empty() { Ok(Submission::List(events)) } else { Err(SubmissionError::Invalid(problems)) }
}

/// Reads an event, and notes what is wrong with it.
type Read = fn(&RawEvent<'_>, &Bytes, &str, &mut Vec<Problem>) -> Option<EventContent>;

fn read_object(text: &str, body: &Bytes, read: Read) -> Result<EventContent, SubmissionError> {
    let raw: RawEvent<'_> = serde_json::from_str(text).map_err(|error| malformed(&error))?;
    let mut problems = Vec::new();
    read(&raw, body, "", &mut problems).ok_or(SubmissionError::Invalid(problems))
}

/// As [`read_event`]; the daemon's own types are refused.
fn read_submitted(
    raw: &RawEvent<'_>,
    body: &Bytes,
    pointer: &str,
    problems: &mut Vec<Problem>,
) -> Option<EventContent> {
    let event = read_event(raw, body, pointer, problems)?;
    if !is_daemon_event(&event.event_type) {
        return Some(event);
    }
    let mut reader = Reader { raw, pointer, problems, is_good: true };
    reader.refuse(
        "type",
        format_args!("'{}' begins with '{TYPE_PREFIX}': only the daemon tells of itself", event.event_type),
    );
    None
}

fn text(body: &Bytes) -> Result<&str, SubmissionError> {
    let text = std::str::from_utf8(body).map_err(|error| {
        let detail = format!("is not UTF-8: byte {} belongs to no character", error.valid_up_to());
        SubmissionError::Malformed(vec![Problem::new("", detail)])
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

fn malformed(error: &serde_json::Error) -> SubmissionError {
    let (line, column) = (error.line(), error.column());
    let cause = cause(error);
    SubmissionError::Malformed(vec![Problem::new("", format!("line {line}, column {column}: {cause}"))])
}

/// What serde says, without the place that it repeats.
fn cause(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split_once(" at line ").map_or(text.as_str(), |(cause, _)| cause).to_owned()
}

/// The event, or none after adding everything that is wrong with it to `problems`.
fn read_event(
    raw: &RawEvent<'_>,
    body: &Bytes,
    pointer: &str,
    problems: &mut Vec<Problem>,
) -> Option<EventContent> {
    let mut reader = Reader { raw, pointer, problems, is_good: true };
    if let Some(kind) = raw.other {
        reader.refuse("", format_args!("is {kind}: expected an event object"));
        return None;
    }
    reader.refuse_names();
    let event_type = reader.required(TYPE);
    let project = reader.required(PROJECT);
    let company = reader.optional(COMPANY);
    let sender_id = reader.optional(ID);
    let occurred_at = reader.optional(OCCURRED_AT);
    let data = reader.data(body);
    if !reader.is_good {
        return None;
    }
    let (event_type, project) = (event_type?, project?);
    Some(EventContent { event_type, project, company, sender_id, occurred_at, data, trace: None })
}

struct Reader<'r, 'a> {
    raw: &'r RawEvent<'a>,
    pointer: &'r str,
    problems: &'r mut Vec<Problem>,
    is_good: bool,
}

impl<'a> Reader<'_, 'a> {
    fn refuse(&mut self, name: &str, detail: impl fmt::Display) {
        self.is_good = false;
        if self.problems.len() < PROBLEMS_MAX {
            let name = pointer::escape(name);
            let slash = if name.is_empty() { "" } else { "/" };
            self.problems.push(Problem::new(format!("{}{slash}{name}", self.pointer), detail));
        }
    }

    fn refuse_names(&mut self) {
        let raw = self.raw;
        for name in &raw.unknown {
            let hint = nearest(name, MEMBERS).map_or_else(
                || format!("expected {}", MEMBERS.join(", ")),
                |near| format!("did you mean '{near}'?"),
            );
            self.refuse(name, format_args!("is not a member of an event: {hint}"));
        }
        for name in &raw.repeated {
            self.refuse(name, "is there more than once: leave one");
        }
    }

    fn required<T: FromStr<Err: fmt::Display>>(&mut self, member: usize) -> Option<T> {
        let name = MEMBERS.get(member).copied().unwrap_or_default();
        match self.raw.get(member) {
            Some(raw) if raw.get() != "null" => self.word(name, raw),
            _ => {
                self.refuse(name, "is missing");
                None
            }
        }
    }

    /// `null` counts as left out.
    fn optional<T: FromStr<Err: fmt::Display>>(&mut self, member: usize) -> Option<T> {
        let name = MEMBERS.get(member).copied().unwrap_or_default();
        let raw = self.raw.get(member).filter(|raw| raw.get() != "null")?;
        self.word(name, raw)
    }

    fn word<T: FromStr<Err: fmt::Display>>(&mut self, name: &str, raw: &'a RawValue) -> Option<T> {
        let Some(text) = string(raw) else {
            self.refuse(name, format_args!("is {}: expected a string", kind(raw)));
            return None;
        };
        text.parse().map_err(|error| self.refuse(name, error)).ok()
    }

    fn data(&mut self, body: &Bytes) -> Option<Bytes> {
        let text = self.raw.get(DATA)?.get();
        if nesting(text) > NESTING_MAX {
            self.refuse(
                "data",
                format_args!("has objects and lists more than {NESTING_MAX} deep in each other"),
            );
        }
        let is_most = text.len() >= body.len() / 2;
        let shared = text.len() > COPY_BYTES_MAX && is_most;
        Some(if shared { body.slice_ref(text.as_bytes()) } else { Bytes::copy_from_slice(text.as_bytes()) })
    }
}

/// The text of a JSON string, borrowed unless it has escapes; none for any other value.
fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        return serde_json::from_str(raw.get()).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inner))
}

fn kind(raw: &RawValue) -> &'static str {
    match raw.get().as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b'"') => "a string that is not Unicode",
        Some(b't' | b'f') => "a boolean",
        _ => "a number",
    }
}

/// How deep objects and lists lie in each other in valid JSON text.
///
/// Most texts have fewer brackets than may nest, which is counted quickly; only others are followed in full.
fn nesting(text: &str) -> usize {
    let brackets = text.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count();
    if brackets <= NESTING_MAX { brackets } else { nesting_exact(text) }
}

fn nesting_exact(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
#[path = "submission_tests.rs"]
mod tests;
