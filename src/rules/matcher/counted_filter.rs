//! A subscription's filter together with what went wrong with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;

use crate::rules::filter::{Filter, FilterError, FilterInput};

/// How often a subscription's filter failed while running, which counted as no match each time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterErrors {
    /// How many times since the filter was set or the daemon started.
    pub count: u64,
    /// What the last failure was.
    pub last: Arc<String>,
}

/// A filter that decides on events; its counters outlive the snapshots that share it.
#[derive(Debug)]
pub(super) struct CountedFilter {
    text: String,
    filter: Result<Filter, FilterError>,
    failures: AtomicU64,
    last: ArcSwapOption<String>,
}

impl CountedFilter {
    /// Compiles a filter. One that does not compile fails on every event.
    pub(super) fn new(text: &str) -> Self {
        let (filter, failures, last) = (Filter::compile(text), AtomicU64::new(0), ArcSwapOption::empty());
        Self { text: text.to_owned(), filter, failures, last }
    }

    /// The text that was compiled.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether the event may pass; a failure is counted and says no.
    pub(super) fn admits(&self, input: &FilterInput<'_>) -> bool {
        let failure = match &self.filter {
            Ok(filter) => match filter.evaluate(input) {
                Ok(answer) => return answer,
                Err(error) => error.to_string(),
            },
            Err(error) => error.to_string(),
        };
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.last.store(Some(Arc::new(failure)));
        false
    }

    /// The failures so far, if any.
    pub(super) fn errors(&self) -> Option<FilterErrors> {
        let count = self.failures.load(Ordering::Relaxed);
        self.last.load_full().map(|last| FilterErrors { count, last })
    }
}
