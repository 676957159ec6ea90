//! Notices: what the daemon tells of itself, as events that can be subscribed to.

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

/// The project that notices belong to. They have no company.
pub const PROJECT: &str = "postrider";
/// What their types begin with, and no other's.
pub const TYPE_PREFIX: &str = "postrider.";

string_enum!(
    /// What a notice tells.
    NoticeKind {
        /// A subscription was switched off for bad health.
        SubscriptionDisabled = "postrider.subscription.disabled",
        /// A receiver has failed twice in a row.
        SubscriptionFailing = "postrider.subscription.failing",
        /// A receiver that was told of answers again, or its subscription was switched on again.
        SubscriptionRecovered = "postrider.subscription.recovered",
        /// The disk has less than twice the reserve left.
        StorageLow = "postrider.storage.low",
        /// It has three times the reserve again.
        StorageRecovered = "postrider.storage.recovered",
    }
);

/// Whether a subscription that asks for these types asks for the event, as far as types go beyond matching: an event
/// of the daemon's own has to be named, since who wants everything means what clients submit.
pub fn is_requested(events: &EventSelector, event_type: &EventType) -> bool {
    !is_daemon_event(event_type) || events.names(event_type)
}

/// Whether the type is one of the daemon's own.
pub fn is_daemon_event(event_type: &EventType) -> bool {
    event_type.as_str().starts_with(TYPE_PREFIX)
}

/// Something of the daemon's own.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// What.
    pub kind: NoticeKind,
    /// When.
    pub at: Timestamp,
    /// The subscription that it is about, if it is about one; that one is not told.
    pub about: Option<SubscriptionId>,
    /// What else there is to know.
    data: Value,
}

impl Notice {
    /// About a subscription that stands so since then.
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

    /// About the disk with the log.
    pub fn of_storage(kind: NoticeKind, free_bytes: u64, reserve_bytes: u64, at: Timestamp) -> Self {
        let data = json!({ "free_bytes": free_bytes, "reserve_bytes": reserve_bytes });
        Self { kind, at, about: None, data }
    }

    /// The event that it is. Told twice, it has the same sender's id, and so is one.
    ///
    /// None only if a name here were none, which a test excludes.
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

/// The URL without a name and a password in it, and without its query, which may hold a key.
fn without_user_info(url: &Url) -> String {
    let mut url = url.clone();
    // Only URLs without a host refuse, and these have one.
    let _ = (url.set_username(""), url.set_password(None));
    url.set_query(None);
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::input::SubscriptionInput;
    use crate::model::subscription::ManagedBy;

    #[test]
    fn every_notice_is_an_event_that_tells_no_secret() {
        let members = json!({"url": "https://user:pass@crm.example/hooks?key=hidden", "name": "crm"});
        let subscription = Subscription {
            id: SubscriptionId::from_bits(1),
            spec: SubscriptionInput::read(members.as_object().unwrap()).unwrap().spec,
            managed_by: ManagedBy::Api,
            secrets: Vec::new(),
            created_at: Timestamp::default(),
            updated_at: Timestamp::default(),
            deleted_at: None,
        };
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
