//! The statistics of the daemon.

use crate::flow::inner::Flow;
use crate::flow::measure::history::Minute;
use crate::flow::measure::meter::MeterReading;
use crate::model::id::SubscriptionId;
use crate::model::subscription::Health;
use crate::model::time::Timestamp;
use crate::store::{ProgressCounts, StoreError};

/// The statistics of the daemon at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct DaemonStats {
    /// When the daemon started.
    pub started_at: Timestamp,
    /// The time since the start of the daemon.
    pub uptime: std::time::Duration,
    /// The events and attempts that were counted since the start.
    pub passed: MeterReading,
    /// The deliveries in the log, by state.
    pub deliveries: DeliveryCounts,
    /// The number of events that wait to be made durable, and its limit.
    pub queued: (usize, usize),
    /// The number of subscriptions, by health.
    pub subscriptions: HealthCounts,
    /// The number of listeners of the stream, and its limit.
    pub listeners: (usize, usize),
    /// The size of the log's files in bytes.
    pub log_bytes: u64,
    /// The free bytes of the disk.
    pub free_bytes: u64,
}

/// The deliveries in the log, by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryCounts {
    /// Waiting, and the subscription is enabled.
    pub pending: u64,
    /// Being attempted at this moment.
    pub in_flight: u64,
    /// Waiting, and the subscription is disabled.
    pub held: u64,
    /// Accepted by the receiver.
    pub succeeded: u64,
    /// Out of attempts.
    pub exhausted: u64,
    /// Cancelled by hand or with its subscription.
    pub cancelled: u64,
}

/// The number of subscriptions, by health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HealthCounts {
    /// The newest attempt succeeded, or there was none yet.
    pub healthy: u64,
    /// The newest attempt failed.
    pub failing: u64,
    /// Disabled by hand or for their health.
    pub disabled: u64,
}

impl Flow {
    /// Returns the counts of each of the last `count` minutes, oldest first. The last one is the current
    /// minute.
    pub fn minutes(&self, count: usize) -> Vec<Minute> {
        self.meter.minutes(self.clock.instant(), count)
    }

    /// Returns the statistics of the daemon.
    ///
    /// Blocks: reads the state of the disk, and passes over every subscription.
    pub fn daemon_stats(&self) -> Result<DaemonStats, StoreError> {
        let (mut deliveries, mut subscriptions) = (DeliveryCounts::default(), HealthCounts::default());
        for (id, tally) in self.reader.tallies() {
            self.count(id, tally, &mut deliveries);
        }
        for lane in self.lanes.all() {
            let count = match lane.lock().health.summary() {
                Health::Healthy => &mut subscriptions.healthy,
                Health::Failing => &mut subscriptions.failing,
                Health::Disabled => &mut subscriptions.disabled,
            };
            *count += 1;
        }
        let now = self.clock.instant();
        Ok(DaemonStats {
            started_at: self.started_at,
            uptime: self.meter.running(now),
            passed: self.meter.read(now),
            deliveries,
            queued: self.intake.queued(),
            subscriptions,
            listeners: self.listeners(),
            log_bytes: self.reader.size_on_disk()?,
            free_bytes: self.reader.disk_free()?,
        })
    }

    /// Adds the deliveries of a subscription, which may have been deleted.
    fn count(&self, id: SubscriptionId, tally: ProgressCounts, deliveries: &mut DeliveryCounts) {
        deliveries.succeeded += tally.succeeded;
        deliveries.exhausted += tally.exhausted;
        deliveries.cancelled += tally.cancelled;
        let Some(lane) = self.lanes.get(id) else {
            deliveries.cancelled += tally.waiting;
            return;
        };
        let state = lane.lock();
        let in_flight = u64::try_from(state.in_flight()).unwrap_or(u64::MAX).min(tally.waiting);
        let waiting = tally.waiting - in_flight;
        let is_off = state.health.disabled.is_some();
        deliveries.in_flight += in_flight;
        *(if is_off { &mut deliveries.held } else { &mut deliveries.pending }) += waiting;
    }
}
