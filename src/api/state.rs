//! The state that every handler works with.

use std::sync::LazyLock;

use tokio_util::task::TaskTracker;

use super::error::ApiError;
use crate::flow::Flow;

/// The state that every handler works with. Cheap to clone; clones share one state.
#[derive(Clone)]
pub struct ApiState {
    /// The engine that handlers read from and change things through.
    pub flow: Flow,
    /// The tasks that write the body of a response while the caller reads it.
    pub tasks: TaskTracker,
    /// The OpenAPI document as JSON text.
    pub document: &'static LazyLock<String>,
}

/// Runs work that waits for the disk on a thread that may block.
///
/// # Errors
/// The error of the work, or an internal error if it panics.
pub async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(ApiError::internal(&error)),
    }
}
