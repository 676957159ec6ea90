//! Fuzzes bodies of events.
//!
//! An accepted body is JSON, and its data is kept byte for byte. The same event reads equally as an object,
//! in an array and on a line. Every problem of a rejected body has a location.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use postrider::api::request::submission::{Submission, SubmissionError, read_json, read_lines, read_one};
use postrider::model::event::EventContent;
use serde_json::value::RawValue;

const EVENTS_MAX: usize = 50;

/// Returns the event as JSON, as a sender would write it.
fn written(event: &EventContent) -> String {
    let mut members = serde_json::Map::new();
    let mut put = |name: &str, text: Option<String>| {
        if let Some(text) = text {
            members.insert(name.to_owned(), text.into());
        }
    };
    put("type", Some(event.event_type.to_string()));
    put("project", Some(event.project.to_string()));
    put("company", event.company.as_ref().map(ToString::to_string));
    put("id", event.sender_id.as_ref().map(ToString::to_string));
    put("occurred_at", event.occurred_at.map(|at| at.to_string()));
    let mut text = serde_json::Value::Object(members).to_string();
    if let Some(data) = &event.data {
        let data = std::str::from_utf8(data).expect("data is UTF-8");
        text.truncate(text.len() - 1);
        text += &format!(",\"data\":{data}}}");
    }
    text
}

fn check_event(event: &EventContent, body: &[u8]) {
    if let Some(data) = &event.data {
        assert!(serde_json::from_slice::<&RawValue>(data).is_ok(), "data is not JSON");
        assert!(
            body.windows(data.len().max(1)).any(|part| part == &data[..]),
            "data is not part of the body"
        );
    }
    let text = written(event);
    assert_eq!(read_one(&Bytes::from(text.clone())), Ok(event.clone()), "{text}");
    let array = Bytes::from(format!("[{text}]"));
    assert_eq!(read_json(&array, EVENTS_MAX), Ok(Submission::List(vec![event.clone()])));
    if !text.contains('\n') {
        assert_eq!(read_lines(&Bytes::from(text), EVENTS_MAX), Ok(Submission::List(vec![event.clone()])));
    }
}

fn check_refusal(error: &SubmissionError) {
    match error {
        SubmissionError::Malformed(problems) | SubmissionError::Invalid(problems) => {
            assert!(!problems.is_empty());
            for problem in problems {
                assert!(problem.pointer.is_empty() || problem.pointer.starts_with('/'), "{problem:?}");
                assert!(!problem.detail.is_empty(), "{problem:?}");
            }
        }
        SubmissionError::TooMany { events } => assert!(*events > EVENTS_MAX),
    }
}

fuzz_target!(|bytes: &[u8]| {
    let body = Bytes::copy_from_slice(bytes);
    let whole = read_json(&body, EVENTS_MAX);
    if whole.is_ok() {
        let text = std::str::from_utf8(bytes).expect("an accepted body is UTF-8");
        let json = serde_json::from_str::<&RawValue>(text.trim_start_matches('\u{feff}'));
        assert!(json.is_ok(), "an accepted body is JSON");
    }
    for read in [whole, read_lines(&body, EVENTS_MAX), read_one(&body).map(Submission::One)] {
        match read {
            Ok(Submission::One(event)) => check_event(&event, bytes),
            Ok(Submission::List(events)) => {
                assert!(events.len() <= EVENTS_MAX);
                events.iter().for_each(|event| check_event(event, bytes));
            }
            Err(error) => check_refusal(&error),
        }
    }
});
