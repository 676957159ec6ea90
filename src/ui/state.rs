//! The state that all page handlers share.

use std::sync::Arc;

use tokio_util::task::TaskTracker;

use super::form_token::FormTokens;
use super::notice::Notices;
use super::page_error::PageError;
use super::session::Sessions;
use crate::api::guard::access::AccessGuard;
use crate::flow::{ChangeError, Flow};
use crate::model::time::Clock;
use crate::store::StoreError;

/// A handle to the shared state. Clones are cheap.
#[derive(Clone)]
pub(super) struct Ui(Arc<State>);

/// The shared state.
pub(super) struct State {
    pub(super) flow: Flow,
    pub(super) clock: Clock,
    pub(super) gate: AccessGuard,
    pub(super) sessions: Sessions,
    pub(super) notices: Notices,
    pub(super) form_tokens: FormTokens,
    changes: TaskTracker,
}

impl std::ops::Deref for Ui {
    type Target = State;

    fn deref(&self) -> &State {
        &self.0
    }
}

impl Ui {
    /// Creates the state of a daemon that has just started: no sessions and no notices.
    pub(super) fn new(flow: Flow, clock: Clock, gate: AccessGuard) -> Self {
        Self(Arc::new(State {
            sessions: Sessions::new(clock.clone()),
            notices: Notices::default(),
            form_tokens: FormTokens::random(),
            changes: TaskTracker::new(),
            flow,
            clock,
            gate,
        }))
    }

    /// Runs a change to completion, even if the browser closes the connection before the answer.
    pub(super) async fn run_change<T: Send + 'static>(
        &self,
        change: impl Future<Output = Result<T, ChangeError>> + Send + 'static,
    ) -> Result<Result<T, ChangeError>, PageError> {
        self.changes.spawn(change).await.map_err(|error| PageError::internal(&error))
    }

    /// Runs a query of the log on a thread that may block.
    pub(super) async fn query<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Flow) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, PageError> {
        let flow = self.flow.clone();
        let result = tokio::task::spawn_blocking(move || query(&flow)).await;
        result.map_err(|error| PageError::internal(&error))?.map_err(|error| PageError::internal(&error))
    }
}
