//! Tests that the OpenAPI document is consistent and describes what the code does.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fancy_regex::Regex;
use serde_json::Value;
use utoipa::PartialSchema;

use super::request::if_match::if_match;
use super::router::DOCUMENT;
use super::wire::schema;
use crate::flow::manage::secrets::check_grace;
use crate::model::email::EmailAddress;
use crate::model::id::{DeliveryId, EventId, SubscriptionId};
use crate::model::input::SubscriptionInput;
use crate::model::name::{EventType, SenderId};
use crate::model::secret::{Secret, SecretKind};
use crate::model::selector::{EventSelector, ProjectSelector};
use crate::model::subscription::RateLimit;
use crate::model::time::Timestamp;

fn document() -> Value {
    serde_json::from_str(&DOCUMENT).unwrap()
}

/// Returns every operation, with its method and path.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let of = |(path, item): (&String, &'_ Value)| (path.clone(), item.as_object().unwrap().clone());
    let named = paths.map(of).flat_map(|(path, item)| {
        item.keys().map(|method| (path.clone(), method.clone())).collect::<Vec<_>>()
    });
    named.map(|(path, method)| (format!("{method} {path}"), &document["paths"][&path][&method])).collect()
}

#[test]
fn every_reference_has_a_target() {
    let document = document();
    let text = document.to_string();
    let references: Vec<_> =
        text.split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(references.len() > 100, "{}", references.len());
    for pointer in references {
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
}

#[test]
fn every_body_has_an_example() {
    let document = document();
    let responses = document["components"]["responses"].as_object().unwrap().iter();
    let shared = responses.map(|(name, response)| (name.clone(), response));
    let own = operations(&document).into_iter().flat_map(|(name, operation)| {
        let answers = operation["responses"].as_object().unwrap().values();
        answers.chain(operation.get("requestBody")).map(move |body| (name.clone(), body)).collect::<Vec<_>>()
    });
    let mut seen = 0;
    for (name, body) in shared.chain(own) {
        for (media_type, content) in body["content"].as_object().into_iter().flatten() {
            seen += 1;
            let has = content.get("example").is_some() || content.get("examples").is_some();
            assert!(has, "{name}: {media_type} has no example");
        }
    }
    assert!(seen > 30, "{seen}");
}

#[test]
fn each_route_lists_the_errors_that_it_can_return() {
    let document = document();
    for (name, operation) in operations(&document) {
        let statuses = operation["responses"].as_object().unwrap();
        let is_open = operation.get("security").is_some();
        let has = |what: bool, expected: &[&str]| {
            for status in expected {
                let listed = statuses.contains_key(*status);
                assert!(listed || !what, "{name} does not list {status}");
            }
        };
        has(!is_open, &["400", "401", "403", "429", "500"]);
        has(name.contains('{'), &["404"]);
        has(operation.get("requestBody").is_some(), &["408", "413", "415", "422"]);
        has(!name.starts_with("get ") && !name.ends_with("/v1/match"), &["503"]);
        let id = operation["operationId"].as_str().unwrap();
        assert!(id.contains('_'), "{name} has no operation id of its own: {id}");
    }
}

fn pattern<T: PartialSchema>() -> Regex {
    let schema = serde_json::to_value(T::schema()).unwrap();
    Regex::new(schema["pattern"].as_str().unwrap()).unwrap()
}

/// Asserts that the pattern of `T` accepts exactly those texts that the model accepts.
fn agree<T: PartialSchema>(texts: &[&str], is_read: impl Fn(&str) -> bool) {
    let pattern = pattern::<T>();
    let (mut good, mut bad) = (0, 0);
    for text in texts {
        let matches = pattern.is_match(text).unwrap();
        assert_eq!(matches, is_read(text), "{text:?} and {pattern}");
        if matches { good += 1 } else { bad += 1 }
    }
    assert!(good > 0 && bad > 0, "{pattern}: {good} good, {bad} bad");
}

fn reads<T: FromStr>(text: &str) -> bool {
    text.parse::<T>().is_ok()
}

/// Returns whether the model accepts this member of a subscription.
fn takes(member: &str, value: &Value) -> bool {
    let members = serde_json::json!({ "url": "https://crm.example/", member: value });
    SubscriptionInput::read(members.as_object().unwrap()).is_ok()
}

#[test]
fn patterns_of_names_accept_what_the_model_accepts() {
    let ulid = "01K3Z9QJ5M8W2R4T6Y8A0C2E4G";
    let [event, subscription, delivery] = ["evt_", "sub_", "dlv_"].map(|prefix| format!("{prefix}{ulid}"));
    let beyond = format!("evt_8{}", &ulid[1..]);
    let short = event[..20].to_owned();
    let ids = [&*event, &*subscription, &*delivery, &*beyond, &*short, ""];
    agree::<schema::EventIdText>(&ids, reads::<EventId>);
    agree::<schema::SubscriptionIdText>(&ids, reads::<SubscriptionId>);
    agree::<schema::DeliveryIdText>(&ids, reads::<DeliveryId>);
    let (long, longer) = ("n".repeat(128), "n".repeat(129));
    agree::<schema::EventTypeText>(
        &["a", "x:y-z.w_1", &long, &longer, "", "a b", "a/b", "å"],
        reads::<EventType>,
    );
    agree::<schema::SenderIdText>(&["a/b~!", &long, &longer, "", "a b", "å"], reads::<SenderId>);
    let terms =
        ["*", "!*", "TODO_*", "!TODO_*", "A", "!A", "", "!", "A*B", "**", "a b", "a/b", &long, &longer];
    agree::<schema::EventTermText>(&terms, |text| EventSelector::parse(&[text]).is_ok());
    let terms =
        ["*", "!*", "w", "!w", "a/w", "!a/*", "a/*", "*/w", "a/w*", "w*", "/w", "a/", "a/b/c", "", &longer];
    agree::<schema::ProjectTermText>(&terms, |text| ProjectSelector::parse(&[text]).is_ok());
}

#[test]
fn patterns_of_display_names_and_addresses_accept_what_the_model_accepts() {
    let text = |member: &'static str| move |text: &str| takes(member, &text.into());
    let (long, longer) = ("å".repeat(128), "n".repeat(129));
    agree::<schema::NameText>(
        &["crm", " a ", "å b", &long, &longer, "", "  ", "a\tb", "\u{85}"],
        text("name"),
    );
    let mut emails = vec![
        "ops@acme.example".to_owned(),
        "a.b+c@d".to_owned(),
        format!("{}@d", "a.b".repeat(22)),
        format!("{}.a@d", "a.b".repeat(21)),
    ];
    for length in [63, 64, 65] {
        emails.push(format!("{}@d", "a".repeat(length)));
        emails.push(format!("a@{}", "d".repeat(length)));
    }
    for length in [60, 61, 62] {
        emails.push(format!(
            "{}@{}{}",
            "a".repeat(64),
            format!("{}.", "d".repeat(63)).repeat(2),
            "d".repeat(length)
        ));
    }
    emails.extend(["", "a", "a@", "@b", "a..b@c", "a@-b", "a@b.", "a b@c", "å@b"].map(str::to_owned));
    agree::<schema::EmailText>(&emails.iter().map(String::as_str).collect::<Vec<_>>(), reads::<EmailAddress>);
}

#[test]
fn patterns_of_settings_accept_what_the_model_accepts() {
    let text = |member: &'static str| move |text: &str| takes(member, &text.into());
    agree::<schema::RateText>(&["1/s", "4199999999/h", "0/s", "50", "1/d", "-1/s", ""], reads::<RateLimit>);
    let timeouts = ["100ms", "99ms", "60000ms", "60001ms", "1s", "60s", "61s", "1m", "2m", "0s", "", "soon"];
    agree::<schema::TimeoutText>(&timeouts, text("timeout"));
    let waits = [
        "0s",
        "0ms",
        "604800000ms",
        "604800001ms",
        "604800s",
        "604801s",
        "99999s",
        "10080m",
        "10081m",
        "168h",
        "169h",
        "7d",
        "8d",
        "",
        "x",
    ];
    agree::<schema::WaitText>(&waits, |text| takes("retry_schedule", &serde_json::json!([text])));
    let graces = [
        "0s",
        "24h",
        "720h",
        "721h",
        "30d",
        "31d",
        "2592000s",
        "2592001s",
        "43200m",
        "43201m",
        "2592000000ms",
        "",
    ];
    agree::<schema::GraceText>(&graces, |text| text.parse().is_ok_and(|grace| check_grace(grace).is_ok()));
    let mut secrets = vec!["whsec_".to_owned(), "x".to_owned()];
    for length in 20..70 {
        let key = STANDARD.encode(vec![7; length]);
        secrets.push(format!("whsec_{key}"));
        // Among keys of 64 bytes, only one with its own public half is valid.
        secrets.extend((length != 64).then(|| format!("whsk_{key}")));
    }
    secrets.push(Secret::of_kind(SecretKind::Ed25519, [7; 32]).reveal().to_owned());
    agree::<schema::SecretText>(&secrets.iter().map(String::as_str).collect::<Vec<_>>(), reads::<Secret>);
    let public = Secret::of_kind(SecretKind::Ed25519, [7; 32]).public_key().unwrap().to_string();
    assert!(pattern::<schema::PublicKeyText>().is_match(&public).unwrap(), "{public}");
    let times =
        ["1971-01-01T00:00:00Z", "9998-12-31T23:59:59+05:00", "1969-12-31T00:00:00Z", "9999-12-31T00:00:00Z"];
    agree::<schema::GivenTime>(&times, reads::<Timestamp>);
    let tags =
        ["*", "\"1f\"", "W/\"a\"", "\"1\",\"2\"", "\"1\", \"2\"", "1f", "\"1f", "\"1\",*", "\"1f\" \"2\""];
    agree::<schema::IfMatchText>(&tags, |text| {
        let value = http::HeaderValue::from_str(text).unwrap();
        if_match(&[(http::header::IF_MATCH, value)].into_iter().collect()).is_ok()
    });
    let values = ["a b", "", "\t", "å", "a\nb"];
    agree::<schema::HeaderValueText>(&values, |text| takes("headers", &serde_json::json!({ "x": text })));
}
