//! Why a member of a subscription is refused that a person set; what its text is parsed into says the rest.

use super::problem::{Localized, Message};
use super::time::Interval;

/// The longest name, in characters.
pub(super) const NAME_CHARS_MAX: usize = 128;
/// The most headers of a subscription's own.
pub(super) const HEADERS_MAX: usize = 32;
/// The longest value of a header.
pub(super) const HEADER_BYTES_MAX: usize = 1024;
/// The most waits between attempts.
pub const RETRIES_MAX: usize = 30;
/// The most requests to one receiver at once.
pub(super) const IN_FLIGHT_MAX: u32 = 1024;

/// What is wrong with a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemberError {
    /// The name is empty, too long, or has characters that do not print.
    #[error("has to be 1 to {NAME_CHARS_MAX} printable characters")]
    Name,
    /// There is no URL.
    #[error("is missing: give the http or https URL that deliveries go to")]
    UrlMissing,
    /// A URL without its beginning.
    #[error("'{0}' is not a whole URL: begin it with https:// or http://")]
    UrlRelative(String),
    /// Not a URL for another reason.
    #[error("'{text}' is not a URL: {cause}")]
    Url {
        /// The text.
        text: String,
        /// What is wrong with it.
        cause: url::ParseError,
    },
    /// A URL of something else than HTTP.
    #[error("'{text}' has the scheme {scheme}: expected http or https")]
    UrlScheme {
        /// The text.
        text: String,
        /// Its scheme.
        scheme: String,
    },
    /// A URL with a part that is never sent.
    #[error("'{0}' has a #fragment, which is never sent: leave it out")]
    UrlFragment(String),
    /// More bytes than the member may have.
    #[error("has {bytes} bytes, more than {most}")]
    TooLong {
        /// How many.
        bytes: usize,
        /// How many it may have.
        most: usize,
    },
    /// More headers than a subscription may have.
    #[error("has {0} headers, more than {HEADERS_MAX}")]
    HeadersTooMany(usize),
    /// Not a header's name.
    #[error("is not the name of an HTTP header")]
    HeaderName,
    /// A header that is not the subscription's to set.
    #[error("is set by the daemon or by HTTP itself: choose another name")]
    HeaderReserved,
    /// A header's value that may not be.
    #[error("has a value that is not at most {HEADER_BYTES_MAX} visible ASCII characters and spaces")]
    HeaderValue,
    /// A time limit out of its range.
    #[error("'{0}' is not between 100ms and 60s")]
    Timeout(Interval),
    /// More waits than a schedule may have.
    #[error("has {0} waits, more than {RETRIES_MAX}")]
    RetriesTooMany(usize),
    /// A wait that is too long.
    #[error("'{0}' is longer than 7d")]
    RetryTooLong(Interval),
    /// Not a number of requests.
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
