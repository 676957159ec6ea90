//! A subscription together with its health.

use std::sync::Arc;

use crate::model::subscription::{HealthState, Subscription};

/// A subscription and how it stands.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What people set.
    pub subscription: Arc<Subscription>,
    /// What its receiver's answers made of it.
    pub health: HealthState,
}

impl Entry {
    /// Whether its settings and its secret are those that it was made with.
    pub fn is_as_made(&self) -> bool {
        self.subscription.updated_at == self.subscription.created_at
    }
}
