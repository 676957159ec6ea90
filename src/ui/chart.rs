//! Charts as SVG, coloured by the style sheet: each mark has a class that says what it means.
//!
//! A chart has no text of its own, so that it can be as wide as there is room; its page says what it shows.

use svg::Document;
use svg::node::element::{Line, Rectangle, Title};

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

/// One bar for each attempt, the newest to the right, as high as it took long.
pub(super) fn attempts(newest_first: &[&Attempt]) -> String {
    const BARS: usize = 60;
    let longest = newest_first.iter().map(|attempt| millis(attempt.duration)).max().unwrap_or(1).max(1);
    let step = WIDTH / BARS as f64;
    let mut chart = document().add(base_line());
    for (index, attempt) in newest_first.iter().take(BARS).enumerate() {
        let share = millis(attempt.duration) as f64 / longest as f64;
        let height = (share * (HEIGHT - 2.0)).max(LEAST);
        let class = if attempt.outcome.is_success() { "good" } else { "bad" };
        let bar = bar(WIDTH - step * (index as f64 + 1.0), height, 0.0, step * 0.7, class);
        let title = format!("{} · {} ms", attempt.outcome, millis(attempt.duration));
        chart = chart.add(bar.add(Title::new(title)));
    }
    chart.to_string()
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

fn rounded(length: f64) -> f64 {
    (length * 10.0).round() / 10.0
}
