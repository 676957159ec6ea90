//! Identifiers: ULIDs with a prefix that says what they name.
//!
//! They sort by the time they were made, in text and as bytes, so that they serve as keys of the log.

use std::fmt;
use std::str::FromStr;

use rand::RngExt as _;
use rand::rngs::StdRng;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use ulid::Ulid;

use super::problem::{Localized, Message};
use super::time::Timestamp;

/// A text that is not an id of the kind asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not {what}: expected {prefix} and 26 letters and digits")]
pub struct IdError {
    text: String,
    what: &'static str,
    prefix: &'static str,
}

impl Localized for IdError {
    fn message(&self) -> Message {
        let message = Message::new("problem-id").with("text", &self.text);
        message.with_phrase("what", self.what).with("prefix", self.prefix)
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Ulid);

        impl $name {
            /// The id with these 128 bits.
            pub const fn from_bits(bits: u128) -> Self {
                Self(Ulid(bits))
            }

            /// The 128 bits: 48 of milliseconds, 80 of chance or count.
            pub const fn bits(self) -> u128 {
                self.0.0
            }

            /// Big-endian bytes, which sort as the ids do.
            pub const fn to_bytes(self) -> [u8; 16] {
                self.0.0.to_be_bytes()
            }

            /// The id with these big-endian bytes.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self::from_bits(u128::from_be_bytes(bytes))
            }

            /// When it was made, to the millisecond.
            pub fn time(self) -> Timestamp {
                Timestamp::from_millis(self.0.timestamp_ms())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let error = || IdError { text: text.to_owned(), what: $what, prefix: $prefix };
                let digits = text.strip_prefix($prefix).ok_or_else(error)?;
                // 26 digits have room for 130 bits: what goes beyond 128 would wrap around.
                if digits.starts_with(|first| first > '7') {
                    return Err(error());
                }
                Ulid::from_string(digits).map(Self).map_err(|_| error())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    };
}

id!(
    /// Names an event, `evt_…`: what is signed and sent as `webhook-id`.
    EventId, "evt_", "an event id"
);
id!(
    /// Names a subscription, `sub_…`.
    SubscriptionId, "sub_", "a subscription id"
);
id!(
    /// Names a delivery, `dlv_…`: one event on its way to one subscription.
    DeliveryId, "dlv_", "a delivery id"
);
id!(
    /// Names a replay of a subscription's past, `rpl_…`.
    ReplayId, "rpl_", "a replay id"
);

/// Gives out ids that only ever grow, whatever the clock does.
#[derive(Debug)]
pub struct IdSequence {
    last: u128,
    rng: StdRng,
}

impl IdSequence {
    /// A sequence whose first id comes after `last`.
    pub const fn after(last: u128, rng: StdRng) -> Self {
        Self { last, rng }
    }

    /// The first of `count` consecutive ids, all greater than every id given out before.
    ///
    /// A new millisecond starts at a random place in the lower half of its range; ids of the same millisecond,
    /// or of a clock that went back, follow the last one.
    pub fn block(&mut self, now: Timestamp, count: u64) -> u128 {
        let fresh = u128::from(now.as_millis()) << 80 | (self.rng.random::<u128>() >> 49);
        let first = if fresh >> 80 > self.last >> 80 { fresh } else { self.last + 1 };
        self.last = first + u128::from(count.max(1)) - 1;
        first
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn ids_read_back_and_sort_as_their_bytes() {
        let mut sequence = IdSequence::after(0, StdRng::seed_from_u64(1));
        let ids: Vec<EventId> = [5, 5, 6, 3, 7]
            .into_iter()
            .map(|ms| EventId::from_bits(sequence.block(Timestamp::from_millis(ms), 3)))
            .collect();
        for pair in ids.windows(2) {
            assert!(pair[0].bits() + 3 <= pair[1].bits(), "{pair:?}");
            assert!(pair[0].to_bytes() < pair[1].to_bytes());
            assert!(pair[0].to_string() < pair[1].to_string());
        }
        for id in ids {
            assert_eq!(id.to_string().parse::<EventId>().unwrap(), id);
            assert_eq!(EventId::from_bytes(id.to_bytes()), id);
        }
    }

    #[test]
    fn an_id_of_another_kind_is_refused() {
        let id = EventId::from_bits(42);
        assert!(id.to_string().parse::<DeliveryId>().is_err());
        let message = "evt_1".parse::<EventId>().unwrap_err().to_string();
        assert_eq!(message, "'evt_1' is not an event id: expected evt_ and 26 letters and digits");
    }
}
