//! The types of single settings.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use crate::model::problem::{Localized, Message};
use crate::model::string_enum::string_enum;

string_enum!(
    /// The format of the request body.
    #[derive(Default)]
    Format {
        /// The payload of Standard Webhooks.
        #[default]
        Standard = "standard",
        /// The payload of Blue's webhooks.
        Blue = "blue",
        /// The event's `data` without an envelope.
        Raw = "raw",
        /// CloudEvents 1.0 in structured JSON mode.
        CloudEvents = "cloudevents",
    }
);

string_enum!(
    /// Whether deliveries keep the order of the events.
    #[derive(Default)]
    Ordering {
        /// Deliveries have no defined order.
        #[default]
        None = "none",
        /// One delivery at a time, in the order of the events. A delivery that is retried blocks those after it.
        Fifo = "fifo",
    }
);
/// The number of attempts allowed in a unit of time, written `"50/s"`, `"100/m"` or `"1000/h"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// The number of attempts.
    pub count: NonZeroU32,
    /// The unit: a second, a minute or an hour.
    pub per: Duration,
}

const RATE_UNITS: [(&str, u64); 3] = [("s", 1), ("m", 60), ("h", 3600)];

/// The error for a text that is not a rate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a rate such as \"50/s\", \"100/m\" or \"1000/h\"")]
pub struct RateLimitError(String);

impl Localized for RateLimitError {
    fn message(&self) -> Message {
        Message::new("problem-rate").with("text", &self.0)
    }
}

impl FromStr for RateLimit {
    type Err = RateLimitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = text.split_once('/').and_then(|(count, unit)| {
            let count = count.parse().ok()?;
            let (_, secs) = RATE_UNITS.into_iter().find(|(name, _)| *name == unit)?;
            Some(Self { count, per: Duration::from_secs(secs) })
        });
        parsed.ok_or_else(|| RateLimitError(text.to_owned()))
    }
}

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit =
            RATE_UNITS.iter().find(|(_, secs)| *secs == self.per.as_secs()).map_or("s", |(name, _)| name);
        write!(f, "{}/{unit}", self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_displayed_as_they_were_written() {
        for text in ["50/s", "1/m", "1000/h"] {
            assert_eq!(text.parse::<RateLimit>().unwrap().to_string(), text);
        }
        for bad in ["", "0/s", "50", "50/d", "-1/s", "1.5/s"] {
            assert!(bad.parse::<RateLimit>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_unknown_word_is_refused_with_the_list_of_words() {
        let message = "xml".parse::<Format>().unwrap_err();
        assert_eq!(
            message.to_string(),
            "'xml' is not a known value: expected one of \"standard\", \"blue\", \"raw\", \"cloudevents\""
        );
    }
}
