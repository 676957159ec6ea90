//! The output of the demo: at most 110 columns, with colour only on a terminal.

use std::fmt::Display;
use std::io::Write as _;
use std::time::Duration;

use anstyle::{AnsiColor, Style};

use super::receiver::{Arrival, Ledger};

/// Success.
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
/// Failure.
pub(super) const BAD: Style = AnsiColor::Red.on_default();
/// Waiting.
pub(super) const WAITING: Style = AnsiColor::Yellow.on_default();
/// Less important text.
pub(super) const FAINT: Style = Style::new().dimmed();
/// The subject of a line.
pub(super) const STRONG: Style = Style::new().bold();

const COLUMNS: usize = 104;

/// The destination of the output.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    is_silent: bool,
}

impl Page {
    /// Returns a page that prints to standard output.
    pub(super) const fn new() -> Self {
        Self { is_silent: false }
    }

    /// Returns a page that prints nothing, for JSON output.
    pub(super) const fn silent() -> Self {
        Self { is_silent: true }
    }

    /// Prints a line. Errors are ignored, because the demo continues when its output is closed.
    pub(super) fn say(self, line: impl Display) {
        if self.is_silent {
            return;
        }
        let mut out = anstream::stdout().lock();
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    }

    /// Prints the heading of a chapter.
    pub(super) fn chapter(self, title: &str) {
        let rule = "─".repeat(COLUMNS.saturating_sub(title.chars().count() + 4));
        self.say(format_args!("\n{}\n", paint(STRONG, format_args!("── {title} {rule}"))));
    }

    /// Prints what to try next.
    pub(super) fn next_steps(self) {
        self.say(format_args!(
            "\nWhat to try next:\n\n{}",
            steps(
                "http://127.0.0.1:8740",
                "cargo run --release                                run the daemon with config.toml"
            )
        ));
    }

    /// Prints how to reach the running daemon.
    pub(super) fn still_running(self, url: &str) {
        self.say(format_args!(
            "\nThe daemon is running at {url}. Requests to its receivers are shown here. Press Ctrl-C to stop. Try:\n\n{}",
            steps(url, &format!("curl {url}/v1/subscriptions"))
        ));
    }

    /// Prints every arrival after the first `shown`, while the receivers run.
    pub(super) async fn follow(self, ledger: &Ledger, mut shown: usize) {
        while let Some(arrival) = ledger.nth(shown).await {
            self.say(arrived(&arrival));
            shown += 1;
        }
    }
}

fn arrived(arrival: &Arrival) -> String {
    let Arrival { receiver, event, attempt, .. } = arrival;
    let status = paint(if arrival.is_taken() { GOOD } else { BAD }, arrival.status);
    format!("  {receiver:<10} {event}  attempt {attempt}  {status}")
}

fn steps(url: &str, first: &str) -> String {
    format!(
        "  {first}\n  \
         cargo run --release -- listen --port 9000          run a receiver that prints requests\n  \
         curl {url}/v1/subscriptions -H 'Content-Type: application/json' \\\n       \
         -d '{{\"url\":\"http://127.0.0.1:9000/\",\"events\":[\"TODO_*\"],\"projects\":[\"website\"]}}'\n  \
         cargo run --release -- send --server {url} \\\n       \
         --type TODO_CREATED --company acme --project website --data '{{\"title\":\"Hello\"}}'\n  \
         curl '{url}/v1/deliveries?limit=5'"
    )
}

/// Returns the text with the escape codes of a style. [`Page::say`] removes them if the output is not a terminal.
pub(super) fn paint(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Formats a duration as `0.8 ms` or `12.3 ms`.
pub(super) fn ms(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}

/// Formats a count as `1 event`, `2 events` or `2 deliveries`.
pub(super) fn count(number: usize, noun: &str) -> String {
    match (number, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        (_, None) => format!("{number} {noun}s"),
    }
}

/// Splits the text into lines of the given number of columns, without regard to words.
pub(super) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    letters.chunks(columns.max(1)).map(|line| line.iter().collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_counts_and_lines_are_formatted() {
        assert_eq!(ms(Duration::from_micros(1_250)), "1.2 ms");
        for (number, noun, expected) in
            [(1, "event", "1 event"), (0, "event", "0 events"), (2, "delivery", "2 deliveries")]
        {
            assert_eq!(count(number, noun), expected);
        }
        assert_eq!(wrap("äbcdef", 4), ["äbcd", "ef"]);
        assert_eq!((wrap("abcd", 4).len(), wrap("", 4).len()), (1, 0));
    }
}
