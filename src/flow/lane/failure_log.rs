//! The log lines about a failing receiver: at most one a minute, however many attempts fail.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::attempt::Attempt;
use crate::model::subscription::Subscription;

/// The shortest time between two log lines about failures of the same receiver.
const LOG_EVERY: Duration = Duration::from_mins(1);

/// Limits the log lines about one receiver.
#[derive(Debug, Default)]
pub(super) struct FailureLog {
    /// When the last line about a failure was logged.
    logged_at: Option<Instant>,
    /// Whether the last line was about a failure.
    is_failing: bool,
    /// The failures since the last line about one.
    failures: u64,
}

/// The line to log after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// The receiver fails. Holds the number of failed attempts since the last such line.
    Failing(u64),
    /// The receiver succeeds again.
    Recovered,
}

impl FailureLog {
    /// Logs the outcome of an attempt if a line is due.
    pub(super) fn log(&mut self, subscription: &Subscription, attempt: &Attempt, now: Instant) {
        let (id, name) = (subscription.id, subscription.spec.name.as_str());
        match self.next_line(attempt.outcome.is_success(), now) {
            Some(Line::Failing(failures)) => {
                tracing::warn!(subscription = %id, name, failures, outcome = %attempt.outcome, "receiver is failing");
            }
            Some(Line::Recovered) => tracing::info!(subscription = %id, name, "receiver has recovered"),
            None => {}
        }
    }

    fn next_line(&mut self, is_success: bool, now: Instant) -> Option<Line> {
        if is_success {
            return std::mem::take(&mut self.is_failing).then_some(Line::Recovered);
        }
        self.failures += 1;
        if self.logged_at.is_some_and(|logged| now.duration_since(logged) < LOG_EVERY) {
            return None;
        }
        (self.logged_at, self.is_failing) = (Some(now), true);
        Some(Line::Failing(std::mem::take(&mut self.failures)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Clock;

    #[test]
    fn a_failing_receiver_logs_one_line_a_minute_and_a_flapping_one_two() {
        let start = Clock::system().instant();
        let at = |secs| start + Duration::from_secs(secs);
        let mut log = FailureLog::default();
        assert_eq!(log.next_line(true, at(0)), None);
        assert_eq!(log.next_line(false, at(1)), Some(Line::Failing(1)));
        let lines: Vec<_> = (1..=180).filter_map(|secs| log.next_line(false, at(1 + secs))).collect();
        assert_eq!(lines, [Line::Failing(60), Line::Failing(60), Line::Failing(60)]);
        assert_eq!(log.next_line(true, at(182)), Some(Line::Recovered));
        let lines: Vec<_> = (0..58).filter_map(|secs| log.next_line(secs % 2 == 1, at(183 + secs))).collect();
        assert_eq!(lines, []);
        assert_eq!(log.next_line(false, at(241)), Some(Line::Failing(30)));
    }
}
