//! Subscriptions: a receiver's URL, and the event types and projects that it wants.
//!
//! A [`Subscription`] holds what people set. Its [`HealthState`] holds what follows from the receiver's
//! responses. The two are changed and stored separately, so that settling an attempt never undoes an edit.

use super::id::{DeliveryId, SubscriptionId};
use super::secret::SigningSecret;
pub use super::setting::{Format, Ordering, RateLimit, SubscriptionSpec};
use super::string_enum::string_enum;
use super::time::Timestamp;

string_enum!(
    /// The owner of a subscription's settings.
    ManagedBy {
        /// The API and the web page change the subscription.
        Api = "api",
        /// The config file defines the subscription, and the API cannot change it.
        Config = "config",
    }
);
string_enum!(
    /// The reason why a subscription is disabled.
    DisabledReason {
        /// A delivery used up its attempts.
        Exhausted = "exhausted",
        /// The receiver answered 410 Gone.
        Gone = "gone",
        /// A person disabled the subscription.
        Manual = "manual",
    }
);
string_enum!(
    /// The policy for disabling a subscription after a delivery used up its attempts.
    #[derive(Default)]
    DisablePolicy {
        /// Disable the subscription unless its receiver accepted another delivery in the meantime.
        #[default]
        Exhausted = "exhausted",
        /// Disable the subscription regardless of other deliveries.
        Always = "always",
        /// Do not disable the subscription. Only 410 Gone and people disable it.
        Never = "never",
    }
);
string_enum!(
    /// The health of a subscription in one word.
    Health {
        /// The newest attempt succeeded, or there was none.
        Healthy = "healthy",
        /// The newest attempt failed.
        Failing = "failing",
        /// The subscription is disabled.
        Disabled = "disabled",
    }
);

/// A subscription as the store keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscription {
    /// The subscription's id.
    pub id: SubscriptionId,
    /// The settings, which people change.
    pub spec: SubscriptionSpec,
    /// The owner of the settings.
    pub managed_by: ManagedBy,
    /// The signing secrets: the current one first, then those that expire after a rotation.
    pub secrets: Vec<SigningSecret>,
    /// When the subscription was created.
    pub created_at: Timestamp,
    /// When its settings last changed.
    pub updated_at: Timestamp,
    /// When the subscription was deleted, if it was.
    ///
    /// Its unfinished deliveries were cancelled then. The row stays until pruning has removed all events from before.
    pub deleted_at: Option<Timestamp>,
}

impl Subscription {
    /// Returns a subscription with these settings, created at `now`. The API manages it, and it has no secrets yet.
    pub const fn new(id: SubscriptionId, spec: SubscriptionSpec, now: Timestamp) -> Self {
        Self {
            id,
            spec,
            managed_by: ManagedBy::Api,
            secrets: Vec::new(),
            created_at: now,
            updated_at: now,
            deleted_at: None,
        }
    }
}

/// The details of a disabled subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disabled {
    /// The reason for disabling it.
    pub reason: DisabledReason,
    /// When it was disabled.
    pub at: Timestamp,
    /// The outcome that led to it. Empty if a person disabled the subscription.
    pub detail: String,
}

/// The health of a subscription, as its receiver's responses determine it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HealthState {
    /// Set while the subscription is disabled.
    pub disabled: Option<Disabled>,
    /// When the current series of failures began. Set while the newest attempt failed.
    pub failing_since: Option<Timestamp>,
    /// When the receiver last answered 2xx.
    ///
    /// The store does not persist every success. The value is exact after a failure, and after a success that
    /// ended a series of failures.
    pub last_success_at: Option<Timestamp>,
    /// When an attempt last failed.
    pub last_failure_at: Option<Timestamp>,
    /// The delivery that probes whether the receiver answers again. Set while attempts fail and the other
    /// deliveries wait.
    pub probe: Option<DeliveryId>,
}

impl HealthState {
    /// Returns the health in one word, as the API and the page show it.
    pub const fn summary(&self) -> Health {
        match (&self.disabled, self.failing_since) {
            (Some(_), _) => Health::Disabled,
            (None, Some(_)) => Health::Failing,
            (None, None) => Health::Healthy,
        }
    }

    /// Returns whether the subscription takes part in matching, which only a manual disable prevents.
    pub fn matches(&self) -> bool {
        self.disabled.as_ref().is_none_or(|disabled| disabled.reason != DisabledReason::Manual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_manual_disable_prevents_matching() {
        let disabled = |reason| HealthState {
            disabled: Some(Disabled { reason, at: Timestamp::default(), detail: String::new() }),
            ..HealthState::default()
        };
        assert!(HealthState::default().matches());
        assert!(disabled(DisabledReason::Exhausted).matches() && disabled(DisabledReason::Gone).matches());
        assert!(!disabled(DisabledReason::Manual).matches());
    }
}
