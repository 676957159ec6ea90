//! Retention: expired events and deliveries are removed from the log, oldest first, in small steps.

use std::time::Duration;

use crate::flow::inner::Flow;
use crate::store::{StoreError, Sweep};

/// The pause between two checks for expired events.
const EVERY: Duration = Duration::from_mins(1);
/// The pause between two checks after a check has found expired events.
const SOON: Duration = Duration::from_secs(2);
/// The longest pause between two steps. A step is followed by a pause of the same length, so that others have
/// the log at least half of the time.
const REST_MAX: Duration = Duration::from_millis(50);
/// The most events that one durable step removes.
const EVENTS_MAX: usize = 256;

impl Flow {
    /// Sweeps the log again and again. Returns only if the log fails.
    pub(super) async fn run_sweep(self) {
        loop {
            if let Err(error) = self.drop_expired_secrets().await {
                return tracing::error!(%error, "failed to remove secrets whose grace period is over");
            }
            match self.sweep().await {
                Ok(0) => tokio::time::sleep(EVERY).await,
                Ok(_) => tokio::time::sleep(SOON).await,
                Err(error) => return tracing::error!(%error, "failed to sweep the log"),
            }
        }
    }

    /// Removes everything that is past its retention, and returns the number of events removed.
    async fn sweep(&self) -> Result<u64, StoreError> {
        let mut events = 0;
        loop {
            let begun = self.clock.instant();
            let retention = self.config.load().retention;
            let now = self.clock.now();
            let sweep = Sweep {
                events_before: now.before(retention.events.get()),
                // Held deliveries are kept at least as long as finished ones.
                held_before: now.before(retention.held.max(retention.events).get()),
                bytes_max: if retention.size == 0 { u64::MAX } else { retention.size },
                limit: EVENTS_MAX,
            };
            let swept = self.commit(|place, done| place.sweep(sweep, done)).await?;
            events += swept.events;
            if swept.events > 0 {
                tracing::debug!(events = swept.events, deliveries = swept.deliveries, "swept the log");
                // Removed deliveries may have made room for replays.
                self.replays.wake_all();
            }
            if !swept.more {
                return Ok(events);
            }
            tokio::time::sleep((self.clock.instant() - begun).min(REST_MAX)).await;
        }
    }
}
