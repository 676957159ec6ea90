//! Whether a subscription takes part in matching.

use crate::model::subscription::HealthState;

/// Whether a subscription takes part in matching.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It does.
    Active,
    /// A person switched it off: it matches nothing, and [`explain`](super::Snapshot::explain) says so.
    Disabled,
}

impl Presence {
    /// What a subscription's health makes of it: bad health alone does not take it out.
    pub fn of(health: &HealthState) -> Self {
        if health.matches() { Self::Active } else { Self::Disabled }
    }
}
