//! Sweeping: what is past its retention leaves the log, oldest first, in small steps.

use std::time::Duration;

use crate::store::{StoreError, Sweep};

use crate::flow::inner::Flow;

/// How often the log is looked at for what is past its time.
const EVERY: Duration = Duration::from_mins(1);
/// The same while there is something each time: little and often.
const SOON: Duration = Duration::from_secs(2);
/// The longest rest between two steps: each rests as long as it took, so that the log is others' half of the time.
const REST_MAX: Duration = Duration::from_millis(50);
/// How many events go in one durable step.
const EVENTS_MAX: usize = 256;

impl Flow {
    /// Sweeps now and then, for ever.
    pub(super) async fn run_sweep(self) {
        loop {
            if let Err(error) = self.drop_expired_secrets().await {
                return tracing::error!(%error, "failed to drop secrets whose grace is over");
            }
            match self.sweep().await {
                Ok(0) => tokio::time::sleep(EVERY).await,
                Ok(_) => tokio::time::sleep(SOON).await,
                Err(error) => return tracing::error!(%error, "failed to sweep the log"),
            }
        }
    }

    /// Removes all that is past its time; how many events that was.
    async fn sweep(&self) -> Result<u64, StoreError> {
        let mut events = 0;
        loop {
            let begun = self.clock.instant();
            let retention = self.config.load().retention;
            let now = self.clock.now();
            let sweep = Sweep {
                events_before: now.before(retention.events.get()),
                // What is held is never kept shorter than what is finished.
                held_before: now.before(retention.held.max(retention.events).get()),
                bytes_max: if retention.size == 0 { u64::MAX } else { retention.size },
                limit: EVENTS_MAX,
            };
            let swept = self.commit(|place, done| place.sweep(sweep, done)).await?;
            events += swept.events;
            if swept.events > 0 {
                tracing::debug!(events = swept.events, deliveries = swept.deliveries, "swept the log");
                // What was held has made room, perhaps.
                self.replays.wake_all();
            }
            if !swept.more {
                return Ok(events);
            }
            tokio::time::sleep((self.clock.instant() - begun).min(REST_MAX)).await;
        }
    }
}
