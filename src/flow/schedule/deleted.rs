//! The deleted subscriptions that the log still refers to.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use crate::model::id::SubscriptionId;
use crate::model::subscription::Subscription;
use crate::model::time::Timestamp;

/// The names of deleted subscriptions, and when each was deleted.
#[derive(Debug, Default)]
pub(in crate::flow) struct DeletedSubscriptions(RwLock<BTreeMap<SubscriptionId, (String, Timestamp)>>);

impl DeletedSubscriptions {
    /// Records that a subscription was deleted at `at`.
    pub(in crate::flow) fn insert(&self, subscription: &Subscription, at: Timestamp) {
        let entry = (subscription.spec.name.clone(), at);
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(subscription.id, entry);
    }

    /// Returns the name of a deleted subscription and when it was deleted.
    pub(in crate::flow) fn get(&self, id: SubscriptionId) -> Option<(String, Timestamp)> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }
}
