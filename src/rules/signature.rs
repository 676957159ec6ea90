//! Signatures of requests: created for receivers, and verified by `postrider listen`.
//!
//! Every request carries Standard Webhooks signatures: HMAC-SHA256 or ed25519 over the id, the time and the
//! body. So none of the three can be exchanged, and a receiver can detect a replayed request. The `blue`
//! format adds the signature that Blue's receivers check.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use ring::signature::{ED25519, UnparsedPublicKey};

use crate::model::secret::{PublicKey, Secret, SigningKey, Verifier};
use crate::model::time::Timestamp;

/// The largest accepted difference between a request's timestamp and the current time, as Standard Webhooks
/// recommends.
pub const TOLERANCE: Duration = Duration::from_mins(5);

const SYMMETRIC: &str = "v1,";
const ASYMMETRIC: &str = "v1a,";

/// Returns the value of `webhook-signature`: one signature for each secret, in order, separated by spaces.
///
/// A symmetric secret gives `v1,…` (HMAC), an asymmetric one `v1a,…` (ed25519). `id` and `at` must be the
/// values of `webhook-id` and `webhook-timestamp` (in whole seconds). Source: Standard Webhooks 1.0,
/// "Signature scheme".
pub fn standard<'a>(
    secrets: impl IntoIterator<Item = &'a Secret>,
    id: &str,
    at: Timestamp,
    body: &[u8],
) -> String {
    let at = at.as_secs().to_string();
    let mut value = String::new();
    for secret in secrets {
        if !value.is_empty() {
            value.push(' ');
        }
        match secret.key() {
            SigningKey::Symmetric(key) => {
                value.push_str(SYMMETRIC);
                STANDARD.encode_string(tag(key, id, &at, body), &mut value);
            }
            SigningKey::Asymmetric(pair) => {
                value.push_str(ASYMMETRIC);
                STANDARD.encode_string(pair.sign(&message(id, &at, body)), &mut value);
            }
        }
    }
    value
}

/// Returns the value of `X-Signature`: the hex HMAC-SHA256 of the raw body, keyed by the text of the secret.
pub fn blue(secret: &Secret, body: &[u8]) -> String {
    hex::encode(hmac::sign(&blue_key(secret), body))
}

/// The Standard Webhooks headers of a received request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignatureHeaders<'a> {
    /// The value of `webhook-id`.
    pub id: &'a str,
    /// The value of `webhook-timestamp`.
    pub timestamp: &'a str,
    /// The value of `webhook-signature`.
    pub signatures: &'a str,
}

/// A reason why a request fails verification.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The timestamp is not a number of seconds.
    #[error("webhook-timestamp '{0}' is not a number of seconds since 1970")]
    Timestamp(String),
    /// The request was signed too long ago and may be a replay.
    #[error("signed {} s ago, but at most {} s are allowed: check the clocks of both machines", .0.as_secs(), TOLERANCE.as_secs())]
    TooOld(Duration),
    /// The request was signed in the future.
    #[error("signed {} s in the future, but at most {} s are allowed: check the clocks of both machines", .0.as_secs(), TOLERANCE.as_secs())]
    TooNew(Duration),
    /// No signature matches this secret, id, time and body.
    #[error(
        "no signature matches: check that this is the subscription's secret and that nothing changes the body in transit"
    )]
    Mismatch,
}

/// Verifies a request with a secret or a public key.
///
/// One of the signatures must match the id, time and body, and the time must be within [`TOLERANCE`] of
/// `now`. A symmetric secret checks only `v1` signatures, and an ed25519 key only `v1a`. Signatures of other
/// versions are ignored. HMACs are compared in constant time.
pub fn verify(
    with: &Verifier,
    signed: &SignatureHeaders<'_>,
    body: &[u8],
    now: Timestamp,
) -> Result<(), VerifyError> {
    check_time(signed.timestamp, now)?;
    let message = message(signed.id, signed.timestamp, body);
    let fits = match with {
        Verifier::Public(key) => any_asymmetric(key, signed, &message),
        Verifier::Secret(secret) => match (secret.key(), secret.public_key()) {
            (SigningKey::Symmetric(key), _) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, key);
                signatures_of_version(signed, SYMMETRIC).any(|tag| hmac::verify(&key, &message, &tag).is_ok())
            }
            (SigningKey::Asymmetric(_), public) => {
                public.is_some_and(|key| any_asymmetric(&key, signed, &message))
            }
        },
    };
    if fits { Ok(()) } else { Err(VerifyError::Mismatch) }
}

fn any_asymmetric(key: &PublicKey, signed: &SignatureHeaders<'_>, message: &[u8]) -> bool {
    let key = UnparsedPublicKey::new(&ED25519, key.as_bytes());
    signatures_of_version(signed, ASYMMETRIC).any(|signature| key.verify(message, &signature).is_ok())
}

/// Returns the decoded signatures of one version.
fn signatures_of_version<'a>(
    signed: &SignatureHeaders<'a>,
    version: &'static str,
) -> impl Iterator<Item = Vec<u8>> + use<'a> {
    let parts = signed.signatures.split_ascii_whitespace();
    parts.filter_map(move |part| STANDARD.decode(part.strip_prefix(version)?).ok())
}

fn message(id: &str, at_secs: &str, body: &[u8]) -> Vec<u8> {
    [id.as_bytes(), b".", at_secs.as_bytes(), b".", body].concat()
}

/// Verifies an `X-Signature` in constant time.
///
/// This signature covers no time, so it cannot reveal a replayed request.
pub fn verify_blue(secret: &Secret, signature: &str, body: &[u8]) -> Result<(), VerifyError> {
    let tag = hex::decode(signature).map_err(|_| VerifyError::Mismatch)?;
    hmac::verify(&blue_key(secret), body, &tag).map_err(|_| VerifyError::Mismatch)
}

fn check_time(text: &str, now: Timestamp) -> Result<(), VerifyError> {
    let secs: u64 = text.parse().map_err(|_| VerifyError::Timestamp(text.to_owned()))?;
    let (signed, now) = (Duration::from_secs(secs), Duration::from_secs(now.as_secs()));
    let (age, lead) = (now.saturating_sub(signed), signed.saturating_sub(now));
    if age > TOLERANCE {
        Err(VerifyError::TooOld(age))
    } else if lead > TOLERANCE {
        Err(VerifyError::TooNew(lead))
    } else {
        Ok(())
    }
}

fn tag(key: &[u8], id: &str, at_secs: &str, body: &[u8]) -> hmac::Tag {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let mut context = hmac::Context::with_key(&key);
    for part in [id.as_bytes(), b".", at_secs.as_bytes(), b".", body] {
        context.update(part);
    }
    context.sign()
}

fn blue_key(secret: &Secret) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, secret.reveal().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::secret::SecretKind;

    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const AT: Timestamp = Timestamp::from_millis(1_614_265_330_999);
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn secret() -> Secret {
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap()
    }

    fn other() -> Secret {
        Secret::from_random([7; 32])
    }

    #[test]
    fn signature_matches_the_published_test_vector() {
        assert_eq!(standard([&secret()], ID, AT, BODY), SIGNATURE);
    }

    #[test]
    fn every_secret_signs_in_order() {
        let both = standard([&other(), &secret()], ID, AT, BODY);
        let alone = standard([&other()], ID, AT, BODY);
        assert_eq!(both, format!("{alone} {SIGNATURE}"));
        assert_ne!(alone, SIGNATURE);
        assert_eq!(standard([], ID, AT, BODY), "");
    }

    #[test]
    fn verification_rejects_changed_requests() {
        let signed = SignatureHeaders { id: ID, timestamp: "1614265330", signatures: SIGNATURE };
        let rotated = format!("v1a,AAAA v1,!!! v1,AAAA {SIGNATURE}");
        let table = [
            (secret(), signed, BODY, Ok(())),
            (secret(), SignatureHeaders { signatures: &rotated, ..signed }, BODY, Ok(())),
            (other(), signed, BODY, Err(VerifyError::Mismatch)),
            (secret(), SignatureHeaders { id: "msg_x", ..signed }, BODY, Err(VerifyError::Mismatch)),
            (
                secret(),
                SignatureHeaders { timestamp: "1614265331", ..signed },
                BODY,
                Err(VerifyError::Mismatch),
            ),
            (secret(), signed, b"{\"test\":2432232314}", Err(VerifyError::Mismatch)),
            (secret(), SignatureHeaders { signatures: "", ..signed }, BODY, Err(VerifyError::Mismatch)),
            (
                secret(),
                SignatureHeaders { signatures: &SIGNATURE[3..], ..signed },
                BODY,
                Err(VerifyError::Mismatch),
            ),
            (
                secret(),
                SignatureHeaders { timestamp: "now", ..signed },
                BODY,
                Err(VerifyError::Timestamp("now".to_owned())),
            ),
        ];
        for (secret, signed, body, expected) in table {
            assert_eq!(verify(&Verifier::Secret(secret), &signed, body, AT), expected, "{signed:?}");
        }
    }

    #[test]
    fn each_secret_kind_uses_its_own_scheme() {
        let pair = Secret::of_kind(SecretKind::Ed25519, [5; 32]);
        let (public, other) = (pair.public_key().unwrap(), Secret::of_kind(SecretKind::Ed25519, [6; 32]));
        let both = standard([&pair, &secret()], ID, AT, BODY);
        let (asymmetric, symmetric) = both.split_once(' ').unwrap();
        assert_eq!(symmetric, SIGNATURE);
        let digits = asymmetric.strip_prefix("v1a,").unwrap();
        assert_eq!(STANDARD.decode(digits).unwrap().len(), 64);
        let check = |with: &Verifier, signatures: &str, body: &[u8]| {
            verify(with, &SignatureHeaders { id: ID, timestamp: "1614265330", signatures }, body, AT).is_ok()
        };
        for with in [Verifier::Public(public), Verifier::Secret(pair)] {
            assert!(check(&with, &both, BODY) && check(&with, asymmetric, BODY));
            let misnamed = format!("v1,{digits}");
            for signatures in [symmetric, &misnamed, digits, ""] {
                assert!(!check(&with, signatures, BODY), "{signatures}");
            }
            assert!(!check(&with, &both, b"{}"));
        }
        assert!(check(&Verifier::Secret(secret()), &both, BODY));
        assert!(!check(&Verifier::Secret(secret()), asymmetric, BODY));
        assert!(!check(&Verifier::Secret(other), &both, BODY));
    }

    #[test]
    fn timestamps_up_to_five_minutes_off_are_accepted() {
        let signed = SignatureHeaders { id: ID, timestamp: "1614265330", signatures: SIGNATURE };
        let with = Verifier::Secret(secret());
        let at = |secs: u64| verify(&with, &signed, BODY, Timestamp::from_millis(secs * 1000));
        assert_eq!(at(1_614_265_330 + 300), Ok(()));
        assert_eq!(at(1_614_265_330 - 300), Ok(()));
        assert_eq!(at(1_614_265_330 + 301), Err(VerifyError::TooOld(Duration::from_secs(301))));
        assert_eq!(at(1_614_265_330 - 301), Err(VerifyError::TooNew(Duration::from_secs(301))));
        let message = at(1_614_265_330 + 301).unwrap_err().to_string();
        assert_eq!(
            message,
            "signed 301 s ago, but at most 300 s are allowed: check the clocks of both machines"
        );
    }

    #[test]
    fn blue_signs_the_body_with_the_text_of_the_secret() {
        // printf '%s' BODY | openssl dgst -sha256 -hmac whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw
        let expected = "80ec8a89ce3cd22133a1066caecb4d04fea7467657c8514d717ec42c38a5c94c";
        assert_eq!(blue(&secret(), BODY), expected);
        assert_eq!(verify_blue(&secret(), expected, BODY), Ok(()));
        assert_eq!(verify_blue(&other(), expected, BODY), Err(VerifyError::Mismatch));
        assert_eq!(verify_blue(&secret(), expected, b"{}"), Err(VerifyError::Mismatch));
        assert_eq!(verify_blue(&secret(), "not hex", BODY), Err(VerifyError::Mismatch));
    }
}
