//! A subscription and an event for the tests of payloads, headers and signatures.

use bytes::Bytes;

use crate::model::event::{Event, EventContent};
use crate::model::id::{EventId, SubscriptionId};
use crate::model::secret::{Secret, SigningSecret};
use crate::model::selector::EventSelector;
use crate::model::subscription::{Format, ManagedBy, Subscription, SubscriptionSpec};
use crate::model::time::Timestamp;

/// Returns a subscription to `https://crm.example/hooks` with one secret.
pub(crate) fn subscription(format: Format) -> Subscription {
    let url = "https://crm.example/hooks".parse().unwrap();
    let spec = SubscriptionSpec {
        name: "crm".to_owned(),
        events: EventSelector::parse(&["TODO_*", "!TODO_DELETED"]).unwrap(),
        format,
        ..SubscriptionSpec::new(url)
    };
    Subscription {
        id: SubscriptionId::from_bits(2),
        spec,
        managed_by: ManagedBy::Api,
        secrets: vec![SigningSecret {
            secret: Secret::from_random([1; 32]),
            created_at: Timestamp::default(),
            expires_at: None,
        }],
        created_at: Timestamp::default(),
        updated_at: Timestamp::default(),
        deleted_at: None,
    }
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
