//! Charts as SVG, coloured by the style sheet: each mark has a class that says what it means.
//!
//! A chart has no text of its own, so that it can be as wide as there is room; its page says what it shows.

use std::time::Duration;

use svg::Document;
use svg::node::element::path::Data;
use svg::node::element::{Line, Path, Rectangle, Title};

use crate::flow::measure::history::Minute;
use crate::model::attempt::Attempt;
use crate::model::time::millis;

/// The size of the drawing's own grid; the page stretches it.
const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 100.0;
/// The least height of a mark, so that what is there is seen.
const LEAST: f64 = 3.0;

fn document() -> Document {
    Document::new()
        .set("viewBox", (0, 0, WIDTH, HEIGHT))
        .set("preserveAspectRatio", "none")
        .set("class", "chart")
        .set("aria-hidden", "true")
}

/// One bar for each attempt, the newest to the right, as high as it took long; there is room for so many.
pub(super) fn attempts(newest_first: &[&Attempt], room: usize) -> String {
    let longest = newest_first.iter().map(|attempt| millis(attempt.duration)).max().unwrap_or(1).max(1);
    let step = WIDTH / real(room);
    let mut chart = document().add(base_line());
    for (index, attempt) in newest_first.iter().take(room).enumerate() {
        let share = real(millis(attempt.duration)) / real(longest);
        let height = (share * (HEIGHT - 2.0)).max(LEAST);
        let class = if attempt.outcome.is_success() { "good" } else { "bad" };
        let bar = bar(WIDTH - step * (real(index) + 1.0), height, 0.0, step * 0.7, class);
        let title = format!("{} · {} ms", attempt.outcome, millis(attempt.duration));
        chart = chart.add(bar.add(Title::new(title)));
    }
    chart.to_string()
}

/// One bar for each span of time, oldest first: attempts that were taken below, those that failed above.
pub(super) fn outcomes(bars: &[Minute]) -> String {
    let highest = real(bars.iter().map(|bar| bar.succeeded + bar.failed).max().unwrap_or(0).max(1));
    let step = WIDTH / real(bars.len().max(1));
    let mut chart = document().add(base_line());
    for (index, one) in bars.iter().enumerate() {
        let height =
            |count: u64| if count == 0 { 0.0 } else { (real(count) / highest * (HEIGHT - 6.0)).max(LEAST) };
        let (x, good, bad) = (real(index) * step, height(one.succeeded), height(one.failed));
        if good > 0.0 {
            chart = chart.add(bar(x, good, 0.0, step * 0.75, "good"));
        }
        if bad > 0.0 {
            chart = chart.add(bar(x, bad, good, step * 0.75, "bad"));
        }
    }
    chart.to_string()
}

/// Two lines over spans of time, oldest first: how long an attempt took on average, and the longest of them.
pub(super) fn times(bars: &[Minute]) -> String {
    let longest = bars.iter().map(|bar| bar.longest).max().unwrap_or_default().as_secs_f64().max(0.001);
    let step = WIDTH / real(bars.len().max(1));
    let line = |class: &str, of: fn(&Minute) -> Option<Duration>| {
        let mut path = Data::new();
        let mut is_drawing = false;
        for (index, one) in bars.iter().enumerate() {
            let Some(time) = of(one) else {
                is_drawing = false;
                continue;
            };
            let x = rounded((real(index) + 0.4) * step);
            let y = rounded(HEIGHT - 2.0 - time.as_secs_f64() / longest * (HEIGHT - 8.0));
            // A span alone between empty ones is seen as a short stroke.
            path = if is_drawing {
                path.line_to((x, y))
            } else {
                path.move_to((x, y)).line_by((rounded(step * 0.4), 0))
            };
            is_drawing = true;
        }
        Path::new().set("class", class).set("d", path)
    };
    let drawing = document().add(base_line());
    drawing
        .add(line("line two", |one| one.mean().map(|_| one.longest)))
        .add(line("line", Minute::mean))
        .to_string()
}

fn bar(x: f64, height: f64, above: f64, width: f64, class: &str) -> Rectangle {
    Rectangle::new()
        .set("x", rounded(x))
        .set("y", rounded(HEIGHT - above - height))
        .set("width", rounded(width))
        .set("height", rounded(height))
        .set("class", class)
}

fn base_line() -> Line {
    Line::new().set("x1", 0).set("x2", WIDTH).set("y1", HEIGHT).set("y2", HEIGHT).set("class", "axis")
}

/// A count as a length; what is beyond 2^32 is drawn as that.
fn real(count: impl TryInto<u32>) -> f64 {
    f64::from(count.try_into().unwrap_or(u32::MAX))
}

fn rounded(length: f64) -> f64 {
    (length * 10.0).round() / 10.0
}
