//! Questions about the present state: lists, explanations, statistics and gauges.

pub mod deliveries;
pub mod gauges;
pub mod numbers;
pub mod status;
