//! How far long work on a file is, on standard error where that is a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar without an end yet.
pub(super) fn bar() -> ProgressBar {
    let bar = ProgressBar::no_length();
    let style = ProgressStyle::with_template("{msg} {bytes} {bytes_per_sec}");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar
}

/// Shows on it what is done, and how many bytes of how many.
pub(super) fn on(bar: &ProgressBar) -> impl FnMut(&'static str, u64, u64) {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes} of {total_bytes}, {eta} left");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    let bar = bar.clone();
    move |doing, done, total| {
        bar.set_message(doing);
        bar.set_length(total);
        bar.set_position(done);
    }
}
