//! The sealed part of a subscription's record, which versions 2 and later have.

use bincode::{Decode, Encode, config};

use crate::model::id::SubscriptionId;
use crate::model::secret::SigningSecret;
use crate::model::time::Timestamp;
use crate::store::disk::secret_cipher::{KeyId, SecretCipher, key_id};
use crate::store::error::SealError;
use crate::store::rows::record::{PREFIX, Read, RecordError, decode_body, parse};

/// The version that has its secrets in plain text.
pub(super) const PLAIN: u8 = 1;
/// The first version that has sealed secrets.
pub(super) const SEALED: u8 = 2;
const LENGTH_BYTES: usize = 2;

#[derive(Encode, Decode)]
struct SecretV2 {
    text: String,
    created_at: u64,
    expires_at: Option<u64>,
}

/// Starts a record: its version, room for its length, and the sealed part.
pub(super) fn start(
    version: u8,
    id: SubscriptionId,
    plain: Vec<u8>,
    cipher: &SecretCipher,
) -> Result<Vec<u8>, SealError> {
    let sealed = cipher.seal(id.bits(), plain)?;
    let length = u16::try_from(sealed.len()).map_err(|_| SealError)?;
    let mut bytes = vec![version];
    bytes.resize(PREFIX, 0);
    bytes.extend(length.to_be_bytes());
    bytes.extend(sealed);
    Ok(bytes)
}

/// Encodes the signing secrets, the first part of what is sealed.
pub(super) fn encode_secrets(secrets: &[SigningSecret]) -> Result<Vec<u8>, SealError> {
    let secret = |signing: &SigningSecret| SecretV2 {
        text: signing.secret.reveal().to_owned(),
        created_at: signing.created_at.as_millis(),
        expires_at: signing.expires_at.map(Timestamp::as_millis),
    };
    let secrets: Vec<_> = secrets.iter().map(secret).collect();
    bincode::encode_to_vec(secrets, config::standard()).map_err(|_| SealError)
}

/// A record whose sealed part was decrypted.
pub(super) struct Sealed<'a> {
    /// The decrypted bytes.
    pub(super) plain: Vec<u8>,
    /// The bytes after the sealed part.
    pub(super) body: &'a [u8],
}

impl<'a> Sealed<'a> {
    /// Decrypts the sealed part of a record of version 2 or later.
    pub(super) fn open(id: SubscriptionId, record: &'a [u8], cipher: &SecretCipher) -> Read<Self> {
        let (sealed, body) = split(record).ok_or("it is too short")?;
        let plain = cipher.unseal(id.bits(), sealed).ok_or("its secrets do not open: they were changed")?;
        Ok(Self { plain, body })
    }
}

/// Decodes the signing secrets, and returns them with the bytes after them.
pub(super) fn decode_secrets(plain: &[u8]) -> Read<(Vec<SigningSecret>, &[u8])> {
    let (secrets, rest): (Vec<SecretV2>, _) = decode_body(0, plain)?;
    let secret = |secret: SecretV2| {
        Ok::<_, RecordError>(SigningSecret {
            secret: parse(&secret.text)?,
            created_at: Timestamp::from_millis(secret.created_at),
            expires_at: secret.expires_at.map(Timestamp::from_millis),
        })
    };
    Ok((secrets.into_iter().map(secret).collect::<Result<_, _>>()?, rest))
}

/// Returns whether a record has its secrets in plain text, given its first chunk.
pub(in crate::store) fn is_plain(chunk: &[u8]) -> bool {
    chunk.first() == Some(&PLAIN)
}

/// Returns the key that sealed the secrets of a subscription, given its first chunk; `None` if they are in plain text.
pub(in crate::store) fn sealed_by(chunk: &[u8]) -> Option<KeyId> {
    if is_plain(chunk) { None } else { key_id(split(chunk)?.0) }
}

/// Splits a record of version 2 or later into the sealed part and what follows it.
fn split(record: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = record.get(PREFIX..)?.split_first_chunk::<LENGTH_BYTES>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}
