//! A subscription together with its health.

use std::sync::Arc;

use crate::model::subscription::{HealthState, Subscription};

/// A subscription with its health.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The settings of the daemon.
    pub subscription: Arc<Subscription>,
    /// The health, which follows from the answers of the receiver.
    pub health: HealthState,
}

impl Entry {
    /// Returns whether neither settings nor secrets have changed since the subscription was created.
    pub fn is_unchanged(&self) -> bool {
        self.subscription.updated_at == self.subscription.created_at
    }
}
