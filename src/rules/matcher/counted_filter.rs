//! A subscription's filter with a count of its evaluation errors.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;

use crate::rules::filter::{Filter, FilterError, FilterInput};

/// The evaluation errors of a subscription's filter. Each of them counted as no match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterErrors {
    /// The number of errors since the filter was set or the daemon started.
    pub count: u64,
    /// The message of the last error.
    pub last: Arc<String>,
}

/// A filter with an error counter. Snapshots share it, so the count outlives them.
#[derive(Debug)]
pub(super) struct CountedFilter {
    text: String,
    filter: Result<Filter, FilterError>,
    failures: AtomicU64,
    last: ArcSwapOption<String>,
}

impl CountedFilter {
    /// Compiles a filter. If compilation fails, each evaluation counts as an error.
    pub(super) fn new(text: &str) -> Self {
        let (filter, failures, last) = (Filter::compile(text), AtomicU64::new(0), ArcSwapOption::empty());
        Self { text: text.to_owned(), filter, failures, last }
    }

    /// Returns the text of the filter.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Returns whether the event passes the filter. An error is counted and gives false.
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

    /// Returns the errors so far, if there were any.
    pub(super) fn errors(&self) -> Option<FilterErrors> {
        let count = self.failures.load(Ordering::Relaxed);
        self.last.load_full().map(|last| FilterErrors { count, last })
    }
}
