//! Fuzzes bodies of the management API.
//!
//! An accepted subscription reads back from its own members, an empty change changes nothing, and every
//! problem names a member.
#![no_main]

use libfuzzer_sys::fuzz_target;
use postrider::api::request::body::members;
use postrider::model::input::SubscriptionInput;
use postrider::model::pointer;
use serde_json::Map;

/// The members that a problem can name although they are missing: the URL, and the halves of a client
/// identity.
const NAMED_WHILE_MISSING: [&str; 3] = ["url", "tls_client_cert", "tls_client_key"];

fuzz_target!(|bytes: &[u8]| {
    let Ok(given) = members(bytes) else { return };
    match SubscriptionInput::read(&given) {
        Ok(input) => {
            let mut again = input.spec.to_members();
            // The key of a client certificate is never shown, so it is added here.
            if let Some(client) = input.spec.tls.client() {
                again.insert("tls_client_key".to_owned(), client.key().reveal().into());
            }
            let read =
                SubscriptionInput::read(&again).unwrap_or_else(|error| panic!("{error:?} in {again:?}"));
            assert_eq!(read.spec, input.spec);
            let unchanged = SubscriptionInput::read_change(&input.spec, &Map::new());
            assert_eq!(unchanged.map(|unchanged| unchanged.spec), Ok(input.spec));
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            for problem in &problems {
                let member = problem.pointer.strip_prefix('/').and_then(|rest| rest.split('/').next());
                let member = member.map(pointer::unescape);
                let is_named = member.is_some_and(|member| {
                    given.contains_key(&member) || NAMED_WHILE_MISSING.contains(&member.as_str())
                });
                assert!(is_named, "{problem:?} names no member of {given:?}");
                assert!(!problem.detail.is_empty());
            }
        }
    }
});
