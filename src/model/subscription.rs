//! Subscriptions: a URL plus the exact combination of event types and projects that it wants.
//!
//! A [`Subscription`] is what people set; its [`HealthState`] is what its receiver's answers made of it. The two
//! are changed and stored apart, so that a settled attempt never undoes an edit.

use super::id::{DeliveryId, SubscriptionId};
use super::secret::SigningSecret;
pub use super::setting::{Format, Ordering, RateLimit, SubscriptionSpec};
use super::string_enum::string_enum;
use super::time::Timestamp;

string_enum!(
    /// Who changes a subscription.
    ManagedBy {
        /// The API and the page.
        Api = "api",
        /// The config file; the API may not change it.
        Config = "config",
    }
);
string_enum!(
    /// Why a subscription is switched off.
    DisabledReason {
        /// A delivery used up its attempts.
        Exhausted = "exhausted",
        /// The receiver answered 410 Gone.
        Gone = "gone",
        /// A person switched it off.
        Manual = "manual",
    }
);
string_enum!(
    /// When a delivery that used up its attempts switches its subscription off.
    #[derive(Default)]
    DisablePolicy {
        /// Unless its receiver took another delivery meanwhile.
        #[default]
        Exhausted = "exhausted",
        /// Whatever became of other deliveries.
        Always = "always",
        /// Not at all: only 410 Gone and people switch it off.
        Never = "never",
    }
);
string_enum!(
    /// How a subscription's receiver is doing.
    Health {
        /// The newest attempt succeeded, or there was none.
        Healthy = "healthy",
        /// The newest attempt failed.
        Failing = "failing",
        /// It is switched off.
        Disabled = "disabled",
    }
);

/// A subscription as the store has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscription {
    /// Its id.
    pub id: SubscriptionId,
    /// What a person set.
    pub spec: SubscriptionSpec,
    /// Who may change it.
    pub managed_by: ManagedBy,
    /// What signs its deliveries: the current secret first, then those that a rotation left.
    pub secrets: Vec<SigningSecret>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its settings last changed.
    pub updated_at: Timestamp,
    /// When it was deleted. What was unfinished then is cancelled; the row stays until the log has forgotten it.
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

/// That and why a subscription is switched off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disabled {
    /// The reason.
    pub reason: DisabledReason,
    /// Since when.
    pub at: Timestamp,
    /// The answer that led to it, in a few words; empty if a person did it.
    pub detail: String,
}

/// What a subscription's receiver has shown so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HealthState {
    /// Set while it is switched off.
    pub disabled: Option<Disabled>,
    /// Set while the newest attempt failed: when the row of failures began.
    pub failing_since: Option<Timestamp>,
    /// When a receiver last answered 2xx, as far as it has been written down: exact whenever a failure has
    /// followed it, or it followed a failure.
    pub last_success_at: Option<Timestamp>,
    /// When an attempt last failed.
    pub last_failure_at: Option<Timestamp>,
    /// While attempts fail: the delivery that asks whether the receiver answers again; the others wait.
    pub probe: Option<DeliveryId>,
}

impl HealthState {
    /// The health that shows.
    pub const fn summary(&self) -> Health {
        match (&self.disabled, self.failing_since) {
            (Some(_), _) => Health::Disabled,
            (None, Some(_)) => Health::Failing,
            (None, None) => Health::Healthy,
        }
    }

    /// Whether it takes part in matching: always, unless a person switched it off.
    pub fn matches(&self) -> bool {
        self.disabled.as_ref().is_none_or(|disabled| disabled.reason != DisabledReason::Manual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_person_takes_a_subscription_out_of_matching() {
        let disabled = |reason| HealthState {
            disabled: Some(Disabled { reason, at: Timestamp::default(), detail: String::new() }),
            ..HealthState::default()
        };
        assert!(HealthState::default().matches());
        assert!(disabled(DisabledReason::Exhausted).matches() && disabled(DisabledReason::Gone).matches());
        assert!(!disabled(DisabledReason::Manual).matches());
    }
}
