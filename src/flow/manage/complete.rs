//! Changes on request: run to completion, and audited.
//!
//! Every public method of [`Flow`] that changes something takes the `Actor` that requests the change. The method writes the audit line itself once the change is durable, so no caller can forget it.

use crate::flow::change::error::ChangeError;
use crate::flow::inner::Flow;

impl Flow {
    /// Runs a change to completion, even if the caller drops this future.
    ///
    /// A change that was durable but not yet in force would otherwise be ignored until the next start.
    pub(in crate::flow) async fn complete<T, F>(
        &self,
        change: impl FnOnce(Self) -> F,
    ) -> Result<T, ChangeError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, ChangeError>> + Send + 'static,
    {
        let (killed, change) = (self.killed.clone(), change(self.clone()));
        let task = self.tracker.spawn(async move { killed.run_until_cancelled(change).await });
        match task.await {
            Ok(Some(result)) => result,
            Ok(None) => Err(ChangeError::Stopping),
            Err(error) => Err(ChangeError::Panicked { cause: error.to_string() }),
        }
    }
}
