//! SVG charts. The style sheet colours each mark by its class, which says what the mark means.
//!
//! A chart contains no text, so that the page can stretch it. The page describes the chart in words.

use std::time::Duration;

use svg::Document;
use svg::node::element::path::Data;
use svg::node::element::{Line, Path, Rectangle, Title};

use crate::flow::measure::history::Minute;
use crate::model::attempt::Attempt;
use crate::model::time::millis;

/// The size of a drawing in its own units. The page stretches it.
const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 100.0;
/// The least height of a mark, so that small values stay visible.
const MIN_HEIGHT: f64 = 3.0;

fn document() -> Document {
    Document::new()
        .set("viewBox", (0, 0, WIDTH, HEIGHT))
        .set("preserveAspectRatio", "none")
        .set("class", "chart")
        .set("aria-hidden", "true")
}

/// Draws one bar per attempt, newest on the right. The height of a bar is the duration. `room` is the maximum
/// number of bars.
pub(super) fn attempts(newest_first: &[&Attempt], room: usize) -> String {
    let longest = newest_first.iter().map(|attempt| millis(attempt.duration)).max().unwrap_or(1).max(1);
    let step = WIDTH / to_f64(room);
    let mut chart = document().add(base_line());
    for (index, attempt) in newest_first.iter().take(room).enumerate() {
        let share = to_f64(millis(attempt.duration)) / to_f64(longest);
        let height = (share * (HEIGHT - 2.0)).max(MIN_HEIGHT);
        let class = if attempt.outcome.is_success() { "good" } else { "bad" };
        let bar = bar(WIDTH - step * (to_f64(index) + 1.0), height, 0.0, step * 0.7, class);
        let title = format!("{} · {} ms", attempt.outcome, millis(attempt.duration));
        chart = chart.add(bar.add(Title::new(title)));
    }
    chart.to_string()
}

/// Draws one bar per period, oldest first. Successful attempts are at the bottom of the bar, failed attempts
/// above them.
pub(super) fn outcomes(bars: &[Minute]) -> String {
    let highest = to_f64(bars.iter().map(|bar| bar.succeeded + bar.failed).max().unwrap_or(0).max(1));
    let step = WIDTH / to_f64(bars.len().max(1));
    let mut chart = document().add(base_line());
    for (index, one) in bars.iter().enumerate() {
        let height = |count: u64| {
            if count == 0 { 0.0 } else { (to_f64(count) / highest * (HEIGHT - 6.0)).max(MIN_HEIGHT) }
        };
        let (x, good, bad) = (to_f64(index) * step, height(one.succeeded), height(one.failed));
        if good > 0.0 {
            chart = chart.add(bar(x, good, 0.0, step * 0.75, "good"));
        }
        if bad > 0.0 {
            chart = chart.add(bar(x, bad, good, step * 0.75, "bad"));
        }
    }
    chart.to_string()
}

/// Draws two lines over periods, oldest first: the mean and the maximum duration of attempts.
pub(super) fn durations(bars: &[Minute]) -> String {
    let longest = bars.iter().map(|bar| bar.longest).max().unwrap_or_default().as_secs_f64().max(0.001);
    let step = WIDTH / to_f64(bars.len().max(1));
    let line = |class: &str, of: fn(&Minute) -> Option<Duration>| {
        let mut path = Data::new();
        let mut is_drawing = false;
        for (index, one) in bars.iter().enumerate() {
            let Some(time) = of(one) else {
                is_drawing = false;
                continue;
            };
            let x = rounded((to_f64(index) + 0.4) * step);
            let y = rounded(HEIGHT - 2.0 - time.as_secs_f64() / longest * (HEIGHT - 8.0));
            // A period between two empty ones would be invisible, so it is drawn as a short stroke.
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

/// Converts a count to a length. Counts above 2^32 are drawn as 2^32.
fn to_f64(count: impl TryInto<u32>) -> f64 {
    f64::from(count.try_into().unwrap_or(u32::MAX))
}

fn rounded(length: f64) -> f64 {
    (length * 10.0).round() / 10.0
}
