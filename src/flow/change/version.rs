//! Versions of subscriptions, so that nobody overwrites a change that they have not seen.

use std::fmt;
use std::str::FromStr;

use xxhash_rust::xxh3::xxh3_128;

use crate::flow::change::entry::Entry;
use crate::flow::change::error::ChangeError;

/// The version of a subscription. It changes with every change of the settings and when the subscription is
/// enabled or disabled.
///
/// Attempts do not change the version, unless they disable the subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version(u128);

/// Writes 32 hexadecimal digits.
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for Version {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u128::from_str_radix(text, 16).map(Self)
    }
}

impl Entry {
    /// Returns the present version.
    pub fn version(&self) -> Version {
        let Self { subscription, health } = self;
        let disabled = health.disabled.as_ref().map(|disabled| (disabled.reason.as_str(), disabled.at));
        let expiries: Vec<_> = subscription.secrets.iter().map(|signing| signing.expires_at).collect();
        let id = subscription.id;
        let settings = serde_json::json!([
            id,
            subscription.updated_at,
            disabled,
            expiries,
            subscription.spec.to_members()
        ]);
        Version(xxh3_128(settings.to_string().as_bytes()))
    }
}

/// The versions that a change may be applied to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Expected {
    /// Accepts any version.
    #[default]
    Any,
    /// Accepts one of these versions.
    OneOf(Vec<Version>),
}

impl Expected {
    /// Checks that the subscription is at an expected version.
    ///
    /// The caller has to hold the lock of all changes, so that no other change comes in between.
    ///
    /// # Errors
    /// [`ChangeError::Outdated`] if the version is another one.
    pub fn check(&self, entry: &Entry) -> Result<(), ChangeError> {
        match self {
            Self::Any => Ok(()),
            Self::OneOf(versions) if versions.contains(&entry.version()) => Ok(()),
            Self::OneOf(_) => Err(ChangeError::Outdated { id: entry.subscription.id }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::model::id::SubscriptionId;
    use crate::model::subscription::{Disabled, DisabledReason, HealthState, Subscription, SubscriptionSpec};
    use crate::model::time::Timestamp;

    fn entry() -> Entry {
        let members = json!({"url": "http://127.0.0.1:9/"});
        let subscription = Subscription::new(
            SubscriptionId::from_bits(7),
            SubscriptionSpec::read(&members).unwrap(),
            Timestamp::default(),
        );
        Entry { subscription: Arc::new(subscription), health: HealthState::default() }
    }

    #[test]
    fn a_version_changes_with_every_setting_and_not_with_what_receivers_answer() {
        let base = entry();
        let version = base.version();
        assert_eq!(version, entry().version());
        assert_eq!(version.to_string().parse(), Ok(version));
        let at = Timestamp::from_millis(5);
        let mut failing = base.clone();
        failing.health.failing_since = Some(at);
        failing.health.last_success_at = Some(at);
        assert_eq!(failing.version(), version);
        let edits: [fn(&mut Subscription); 4] = [
            |one| one.spec.name.push('x'),
            |one| one.spec.filter = Some("true".to_owned()),
            |one| one.spec.headers = [("x-a".to_owned(), "1".to_owned())].into(),
            |one| one.updated_at = Timestamp::from_millis(1),
        ];
        for edit in edits {
            let mut changed = base.clone();
            edit(Arc::make_mut(&mut changed.subscription));
            assert_ne!(changed.version(), version);
        }
        let disabled = Some(Disabled { reason: DisabledReason::Manual, at, detail: String::new() });
        let off = Entry { health: HealthState { disabled, ..base.health.clone() }, ..base.clone() };
        assert_ne!(off.version(), version);
        assert!(Expected::OneOf(vec![off.version(), version]).check(&base).is_ok());
        let refused = Expected::OneOf(vec![version]).check(&off);
        assert!(matches!(refused, Err(ChangeError::Outdated { .. })));
    }
}
