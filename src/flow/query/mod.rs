//! Queries of the present state: lists of deliveries, their reasons, statistics and gauges.

pub mod daemon_stats;
pub mod deliveries;
pub mod gauges;
pub mod status;
