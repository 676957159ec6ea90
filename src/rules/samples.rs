//! A subscription and an event for the tests of payloads, headers and signatures.

use bytes::Bytes;

use crate::model::event::{Event, EventContent};
use crate::model::id::{EventId, SubscriptionId};
use crate::model::secret::{Secret, SigningSecret};
use crate::model::selector::EventSelector;
use crate::model::subscription::{Format, Subscription, SubscriptionSpec};
use crate::model::time::Timestamp;

/// Returns a subscription to `https://crm.example/hooks` with one secret.
pub(crate) fn subscription(format: Format) -> Subscription {
    let url = "https://crm.example/hooks".parse().unwrap();
    let events = EventSelector::parse(&["TODO_*", "!TODO_DELETED"]).unwrap();
    let spec = SubscriptionSpec { name: "crm".to_owned(), events, format, ..SubscriptionSpec::new(url) };
    let now = Timestamp::default();
    let secret = SigningSecret { secret: Secret::from_random([1; 32]), created_at: now, expires_at: None };
    Subscription { secrets: vec![secret], ..Subscription::new(SubscriptionId::from_bits(2), spec, now) }
}

/// Returns an event of the project `acme/website`.
pub(crate) fn event(data: Option<&str>) -> Event {
    let content = EventContent {
        event_type: "TODO_CREATED".parse().unwrap(),
        project: "website".parse().unwrap(),
        company: Some("acme".parse().unwrap()),
        sender_id: Some("a\"b".parse().unwrap()),
        occurred_at: Some("2026-01-31T08:00:00Z".parse().unwrap()),
        data: data.map(|text| Bytes::copy_from_slice(text.as_bytes())),
        trace: None,
    };
    Event { id: EventId::from_bits(1), content }
}
