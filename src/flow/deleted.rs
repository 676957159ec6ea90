//! The names of deleted subscriptions whose deliveries the log still holds.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use crate::model::id::SubscriptionId;
use crate::model::subscription::Subscription;
use crate::model::time::Timestamp;

/// Subscriptions that were deleted while the log still speaks of them: their names, and when.
#[derive(Debug, Default)]
pub(super) struct Deleted(RwLock<BTreeMap<SubscriptionId, (String, Timestamp)>>);

impl Deleted {
    pub(super) fn insert(&self, subscription: &Subscription, at: Timestamp) {
        let entry = (subscription.spec.name.clone(), at);
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(subscription.id, entry);
    }

    pub(super) fn get(&self, id: SubscriptionId) -> Option<(String, Timestamp)> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }
}
