//! The counts of each minute of the last day, in a fixed amount of memory. The page draws its charts from
//! them.

use std::time::Duration;

use crate::model::attempt::Outcome;

/// The number of minutes that are kept.
pub const MINUTES_MAX: usize = 24 * 60;

/// The counts of one minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Minute {
    /// The number of accepted events.
    pub accepted: u64,
    /// Attempts that were answered with a 2xx status.
    pub succeeded: u64,
    /// Attempts with any other outcome.
    pub failed: u64,
    /// The sum of the durations of all attempts.
    pub took: Duration,
    /// The longest duration of an attempt.
    pub longest: Duration,
}

impl Minute {
    pub(in crate::flow) fn attempted(&mut self, outcome: &Outcome, took: Duration) {
        *(if outcome.is_success() { &mut self.succeeded } else { &mut self.failed }) += 1;
        self.took += took;
        self.longest = self.longest.max(took);
    }

    /// Returns the counts of both minutes together.
    #[must_use]
    pub fn with(self, other: &Self) -> Self {
        Self {
            accepted: self.accepted + other.accepted,
            succeeded: self.succeeded + other.succeeded,
            failed: self.failed + other.failed,
            took: self.took + other.took,
            longest: self.longest.max(other.longest),
        }
    }

    /// Returns the mean duration of an attempt, or none if there was no attempt.
    pub fn mean(&self) -> Option<Duration> {
        let attempts = u32::try_from(self.succeeded + self.failed).ok().filter(|attempts| *attempts > 0)?;
        Some(self.took / attempts)
    }
}

/// A ring of minutes, each with its number since the start.
#[derive(Debug)]
pub(in crate::flow) struct History(Vec<(u64, Minute)>);

impl Default for History {
    fn default() -> Self {
        Self(vec![(0, Minute::default()); MINUTES_MAX])
    }
}

impl History {
    fn place(&self, number: u64) -> usize {
        usize::try_from(number).unwrap_or_default() % self.0.len().max(1)
    }

    /// Returns the minute with this number, and empties it if its place held another one.
    #[expect(clippy::indexing_slicing, reason = "a place is a remainder of the length, which is not zero")]
    pub(in crate::flow) fn minute(&mut self, number: u64) -> &mut Minute {
        let place = self.place(number);
        let (held, minute) = &mut self.0[place];
        if *held != number {
            (*held, *minute) = (number, Minute::default());
        }
        minute
    }

    /// Returns the `count` minutes up to this number, oldest first. Minutes before the start are empty.
    pub(in crate::flow) fn last(&self, number: u64, count: usize) -> Vec<Minute> {
        let of = |number: u64| {
            let held = self.0.get(self.place(number)).filter(|(held, _)| *held == number);
            held.map(|(_, minute)| *minute).unwrap_or_default()
        };
        let ago = (0..count.min(MINUTES_MAX) as u64).rev();
        ago.map(|ago| number.checked_sub(ago).map(of).unwrap_or_default()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_remembered_and_no_more() {
        let mut history = History::default();
        for number in [0, 0, 5, 6] {
            history.minute(number).accepted += 1;
        }
        history.minute(6).attempted(&Outcome::Success { status: 200 }, Duration::from_millis(10));
        history
            .minute(6)
            .attempted(&Outcome::Rejected { status: 500, retry_after: None }, Duration::from_millis(30));
        let counts = |history: &History, number, count| -> Vec<u64> {
            history.last(number, count).iter().map(|minute| minute.accepted).collect()
        };
        assert_eq!(counts(&history, 6, 8), [0, 2, 0, 0, 0, 0, 1, 1]);
        assert_eq!(counts(&history, 7, 2), [1, 0]);
        let sixth = history.last(6, 1)[0];
        assert_eq!((sixth.succeeded, sixth.failed, sixth.mean()), (1, 1, Some(Duration::from_millis(20))));
        assert_eq!(sixth.with(&sixth).mean(), sixth.mean());
        assert_eq!(Minute::default().mean(), None);
        // A day later the places are reused, and their old counts are not shown.
        let later = 6 + MINUTES_MAX as u64;
        assert_eq!(counts(&history, later, MINUTES_MAX).iter().sum::<u64>(), 0);
        history.minute(later).accepted += 3;
        assert_eq!(history.last(later, MINUTES_MAX + 5).len(), MINUTES_MAX);
        assert_eq!(counts(&history, later, 1), [3]);
    }
}
