//! What is wrong with an input, member by member.

use std::fmt;

/// One thing wrong with an input: where (a JSON Pointer, RFC 6901) and what, with the remedy.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// The member, such as `/events/1`; empty for the whole.
    pub pointer: String,
    /// What is wrong with its value and what would be right.
    pub detail: String,
    /// The same for whoever says it in another language, where that is asked for.
    #[serde(skip)]
    pub message: Option<Message>,
}

/// A text that can be said in other languages: the id of a message, and the values in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The id, which every language has.
    pub id: &'static str,
    /// The values by their names.
    pub values: Vec<(&'static str, MessageValue)>,
}

/// A value in a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageValue {
    /// Said as it is.
    Text(String),
    /// Words in English that other languages have their own for.
    Phrase(String),
}

impl Message {
    /// The message of that id.
    pub const fn new(id: &'static str) -> Self {
        Self { id, values: Vec::new() }
    }

    /// With a value that is said as it is.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.values.push((name, MessageValue::Text(value.to_string())));
        self
    }

    /// With a value that is said in each language's own words.
    #[must_use]
    pub fn with_phrase(mut self, name: &'static str, phrase: impl fmt::Display) -> Self {
        self.values.push((name, MessageValue::Phrase(phrase.to_string())));
        self
    }
}

/// An error that people are told of: in English by `Display`, in other languages by its message.
pub trait Localized: fmt::Display {
    /// The same as a message.
    fn message(&self) -> Message;
}

impl Problem {
    /// A problem of the member at `pointer`.
    pub fn new(pointer: impl Into<String>, detail: impl fmt::Display) -> Self {
        Self { pointer: pointer.into(), detail: detail.to_string(), message: None }
    }

    /// The same of an error that can be told in other languages.
    pub fn from_error(pointer: impl Into<String>, error: &impl Localized) -> Self {
        Self { pointer: pointer.into(), detail: error.to_string(), message: Some(error.message()) }
    }

    /// The same problem of a value that lies at `prefix` of a greater one.
    #[must_use]
    pub fn within(mut self, prefix: &str) -> Self {
        self.pointer.insert_str(0, prefix);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pointer.as_str() {
            "" => f.write_str(&self.detail),
            pointer => write!(f, "{pointer}: {}", self.detail),
        }
    }
}

/// The known name that a mistyped one most likely means, if any is near.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const NEAR: f64 = 0.7;
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= NEAR)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
