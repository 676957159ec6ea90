//! Subscriptions as records of versions 1 and 2, which are read and no longer written.
//!
//! Version 1 is one bincode value with the secrets in plain text. Version 2 has the sealed secrets first, as version 3
//! does. The bincode value of version 1 follows, without secrets. The TLS settings and then the address for notices
//! come last, if the subscription has any. The key of the client certificate follows the secrets in the sealed part.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use bincode::{Decode, Encode};

use super::sealed::{Sealed, decode_secrets};
use crate::model::email::EmailAddress;
use crate::model::id::SubscriptionId;
use crate::model::secret::SigningSecret;
use crate::model::selector::{EventSelector, ProjectSelector};
use crate::model::subscription::{ManagedBy, Subscription, SubscriptionSpec};
use crate::model::time::{Interval, Timestamp};
use crate::model::tls::{Certificates, ClientIdentity, Tls};
use crate::store::rows::record::{PREFIX, Read, bad_terms, decode_all, decode_body, parse};

#[derive(Encode, Decode)]
struct SubscriptionV1 {
    name: String,
    url: String,
    events: Vec<String>,
    projects: Vec<String>,
    filter: Option<String>,
    format: String,
    headers: BTreeMap<String, String>,
    timeout_ms: Option<u64>,
    retry_schedule_ms: Option<Vec<u64>>,
    max_in_flight: Option<NonZeroU32>,
    rate_limit: Option<String>,
    ordering: String,
    managed_by: String,
    secrets: Vec<(String, Option<u64>)>,
    created_at: u64,
    updated_at: u64,
    deleted_at: Option<u64>,
}

#[derive(Encode, Decode)]
struct TlsV2 {
    authorities: Option<String>,
    chain: Option<String>,
}

/// Reads a record of version 1.
pub(super) fn read_v1(id: SubscriptionId, record: &[u8]) -> Read<Subscription> {
    let value: SubscriptionV1 = decode_all(PREFIX, record)?;
    let created_at = Timestamp::from_millis(value.created_at);
    let secret = |(text, expires_at): &(String, Option<u64>)| {
        let expires_at = expires_at.map(Timestamp::from_millis);
        parse(text).map(|secret| SigningSecret { secret, created_at, expires_at })
    };
    let secrets = value.secrets.iter().map(secret).collect::<Result<_, _>>()?;
    read_value(id, value, secrets)
}

/// Reads a record of version 2.
pub(super) fn read_v2(id: SubscriptionId, sealed: &Sealed<'_>) -> Read<Subscription> {
    let (value, tail): (SubscriptionV1, _) = decode_body(0, sealed.body)?;
    let (secrets, key) = decode_secrets(&sealed.plain)?;
    let mut subscription = read_value(id, value, secrets)?;
    (subscription.spec.tls, subscription.spec.notify_email) = read_tail(tail, key)?;
    Ok(subscription)
}

fn read_value(id: SubscriptionId, value: SubscriptionV1, secrets: Vec<SigningSecret>) -> Read<Subscription> {
    let waits = |waits: Vec<u64>| waits.into_iter().map(Interval::from_millis).collect();
    Ok(Subscription {
        id,
        spec: SubscriptionSpec {
            name: value.name,
            events: EventSelector::parse(&value.events).map_err(|problems| bad_terms(&problems))?,
            projects: ProjectSelector::parse(&value.projects).map_err(|problems| bad_terms(&problems))?,
            filter: value.filter,
            format: parse(&value.format)?,
            headers: value.headers,
            timeout: value.timeout_ms.map(Interval::from_millis),
            retry_schedule: value.retry_schedule_ms.map(waits),
            max_in_flight: value.max_in_flight,
            rate_limit: value.rate_limit.as_deref().map(parse).transpose()?,
            ordering: parse(&value.ordering)?,
            ..SubscriptionSpec::new(parse(&value.url)?)
        },
        managed_by: parse::<ManagedBy>(&value.managed_by)?,
        secrets,
        created_at: Timestamp::from_millis(value.created_at),
        updated_at: Timestamp::from_millis(value.updated_at),
        deleted_at: value.deleted_at.map(Timestamp::from_millis),
    })
}

/// Reads the end of a record of version 2, given the client key from its sealed part.
fn read_tail(tail: &[u8], key: &[u8]) -> Read<(Tls, Option<EmailAddress>)> {
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
