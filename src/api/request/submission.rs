//! The reader of submitted events.
//!
//! Every event passes here, so the body is read only once, and members are parsed in place. `data` is never parsed into a
//! tree: it is kept byte for byte as it was sent. All problems of all events are reported at once, each with the JSON
//! pointer of its member.

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

/// The deepest nesting of objects and lists in `data`.
pub const NESTING_MAX: usize = 100;

/// The most bytes of `data` that are copied out of the request's body.
///
/// A copy does not keep the connection's read buffer or the rest of a list in memory.
const COPY_BYTES_MAX: usize = 16 * 1024;

// Indices in MEMBERS.
const TYPE: usize = 0;
const PROJECT: usize = 1;
const COMPANY: usize = 2;
const DATA: usize = 3;
const ID: usize = 4;
const OCCURRED_AT: usize = 5;

/// The events of a request: one event, or a list that is accepted as a whole or not at all.
#[derive(Debug, PartialEq, Eq)]
pub enum Submission {
    /// One JSON object.
    One(EventContent),
    /// A JSON array, or lines.
    List(Vec<EventContent>),
}

/// The reason that a body is not a valid submission.
#[derive(Debug, PartialEq, Eq)]
pub enum SubmissionError {
    /// The body is not valid JSON.
    Malformed(Vec<Problem>),
    /// Members of events have invalid values.
    Invalid(Vec<Problem>),
    /// The body has more events than one request can have.
    TooMany {
        /// The number of events in the body.
        events: usize,
    },
}

/// Reads a body of `application/json`: one event, or an array of at most `batch_events_max` events.
///
/// A byte order mark is ignored, as RFC 8259 permits. An empty array is a valid, empty list.
///
/// # Errors
/// See [`SubmissionError`].
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

/// Reads one event that is not going to be accepted, for `/v1/match`. It may have a type of the daemon's own.
///
/// # Errors
/// See [`SubmissionError`].
pub fn read_one(body: &Bytes) -> Result<EventContent, SubmissionError> {
    read_object(text(body)?, body, read_event)
}

/// Reads a body of `application/x-ndjson`: one event a line, at most `batch_events_max` events. Blank lines are ignored.
///
/// JSON pointers count the events from 0, as in an array. Each problem also names its line, counted from 1.
///
/// # Errors
/// See [`SubmissionError`].
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

/// Reads an event, and adds its problems to the list.
type ReadEvent = fn(&RawEvent<'_>, &Bytes, &str, &mut Vec<Problem>) -> Option<EventContent>;

fn read_object(text: &str, body: &Bytes, read: ReadEvent) -> Result<EventContent, SubmissionError> {
    let raw: RawEvent<'_> = serde_json::from_str(text).map_err(|error| malformed(&error))?;
    let mut problems = Vec::new();
    read(&raw, body, "", &mut problems).ok_or(SubmissionError::Invalid(problems))
}

/// Reads an event like [`read_event`], and refuses the types that are reserved for the daemon.
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
    let mut reader = EventReader { raw, pointer, problems, is_valid: true };
    reader.add_problem(
        "type",
        format_args!(
            "'{}' begins with '{TYPE_PREFIX}': this prefix is reserved for events of the daemon",
            event.event_type
        ),
    );
    None
}

fn text(body: &Bytes) -> Result<&str, SubmissionError> {
    let text = std::str::from_utf8(body).map_err(|error| {
        let detail = format!("is not UTF-8: byte {} is not part of a character", error.valid_up_to());
        SubmissionError::Malformed(vec![Problem::new("", detail)])
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

fn malformed(error: &serde_json::Error) -> SubmissionError {
    let (line, column) = (error.line(), error.column());
    let cause = cause(error);
    SubmissionError::Malformed(vec![Problem::new("", format!("line {line}, column {column}: {cause}"))])
}

/// Returns the message of serde without the position that it ends with.
fn cause(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split_once(" at line ").map_or(text.as_str(), |(cause, _)| cause).to_owned()
}

/// Returns the event, or `None` after adding all its problems to `problems`.
fn read_event(
    raw: &RawEvent<'_>,
    body: &Bytes,
    pointer: &str,
    problems: &mut Vec<Problem>,
) -> Option<EventContent> {
    let mut reader = EventReader { raw, pointer, problems, is_valid: true };
    if let Some(kind) = raw.not_an_object {
        reader.add_problem("", format_args!("is {kind}: expected an event object"));
        return None;
    }
    reader.check_names();
    let event_type = reader.required(TYPE);
    let project = reader.required(PROJECT);
    let company = reader.optional(COMPANY);
    let sender_id = reader.optional(ID);
    let occurred_at = reader.optional(OCCURRED_AT);
    let data = reader.data(body);
    if !reader.is_valid {
        return None;
    }
    let (event_type, project) = (event_type?, project?);
    Some(EventContent { event_type, project, company, sender_id, occurred_at, data, trace: None })
}

/// The reader of one event.
struct EventReader<'r, 'a> {
    raw: &'r RawEvent<'a>,
    pointer: &'r str,
    problems: &'r mut Vec<Problem>,
    is_valid: bool,
}

impl<'a> EventReader<'_, 'a> {
    fn add_problem(&mut self, name: &str, detail: impl fmt::Display) {
        self.is_valid = false;
        if self.problems.len() < PROBLEMS_MAX {
            let name = pointer::escape(name);
            let slash = if name.is_empty() { "" } else { "/" };
            self.problems.push(Problem::new(format!("{}{slash}{name}", self.pointer), detail));
        }
    }

    fn check_names(&mut self) {
        let raw = self.raw;
        for name in &raw.unknown {
            let hint = nearest(name, MEMBERS).map_or_else(
                || format!("expected {}", MEMBERS.join(", ")),
                |near| format!("did you mean '{near}'?"),
            );
            self.add_problem(name, format_args!("is not a member of an event: {hint}"));
        }
        for name in &raw.repeated {
            self.add_problem(name, "is given more than once: give it once");
        }
    }

    fn required<T: FromStr<Err: fmt::Display>>(&mut self, member: usize) -> Option<T> {
        let name = MEMBERS.get(member).copied().unwrap_or_default();
        match self.raw.get(member) {
            Some(raw) if raw.get() != "null" => self.parse(name, raw),
            _ => {
                self.add_problem(name, "is missing");
                None
            }
        }
    }

    /// Returns a parsed member; `None` if it is left out, null or invalid.
    fn optional<T: FromStr<Err: fmt::Display>>(&mut self, member: usize) -> Option<T> {
        let name = MEMBERS.get(member).copied().unwrap_or_default();
        let raw = self.raw.get(member).filter(|raw| raw.get() != "null")?;
        self.parse(name, raw)
    }

    fn parse<T: FromStr<Err: fmt::Display>>(&mut self, name: &str, raw: &'a RawValue) -> Option<T> {
        let Some(text) = string(raw) else {
            self.add_problem(name, format_args!("is {}: expected a string", kind(raw)));
            return None;
        };
        text.parse().map_err(|error| self.add_problem(name, error)).ok()
    }

    fn data(&mut self, body: &Bytes) -> Option<Bytes> {
        let text = self.raw.get(DATA)?.get();
        if nesting(text) > NESTING_MAX {
            self.add_problem(
                "data",
                format_args!("nests objects and lists more than {NESTING_MAX} levels deep"),
            );
        }
        let is_most_of_body = text.len() >= body.len() / 2;
        let shared = text.len() > COPY_BYTES_MAX && is_most_of_body;
        Some(if shared { body.slice_ref(text.as_bytes()) } else { Bytes::copy_from_slice(text.as_bytes()) })
    }
}

/// Returns the text of a JSON string, borrowed unless it contains escapes; `None` for any other value.
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
        Some(b'"') => "a string that is not valid Unicode",
        Some(b't' | b'f') => "a boolean",
        _ => "a number",
    }
}

/// Returns how deep objects and lists nest in valid JSON text.
///
/// The number of brackets is an upper bound, which is quick to count. Only a text with more brackets than
/// [`NESTING_MAX`] is followed in full.
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
