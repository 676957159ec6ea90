//! The first pass over a submitted event: finds its members in the JSON text without parsing their values.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The names of an event's members.
pub const MEMBERS: [&str; 6] = ["type", "project", "company", "data", "id", "occurred_at"];

/// The events of a JSON array.
pub struct RawList<'a> {
    /// The first events, up to the limit of one request.
    pub events: Vec<RawEvent<'a>>,
    /// The number of all events in the array.
    pub count: usize,
}

impl<'a> RawList<'a> {
    /// Reads an array, and keeps its first `events_max` events.
    ///
    /// # Errors
    /// If the text is not valid JSON.
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

/// The members of an event as unparsed JSON text, borrowed from the request's body.
#[derive(Default)]
pub struct RawEvent<'a> {
    /// The JSON text of each member, in the order of [`MEMBERS`].
    pub members: [Option<&'a RawValue>; MEMBERS.len()],
    /// The names of members that are not in [`MEMBERS`].
    pub unknown: Vec<String>,
    /// The names of members that occur more than once.
    pub repeated: Vec<&'static str>,
    /// The kind of value that was given instead of an object, such as `a list`.
    pub not_an_object: Option<&'static str>,
}

impl<'a> RawEvent<'a> {
    /// Returns the JSON text of the member with this index in [`MEMBERS`].
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
    #[expect(clippy::unnecessary_wraps, reason = "the visitor's methods return this result unchanged")]
    fn not_an_object<'a, E>(kind: &'static str) -> Result<RawEvent<'a>, E> {
        Ok(RawEvent { not_an_object: Some(kind), ..RawEvent::default() })
    }
}

impl<'de> Visitor<'de> for EventVisitor {
    type Value = RawEvent<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawEvent<'de>, A::Error> {
        let mut raw = RawEvent::default();
        while let Some(MemberName(name)) = map.next_key()? {
            let known = MEMBERS.iter().zip(raw.members.iter_mut()).find(|(member, _)| **member == name);
            if let Some((member, value)) = known {
                if value.replace(map.next_value()?).is_some() {
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
        Self::not_an_object("a list")
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<RawEvent<'de>, E> {
        Self::not_an_object("a string")
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<RawEvent<'de>, E> {
        Self::not_an_object("a boolean")
    }

    fn visit_unit<E: de::Error>(self) -> Result<RawEvent<'de>, E> {
        Self::not_an_object("null")
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<RawEvent<'de>, E> {
        Self::not_an_object("a number")
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<RawEvent<'de>, E> {
        Self::not_an_object("a number")
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<RawEvent<'de>, E> {
        Self::not_an_object("a number")
    }
}

/// A member's name, borrowed unless it contains escapes.
struct MemberName<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for MemberName<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl<'de> Visitor<'de> for NameVisitor {
            type Value = MemberName<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member's name")
            }
            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<MemberName<'de>, E> {
                Ok(MemberName(Cow::Borrowed(text)))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<MemberName<'de>, E> {
                Ok(MemberName(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}
