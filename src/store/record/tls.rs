//! TLS settings of a subscription: what follows the rest of its record, in version 2.

use bincode::{Decode, Encode, config};

use super::{PREFIX, Read, SubscriptionV1, decode_all, decode_body, parse};
use crate::model::tls::{Certificates, ClientIdentity, Tls};

const WITH_TLS: u8 = 2;

#[derive(Encode, Decode)]
struct TlsV2 {
    authorities: Option<String>,
    client: Option<ClientV2>,
}

#[derive(Encode, Decode)]
struct ClientV2 {
    chain: String,
    /// A secret, and so beside those of signing as far as the format goes.
    key: Vec<u8>,
}

/// Appends the settings to a record without any, if there are any.
pub(super) fn write(tls: &Tls, record: &mut Vec<u8>) {
    if tls.id().is_none() {
        return;
    }
    let client = tls.client().map(|client| ClientV2 {
        chain: client.chain().pem().to_owned(),
        key: client.key().reveal().as_bytes().to_vec(),
    });
    let value = TlsV2 { authorities: tls.authorities().map(|list| list.pem().to_owned()), client };
    let written = bincode::encode_into_std_write(value, record, config::standard());
    debug_assert!(written.is_ok(), "a Vec takes every byte");
    if let Some(version) = record.first_mut() {
        *version = WITH_TLS;
    }
}

/// A subscription's record without its TLS settings, and those.
pub(super) fn split(record: &[u8]) -> Read<(SubscriptionV1, Tls)> {
    if record.first() != Some(&WITH_TLS) {
        return Ok((decode_all(PREFIX, record)?, Tls::default()));
    }
    let (value, rest) = decode_body(record.get(PREFIX..).ok_or("it is too short")?)?;
    let (tls, rest): (TlsV2, _) = decode_body(rest)?;
    if !rest.is_empty() {
        return Err(format!("{} bytes are left over", rest.len()));
    }
    let authorities = tls.authorities.as_deref().map(parse::<Certificates>).transpose()?;
    let client = tls.client.map(|client| {
        let key = String::from_utf8(client.key).map_err(|error| error.to_string())?;
        ClientIdentity::new(parse(&client.chain)?, parse(&key)?).map_err(|error| error.to_string())
    });
    Ok((value, Tls::new(authorities, client.transpose()?)))
}
