//! What the log says of a receiver that fails: lines a minute, not lines an attempt.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::attempt::Attempt;

use super::lane::LaneState;

/// How often one receiver's failing is worth a line.
const EVERY: Duration = Duration::from_mins(1);

/// What was said of a receiver.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    /// When it was last said that it fails.
    said_at: Option<Instant>,
    /// Whether that is the last that was said.
    is_open: bool,
    /// Failures since.
    failures: u64,
}

/// What is to be said after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// So many attempts have failed since the last line.
    Fails(u64),
    /// It answers again.
    Answers,
}

impl Trouble {
    fn after(&mut self, is_success: bool, now: Instant) -> Option<Line> {
        if is_success {
            return std::mem::take(&mut self.is_open).then_some(Line::Answers);
        }
        self.failures += 1;
        if self.said_at.is_some_and(|said| now.duration_since(said) < EVERY) {
            return None;
        }
        (self.said_at, self.is_open) = (Some(now), true);
        Some(Line::Fails(std::mem::take(&mut self.failures)))
    }
}

/// Writes the line that an attempt deserves, if any.
pub(super) fn log(state: &mut LaneState, attempt: &Attempt, now: Instant) {
    let line = state.trouble.after(attempt.outcome.is_success(), now);
    let (subscription, name) = (state.subscription.id, state.subscription.spec.name.as_str());
    match line {
        Some(Line::Fails(failures)) => {
            tracing::warn!(%subscription, name, failures, outcome = %attempt.outcome, "a receiver fails");
        }
        Some(Line::Answers) => tracing::info!(%subscription, name, "a receiver answers again"),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Clock;

    #[test]
    fn a_dead_receiver_is_worth_a_line_a_minute_and_a_flapping_one_two() {
        let start = Clock::system().instant();
        let at = |secs| start + Duration::from_secs(secs);
        let mut trouble = Trouble::default();
        assert_eq!(trouble.after(true, at(0)), None);
        assert_eq!(trouble.after(false, at(1)), Some(Line::Fails(1)));
        let lines: Vec<_> = (1..=180).filter_map(|secs| trouble.after(false, at(1 + secs))).collect();
        assert_eq!(lines, [Line::Fails(60), Line::Fails(60), Line::Fails(60)]);
        assert_eq!(trouble.after(true, at(182)), Some(Line::Answers));
        let lines: Vec<_> = (0..58).filter_map(|secs| trouble.after(secs % 2 == 1, at(183 + secs))).collect();
        assert_eq!(lines, []);
        assert_eq!(trouble.after(false, at(241)), Some(Line::Fails(30)));
    }
}
