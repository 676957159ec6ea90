//! Bodies of the management API: a subscription that is taken comes back from its own members, a change to nothing
//! changes nothing, and what is refused names the member.
#![no_main]

use libfuzzer_sys::fuzz_target;
use postrider::api::request::body::members;
use postrider::model::input::SubscriptionInput;
use serde_json::Map;

/// What is named when it is missing: the URL, and the other half of a client certificate.
const MISSED: [&str; 3] = ["url", "tls_client_cert", "tls_client_key"];

fuzz_target!(|bytes: &[u8]| {
    let Ok(given) = members(bytes) else { return };
    match SubscriptionInput::read(&given) {
        Ok(input) => {
            let mut again = input.spec.to_members();
            // The key of a client certificate is never shown.
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
                let member = member.map(|member| member.replace("~1", "/").replace("~0", "~"));
                let is_named = member
                    .is_some_and(|member| given.contains_key(&member) || MISSED.contains(&member.as_str()));
                assert!(is_named, "{problem:?} names no member of {given:?}");
                assert!(!problem.detail.is_empty());
            }
        }
    }
});
