//! The headers of the requests that receivers get.

use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};

use super::{rotation, signature};
use crate::model::id::{DeliveryId, EventId};
use crate::model::secret::SecretKind;
use crate::model::subscription::{Format, Subscription};
use crate::model::time::Timestamp;
use crate::model::trace::TraceContext;

/// Standard Webhooks: the event's id.
pub const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
/// Standard Webhooks: when the attempt was made, in seconds since 1970.
pub const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
/// Standard Webhooks: the signatures.
pub const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
/// The delivery's id. Requests that belong to no delivery, such as health checks, do not have this header.
pub const POSTRIDER_DELIVERY_ID: HeaderName = HeaderName::from_static("postrider-delivery-id");
/// The attempt's number, starting at 1.
pub const POSTRIDER_ATTEMPT: HeaderName = HeaderName::from_static("postrider-attempt");
/// The signature that Blue's receivers check.
pub const X_SIGNATURE: HeaderName = HeaderName::from_static("x-signature");
/// W3C Trace Context: the trace and the span that caused the request.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// W3C Trace Context: vendor-specific data of the tracing systems.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

const AGENT: HeaderValue = HeaderValue::from_static(concat!("postrider/", env!("CARGO_PKG_VERSION")));

/// The most headers that the daemon and HTTP itself add, used to reserve space.
const DAEMON_HEADERS: usize = 13;

/// The inputs of a request's headers, besides the subscription and the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SigningInput {
    /// The id sent as `webhook-id`: the event's, or a generated one for a health check.
    pub event: EventId,
    /// The delivery, or `None` for a health check or a preview.
    pub delivery: Option<DeliveryId>,
    /// The attempt's number, starting at 1.
    pub attempt: u32,
    /// When the attempt is made.
    pub at: Timestamp,
}

/// Returns all headers of a request to this subscription, except those that HTTP itself needs.
///
/// The request is signed with every secret that is active at the time of the attempt. In `blue` format,
/// `X-Signature` uses the first active symmetric secret, and is absent if there is none. Custom headers of
/// the subscription are included, but never replace a header that the daemon sets.
pub fn headers(subscription: &Subscription, signing: &SigningInput, body: &[u8]) -> HeaderMap {
    let mut headers = custom_headers(subscription);
    headers.reserve(DAEMON_HEADERS);
    headers.insert(CONTENT_TYPE, content_type(subscription.spec.format));
    headers.insert(USER_AGENT, AGENT);
    let id = signing.event.to_string();
    let active = || rotation::active(&subscription.secrets, signing.at).map(|signing| &signing.secret);
    insert(&mut headers, WEBHOOK_SIGNATURE, signature::standard(active(), &id, signing.at, body));
    insert(&mut headers, WEBHOOK_ID, id);
    headers.insert(WEBHOOK_TIMESTAMP, signing.at.as_secs().into());
    if let Some(delivery) = signing.delivery {
        insert(&mut headers, POSTRIDER_DELIVERY_ID, delivery.to_string());
    }
    headers.insert(POSTRIDER_ATTEMPT, signing.attempt.into());
    if subscription.spec.format == Format::Blue
        && let Some(secret) = active().find(|secret| secret.kind() == SecretKind::HmacSha256)
    {
        insert(&mut headers, X_SIGNATURE, signature::blue(secret, body));
    }
    headers
}

/// Sets the W3C Trace Context headers, so that the receiver can continue the trace.
pub fn trace(headers: &mut HeaderMap, context: &TraceContext) {
    insert(headers, TRACEPARENT, context.to_string());
    match context.state() {
        Some(state) => insert(headers, TRACESTATE, state.to_owned()),
        None => drop(headers.remove(TRACESTATE)),
    }
}

/// Returns the content type of the body.
///
/// A receiver distinguishes structured CloudEvents from binary ones by the content type alone (CloudEvents
/// 1.0, HTTP protocol binding, 3). With `application/json` it would misread the body.
const fn content_type(format: Format) -> HeaderValue {
    HeaderValue::from_static(match format {
        Format::CloudEvents => "application/cloudevents+json",
        Format::Standard | Format::Blue | Format::Raw => "application/json",
    })
}

/// Returns the custom headers of the subscription.
///
/// Their values can contain tokens, so they are marked as sensitive: they stay out of logs and of HPACK
/// tables.
fn custom_headers(subscription: &Subscription) -> HeaderMap {
    let valid = |(name, value): (&String, &String)| {
        let mut value = HeaderValue::from_str(value).ok()?;
        value.set_sensitive(true);
        Some((HeaderName::try_from(name).ok()?, value))
    };
    subscription.spec.headers.iter().filter_map(valid).collect()
}

fn insert(headers: &mut HeaderMap, name: HeaderName, text: String) {
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::secret::{Secret, SigningSecret};
    use crate::rules::samples::subscription;

    const BODY: &[u8] = b"{}";
    const SIGNING: SigningInput = SigningInput {
        event: EventId::from_bits(1),
        delivery: Some(DeliveryId::from_bits(3)),
        attempt: 2,
        at: Timestamp::from_millis(1_614_265_330_001),
    };

    fn sorted_headers(subscription: &Subscription, signing: &SigningInput) -> Vec<(String, String)> {
        let map = headers(subscription, signing, BODY);
        let mut list: Vec<_> = map
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .filter(|(name, _)| !name.ends_with("signature"))
            .collect();
        list.sort();
        list
    }

    #[test]
    fn custom_headers_never_replace_the_daemons() {
        let mut subscription = subscription(Format::Standard);
        subscription.spec.headers.insert("authorization".to_owned(), "Bearer x".to_owned());
        subscription.spec.headers.insert("webhook-id".to_owned(), "forged".to_owned());
        let expected = [
            ("authorization", "Bearer x"),
            ("content-type", "application/json"),
            ("postrider-attempt", "2"),
            ("postrider-delivery-id", "dlv_00000000000000000000000003"),
            ("user-agent", concat!("postrider/", env!("CARGO_PKG_VERSION"))),
            ("webhook-id", "evt_00000000000000000000000001"),
            ("webhook-timestamp", "1614265330"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(sorted_headers(&subscription, &SIGNING), expected);
        let check = SigningInput { delivery: None, ..SIGNING };
        assert_eq!(sorted_headers(&subscription, &check).len(), expected.len() - 1);
        assert!(headers(&subscription, &SIGNING, BODY)["authorization"].is_sensitive());
    }

    #[test]
    fn active_secrets_sign_and_only_blue_adds_x_signature() {
        for (format, content_type) in [
            (Format::Standard, "application/json"),
            (Format::Raw, "application/json"),
            (Format::Blue, "application/json"),
            (Format::CloudEvents, "application/cloudevents+json"),
        ] {
            let mut subscription = subscription(format);
            let current = subscription.secrets[0].secret.clone();
            let expired = SigningSecret {
                secret: Secret::from_random([2; 32]),
                created_at: Timestamp::default(),
                expires_at: Some(SIGNING.at),
            };
            let rotated = Secret::from_random([3; 32]);
            let until = Some(Timestamp::from_millis(SIGNING.at.as_millis() + 1));
            subscription.secrets.push(expired);
            subscription.secrets.push(SigningSecret {
                secret: rotated.clone(),
                created_at: Timestamp::default(),
                expires_at: until,
            });
            let map = headers(&subscription, &SIGNING, BODY);
            let id = "evt_00000000000000000000000001";
            let expected = signature::standard([&current, &rotated], id, SIGNING.at, BODY);
            assert_eq!(map["webhook-signature"], expected);
            assert_eq!(map["content-type"], content_type);
            let blue = map.get("x-signature").map(|value| value.to_str().unwrap());
            let expected = (format == Format::Blue).then(|| signature::blue(&current, BODY));
            assert_eq!(blue, expected.as_deref(), "{format}");
            let pair = Secret::of_kind(SecretKind::Ed25519, [4; 32]);
            subscription.secrets[0].secret = pair.clone();
            let map = headers(&subscription, &SIGNING, BODY);
            let expected = signature::standard([&pair, &rotated], id, SIGNING.at, BODY);
            assert_eq!(map["webhook-signature"], expected);
            let blue = map.get("x-signature").map(|value| value.to_str().unwrap());
            let expected = (format == Format::Blue).then(|| signature::blue(&rotated, BODY));
            assert_eq!(blue, expected.as_deref(), "{format}: of the symmetric secret");
        }
    }
}
