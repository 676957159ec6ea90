//! Times as people give them: RFC 3339, or how long ago.

use std::str::FromStr;

use clap::Args;

use crate::model::time::{Clock, Interval, Timestamp};

/// A time that was given.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment(Timestamp);

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(ago) = text.parse::<Interval>() {
            return Ok(Self(Clock::system().now().before(ago.get())));
        }
        let at = text.parse().map(Self);
        at.map_err(|_| {
            format!("'{text}' is neither a time such as 2026-01-31T08:00:00Z nor how long ago, such as 2h")
        })
    }
}

/// A span of time.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Span {
    /// From then on: a time such as 2026-01-31T08:00:00Z, or how long ago, such as 2h
    #[arg(long, value_name = "TIME")]
    since: Option<Moment>,
    /// Until before then
    #[arg(long, value_name = "TIME")]
    until: Option<Moment>,
}

impl Span {
    /// Its ends, in RFC 3339.
    pub(super) fn ends(self) -> (Option<String>, Option<String>) {
        (self.since.map(|moment| moment.0.to_string()), self.until.map(|moment| moment.0.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_or_how_long_ago() {
        let at: Moment = "2026-01-31T08:00:00Z".parse().unwrap();
        assert_eq!(at.0.to_string(), "2026-01-31T08:00:00.000Z");
        let ago: Moment = "2h".parse().unwrap();
        let age = Clock::system().now().since(ago.0).as_secs();
        assert!((7200..7260).contains(&age), "{age}");
        assert!("yesterday".parse::<Moment>().is_err());
    }
}
