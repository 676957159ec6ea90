//! Subscriptions as records of version 2: their secrets sealed.
//!
//! After the version and the length come the sealed secrets (their length as a big-endian u16 first), all in the
//! first chunk, then what a record of version 1 has, without secrets, and then the TLS settings and the address for
//! notices, if there are any. The key of a client certificate is sealed with the secrets, as the rest after them.

use bincode::{Decode, Encode, config};

use super::{
    PREFIX, Read, RecordError, SubscriptionV1, decode_all, decode_body, parse, read_v1, set_length, tls, v1,
};
use crate::model::id::SubscriptionId;
use crate::model::secret::SigningSecret;
use crate::model::subscription::Subscription;
use crate::model::time::Timestamp;
use crate::store::seal::{KeyId, SealError, Vault, key_id};

const SEALED: u8 = 2;
const LENGTH_BYTES: usize = 2;

#[derive(Encode, Decode)]
struct SecretV2 {
    text: String,
    created_at: u64,
    expires_at: Option<u64>,
}

/// A subscription as a long record.
pub(in crate::store) fn subscription(
    subscription: &Subscription,
    vault: &Vault,
) -> Result<Vec<u8>, SealError> {
    let secret = |signing: &SigningSecret| SecretV2 {
        text: signing.secret.reveal().to_owned(),
        created_at: signing.created_at.as_millis(),
        expires_at: signing.expires_at.map(Timestamp::as_millis),
    };
    let secrets: Vec<_> = subscription.secrets.iter().map(secret).collect();
    let mut plain = bincode::encode_to_vec(secrets, config::standard()).map_err(|_| SealError)?;
    let client = subscription.spec.tls.client();
    plain.extend(client.iter().flat_map(|client| client.key().reveal().bytes()));
    let sealed = vault.seal(subscription.id.bits(), plain)?;
    let length = u16::try_from(sealed.len()).map_err(|_| SealError)?;
    let mut bytes = vec![SEALED, 0, 0, 0, 0];
    bytes.extend(length.to_be_bytes());
    bytes.extend(sealed);
    bincode::encode_into_std_write(v1(subscription), &mut bytes, config::standard())
        .map_err(|_| SealError)?;
    tls::write(&subscription.spec.tls, subscription.spec.notify_email.as_ref(), &mut bytes);
    set_length(&mut bytes);
    Ok(bytes)
}

/// A whole subscription, of any version.
pub(in crate::store) fn read_subscription(
    id: SubscriptionId,
    record: &[u8],
    vault: &Vault,
) -> Read<Subscription> {
    if record.first() != Some(&SEALED) {
        let value: SubscriptionV1 = decode_all(PREFIX, record)?;
        return read_v1(id, &value);
    }
    let (sealed, body) = split(record).ok_or("it is too short")?;
    let (value, tail): (SubscriptionV1, _) = decode_body(0, body)?;
    let plain = vault.unseal(id.bits(), sealed).ok_or("its secrets do not open: they were changed")?;
    let (secrets, key): (Vec<SecretV2>, _) = decode_body(0, &plain)?;
    let secret = |secret: SecretV2| {
        Ok::<_, RecordError>(SigningSecret {
            secret: parse(&secret.text)?,
            created_at: Timestamp::from_millis(secret.created_at),
            expires_at: secret.expires_at.map(Timestamp::from_millis),
        })
    };
    let secrets = secrets.into_iter().map(secret).collect::<Result<_, _>>()?;
    let mut subscription = Subscription { secrets, ..read_v1(id, &value)? };
    (subscription.spec.tls, subscription.spec.notify_email) = tls::read(tail, key)?;
    Ok(subscription)
}

/// Whether a record is of a version that has secrets as they are, from its first chunk.
pub(in crate::store) fn is_plain(chunk: &[u8]) -> bool {
    chunk.first() != Some(&SEALED)
}

/// The key that the secrets of a subscription are sealed with, from its first chunk; none if they are plain.
pub(in crate::store) fn sealed_by(chunk: &[u8]) -> Option<KeyId> {
    if is_plain(chunk) { None } else { key_id(split(chunk)?.0) }
}

fn split(record: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = record.get(PREFIX..)?.split_first_chunk::<LENGTH_BYTES>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}
