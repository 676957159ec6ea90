//! Signing secrets as a person sees them: `whsec_` and base64.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::time::Timestamp;

const PREFIX: &str = "whsec_";
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// A symmetric signing secret. Its `Debug` and its errors never show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    text: String,
    key: Vec<u8>,
}

/// A text that is not a secret; it does not repeat the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "is not a secret: expected whsec_ and the base64 of 24 to 64 bytes, as `postrider keygen --webhook` prints"
)]
pub struct SecretError;

impl Secret {
    /// A secret of these random bytes.
    pub fn from_random(key: [u8; 32]) -> Self {
        Self { text: format!("{PREFIX}{}", STANDARD.encode(key)), key: key.to_vec() }
    }

    /// The text as a person sees it; never to be logged.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// The bytes that Standard Webhooks signatures are keyed with.
    pub fn key(&self) -> &[u8] {
        &self.key
    }
}

impl FromStr for Secret {
    type Err = SecretError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let key =
            text.strip_prefix(PREFIX).and_then(|digits| STANDARD.decode(digits).ok()).ok_or(SecretError)?;
        if KEY_BYTES.contains(&key.len()) {
            Ok(Self { text: text.to_owned(), key })
        } else {
            Err(SecretError)
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A secret of a subscription, with the end of its use once another has taken its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningSecret {
    /// The secret.
    pub secret: Secret,
    /// Since when it signs.
    pub created_at: Timestamp,
    /// When it stops signing; none for the current one.
    pub expires_at: Option<Timestamp>,
}

impl SigningSecret {
    /// Whether it signs at `now`.
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_and_never_shown() {
        let text = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let secret: Secret = text.parse().unwrap();
        assert_eq!(secret.key().len(), 24);
        assert_eq!(secret.reveal(), text);
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        let own = Secret::from_random([7; 32]);
        assert_eq!(own.reveal().parse::<Secret>().unwrap(), own);
        for bad in ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_", "whsec_AAAA", "whsec_not base64!"] {
            assert!(bad.parse::<Secret>().is_err(), "{bad}");
        }
    }
}
