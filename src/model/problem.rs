//! Problems: the mistakes in a caller's input, each with the member that it is about.

use std::fmt;

/// A mistake in an input: where it is, what is wrong, and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// The member as a JSON Pointer (RFC 6901), such as `/events/1`. Empty for the whole input.
    pub pointer: String,
    /// The fault of the value, and the allowed values.
    pub detail: String,
    /// The same text for other languages, if it has a translation.
    #[serde(skip)]
    pub message: Option<Message>,
}

/// A text that can be translated: the id of a message, and its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The id of the message, which every language has.
    pub id: &'static str,
    /// The values by name.
    pub values: Vec<(&'static str, MessageValue)>,
}

/// A value in a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageValue {
    /// A text that is shown unchanged.
    Text(String),
    /// An English phrase that other languages translate.
    Phrase(String),
}

impl Message {
    /// Creates the message with this id and no values.
    pub const fn new(id: &'static str) -> Self {
        Self { id, values: Vec::new() }
    }

    /// Adds a value that is shown unchanged.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.values.push((name, MessageValue::Text(value.to_string())));
        self
    }

    /// Adds a value that each language translates.
    #[must_use]
    pub fn with_phrase(mut self, name: &'static str, phrase: impl fmt::Display) -> Self {
        self.values.push((name, MessageValue::Phrase(phrase.to_string())));
        self
    }
}

/// An error that is shown to people: in English by `Display`, in other languages by its message.
pub trait Localized: fmt::Display {
    /// Returns the error as a message that can be translated.
    fn message(&self) -> Message;
}

impl Problem {
    /// Creates a problem of the member at `pointer`.
    pub fn new(pointer: impl Into<String>, detail: impl fmt::Display) -> Self {
        Self { pointer: pointer.into(), detail: detail.to_string(), message: None }
    }

    /// Creates a problem from an error that can be translated.
    pub fn from_error(pointer: impl Into<String>, error: &impl Localized) -> Self {
        Self { pointer: pointer.into(), detail: error.to_string(), message: Some(error.message()) }
    }

    /// Moves the problem to `prefix`, for a value that is part of a larger input.
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

/// Returns the known name that a mistyped name most likely means, if any is similar enough.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const NEAR: f64 = 0.7;
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= NEAR)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
