//! The results of a run as named figures, and their spread over several runs.

use std::fmt::Write as _;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};

use crate::model::time::micros;

/// The longest latency that the histogram distinguishes, in microseconds.
const LATENCY_US_MAX: u64 = 600_000_000;

/// A named figure.
#[derive(Clone, Debug, PartialEq)]
struct Figure {
    name: String,
    unit: &'static str,
    value: f64,
}

/// The figures of one run, in the order in which they are shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Figures(Vec<Figure>);

impl Figures {
    /// Adds a figure.
    pub(super) fn add(&mut self, name: &str, unit: &'static str, value: f64) {
        self.0.push(Figure { name: name.to_owned(), unit, value });
    }

    /// Adds a count.
    pub(super) fn add_count(&mut self, name: &str, unit: &'static str, count: u64) {
        self.add(name, unit, approximate(count));
    }

    /// Adds the percentiles of a latency.
    pub(super) fn add_latency(&mut self, name: &str, latencies: &Latencies) {
        for (percentile, quantile) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)] {
            self.add(&format!("{name} {percentile}"), "ms", latencies.at(quantile));
        }
        self.add(&format!("{name} max"), "ms", latencies.at(1.0));
    }

    /// Returns the figure with this name.
    pub(super) fn get(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|figure| figure.name == name).map(|figure| figure.value)
    }

    fn to_json(&self) -> Value {
        Value::Object(self.0.iter().map(|figure| (figure.key(), number(figure.value))).collect())
    }
}

impl Figure {
    /// `ack p50` in `ms` is `ack_p50_ms`.
    fn key(&self) -> String {
        let unit = match self.unit {
            "/s" => "per_s",
            unit => unit,
        };
        let words = format!("{} {unit}", self.name);
        words.trim().replace([' ', '-', '.', '/'], "_")
    }
}

/// Converts a count to a float, exactly up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "figures are printed with three digits")]
pub(super) fn approximate(count: u64) -> f64 {
    count as f64
}

/// Rounds a figure to the precision of the measurement.
fn number(value: f64) -> Value {
    json!((value * 1000.0).round() / 1000.0)
}

/// The same figures of several runs.
#[derive(Debug)]
pub(super) struct Spread {
    mode: &'static str,
    runs: Vec<Figures>,
}

impl Spread {
    /// Returns the empty results of a mode.
    pub(super) fn of(mode: &'static str) -> Self {
        Self { mode, runs: Vec::new() }
    }

    /// Adds the figures of a run.
    pub(super) fn add(&mut self, figures: Figures) {
        self.runs.push(figures);
    }

    /// Returns the runs, and the median, minimum and maximum of each figure.
    pub(super) fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("mode".to_owned(), json!(self.mode));
        for (figure, [least, median, greatest]) in self.rows() {
            let values = json!({ "median": number(median), "min": number(least), "max": number(greatest) });
            object.insert(figure.key(), values);
        }
        object.insert("runs".to_owned(), self.runs.iter().map(Figures::to_json).collect());
        Value::Object(object)
    }

    /// Returns a table with one figure per line.
    pub(super) fn to_text(&self) -> String {
        let mut text = format!("{}\n", self.mode);
        for (figure, [least, median, greatest]) in self.rows() {
            let spread = match self.runs.len() {
                1 => String::new(),
                _ => format!("  ({} to {})", shown(least), shown(greatest)),
            };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {:<28} {:>12} {}{spread}", figure.name, shown(median), figure.unit);
        }
        text.truncate(text.trim_end().len());
        text
    }

    fn rows(&self) -> impl Iterator<Item = (&Figure, [f64; 3])> {
        self.runs.first().into_iter().flat_map(|first| &first.0).map(|figure| {
            let mut values: Vec<f64> = self.runs.iter().filter_map(|run| run.get(&figure.name)).collect();
            values.sort_by(f64::total_cmp);
            let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
            let last = values.len().saturating_sub(1);
            let median = f64::midpoint(at(last / 2), at(last.div_ceil(2)));
            (figure, [at(0), median, at(last)])
        })
    }
}

/// Formats small values with three decimals, and large ones as whole numbers with thousands separators.
fn shown(value: f64) -> String {
    if value.abs() < 1000.0 && value.fract() != 0.0 {
        return format!("{value:.3}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A histogram of latencies.
#[derive(Debug)]
pub(super) struct Latencies(Option<Histogram<u64>>);

impl Default for Latencies {
    /// Returns an empty histogram with a precision of three digits.
    fn default() -> Self {
        // The bounds are valid, so this always succeeds.
        Self(Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).ok())
    }
}

impl Latencies {
    /// Adds a latency.
    pub(super) fn add(&mut self, latency: Duration) {
        if let Some(histogram) = &mut self.0 {
            histogram.saturating_record(micros(latency).max(1));
        }
    }

    /// Returns the latency at a quantile in milliseconds, or NaN if the histogram is empty.
    fn at(&self, quantile: f64) -> f64 {
        match &self.0 {
            Some(histogram) if !histogram.is_empty() => {
                approximate(histogram.value_at_quantile(quantile)) / 1000.0
            }
            _ => f64::NAN,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(rate: f64) -> Figures {
        let mut figures = Figures::default();
        figures.add("accepted", "/s", rate);
        figures
    }

    #[test]
    fn the_spread_is_the_median_between_the_least_and_the_greatest() {
        let mut spread = Spread::of("ingest");
        for rate in [20_000.0, 10_000.0, 1_500_000.0] {
            spread.add(run(rate));
        }
        assert_eq!(
            spread.to_json(),
            json!({
                "mode": "ingest",
                "accepted_per_s": { "median": 20_000.0, "min": 10_000.0, "max": 1_500_000.0 },
                "runs": [
                    { "accepted_per_s": 20_000.0 },
                    { "accepted_per_s": 10_000.0 },
                    { "accepted_per_s": 1_500_000.0 },
                ],
            })
        );
        assert!(spread.to_text().ends_with("20,000 /s  (10,000 to 1,500,000)"), "{}", spread.to_text());
        spread.add(run(30_000.0));
        assert_eq!(spread.to_json()["accepted_per_s"]["median"], 25_000.0);
    }

    #[test]
    fn percentiles_are_of_what_was_added() {
        let mut latencies = Latencies::default();
        assert!(latencies.at(0.5).is_nan());
        for ms in 1..=100 {
            latencies.add(Duration::from_millis(ms));
        }
        let mut figures = Figures::default();
        figures.add_latency("ack", &latencies);
        for (name, ms) in [("ack p50", 50.0), ("ack p99", 99.0), ("ack max", 100.0)] {
            let found = figures.get(name).unwrap();
            assert!((found - ms).abs() <= ms / 500.0, "{name} is {found}");
        }
        assert_eq!(shown(0.123_456), "0.123");
        assert_eq!(shown(-123_456.0), "-123,456");
    }
}
