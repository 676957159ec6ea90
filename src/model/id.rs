//! Identifiers: ULIDs with a prefix for the kind of thing that they identify.
//!
//! Ids sort by their time of creation, both as text and as bytes. Therefore they serve as keys of the store.

use std::fmt;
use std::str::FromStr;

use rand::RngExt as _;
use rand::rngs::StdRng;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use ulid::Ulid;

use super::problem::{Localized, Message};
use super::time::Timestamp;

/// A text that is not an id of the expected kind.
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
            /// Returns the id with these 128 bits.
            pub const fn from_bits(bits: u128) -> Self {
                Self(Ulid(bits))
            }

            /// Returns the 128 bits: 48 bits of milliseconds, then 80 bits that are random or count up.
            pub const fn bits(self) -> u128 {
                self.0.0
            }

            /// Returns the id as big-endian bytes, which sort like the ids.
            pub const fn to_bytes(self) -> [u8; 16] {
                self.0.0.to_be_bytes()
            }

            /// Returns the id with these big-endian bytes.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self::from_bits(u128::from_be_bytes(bytes))
            }

            /// Returns when the id was created, to the millisecond.
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
                // 26 digits hold 130 bits. A value above 128 bits would wrap around.
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
    /// The id of an event, `evt_…`. It is signed and sent as `webhook-id`.
    EventId, "evt_", "an event id"
);
id!(
    /// The id of a subscription, `sub_…`.
    SubscriptionId, "sub_", "a subscription id"
);
id!(
    /// The id of a delivery, `dlv_…`.
    DeliveryId, "dlv_", "a delivery id"
);
id!(
    /// The id of a replay, `rpl_…`.
    ReplayId, "rpl_", "a replay id"
);

/// Generates ids that always increase, even if the clock goes backwards.
#[derive(Debug)]
pub struct IdSequence {
    last: u128,
    rng: StdRng,
}

impl IdSequence {
    /// Creates a sequence whose first id comes after `last`.
    pub const fn after(last: u128, rng: StdRng) -> Self {
        Self { last, rng }
    }

    /// Returns the first of `count` consecutive ids. All of them are greater than every earlier id.
    ///
    /// In a new millisecond, ids start at a random position in the lower half of the millisecond's range. In
    /// the same millisecond, or if the clock went back, they follow the last id.
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
    fn ids_parse_back_and_sort_like_their_bytes() {
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
    fn ids_of_another_kind_are_rejected() {
        let id = EventId::from_bits(42);
        assert!(id.to_string().parse::<DeliveryId>().is_err());
        let message = "evt_1".parse::<EventId>().unwrap_err().to_string();
        assert_eq!(message, "'evt_1' is not an event id: expected evt_ and 26 letters and digits");
    }
}
