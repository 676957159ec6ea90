//! The state that every handler works with.

use std::sync::LazyLock;

use tokio_util::task::TaskTracker;

use super::problem::ApiError;
use crate::flow::ChangeError;
use crate::flow::Flow;

/// The state that every handler works with. Cheap to clone; clones share one state.
#[derive(Clone)]
pub struct Api {
    /// The engine that handlers read from and change things through.
    pub flow: Flow,
    /// Tasks that outlive the request that started them.
    pub tasks: TaskTracker,
    /// The OpenAPI document as JSON text.
    pub document: &'static LazyLock<String>,
}

impl Api {
    /// Runs a change to its end, even if the caller disconnects.
    ///
    /// A change that stopped halfway could be durable but not yet in force, and would be forgotten until the next
    /// start.
    ///
    /// # Errors
    /// The error of the change, or an internal error if it panics.
    pub async fn carry_out<T: Send + 'static>(
        &self,
        change: impl Future<Output = Result<T, ChangeError>> + Send + 'static,
    ) -> Result<T, ApiError> {
        match self.tasks.spawn(change).await {
            Ok(result) => Ok(result?),
            Err(error) => Err(ApiError::internal(&error)),
        }
    }
}

/// Runs work that waits for the disk on a thread where blocking is allowed.
///
/// # Errors
/// The error of the work, or an internal error if it panics.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(ApiError::internal(&error)),
    }
}
