//! An event's members where they lie in the body: the one pass over its JSON.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The members of an event.
pub const MEMBERS: [&str; 6] = ["type", "project", "company", "data", "id", "occurred_at"];

/// The events of an array, as many as one request may have, and how many there are.
pub struct RawList<'a> {
    /// Those that were looked at.
    pub events: Vec<RawEvent<'a>>,
    /// All of them.
    pub count: usize,
}

impl<'a> RawList<'a> {
    /// Reads an array of which at most `events_max` are looked at.
    ///
    /// # Errors
    /// Where it is not JSON.
    pub fn read(text: &'a str, events_max: usize) -> Result<Self, serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let list = deserializer.deserialize_seq(ListVisitor { events_max })?;
        deserializer.end().map(|()| list)
    }
}

struct ListVisitor {
    events_max: usize,
}

impl<'de> Visitor<'de> for ListVisitor {
    type Value = RawList<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<RawList<'de>, A::Error> {
        let mut events = Vec::new();
        while events.len() < self.events_max {
            match items.next_element()? {
                Some(event) => events.push(event),
                None => return Ok(RawList { count: events.len(), events }),
            }
        }
        let mut count = events.len();
        while items.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(RawList { events, count })
    }
}

/// An event's members where they lie in the body, not yet looked into.
#[derive(Default)]
pub struct RawEvent<'a> {
    /// The text of each of [`MEMBERS`], in that order.
    pub members: [Option<&'a RawValue>; MEMBERS.len()],
    /// Names that are none of [`MEMBERS`].
    pub unknown: Vec<String>,
    /// Names that are there more than once.
    pub repeated: Vec<&'static str>,
    /// What it is, if it is not an object.
    pub other: Option<&'static str>,
}

impl<'a> RawEvent<'a> {
    /// The text of the member of that place in [`MEMBERS`].
    pub fn get(&self, member: usize) -> Option<&'a RawValue> {
        self.members.get(member).copied().flatten()
    }
}

impl<'de> Deserialize<'de> for RawEvent<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EventVisitor)
    }
}

struct EventVisitor;

impl EventVisitor {
    #[expect(clippy::unnecessary_wraps, reason = "the visitor's methods return it as it is")]
    fn other<'a, E>(kind: &'static str) -> Result<RawEvent<'a>, E> {
        Ok(RawEvent { other: Some(kind), ..RawEvent::default() })
    }
}

impl<'de> Visitor<'de> for EventVisitor {
    type Value = RawEvent<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawEvent<'de>, A::Error> {
        let mut raw = RawEvent::default();
        while let Some(Name(name)) = map.next_key()? {
            let known = MEMBERS.iter().zip(raw.members.iter_mut()).find(|(member, _)| **member == name);
            if let Some((member, place)) = known {
                if place.replace(map.next_value()?).is_some() {
                    raw.repeated.push(member);
                }
            } else {
                raw.unknown.push(name.into_owned());
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(raw)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<RawEvent<'de>, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Self::other("a list")
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<RawEvent<'de>, E> {
        Self::other("a string")
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<RawEvent<'de>, E> {
        Self::other("a boolean")
    }

    fn visit_unit<E: de::Error>(self) -> Result<RawEvent<'de>, E> {
        Self::other("null")
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<RawEvent<'de>, E> {
        Self::other("a number")
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<RawEvent<'de>, E> {
        Self::other("a number")
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<RawEvent<'de>, E> {
        Self::other("a number")
    }
}

/// A member's name, borrowed unless it has escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Name<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member's name")
            }
            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(text)))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}
