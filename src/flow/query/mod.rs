//! Questions about the present state: lists, explanations, statistics and gauges.

pub mod daemon_stats;
pub mod deliveries;
pub mod gauges;
pub mod status;
