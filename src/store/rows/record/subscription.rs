//! Subscriptions as records of version 3: sealed secrets, required members, and optional members as tagged fields.
//!
//! | part | what it is |
//! | --- | --- |
//! | version | `3` |
//! | length | length of the record, u32 |
//! | sealed length | length of the sealed part, u16; the first chunk holds all of it |
//! | sealed part | bincode of the signing secrets, then the secret fields |
//! | members | bincode of the members that every subscription has |
//! | fields | the members that are set: for each its tag (u8), its length (u32) and its value |
//!
//! Numbers are big-endian. A field with an unknown tag comes from a newer version of the program, and the record is
//! refused. A new optional setting needs a tag, and a line in [`plain_fields`] and [`read_spec`].

mod earlier;
mod field;
mod sealed;

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use bincode::{Decode, Encode, config};

use self::field::{Fields, Tag, number, put, text};
use self::sealed::{PLAIN, SEALED, Sealed, decode_secrets, encode_secrets, start};
pub(in crate::store) use self::sealed::{is_plain, sealed_by};
use super::{Read, bad_terms, decode_body, length, parse, set_length};
use crate::model::email::EmailAddress;
use crate::model::id::SubscriptionId;
use crate::model::selector::{EventSelector, ProjectSelector};
use crate::model::subscription::{ManagedBy, Subscription, SubscriptionSpec};
use crate::model::time::{Interval, Timestamp, millis};
use crate::model::tls::{Certificates, ClientIdentity, Tls};
use crate::store::disk::secret_cipher::SecretCipher;
use crate::store::error::SealError;

/// The version of the records that are written.
const TAGGED: u8 = 3;

/// The tags of the optional members. A tag is never given to another member.
const FILTER: Tag = 1;
const TIMEOUT_MS: Tag = 2;
const RETRY_SCHEDULE_MS: Tag = 3;
const MAX_IN_FLIGHT: Tag = 4;
const RATE_LIMIT: Tag = 5;
const TLS_CA: Tag = 6;
const TLS_CLIENT_CERT: Tag = 7;
const NOTIFY_EMAIL: Tag = 8;
const DELETED_AT: Tag = 9;
const PLAIN_TAGS: [Tag; 9] = [
    FILTER,
    TIMEOUT_MS,
    RETRY_SCHEDULE_MS,
    MAX_IN_FLIGHT,
    RATE_LIMIT,
    TLS_CA,
    TLS_CLIENT_CERT,
    NOTIFY_EMAIL,
    DELETED_AT,
];

/// The tags of the optional members in the sealed part.
const TLS_CLIENT_KEY: Tag = 10;
const SECRET_TAGS: [Tag; 1] = [TLS_CLIENT_KEY];

/// The members that every subscription has.
#[derive(Encode, Decode)]
struct SubscriptionV3 {
    name: String,
    url: String,
    events: Vec<String>,
    projects: Vec<String>,
    format: String,
    headers: BTreeMap<String, String>,
    ordering: String,
    managed_by: String,
    created_at: u64,
    updated_at: u64,
}

/// Encodes a subscription as a long record of version 3.
pub(in crate::store) fn subscription(
    subscription: &Subscription,
    cipher: &SecretCipher,
) -> Result<Vec<u8>, SealError> {
    let mut plain = encode_secrets(&subscription.secrets)?;
    let client = subscription.spec.tls.client();
    put(&mut plain, TLS_CLIENT_KEY, client.map(|client| client.key().reveal()));
    let mut bytes = start(TAGGED, subscription.id, plain, cipher)?;
    bincode::encode_into_std_write(required(subscription), &mut bytes, config::standard())
        .map_err(|_| SealError)?;
    plain_fields(subscription, &mut bytes);
    set_length(&mut bytes);
    Ok(bytes)
}

fn required(subscription: &Subscription) -> SubscriptionV3 {
    let spec = &subscription.spec;
    SubscriptionV3 {
        name: spec.name.clone(),
        url: spec.url.to_string(),
        events: spec.events.to_texts(),
        projects: spec.projects.to_texts(),
        format: spec.format.to_string(),
        headers: spec.headers.clone(),
        ordering: spec.ordering.to_string(),
        managed_by: subscription.managed_by.to_string(),
        created_at: subscription.created_at.as_millis(),
        updated_at: subscription.updated_at.as_millis(),
    }
}

/// Appends the optional members that are set, except secrets.
fn plain_fields(subscription: &Subscription, bytes: &mut Vec<u8>) {
    // Naming every setting here makes the compiler reject a new one that is not stored.
    let SubscriptionSpec {
        name: _,
        url: _,
        events: _,
        projects: _,
        filter,
        format: _,
        headers: _,
        timeout,
        retry_schedule,
        max_in_flight,
        rate_limit,
        ordering: _,
        tls,
        notify_email,
    } = &subscription.spec;
    let waits = |waits: &Vec<Interval>| waits.iter().flat_map(|wait| ms(*wait)).collect::<Vec<u8>>();
    put(bytes, FILTER, filter.as_ref());
    put(bytes, TIMEOUT_MS, timeout.map(ms));
    put(bytes, RETRY_SCHEDULE_MS, retry_schedule.as_ref().map(waits));
    put(bytes, MAX_IN_FLIGHT, max_in_flight.map(|most| most.get().to_be_bytes()));
    put(bytes, RATE_LIMIT, rate_limit.map(|rate| rate.to_string()));
    put(bytes, TLS_CA, tls.authorities().map(Certificates::pem));
    put(bytes, TLS_CLIENT_CERT, tls.client().map(|client| client.chain().pem()));
    put(bytes, NOTIFY_EMAIL, notify_email.as_ref().map(EmailAddress::as_str));
    put(bytes, DELETED_AT, subscription.deleted_at.map(|at| at.as_millis().to_be_bytes()));
}

fn ms(interval: Interval) -> [u8; 8] {
    millis(interval.get()).to_be_bytes()
}

/// Reads a whole subscription of any version.
pub(in crate::store) fn read_subscription(
    id: SubscriptionId,
    record: &[u8],
    cipher: &SecretCipher,
) -> Read<Subscription> {
    match record.first() {
        None => Err("it is empty".to_owned()),
        Some(&PLAIN) => earlier::read_v1(id, record),
        Some(&SEALED) => earlier::read_v2(id, &Sealed::open(id, record, cipher)?),
        Some(&TAGGED) => read_v3(id, record, &Sealed::open(id, record, cipher)?),
        Some(other) => Err(format!("unknown version {other}")),
    }
}

fn read_v3(id: SubscriptionId, record: &[u8], sealed: &Sealed<'_>) -> Read<Subscription> {
    let expected = length(record)?;
    if record.len() != expected {
        return Err(format!("it has {} bytes instead of {expected}", record.len()));
    }
    let (value, rest): (SubscriptionV3, _) = decode_body(0, sealed.body)?;
    let fields = Fields::read(rest, &PLAIN_TAGS)?;
    let (secrets, rest) = decode_secrets(&sealed.plain)?;
    let secret_fields = Fields::read(rest, &SECRET_TAGS)?;
    Ok(Subscription {
        id,
        managed_by: parse::<ManagedBy>(&value.managed_by)?,
        secrets,
        created_at: Timestamp::from_millis(value.created_at),
        updated_at: Timestamp::from_millis(value.updated_at),
        deleted_at: fields.map(DELETED_AT, number)?.map(Timestamp::from_millis),
        spec: read_spec(value, &fields, &secret_fields)?,
    })
}

fn read_spec(value: SubscriptionV3, fields: &Fields<'_>, secrets: &Fields<'_>) -> Read<SubscriptionSpec> {
    let parsed = |tag| fields.map(tag, text);
    let wait = |bytes: &[u8]| number(bytes).map(Interval::from_millis);
    let waits = |bytes: &[u8]| bytes.chunks(size_of::<u64>()).map(wait).collect();
    let count = |bytes: &[u8]| {
        let count = bytes.try_into().ok().and_then(|bytes| NonZeroU32::new(u32::from_be_bytes(bytes)));
        count.ok_or_else(|| "its max_in_flight is not a positive u32".to_owned())
    };
    let authorities = parsed(TLS_CA)?.map(parse).transpose()?;
    let client = match (parsed(TLS_CLIENT_CERT)?, secrets.map(TLS_CLIENT_KEY, text)?) {
        (None, None) => None,
        (Some(chain), Some(key)) => {
            Some(ClientIdentity::new(parse(chain)?, parse(key)?).map_err(|error| error.to_string())?)
        }
        _ => return Err("it has only one of its client certificate and the key of it".to_owned()),
    };
    Ok(SubscriptionSpec {
        name: value.name,
        url: parse(&value.url)?,
        events: EventSelector::parse(&value.events).map_err(|problems| bad_terms(&problems))?,
        projects: ProjectSelector::parse(&value.projects).map_err(|problems| bad_terms(&problems))?,
        filter: parsed(FILTER)?.map(str::to_owned),
        format: parse(&value.format)?,
        headers: value.headers,
        timeout: fields.map(TIMEOUT_MS, wait)?,
        retry_schedule: fields.map(RETRY_SCHEDULE_MS, waits)?,
        max_in_flight: fields.map(MAX_IN_FLIGHT, count)?,
        rate_limit: parsed(RATE_LIMIT)?.map(parse).transpose()?,
        ordering: parse(&value.ordering)?,
        tls: Tls::new(authorities, client),
        notify_email: parsed(NOTIFY_EMAIL)?.map(parse).transpose()?,
    })
}
