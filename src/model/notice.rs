//! Notices: events about the daemon itself, which subscriptions can receive.

use bytes::Bytes;
use serde_json::{Value, json};
use url::Url;

use super::event::EventContent;
use super::id::SubscriptionId;
use super::name::EventType;
use super::selector::EventSelector;
use super::string_enum::string_enum;
use super::subscription::{HealthState, Subscription};
use super::time::Timestamp;

/// The project of all notices. They have no company.
pub const PROJECT: &str = "postrider";
/// The prefix of the event types of notices. Events of clients cannot use it.
pub const TYPE_PREFIX: &str = "postrider.";

string_enum!(
    /// The type of a notice.
    NoticeKind {
        /// The daemon disabled a subscription because of its health.
        SubscriptionDisabled = "postrider.subscription.disabled",
        /// A receiver has failed twice in a row.
        SubscriptionFailing = "postrider.subscription.failing",
        /// A receiver that a notice reported as failing answers again, or its subscription was enabled.
        SubscriptionRecovered = "postrider.subscription.recovered",
        /// The free disk space is below twice the reserve.
        StorageLow = "postrider.storage.low",
        /// The free disk space is above three times the reserve again.
        StorageRecovered = "postrider.storage.recovered",
    }
);

/// Returns whether a subscription with these event types wants the event, in addition to matching it.
///
/// A notice must be named in the selector, because "every event" means every event that clients submit.
pub fn is_requested(events: &EventSelector, event_type: &EventType) -> bool {
    !is_daemon_event(event_type) || events.names(event_type)
}

/// Returns whether the event type belongs to a notice.
pub fn is_daemon_event(event_type: &EventType) -> bool {
    event_type.as_str().starts_with(TYPE_PREFIX)
}

/// An occurrence that the daemon reports as an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// The type of the notice.
    pub kind: NoticeKind,
    /// When it happened.
    pub at: Timestamp,
    /// The subscription that the notice is about, if any. That subscription does not receive the notice.
    pub about: Option<SubscriptionId>,
    /// The payload of the event.
    data: Value,
}

impl Notice {
    /// Creates a notice about a subscription whose state changed at `at`.
    pub fn of_subscription(
        kind: NoticeKind,
        subscription: &Subscription,
        health: &HealthState,
        at: Timestamp,
    ) -> Self {
        let disabled = health.disabled.as_ref();
        let data = json!({
            "subscription": subscription.id.to_string(),
            "name": subscription.spec.name,
            "url": without_user_info(&subscription.spec.url),
            "health": health.summary().as_str(),
            "disabled_reason": disabled.map(|disabled| disabled.reason.as_str()),
            "disabled_detail": disabled.map(|disabled| disabled.detail.as_str()),
            "failing_since": health.failing_since,
            "last_success_at": health.last_success_at,
        });
        Self { kind, at, about: Some(subscription.id), data }
    }

    /// Creates a notice about the disk that holds the log.
    pub fn of_storage(kind: NoticeKind, free_bytes: u64, reserve_bytes: u64, at: Timestamp) -> Self {
        let data = json!({ "free_bytes": free_bytes, "reserve_bytes": reserve_bytes });
        Self { kind, at, about: None, data }
    }

    /// Returns the event of this notice.
    ///
    /// Reporting the same notice twice gives the same sender id, so that deduplication keeps one event.
    /// Returns `None` only if a constant of this module were not a valid name, which a test rules out.
    pub fn content(&self) -> Option<EventContent> {
        let about = self.about.map_or_else(|| "storage".to_owned(), |id| id.to_string());
        Some(EventContent {
            event_type: self.kind.as_str().parse().ok()?,
            project: PROJECT.parse().ok()?,
            company: None,
            sender_id: Some(format!("{about}/{}/{}", self.kind, self.at.as_millis()).parse().ok()?),
            occurred_at: Some(self.at),
            data: Some(Bytes::from(self.data.to_string())),
            trace: None,
        })
    }
}

/// Returns the URL without user name and password, and without its query, which can contain a key.
fn without_user_info(url: &Url) -> String {
    let mut url = url.clone();
    // These calls fail only for URLs without a host. Subscriptions cannot have such a URL.
    let _ = (url.set_username(""), url.set_password(None));
    url.set_query(None);
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::subscription::SubscriptionSpec;

    #[test]
    fn notices_are_valid_events_without_secrets() {
        let members = json!({"url": "https://user:pass@crm.example/hooks?key=hidden", "name": "crm"});
        let subscription = Subscription::new(
            SubscriptionId::from_bits(1),
            SubscriptionSpec::read(&members).unwrap(),
            Timestamp::default(),
        );
        for kind in NoticeKind::ALL {
            let at = Timestamp::from_millis(7);
            let notice = Notice::of_subscription(*kind, &subscription, &HealthState::default(), at);
            let content = notice.content().unwrap();
            assert!(content.event_type.as_str().starts_with(TYPE_PREFIX));
            let data: Value = serde_json::from_slice(content.data.as_deref().unwrap()).unwrap();
            assert_eq!(data["url"], "https://crm.example/hooks");
            assert_eq!(notice.content(), Some(content));
            assert!(Notice::of_storage(*kind, 1, 2, at).content().is_some());
        }
    }
}
