//! Tokens that tie a form to the page that contained it, so that no other site can submit one.

use rand::RngExt as _;
use ring::hmac;
use subtle::ConstantTimeEq as _;

/// Issues and checks form tokens, with a key that only this process knows.
pub(super) struct FormTokens(hmac::Key);

impl FormTokens {
    /// Creates a random key. Forms of pages from before the start are then refused.
    pub(super) fn random() -> Self {
        let key: [u8; 32] = rand::rng().random();
        Self(hmac::Key::new(hmac::HMAC_SHA256, &key))
    }

    /// Returns the token for the forms of a session, given its cookie; without a session, the cookie is empty.
    pub(super) fn issue(&self, cookie: &str) -> String {
        hex::encode(hmac::sign(&self.0, cookie.as_bytes()))
    }

    /// Returns whether `given` is the token `issued`, which must not be empty. Takes the same time for every `given`.
    pub(super) fn verify(&self, issued: &str, given: &str) -> bool {
        // Both tags have one length, so that the time does not depend on the length of `given` either.
        let tag = |text: &str| hmac::sign(&self.0, text.as_bytes());
        !issued.is_empty() && bool::from(tag(given).as_ref().ct_eq(tag(issued).as_ref()))
    }
}
