//! Fuzzes filters. The input is a filter, a NUL, and an event.
//!
//! A filter that compiles gives the same answer each time, within its budget, and the matching index agrees
//! with it. The error of any other filter has a position in the text.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use postrider::api::request::submission::read_one;
use postrider::model::id::SubscriptionId;
use postrider::model::input::SubscriptionInput;
use postrider::model::time::Timestamp;
use postrider::rules::filter::{Filter, FilterInput};
use postrider::rules::matcher::{Candidate, Index, Matches, Presence};

const EVENT: &str = r#"{"type":"A","project":"p","data":{"n":1,"s":"x","l":[1,2,3],"m":{"a":null}}}"#;

fuzz_target!(|text: &str| {
    let (text, event) = text.split_once('\0').unwrap_or((text, EVENT));
    let filter = match Filter::compile(text) {
        Ok(filter) => filter,
        Err(error) => {
            assert!(error.line >= 1 && error.line <= text.split('\n').count().max(1), "{error} in {text:?}");
            assert!(error.column >= 1 && !error.message.is_empty(), "{error}");
            return;
        }
    };
    let Ok(content) = read_one(&Bytes::from(event.to_owned())) else { return };
    let arrived_at = Timestamp::from_millis(1_767_600_000_000);
    let input = FilterInput::new(&content, arrived_at);
    let verdict = filter.evaluate(&input);
    // Maps have no order, so an expression that iterates over one, or quotes it, can give different answers.
    if ["map", "filter", "all", "exists"].iter().any(|name| text.contains(name)) {
        return;
    }
    let again = filter.evaluate(&FilterInput::new(&content, arrived_at));
    assert_eq!(again.ok(), verdict.clone().ok(), "{text}");

    let members = serde_json::json!({"url": "http://8.8.8.8/", "filter": text});
    let spec = SubscriptionInput::read(members.as_object().unwrap()).expect("the filter compiles").spec;
    let (index, _writer) = Index::build([(SubscriptionId::from_bits(7), &spec, Presence::Active)]);
    let mut matches = Matches::default();
    let snapshot = index.snapshot();
    let candidate = Candidate { content: &content, arrived_at };
    let found = snapshot.match_into(&candidate, &mut matches).iter().count() == 1;
    assert_eq!(found, verdict == Ok(true), "{text}: {verdict:?}");
});
