//! The daemon in numbers, now.

use crate::model::id::SubscriptionId;
use crate::model::subscription::Health;
use crate::model::time::Timestamp;
use crate::store::{DeliveryCounts, StoreError};

use crate::flow::inner::Flow;
use crate::flow::measure::history::Minute;
use crate::flow::measure::meter::MeterReading;

/// Everything that can be counted.
#[derive(Clone, Debug, PartialEq)]
pub struct DaemonStats {
    /// When the daemon started.
    pub started_at: Timestamp,
    /// For how long it has been running.
    pub uptime: std::time::Duration,
    /// What has passed through.
    pub passed: MeterReading,
    /// What is in the log, by state.
    pub deliveries: Deliveries,
    /// How many events wait to be made durable, and how many may.
    pub queued: (usize, usize),
    /// How many subscriptions there are, by health.
    pub subscriptions: HealthCounts,
    /// How many listen to the stream, and how many may.
    pub listeners: (usize, usize),
    /// Bytes of the log's files.
    pub log_bytes: u64,
    /// Bytes free on its disk.
    pub free_bytes: u64,
}

/// Deliveries in the log, by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deliveries {
    /// Waiting, and their subscription is on.
    pub pending: u64,
    /// Being attempted.
    pub in_flight: u64,
    /// Waiting, and their subscription is off.
    pub held: u64,
    /// Taken by the receiver.
    pub succeeded: u64,
    /// Attempts used up.
    pub exhausted: u64,
    /// Given up on.
    pub cancelled: u64,
}

/// Subscriptions by health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HealthCounts {
    /// The newest attempt succeeded, or there was none yet.
    pub healthy: u64,
    /// The newest attempt failed.
    pub failing: u64,
    /// Switched off.
    pub disabled: u64,
}

impl Flow {
    /// What passed through in each of the last `count` minutes, oldest first, the present one included.
    pub fn minutes(&self, count: usize) -> Vec<Minute> {
        self.meter.minutes(self.clock.instant(), count)
    }

    /// Counts everything.
    ///
    /// Blocks: asks the disk, and passes over every subscription.
    pub fn daemon_stats(&self) -> Result<DaemonStats, StoreError> {
        let (mut deliveries, mut subscriptions) = (Deliveries::default(), HealthCounts::default());
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

    /// Adds the deliveries of a subscription, there still or deleted.
    fn count(&self, id: SubscriptionId, tally: DeliveryCounts, deliveries: &mut Deliveries) {
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
