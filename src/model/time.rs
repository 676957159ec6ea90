//! Time: the only module that reads the clock.
//!
//! A [`Timestamp`] is wall-clock time in milliseconds, as the API, the logs and the store show it. A
//! [`Clock`] gives both timestamps and the instants of timers, so that a test on tokio's paused clock moves
//! both together.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::time::Instant;

use super::problem::{Localized, Message};

/// A point in time in whole milliseconds since the Unix epoch, shown as RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

/// The latest time that RFC 3339 can represent: 9999-12-30T22:00:00Z, without the fraction.
const LATEST_MS: u64 = 253_402_207_200_000;

impl Timestamp {
    /// Returns the time `ms` milliseconds after the epoch, or the latest representable time if that is
    /// earlier.
    pub const fn from_millis(ms: u64) -> Self {
        Self(if ms > LATEST_MS { LATEST_MS } else { ms })
    }

    /// Returns the milliseconds since the epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Returns the whole seconds since the epoch, as signatures contain them.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// Returns the time `wait` later, rounded down to milliseconds.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self::from_millis(self.0.saturating_add(millis(wait)))
    }

    /// Returns the time `wait` earlier, but not before the epoch.
    #[must_use]
    pub fn before(self, wait: Duration) -> Self {
        Self(self.0.saturating_sub(millis(wait)))
    }

    /// Returns the duration from `earlier` to this time, or zero if this time is not later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Returns the whole milliseconds of a duration, at most `u64::MAX`.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Returns the whole microseconds of a duration, at most `u64::MAX`.
pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = i64::try_from(self.0).map_err(|_| fmt::Error)?;
        let at = jiff::Timestamp::from_millisecond(ms).map_err(|_| fmt::Error)?;
        write!(f, "{at:.3}")
    }
}

/// A text that is not an RFC 3339 time between 1970 and 9999.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is not an RFC 3339 time since 1970 such as 2026-01-31T08:00:00.000Z")]
pub struct TimestampError(String);

impl Localized for TimestampError {
    fn message(&self) -> Message {
        Message::new("problem-time").with("text", &self.0)
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed: jiff::Timestamp = text.parse().map_err(|_| TimestampError(text.to_owned()))?;
        let ms = u64::try_from(parsed.as_millisecond()).map_err(|_| TimestampError(text.to_owned()))?;
        Ok(Self::from_millis(ms))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// A duration in the notation `"5s"`, `"2m"` or `"30d"`. A day is 24 hours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval(Duration);

impl Interval {
    /// Returns an interval of `ms` milliseconds.
    pub const fn from_millis(ms: u64) -> Self {
        Self(Duration::from_millis(ms))
    }

    /// Returns an interval of `secs` seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    /// Returns the duration.
    pub const fn get(self) -> Duration {
        self.0
    }
}

/// A text that is not a duration.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is not a duration such as \"250ms\", \"5s\", \"2m\", \"24h\" or \"30d\"")]
pub struct IntervalError(String);

impl Localized for IntervalError {
    fn message(&self) -> Message {
        Message::new("problem-interval").with("text", &self.0)
    }
}

impl FromStr for Interval {
    type Err = IntervalError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || IntervalError(text.to_owned());
        let span: jiff::Span = text.parse().map_err(|_| error())?;
        let length = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(|_| error())?;
        Duration::try_from(length).map(Self).map_err(|_| error())
    }
}

/// Uses the largest unit without a remainder, so that `"2m"` is written back as `"2m"`.
impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 4] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")];
        let ms = millis(self.0);
        match UNITS.iter().find(|(unit, _)| ms >= *unit && ms.is_multiple_of(*unit)) {
            Some((unit, name)) => write!(f, "{}{name}", ms / unit),
            None => write!(f, "{ms}ms"),
        }
    }
}

impl Serialize for Interval {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Interval {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// The source of time. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Virtual { epoch: Timestamp, start: Instant },
}

impl Clock {
    /// Returns the wall clock of the system.
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// Returns a clock that starts at `epoch` and moves only with tokio's clock, for tests on paused time.
    pub fn starting_at(epoch: Timestamp) -> Self {
        Self(Source::Virtual { epoch, start: Instant::now() })
    }

    /// Returns the wall-clock time.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_millis(millis(self.since_epoch()))
    }

    /// Returns the wall-clock time as the duration since the Unix epoch, in full precision.
    #[expect(clippy::disallowed_methods, reason = "the only place that reads the clock")]
    pub fn since_epoch(&self) -> Duration {
        match &self.0 {
            Source::System => {
                std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
            }
            Source::Virtual { epoch, start } => {
                Duration::from_millis(epoch.0).saturating_add(start.elapsed())
            }
        }
    }

    /// Returns the monotonic instant that timers and durations use.
    pub fn instant(&self) -> Instant {
        Instant::now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_rfc_3339_with_milliseconds() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_614_265_330_001, "2021-02-25T15:02:10.001Z"),
            (LATEST_MS, "9999-12-30T22:00:00.000Z"),
        ] {
            assert_eq!(Timestamp::from_millis(ms).to_string(), text);
            assert_eq!(text.parse::<Timestamp>().unwrap().as_millis(), ms);
        }
        assert_eq!(
            "2021-02-25T16:02:10.0019+01:00".parse::<Timestamp>().unwrap().as_millis(),
            1_614_265_330_001
        );
        for bad in ["", "yesterday", "1969-12-31T23:59:59Z", "2021-02-25", "2021-02-25T16:02:10"] {
            assert!(bad.parse::<Timestamp>().is_err(), "{bad}");
        }
    }

    #[test]
    fn intervals_parse_and_format_in_the_largest_unit() {
        for text in ["250ms", "5s", "90s", "2m", "10m", "24h", "30d"] {
            let interval: Interval = text.parse().unwrap();
            assert_eq!(interval.to_string().parse::<Interval>().unwrap(), interval, "{text}");
        }
        assert_eq!("2m".parse::<Interval>().unwrap().to_string(), "2m");
        assert_eq!("24h".parse::<Interval>().unwrap().to_string(), "1d");
        assert_eq!(Interval::default().to_string(), "0ms");
        for bad in ["", "5", "-5s", "soon", "1mo", "5 parsecs"] {
            assert!(bad.parse::<Interval>().is_err(), "{bad}");
        }
    }
}
