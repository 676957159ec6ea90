//! Signing secrets in their text form.
//!
//! The text of an HMAC secret is `whsec_` and base64. The text of an ed25519 secret is `whsk_` and base64,
//! and its public key is `whpk_` and base64.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use subtle::ConstantTimeEq as _;

use super::time::Timestamp;

const SYMMETRIC: &str = "whsec_";
const PRIVATE: &str = "whsk_";
const PUBLIC: &str = "whpk_";
const SYMMETRIC_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
const SEED_BYTES: usize = 32;

/// A signing secret. Neither its `Debug` output nor any error shows the secret.
#[derive(Clone)]
pub struct Secret {
    text: String,
    key: SigningKey,
}

/// The key that a secret signs with.
#[derive(Clone)]
pub enum SigningKey {
    /// A key for HMAC-SHA256, which the receiver has too.
    Symmetric(Vec<u8>),
    /// An ed25519 key pair, of which the receiver has only the public key.
    Asymmetric(Arc<Ed25519KeyPair>),
}

/// The kind of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretKind {
    /// HMAC-SHA256, with a key that the receiver has too.
    HmacSha256,
    /// ed25519, with a key pair of which the receiver has only the public key.
    Ed25519,
}

impl SecretKind {
    /// Returns the kind as the API and the page spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::Ed25519 => "ed25519",
        }
    }
}

/// A text that is not a secret. The error does not contain the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "is not a secret: expected whsec_ and the base64 of 24 to 64 bytes, as `postrider keygen --webhook` prints, or for \
     ed25519 whsk_ and the base64 of a private key, as `postrider keygen --webhook --ed25519` prints"
)]
pub struct SecretError;

impl Secret {
    /// Creates a symmetric secret from random bytes.
    pub fn from_random(key: [u8; 32]) -> Self {
        Self {
            text: format!("{SYMMETRIC}{}", STANDARD.encode(key)),
            key: SigningKey::Symmetric(key.to_vec()),
        }
    }

    /// Creates a secret of this kind from random bytes.
    pub fn of_kind(kind: SecretKind, random: [u8; 32]) -> Self {
        match kind {
            SecretKind::HmacSha256 => Self::from_random(random),
            SecretKind::Ed25519 => Self::from_seed(random),
        }
    }

    /// Creates an ed25519 secret from a random seed.
    ///
    /// Its text contains the seed and the public key, 64 bytes together, like the secrets that other programs
    /// create.
    #[expect(clippy::expect_used, reason = "a seed of 32 bytes is always valid")]
    fn from_seed(seed: [u8; SEED_BYTES]) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("a seed of 32 bytes is valid");
        let both = [seed.as_slice(), pair.public_key().as_ref()].concat();
        Self {
            text: format!("{PRIVATE}{}", STANDARD.encode(both)),
            key: SigningKey::Asymmetric(Arc::new(pair)),
        }
    }

    /// Returns the text of the secret. Never log it.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// Returns the key that creates Standard Webhooks signatures.
    pub const fn key(&self) -> &SigningKey {
        &self.key
    }

    /// Returns the kind of the secret.
    pub const fn kind(&self) -> SecretKind {
        match self.key {
            SigningKey::Symmetric(_) => SecretKind::HmacSha256,
            SigningKey::Asymmetric(_) => SecretKind::Ed25519,
        }
    }

    /// Returns the public key that the receiver verifies with, or `None` for a symmetric secret.
    pub fn public_key(&self) -> Option<PublicKey> {
        match &self.key {
            SigningKey::Symmetric(_) => None,
            SigningKey::Asymmetric(pair) => pair.public_key().as_ref().try_into().ok().map(PublicKey),
        }
    }
}

impl FromStr for Secret {
    type Err = SecretError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let key = if let Some(digits) = text.strip_prefix(PRIVATE) {
            pair(&STANDARD.decode(digits).map_err(|_| SecretError)?)
                .map(|pair| SigningKey::Asymmetric(Arc::new(pair)))
        } else {
            let digits = text.strip_prefix(SYMMETRIC).ok_or(SecretError)?;
            let bytes = STANDARD.decode(digits).map_err(|_| SecretError)?;
            SYMMETRIC_BYTES.contains(&bytes.len()).then_some(SigningKey::Symmetric(bytes))
        };
        Ok(Self { text: text.to_owned(), key: key.ok_or(SecretError)? })
    }
}

/// Creates a key pair from a seed, or from a seed and its public key. Returns `None` if they do not belong
/// together.
fn pair(bytes: &[u8]) -> Option<Ed25519KeyPair> {
    let (seed, public) = bytes.split_at_checked(SEED_BYTES)?;
    let pair = match public {
        [] => Ed25519KeyPair::from_seed_unchecked(seed),
        public => Ed25519KeyPair::from_seed_and_public_key(seed, public),
    };
    pair.ok()
}

/// Two secrets are equal if they create the same signatures, even if their texts differ.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        match (&self.key, &other.key) {
            (SigningKey::Symmetric(own), SigningKey::Symmetric(other)) => own.ct_eq(other).into(),
            _ => self.public_key().is_some() && self.public_key() == other.public_key(),
        }
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// The public key of an ed25519 secret. It is not confidential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Returns the key in the encoding of RFC 8032.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC}{}", STANDARD.encode(self.0))
    }
}

/// A text that is neither a secret nor a public key. The error does not contain the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a verification key: expected a secret (whsec_…) or a public key (whpk_…) of a subscription")]
pub struct VerifierError;

impl FromStr for PublicKey {
    type Err = VerifierError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = text.strip_prefix(PUBLIC).and_then(|digits| STANDARD.decode(digits).ok());
        bytes.and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or(VerifierError)
    }
}

/// The key that a receiver verifies with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verifier {
    /// A secret. For an ed25519 secret, its public key verifies.
    Secret(Secret),
    /// A public key.
    Public(PublicKey),
}

impl FromStr for Verifier {
    type Err = VerifierError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(secret) => Ok(Self::Secret(secret)),
            Err(SecretError) => text.parse().map(Self::Public),
        }
    }
}

/// A secret of a subscription, with its time of creation and expiry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningSecret {
    /// The secret that signs.
    pub secret: Secret,
    /// When the secret became active.
    pub created_at: Timestamp,
    /// When the secret stops signing, or `None` for the current one.
    pub expires_at: Option<Timestamp>,
}

impl SigningSecret {
    /// Returns whether the secret is active at `now`.
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_parse_and_debug_hides_them() {
        let text = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let secret: Secret = text.parse().unwrap();
        assert!(matches!(secret.key(), SigningKey::Symmetric(bytes) if bytes.len() == 24));
        assert_eq!(
            (secret.reveal(), secret.kind(), secret.public_key()),
            (text, SecretKind::HmacSha256, None)
        );
        assert_eq!(format!("{secret:?}{:?}", secret.key()), "Secret(…)Key(…)");
        let own = Secret::from_random([7; 32]);
        assert_eq!(own.reveal().parse::<Secret>().unwrap(), own);
        assert_ne!(own, secret);
        for bad in ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_", "whsec_AAAA", "whsec_not base64!", "whsk_"]
        {
            assert!(bad.parse::<Secret>().is_err(), "{bad}");
        }
    }

    /// Source: RFC 8032, section 7.1, test 1.
    #[test]
    fn ed25519_secrets_parse_with_and_without_the_public_key() {
        let hex = |text: &str| hex::decode(text).unwrap();
        let seed = hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
        let public = hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        let text = |bytes: &[u8]| format!("whsk_{}", STANDARD.encode(bytes));
        let short: Secret = text(&seed).parse().unwrap();
        let long: Secret = text(&[seed.as_slice(), &public].concat()).parse().unwrap();
        let made = Secret::of_kind(SecretKind::Ed25519, seed.as_slice().try_into().unwrap());
        assert_eq!((&short, made.reveal()), (&long, long.reveal()));
        let key = short.public_key().unwrap();
        assert_eq!((key.as_bytes().as_slice(), key.to_string().parse()), (public.as_slice(), Ok(key)));
        assert_eq!(
            (short.kind(), format!("{short:?}{:?}", short.key())),
            (SecretKind::Ed25519, "Secret(…)Key(…)".to_owned())
        );
        assert_ne!(short, Secret::of_kind(SecretKind::Ed25519, [1; 32]));
        assert_ne!(short, Secret::from_random(seed.as_slice().try_into().unwrap()));
        let swapped = text(&[seed.as_slice(), &[1; 32]].concat());
        for bad in
            [text(&seed[1..]), text(&[seed.as_slice(), &public[1..]].concat()), swapped, key.to_string()]
        {
            assert!(bad.parse::<Secret>().is_err(), "{bad}");
        }
    }

    #[test]
    fn verifiers_parse_from_secrets_and_public_keys() {
        let (hmac, private) = (Secret::from_random([1; 32]), Secret::of_kind(SecretKind::Ed25519, [2; 32]));
        let public = private.public_key().unwrap();
        assert_eq!(hmac.reveal().parse(), Ok(Verifier::Secret(hmac)));
        assert_eq!(private.reveal().parse(), Ok(Verifier::Secret(private)));
        assert_eq!(public.to_string().parse(), Ok(Verifier::Public(public)));
        for bad in ["hush", "whpk_AAAA", "whpk_hush!"] {
            let error = bad.parse::<Verifier>().unwrap_err();
            assert!(!error.to_string().contains("hush"));
        }
    }
}
