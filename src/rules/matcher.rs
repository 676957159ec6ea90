//! The matching index, which finds the subscriptions that an event is delivered to.
//!
//! ```text
//! event ──► names ──► numbers ──► for each of {any, project, company, company/project}
//!                                    └─► block of that term ──► for each of {any, prefixes, exact}
//!                                                                 └─► run of slots ──► ids
//! ```
//! One [`IndexWriter`] changes the index and publishes immutable [`Snapshot`]s. Any number of readers match
//! against them without waiting. `docs/MATCHING.md` describes the data structures and their cost. The index
//! does no I/O, and it does not check who may see an event.

mod block;
mod candidate;
mod check;
mod compile;
mod counted_filter;
mod footprint;
mod intern;
mod names;
mod pending;
mod presence;
mod radix;
mod slots;
mod snapshot;
mod writer;

use std::borrow::Borrow;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

pub use candidate::{Candidate, MatchOutcome};
pub use counted_filter::FilterErrors;
pub use footprint::Footprint;
pub use presence::Presence;
pub use snapshot::{Matched, Matches, Snapshot};
pub use writer::IndexWriter;

use crate::model::id::SubscriptionId;
use crate::model::subscription::SubscriptionSpec;

/// A read handle of the index. Clones share the same index.
#[derive(Clone)]
pub struct Index {
    current: Arc<ArcSwap<Snapshot>>,
}

impl Index {
    /// Builds the index of `subscriptions`, and the only handle that can change it.
    ///
    /// If an id occurs more than once, the last subscription with that id counts.
    pub fn build(
        subscriptions: impl IntoIterator<Item = (SubscriptionId, impl Borrow<SubscriptionSpec>, Presence)>,
    ) -> (Self, IndexWriter) {
        let current = Arc::new(ArcSwap::from_pointee(Snapshot::default()));
        let mut writer = IndexWriter::new(Arc::clone(&current));
        let subscriptions = subscriptions.into_iter();
        writer.reserve(subscriptions.size_hint().0);
        for (id, spec, presence) in subscriptions {
            writer.put(id, spec.borrow(), presence);
        }
        writer.commit();
        (Self { current }, writer)
    }

    /// Returns the newest snapshot. Never waits.
    ///
    /// A snapshot keeps its memory alive. Hold it for a batch of events, not longer.
    pub fn snapshot(&self) -> Guard<Arc<Snapshot>> {
        self.current.load()
    }

    /// Returns the evaluation errors of a subscription's filter since the filter was set or the daemon
    /// started, if there are any.
    pub fn filter_errors(&self, id: SubscriptionId) -> Option<FilterErrors> {
        self.snapshot().filter_errors(id)
    }
}
