//! Time arguments: RFC 3339, or a duration before now.

use std::str::FromStr;

use clap::Args;

use crate::model::time::{Clock, Interval, Timestamp};

/// A time argument.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimeArg(Timestamp);

impl FromStr for TimeArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(ago) = text.parse::<Interval>() {
            return Ok(Self(Clock::system().now().before(ago.get())));
        }
        let at = text.parse().map(Self);
        at.map_err(|_| {
            format!("invalid time '{text}': expected a time such as 2026-01-31T08:00:00Z, or a duration before now such as 2h")
        })
    }
}

/// The arguments of a time range.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct TimeRange {
    /// Only from this time on, such as 2026-01-31T08:00:00Z, or a duration before now, such as 2h
    #[arg(long, value_name = "TIME")]
    since: Option<TimeArg>,
    /// Only before this time
    #[arg(long, value_name = "TIME")]
    until: Option<TimeArg>,
}

impl TimeRange {
    /// Returns the start and the end in RFC 3339.
    pub(super) fn ends(self) -> (Option<String>, Option<String>) {
        (self.since.map(|time| time.0.to_string()), self.until.map(|time| time.0.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_argument_is_a_time_or_a_duration_before_now() {
        let at: TimeArg = "2026-01-31T08:00:00Z".parse().unwrap();
        assert_eq!(at.0.to_string(), "2026-01-31T08:00:00.000Z");
        let ago: TimeArg = "2h".parse().unwrap();
        let age = Clock::system().now().since(ago.0).as_secs();
        assert!((7200..7260).contains(&age), "{age}");
        assert!("yesterday".parse::<TimeArg>().is_err());
    }
}
