//! Measurements of the journey: counts, rates, latencies, histograms and traces.

pub mod history;
pub mod meter;
pub mod timings;
pub(super) mod traces;
