//! The lanes of all subscriptions.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::flow::lane::Lane;
use crate::model::id::SubscriptionId;

/// All lanes, in the order of their subscriptions' ids.
#[derive(Debug, Default)]
pub(in crate::flow) struct Lanes(RwLock<BTreeMap<SubscriptionId, Arc<Lane>>>);

impl Lanes {
    /// Returns the lane of a subscription.
    pub(in crate::flow) fn get(&self, id: SubscriptionId) -> Option<Arc<Lane>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// Returns all lanes, oldest subscription first.
    pub(in crate::flow) fn all(&self) -> Vec<Arc<Lane>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Adds a lane.
    pub(in crate::flow) fn insert(&self, lane: Arc<Lane>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(lane.id, lane);
    }

    /// Removes the lane of a subscription and returns it.
    pub(in crate::flow) fn remove(&self, id: SubscriptionId) -> Option<Arc<Lane>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&id)
    }
}
