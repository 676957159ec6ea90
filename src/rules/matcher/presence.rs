//! Whether a subscription takes part in matching.

use crate::model::subscription::HealthState;

/// Whether a subscription takes part in matching.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// The subscription takes part.
    Active,
    /// The subscription was disabled by a person and matches nothing. `Snapshot::explain` reports this as the
    /// reason.
    Disabled,
}

impl Presence {
    /// Returns the presence of a subscription with this health. Only a manual disable takes it out of
    /// matching.
    pub fn of(health: &HealthState) -> Self {
        if health.matches() { Self::Active } else { Self::Disabled }
    }
}
