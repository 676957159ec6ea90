//! Counting and timing of the journey: rates, latencies, histograms and spans.

pub mod history;
pub mod meter;
pub mod timings;
pub(super) mod traces;
