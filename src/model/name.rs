//! Names that senders choose: event types, projects, companies, and event ids of the sender.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::problem::{Localized, Message};

/// The most bytes of a name.
pub const NAME_BYTES_MAX: usize = 128;

/// A text that is not a name of the expected kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is empty.
    #[error("is empty: {what} has 1 to {NAME_BYTES_MAX} characters")]
    Empty {
        /// The kind of name.
        what: &'static str,
    },
    /// The text is too long.
    #[error("has {bytes} bytes: {what} has at most {NAME_BYTES_MAX}")]
    TooLong {
        /// The kind of name.
        what: &'static str,
        /// The length of the text in bytes.
        bytes: usize,
    },
    /// The text contains a character that names of this kind may not have.
    #[error("'{text}' has {character:?}: {what} consists of {allowed}")]
    Character {
        /// The kind of name.
        what: &'static str,
        /// The invalid text.
        text: String,
        /// The first character that is not allowed.
        character: char,
        /// The allowed characters.
        allowed: &'static str,
    },
}

impl Localized for NameError {
    fn message(&self) -> Message {
        match self {
            Self::Empty { what } => {
                Message::new("problem-name-empty").with_phrase("what", what).with("most", NAME_BYTES_MAX)
            }
            Self::TooLong { what, bytes } => {
                let message = Message::new("problem-name-long").with_phrase("what", what);
                message.with("bytes", bytes).with("most", NAME_BYTES_MAX)
            }
            Self::Character { what, text, character, allowed } => {
                let message = Message::new("problem-name-character").with_phrase("what", what);
                let message = message.with("text", text).with("character", format_args!("{character:?}"));
                message.with_phrase("allowed", allowed)
            }
        }
    }
}

const WORD: &str = "A-Z a-z 0-9 _ . - :";

const fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | ':')
}

fn check(
    text: &str,
    what: &'static str,
    allowed: &'static str,
    ok: fn(char) -> bool,
) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty { what });
    }
    if text.len() > NAME_BYTES_MAX {
        return Err(NameError::TooLong { what, bytes: text.len() });
    }
    match text.chars().find(|c| !ok(*c)) {
        Some(character) => Err(NameError::Character { what, text: text.to_owned(), character, allowed }),
        None => Ok(()),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $allowed:expr, $ok:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Returns the name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                check(text, $what, $allowed, $ok)?;
                Ok(Self(text.into()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    };
}

name!(
    /// The type of an event, such as `TODO_CREATED` or `invoice.paid`.
    EventType, "an event type", WORD, is_word
);
name!(
    /// The project that an event belongs to.
    ProjectId, "a project id", WORD, is_word
);
name!(
    /// The company that a project belongs to.
    CompanyId, "a company id", WORD, is_word
);
name!(
    /// The sender's own id of an event, unique in its project and company.
    SenderId, "an event's own id", "visible ASCII characters", |c| c.is_ascii_graphic()
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_1_to_128_allowed_characters() {
        for good in ["a", "TODO_CREATED", "invoice.paid", "x:y-z", &"n".repeat(128)] {
            assert_eq!(good.parse::<EventType>().unwrap().as_str(), good);
        }
        for bad in ["", "a b", "a/b", "å", "*", &"n".repeat(129)] {
            assert!(bad.parse::<ProjectId>().is_err(), "{bad}");
        }
        assert!("a/b~!".parse::<SenderId>().is_ok());
        assert!("a b".parse::<SenderId>().is_err());
    }

    #[test]
    fn errors_name_the_value_and_the_allowed_characters() {
        let message = "a b".parse::<CompanyId>().unwrap_err().to_string();
        assert_eq!(message, "'a b' has ' ': a company id consists of A-Z a-z 0-9 _ . - :");
    }
}
