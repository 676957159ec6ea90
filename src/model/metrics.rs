//! Histograms of durations.
//!
//! Observing a [`Histogram`] takes a few atomic additions and no lock. A histogram is a cheap handle: the
//! code that measures holds one clone, and the code that exposes the metrics holds another.

pub use prometheus::Histogram;
use prometheus::HistogramOpts;

/// Bucket bounds in seconds for steps that take microseconds.
pub const SHORT: &[f64] =
    &[1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 1e-1];
/// Bucket bounds in seconds for steps that wait for the disk or a receiver.
pub const MEDIUM: &[f64] =
    &[5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// Bucket bounds in seconds for waits that can last days.
pub const LONG: &[f64] = &[
    1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0,
    3600.0, 21_600.0, 86_400.0,
];

/// Creates a histogram of seconds. `bounds` is one of the constants of this module.
///
/// # Panics
/// Panics if `name` is not a valid Prometheus name. All names are constants of this program.
#[expect(
    clippy::expect_used,
    reason = "the names are constants of this program, and a test creates all of them"
)]
pub fn histogram(name: &str, help: &str, bounds: &[f64]) -> Histogram {
    let options = HistogramOpts::new(name, help).buckets(bounds.to_vec());
    Histogram::with_opts(options).expect("the name is valid and the bounds increase")
}
