//! Enums whose values have a word each, the same in API, config and logs.

use super::problem::{Localized, Message};

/// A text that is none of an enum's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is none of {words}")]
pub struct UnknownValueError {
    /// The text.
    pub text: String,
    /// The words, each in quotes.
    pub words: String,
}

impl Localized for UnknownValueError {
    fn message(&self) -> Message {
        Message::new("problem-word").with("text", &self.text).with("words", &self.words)
    }
}

/// Makes such an enum: what `as_str` shows, `from_str` reads.
macro_rules! string_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// Every value.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word that API, config and logs use.
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
