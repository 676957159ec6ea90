//! E-mail addresses, limited to the common part of RFC 5321 that every server accepts.

use std::fmt;
use std::str::FromStr;

use super::problem::{Localized, Message};

/// An e-mail address such as `ops@acme.example`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EmailAddress(String);

const BYTES_MAX: usize = 254;
const LOCAL_BYTES_MAX: usize = 64;
const LABEL_BYTES_MAX: usize = 63;

impl EmailAddress {
    /// Returns the address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that is not an e-mail address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not an e-mail address such as \"ops@acme.example\"")]
pub struct EmailAddressError(String);

impl Localized for EmailAddressError {
    fn message(&self) -> Message {
        Message::new("problem-email").with("text", &self.0)
    }
}

impl FromStr for EmailAddress {
    type Err = EmailAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_address = text.len() <= BYTES_MAX
            && text.rsplit_once('@').is_some_and(|(local, domain)| is_local(local) && is_domain(domain));
        if is_address { Ok(Self(text.to_owned())) } else { Err(EmailAddressError(text.to_owned())) }
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns whether `text` is a local part: words separated by dots.
fn is_local(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~-".contains(&byte);
    text.len() <= LOCAL_BYTES_MAX
        && text.split('.').all(|word| !word.is_empty() && word.bytes().all(is_letter))
}

/// Returns whether `text` is a domain: host name labels separated by dots.
fn is_domain(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    text.split('.').all(|label| {
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && label.bytes().all(is_letter)
            && !label.starts_with('-')
            && !label.ends_with('-')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_a_local_part_and_a_domain() {
        let long =
            format!("{}@{}", "a".repeat(64), ["b".repeat(63), "c".repeat(63), "d".repeat(61)].join("."));
        for good in ["a@b", "ops+x@acme.example", "first.last@sub.acme-1.example", "a'b@localhost", &long] {
            assert_eq!(good.parse::<EmailAddress>().unwrap().as_str(), good);
        }
        let longer = format!("a{long}");
        for bad in [
            "",
            "a",
            "@b",
            "a@",
            "a b@c",
            "a@b c",
            "a@b@c",
            ".a@b",
            "a..b@c",
            "a@.b",
            "a@b.",
            "a@-b",
            "a@b-",
            "å@b",
            "a@å",
            "a@b\r\nBcc: c@d",
            "Ops <a@b>",
            "a@[127.0.0.1]",
            "\"a b\"@c",
            &longer,
        ] {
            assert!(bad.parse::<EmailAddress>().is_err(), "{bad}");
        }
    }
}
