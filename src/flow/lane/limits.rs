//! The limits of a lane.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::config::Config;
use crate::model::subscription::SubscriptionSpec;
use crate::rules::retry::RETRY_AFTER_MAX;

/// The limits of a lane.
#[derive(Clone, Copy, Debug)]
pub(in crate::flow) struct Limits {
    /// The most requests in flight at once.
    pub(in crate::flow) max_in_flight: usize,
    /// The most deliveries in the buffer.
    pub(in crate::flow) page: usize,
    /// The longest time that a delivery may wait for its next attempt, or that the lane may pause.
    pub(in crate::flow) wait_max: Duration,
}

impl Limits {
    /// Returns the limits that `spec` sets, and those of `config` where it sets none.
    pub(in crate::flow) fn new(config: &Config, spec: &SubscriptionSpec) -> Self {
        let own = spec.max_in_flight.map(NonZeroU32::get).and_then(|count| usize::try_from(count).ok());
        Self {
            max_in_flight: own.unwrap_or(config.delivery.max_in_flight_per_subscription),
            page: config.delivery.lane_page,
            wait_max: wait_max(config, spec),
        }
    }
}

/// Returns the longest time that a delivery may wait for its next attempt, plus a minute for a clock that is set.
fn wait_max(config: &Config, spec: &SubscriptionSpec) -> Duration {
    const CLOCK_MAY_STEP: Duration = Duration::from_mins(1);
    let waits = spec.retry_schedule.as_deref().unwrap_or(&config.delivery.retry_schedule);
    let longest = waits.iter().map(|wait| wait.get()).max().unwrap_or_default();
    let longest = longest.mul_f64(1.0 + config.delivery.jitter.clamp(0.0, 1.0));
    longest.max(RETRY_AFTER_MAX).saturating_add(CLOCK_MAY_STEP)
}
