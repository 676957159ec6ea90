//! Sweeping: what is past its retention leaves the log, oldest first, in small steps.

use std::time::Duration;

use crate::store::{StoreError, Sweep};

use super::Flow;

/// How often the log is looked at for what is past its time.
const EVERY: Duration = Duration::from_mins(1);
/// How many events go in one durable step.
const EVENTS_MAX: usize = 256;

impl Flow {
    /// Sweeps now and then, for ever.
    pub(super) async fn run_sweep(self) {
        loop {
            if let Err(error) = self.drop_expired_secrets().await {
                return tracing::error!(%error, "failed to drop secrets whose grace is over");
            }
            if let Err(error) = self.sweep().await {
                return tracing::error!(%error, "failed to sweep the log");
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    async fn sweep(&self) -> Result<(), StoreError> {
        loop {
            let retention = self.config.load().retention;
            let now = self.clock.now();
            let sweep = Sweep {
                events_before: now.before(retention.events.get()),
                // What is held is never kept shorter than what is finished.
                held_before: now.before(retention.held.max(retention.events).get()),
                limit: EVENTS_MAX,
            };
            let swept = self.commit(|place, done| place.sweep(sweep, done)).await?;
            if swept.events > 0 {
                tracing::debug!(events = swept.events, deliveries = swept.deliveries, "swept the log");
                // What was held has made room, perhaps.
                self.replays.nudge_all();
            }
            if !swept.more {
                return Ok(());
            }
        }
    }
}
