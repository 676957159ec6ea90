//! How a command prints its results and reports wrong usage.

use std::io::Write as _;

/// A command was used wrongly: the process exits with code 2 instead of 1.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub(crate) String);

/// The format in which a command prints its results.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    /// Whether to print JSON, one value a line, instead of text.
    pub(crate) json: bool,
}

impl Output {
    /// Prints the JSON or the text as a line on standard output.
    pub(crate) fn print(self, json: &serde_json::Value, text: &str) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{json}")?;
        } else {
            writeln!(out, "{text}")?;
        }
        out.flush()
    }

    /// Prints a note on standard error, apart from the results.
    #[expect(clippy::unused_self, reason = "notes and results are printed through the same value")]
    pub(crate) fn note(self, text: &str) -> std::io::Result<()> {
        writeln!(std::io::stderr().lock(), "{text}")
    }
}
