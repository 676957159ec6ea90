//! Errors in the members of a subscription, as far as the types of the members do not define their own.

use super::problem::{Localized, Message};
use super::time::Interval;

/// The most characters of a subscription's name.
pub(super) const NAME_CHARS_MAX: usize = 128;
/// The most custom headers of a subscription.
pub(super) const HEADERS_MAX: usize = 32;
/// The most bytes of a header's value.
pub(super) const HEADER_BYTES_MAX: usize = 1024;
/// The most waits in a retry schedule.
pub const RETRIES_MAX: usize = 30;
/// The most concurrent requests to one receiver.
pub(super) const IN_FLIGHT_MAX: u32 = 1024;

/// An invalid value of a member.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemberError {
    /// The name is empty, is too long, or contains characters that do not print.
    #[error("must be 1 to {NAME_CHARS_MAX} printable characters")]
    Name,
    /// The URL is missing.
    #[error("is missing: give the http or https URL of the receiver")]
    UrlMissing,
    /// The URL has no scheme.
    #[error("'{0}' is not a complete URL: begin it with https:// or http://")]
    UrlRelative(String),
    /// The text is not a URL for another reason.
    #[error("'{text}' is not a URL: {cause}")]
    Url {
        /// The invalid text.
        text: String,
        /// The error of the URL parser.
        cause: url::ParseError,
    },
    /// The URL has a scheme other than `http` and `https`.
    #[error("'{text}' has the scheme {scheme}: expected http or https")]
    UrlScheme {
        /// The URL's text.
        text: String,
        /// The URL's scheme.
        scheme: String,
    },
    /// The URL has a fragment, which HTTP never sends.
    #[error("'{0}' has a #fragment, which HTTP never sends: remove it")]
    UrlFragment(String),
    /// The value is too long.
    #[error("has {bytes} bytes: expected at most {most}")]
    TooLong {
        /// The length of the value in bytes.
        bytes: usize,
        /// The allowed length in bytes.
        most: usize,
    },
    /// The subscription has too many headers.
    #[error("has {0} headers: expected at most {HEADERS_MAX}")]
    HeadersTooMany(usize),
    /// The name of a header is invalid.
    #[error("is not the name of an HTTP header")]
    HeaderName,
    /// The header is reserved for the daemon or HTTP.
    #[error("is reserved for the daemon or for HTTP: choose another name")]
    HeaderReserved,
    /// The value of a header is invalid.
    #[error("has an invalid value: expected at most {HEADER_BYTES_MAX} visible ASCII characters and spaces")]
    HeaderValue,
    /// The timeout is out of range.
    #[error("'{0}' is out of range: expected 100ms to 60s")]
    Timeout(Interval),
    /// The retry schedule has too many waits.
    #[error("has {0} waits: expected at most {RETRIES_MAX}")]
    RetriesTooMany(usize),
    /// A wait in the retry schedule is too long.
    #[error("'{0}' is too long: expected at most 7d")]
    RetryTooLong(Interval),
    /// The limit of concurrent requests is invalid.
    #[error("{0} is not a whole number from 1 to {IN_FLIGHT_MAX}")]
    InFlight(String),
}

impl Localized for MemberError {
    fn message(&self) -> Message {
        let new = Message::new;
        match self {
            Self::Name => new("problem-name").with("most", NAME_CHARS_MAX),
            Self::UrlMissing => new("problem-url-missing"),
            Self::UrlRelative(text) => new("problem-url-relative").with("text", text),
            Self::Url { text, cause } => new("problem-url").with("text", text).with_phrase("cause", cause),
            Self::UrlScheme { text, scheme } => {
                new("problem-url-scheme").with("text", text).with("scheme", scheme)
            }
            Self::UrlFragment(text) => new("problem-url-fragment").with("text", text),
            Self::TooLong { bytes, most } => new("problem-long").with("bytes", bytes).with("most", most),
            Self::HeadersTooMany(count) => {
                new("problem-headers-many").with("count", count).with("most", HEADERS_MAX)
            }
            Self::HeaderName => new("problem-header-name"),
            Self::HeaderReserved => new("problem-header-reserved"),
            Self::HeaderValue => new("problem-header-value").with("most", HEADER_BYTES_MAX),
            Self::Timeout(timeout) => new("problem-timeout").with("timeout", timeout),
            Self::RetriesTooMany(count) => {
                new("problem-retries-many").with("count", count).with("most", RETRIES_MAX)
            }
            Self::RetryTooLong(wait) => new("problem-retry-long").with("wait", wait),
            Self::InFlight(text) => new("problem-in-flight").with("text", text).with("most", IN_FLIGHT_MAX),
        }
    }
}
