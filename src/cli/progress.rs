//! Progress bars for long work on files, shown on standard error if it is a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// Returns a bar of unknown length.
pub(super) fn bar() -> ProgressBar {
    let bar = ProgressBar::no_length();
    let style = ProgressStyle::with_template("{msg} {bytes} {bytes_per_sec}");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar
}

/// Returns a callback that shows a step, the bytes done and the total bytes on the bar.
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
