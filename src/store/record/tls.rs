//! What follows the rest of a subscription's record of version 2: its TLS settings, all but the client key, which is
//! sealed with the secrets, and then the address that its notices go to. Either is left out if nothing follows.

use bincode::{Decode, Encode, config};

use super::{Read, decode_body, parse};
use crate::model::email::EmailAddress;
use crate::model::tls::{Certificates, ClientIdentity, Tls};

#[derive(Encode, Decode)]
struct TlsV2 {
    authorities: Option<String>,
    chain: Option<String>,
}

/// Appends the settings and the address to a record, if there are any.
pub(super) fn write(tls: &Tls, notify: Option<&EmailAddress>, record: &mut Vec<u8>) {
    if tls.id().is_none() && notify.is_none() {
        return;
    }
    let value = TlsV2 {
        authorities: tls.authorities().map(|list| list.pem().to_owned()),
        chain: tls.client().map(|client| client.chain().pem().to_owned()),
    };
    let written = bincode::encode_into_std_write(value, record, config::standard());
    debug_assert!(written.is_ok(), "a Vec takes every byte");
    if let Some(address) = notify {
        let written = bincode::encode_into_std_write(address.as_str(), record, config::standard());
        debug_assert!(written.is_ok(), "a Vec takes every byte");
    }
}

/// The settings and the address from the end of a record and the key of their client certificate; both are empty if
/// there are none.
pub(super) fn read(tail: &[u8], key: &[u8]) -> Read<(Tls, Option<EmailAddress>)> {
    if tail.is_empty() && key.is_empty() {
        return Ok((Tls::default(), None));
    }
    let (value, rest): (TlsV2, _) = decode_body(0, tail)?;
    let notify = if rest.is_empty() {
        None
    } else {
        let (address, rest): (String, _) = decode_body(0, rest)?;
        if !rest.is_empty() {
            return Err(format!("{} bytes are left over", rest.len()));
        }
        Some(parse(&address)?)
    };
    let authorities = value.authorities.as_deref().map(parse::<Certificates>).transpose()?;
    let client = value.chain.map(|chain| {
        let key = std::str::from_utf8(key).map_err(|error| error.to_string())?;
        ClientIdentity::new(parse(&chain)?, parse(key)?).map_err(|error| error.to_string())
    });
    Ok((Tls::new(authorities, client.transpose()?), notify))
}
