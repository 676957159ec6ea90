//! The request body that a receiver gets, by format.
//!
//! `data` is copied byte for byte and never re-encoded. The precision of numbers, the order of members and
//! repeated members are preserved. Absent members are left out.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::model::event::{Event, EventContent};
use crate::model::id::EventId;
use crate::model::name::EventType;
use crate::model::selector::{EventPattern, EventSelector, ProjectPattern, ProjectSelector};
use crate::model::subscription::{DisabledReason, Format, HealthState, Subscription};
use crate::model::time::Timestamp;

/// The event type of a health check, except in `blue` format.
pub const HEALTH_CHECK: &str = "webhook.health_check";
/// The event type of a health check in `blue` format.
pub const HEALTH_CHECK_BLUE: &str = "WEBHOOK_HEALTH_CHECK";

/// The default event type of a sample, except in `blue` format.
pub const SAMPLE: &str = "webhook.test";
/// The default event type of a sample in `blue` format.
pub const SAMPLE_BLUE: &str = "WEBHOOK_TEST";
/// The project of a sample if the subscription names no project.
pub const SAMPLE_PROJECT: &str = "test";

const NULL: &[u8] = b"null";

/// The approximate size of the members other than `data`.
const MEMBERS_BYTES: usize = 320;

/// Returns the body of `event` for this subscription.
///
/// - `standard`: the payload shape of Standard Webhooks.
/// - `blue`: the payload of Blue's webhooks. `previousValue` and `currentValue` are the members of `data`
///   with these names, or null.
/// - `raw`: `data` alone, or `null` if there is none, so that the body is always JSON.
/// - `cloudevents`: CloudEvents 1.0 in structured mode. `source` is `/company/project` or `/project`. The
///   sender's own id is the extension `senderid`.
pub fn body(subscription: &Subscription, health: &HealthState, event: &Event) -> Bytes {
    let content = &event.content;
    match subscription.spec.format {
        Format::Standard => standard(event),
        Format::Blue => blue(subscription, health, content),
        Format::Raw => content.data.clone().unwrap_or(Bytes::from_static(NULL)),
        Format::CloudEvents => cloud_event(event),
    }
}

/// Returns the body of a health check in the subscription's format.
///
/// A health check is sent before a subscription is enabled again. The `raw` format uses the `standard` body,
/// because a health check has no data to send alone.
pub fn health_check(subscription: &Subscription, health: &HealthState, id: EventId, at: Timestamp) -> Bytes {
    let mut data = Object::new();
    data.value("subscription", &subscription.id);
    let data = data.end();
    match subscription.spec.format {
        Format::Standard | Format::Raw => {
            let mut body = Object::new();
            body.value("type", HEALTH_CHECK).value("timestamp", &at).value("id", &id).json("data", &data);
            body.end()
        }
        Format::Blue => {
            let mut webhook = webhook(subscription, health);
            webhook.value("secret", "");
            let mut body = Object::new();
            body.value("event", HEALTH_CHECK_BLUE).json("webhook", &webhook.end());
            body.end()
        }
        Format::CloudEvents => {
            let mut body = cloud_context(id, "/postrider", HEALTH_CHECK, at);
            body.value("datacontenttype", "application/json").json("data", &data);
            body.end()
        }
    }
}

/// Returns a made-up event with this id that the subscription could receive.
///
/// The event's project is the first one that the subscription's selector names, or [`SAMPLE_PROJECT`].
pub fn sample(subscription: &Subscription, event_type: Option<EventType>, id: EventId) -> Event {
    let spec = &subscription.spec;
    let word = if spec.format == Format::Blue { SAMPLE_BLUE } else { SAMPLE };
    let event_type = event_type.unwrap_or_else(|| constant(word));
    let named = spec.projects.includes().find_map(|pattern| match pattern {
        ProjectPattern::AnyCompany(project) => Some((None, project.clone())),
        ProjectPattern::Exact(company, project) => Some((Some(company.clone()), project.clone())),
        ProjectPattern::All | ProjectPattern::Company(_) => None,
    });
    let (company, project) = named.unwrap_or_else(|| (None, constant(SAMPLE_PROJECT)));
    let mut data = Object::new();
    data.value("subscription", &subscription.id);
    let data = Some(data.end());
    Event {
        id,
        content: EventContent {
            event_type,
            project,
            company,
            sender_id: None,
            occurred_at: None,
            data,
            trace: None,
        },
    }
}

#[expect(clippy::expect_used, reason = "the names are valid constants, as a test checks")]
fn constant<T: FromStr<Err: fmt::Debug>>(name: &str) -> T {
    name.parse().expect("the constant is a valid name")
}

fn standard(event: &Event) -> Bytes {
    let content = &event.content;
    let mut body = Object::with_room_for(content.data.as_ref());
    body.value("type", &content.event_type).value("timestamp", &event.occurred_at()).value("id", &event.id);
    body.optional("sender_id", content.sender_id.as_ref()).value("project", &content.project);
    body.optional("company", content.company.as_ref());
    if let Some(data) = &content.data {
        body.json("data", data);
    }
    body.end()
}

fn cloud_event(event: &Event) -> Bytes {
    let content = &event.content;
    let source = match &content.company {
        Some(company) => format!("/{company}/{}", content.project),
        None => format!("/{}", content.project),
    };
    let mut body = cloud_context(event.id, &source, content.event_type.as_str(), event.occurred_at());
    body.optional("senderid", content.sender_id.as_ref());
    if let Some(data) = &content.data {
        body.value("datacontenttype", "application/json").json("data", data);
    }
    body.end()
}

fn cloud_context(id: EventId, source: &str, event_type: &str, at: Timestamp) -> Object {
    let mut body = Object::new();
    body.value("specversion", "1.0").value("id", &id).value("source", source);
    body.value("type", event_type).value("time", &at);
    body
}

fn blue(subscription: &Subscription, health: &HealthState, content: &EventContent) -> Bytes {
    let values = members(content.data.as_deref().unwrap_or(NULL));
    let value = |name| values.get(name).map_or(NULL, |value| value.get().as_bytes());
    let mut body = Object::new();
    body.value("event", &content.event_type).json("webhook", &webhook(subscription, health).end());
    body.json("previousValue", value("previousValue")).json("currentValue", value("currentValue"));
    body.end()
}

/// Returns the raw members of a JSON object, or an empty map for any other JSON. If a name is repeated, the
/// last member counts.
fn members(json: &[u8]) -> BTreeMap<String, &RawValue> {
    serde_json::from_slice(json).unwrap_or_default()
}

/// Returns Blue's description of the webhook as an object that can take more members.
///
/// The lists of events and projects are empty if the subscription wants all of them. The status is
/// `UNHEALTHY` only after the daemon disabled the subscription.
fn webhook(subscription: &Subscription, health: &HealthState) -> Object {
    let spec = &subscription.spec;
    let disabled = health.disabled.as_ref();
    let unhealthy = disabled.is_some_and(|disabled| disabled.reason != DisabledReason::Manual);
    let mut metadata = Object::new();
    metadata.value("events", &event_terms(&spec.events)).value("projectIds", &project_terms(&spec.projects));
    let mut webhook = Object::new();
    webhook.value("id", &subscription.id).value("uid", &subscription.id).value("name", &spec.name);
    webhook.value("url", spec.url.as_str());
    webhook.value("status", if unhealthy { "UNHEALTHY" } else { "HEALTHY" });
    webhook.value("enabled", &disabled.is_none()).json("metadata", &metadata.end());
    webhook
}

fn event_terms(selector: &EventSelector) -> Vec<String> {
    let all = selector.excludes().next().is_none() && selector.includes().any(|p| *p == EventPattern::All);
    if all { Vec::new() } else { selector.to_texts() }
}

fn project_terms(selector: &ProjectSelector) -> Vec<String> {
    let all = selector.excludes().next().is_none() && selector.includes().any(|p| *p == ProjectPattern::All);
    if all { Vec::new() } else { selector.to_texts() }
}

/// A JSON object that is written member by member.
struct Object(Vec<u8>);

impl Object {
    fn new() -> Self {
        Self(b"{".to_vec())
    }

    /// Creates an object with enough capacity for `data` and a few short members.
    fn with_room_for(data: Option<&Bytes>) -> Self {
        let mut json = Vec::with_capacity(data.map_or(0, Bytes::len) + MEMBERS_BYTES);
        json.push(b'{');
        Self(json)
    }

    fn value<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> &mut Self {
        self.name(name);
        self.write(value);
        self
    }

    fn optional<T: Serialize>(&mut self, name: &str, value: Option<&T>) -> &mut Self {
        match value {
            Some(value) => self.value(name, value),
            None => self,
        }
    }

    /// Writes a member whose value is already JSON.
    fn json(&mut self, name: &str, json: &[u8]) -> &mut Self {
        self.name(name);
        self.0.extend_from_slice(json);
        self
    }

    fn name(&mut self, name: &str) {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        self.write(name);
        self.0.push(b':');
    }

    #[expect(
        clippy::expect_used,
        reason = "writing to memory cannot fail, and texts, flags and lists have a JSON form"
    )]
    fn write<T: Serialize + ?Sized>(&mut self, value: &T) {
        serde_json::to_writer(&mut self.0, value).expect("texts, flags and lists have a JSON form");
    }

    fn end(mut self) -> Bytes {
        self.0.push(b'}');
        self.0.into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::samples::{event, subscription};

    const DATA: &str = r#"{ "n":1.10, "big":123456789012345678901234567890, "a":"x  y", "a":2 }"#;

    fn disabled(reason: DisabledReason) -> HealthState {
        let disabled =
            crate::model::subscription::Disabled { reason, at: Timestamp::default(), detail: String::new() };
        HealthState { disabled: Some(disabled), ..HealthState::default() }
    }

    fn sent(format: Format, data: Option<&str>) -> String {
        let bytes = body(&subscription(format), &HealthState::default(), &event(data));
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    fn checked(format: Format) -> String {
        let subscription = subscription(format);
        let health = disabled(DisabledReason::Exhausted);
        let bytes = health_check(&subscription, &health, EventId::from_bits(9), Timestamp::from_millis(1000));
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn standard_copies_data_unchanged() {
        assert_eq!(
            sent(Format::Standard, Some(DATA)),
            format!(
                r#"{{"type":"TODO_CREATED","timestamp":"2026-01-31T08:00:00.000Z","id":"evt_00000000000000000000000001","sender_id":"a\"b","project":"website","company":"acme","data":{DATA}}}"#
            )
        );
        let mut bare = event(None);
        bare.content.sender_id = None;
        bare.content.company = None;
        bare.content.occurred_at = None;
        assert_eq!(
            body(&subscription(Format::Standard), &HealthState::default(), &bare),
            r#"{"type":"TODO_CREATED","timestamp":"1970-01-01T00:00:00.000Z","id":"evt_00000000000000000000000001","project":"website"}"#
        );
    }

    #[test]
    fn raw_sends_only_data() {
        assert_eq!(sent(Format::Raw, Some(DATA)), DATA);
        assert_eq!(sent(Format::Raw, None), "null");
    }

    #[test]
    fn cloudevents_uses_structured_mode() {
        let context = r#""specversion":"1.0","id":"evt_00000000000000000000000001","source":"/acme/website","type":"TODO_CREATED","time":"2026-01-31T08:00:00.000Z","senderid":"a\"b""#;
        let with_data = format!(r#"{{{context},"datacontenttype":"application/json","data":{DATA}}}"#);
        assert_eq!(sent(Format::CloudEvents, Some(DATA)), with_data);
        assert_eq!(sent(Format::CloudEvents, None), format!("{{{context}}}"));
        let mut alone = event(None);
        alone.content.company = None;
        let bytes = body(&subscription(Format::CloudEvents), &HealthState::default(), &alone);
        assert!(String::from_utf8_lossy(&bytes).contains(r#""source":"/website""#));
    }

    const WEBHOOK: &str = r#""id":"sub_00000000000000000000000002","uid":"sub_00000000000000000000000002","name":"crm","url":"https://crm.example/hooks","status":"HEALTHY","enabled":true,"metadata":{"events":["TODO_*","!TODO_DELETED"],"projectIds":[]}"#;

    #[test]
    fn blue_sends_previous_and_current_value() {
        let table = [
            (Some(r#"{"currentValue": {"n":1.10} ,"x":1}"#), "null", r#"{"n":1.10}"#),
            (Some(r#"{"previousValue":null,"currentValue":[ 1 ]}"#), "null", "[ 1 ]"),
            (Some(r#"{"previousValue":1,"previousValue":2e400}"#), "2e400", "null"),
            (Some(r#"{"previous\u0056alue":"a"}"#), r#""a""#, "null"),
            (Some("[1]"), "null", "null"),
            (Some("7"), "null", "null"),
            (None, "null", "null"),
        ];
        for (data, previous, current) in table {
            assert_eq!(
                sent(Format::Blue, data),
                format!(
                    r#"{{"event":"TODO_CREATED","webhook":{{{WEBHOOK}}},"previousValue":{previous},"currentValue":{current}}}"#
                )
            );
        }
    }

    #[test]
    fn blue_is_unhealthy_only_after_an_automatic_disable() {
        for (health, expected) in [
            (
                HealthState { failing_since: Some(Timestamp::default()), ..HealthState::default() },
                r#""HEALTHY","enabled":true"#,
            ),
            (disabled(DisabledReason::Manual), r#""HEALTHY","enabled":false"#),
            (disabled(DisabledReason::Gone), r#""UNHEALTHY","enabled":false"#),
        ] {
            let bytes = body(&subscription(Format::Blue), &health, &event(None));
            assert!(String::from_utf8_lossy(&bytes).contains(expected), "{expected}");
        }
    }

    #[test]
    fn health_checks_have_their_own_type() {
        let standard = r#"{"type":"webhook.health_check","timestamp":"1970-01-01T00:00:01.000Z","id":"evt_00000000000000000000000009","data":{"subscription":"sub_00000000000000000000000002"}}"#;
        assert_eq!((checked(Format::Standard).as_str(), checked(Format::Raw).as_str()), (standard, standard));
        let webhook = WEBHOOK.replace(r#""HEALTHY","enabled":true"#, r#""UNHEALTHY","enabled":false"#);
        assert_eq!(
            checked(Format::Blue),
            format!(r#"{{"event":"WEBHOOK_HEALTH_CHECK","webhook":{{{webhook},"secret":""}}}}"#)
        );
        assert_eq!(
            checked(Format::CloudEvents),
            r#"{"specversion":"1.0","id":"evt_00000000000000000000000009","source":"/postrider","type":"webhook.health_check","time":"1970-01-01T00:00:01.000Z","datacontenttype":"application/json","data":{"subscription":"sub_00000000000000000000000002"}}"#
        );
    }

    #[test]
    fn sample_uses_a_project_that_the_selector_names() {
        let mut wanting = subscription(Format::Standard);
        let id = EventId::from_bits(9);
        let data = r#""data":{"subscription":"sub_00000000000000000000000002"}"#;
        let head = r#""timestamp":"1970-01-01T00:00:00.000Z","id":"evt_00000000000000000000000009""#;
        let sent =
            |to: &Subscription, event_type| body(to, &HealthState::default(), &sample(to, event_type, id));
        let expected = format!(r#"{{"type":"webhook.test",{head},"project":"test",{data}}}"#);
        assert_eq!(sent(&wanting, None), expected);
        wanting.spec.projects = ProjectSelector::parse(&["acme/*", "acme/website"]).unwrap();
        let expected =
            format!(r#"{{"type":"TODO_CREATED",{head},"project":"website","company":"acme",{data}}}"#);
        assert_eq!(sent(&wanting, Some("TODO_CREATED".parse().unwrap())), expected);
        let blue = sent(&subscription(Format::Blue), None);
        assert!(blue.starts_with(br#"{"event":"WEBHOOK_TEST","webhook":"#), "{blue:?}");
    }

    #[test]
    fn bodies_contain_no_secret() {
        for &format in Format::ALL {
            let secret = subscription(format).secrets[0].secret.reveal().to_owned();
            assert!(
                !sent(format, Some(DATA)).contains(&secret) && !checked(format).contains(&secret),
                "{format}"
            );
        }
    }

    proptest! {
        #[test]
        fn every_body_is_json_and_contains_the_data(text in ".*", number: i64) {
            let value = serde_json::json!({ "currentValue": { "t": text, "n": number } });
            let data = value.to_string();
            let parsed = |format| serde_json::from_str::<serde_json::Value>(&sent(format, Some(&data))).unwrap();
            prop_assert_eq!(&parsed(Format::Standard)["data"], &value);
            prop_assert_eq!(&parsed(Format::CloudEvents)["data"], &value);
            prop_assert_eq!(&parsed(Format::Blue)["currentValue"], &value["currentValue"]);
            prop_assert_eq!(&parsed(Format::Raw), &value);
        }
    }
}
