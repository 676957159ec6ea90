//! Enums whose values have a name, the same in the API, the config file and the logs.

use super::problem::{Localized, Message};

/// A text that is not the name of a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a known value: expected one of {words}")]
pub struct UnknownValueError {
    /// The invalid text.
    pub text: String,
    /// The known names, each in quotes.
    pub words: String,
}

impl Localized for UnknownValueError {
    fn message(&self) -> Message {
        Message::new("problem-word").with("text", &self.text).with("words", &self.words)
    }
}

/// Defines an enum with a name for each value. `as_str` returns the name, and `from_str` parses it.
macro_rules! string_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// Every value, in declaration order.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Returns the name that the API, the config file and logs use.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::model::string_enum::UnknownValueError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|value| value.as_str() == text).ok_or_else(|| {
                    let words: Vec<_> = Self::ALL.iter().map(|value| format!("\"{}\"", value.as_str())).collect();
                    $crate::model::string_enum::UnknownValueError { text: text.to_owned(), words: words.join(", ") }
                })
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

pub(crate) use string_enum;
