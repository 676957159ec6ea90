//! The schemas of single values in the OpenAPI document.
//!
//! The types of this file exist for their schemas only. A pattern accepts the texts that [`model`](crate::model) parses,
//! which tests check.

use std::borrow::Cow;

use utoipa::openapi::schema::{
    AdditionalProperties, Object, ObjectBuilder, Schema, SchemaFormat, SchemaType, Type,
};
use utoipa::openapi::{KnownFormat, RefOr};
use utoipa::{PartialSchema, ToSchema};

use crate::flow::stream;
use crate::model::attempt::ErrorClass;
use crate::model::delivery::DeliveryState as State;
use crate::model::replay::JobState;
use crate::model::secret;
use crate::model::subscription::{self, DisabledReason as Reason};

/// Defines string schemas with a description, a pattern and examples. `Text` at the end of a name is not part of the
/// schema's name.
macro_rules! string_schemas {
    ($($(#[doc = $doc:literal])+ $name:ident: $pattern:expr, [$($example:literal),+];)+) => { $(
        $(#[doc = $doc])+
        pub struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                string(concat!($($doc),+).trim()).pattern(Some($pattern)).examples([$($example),+]).into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).trim_end_matches("Text").into()
            }
        }
    )+ };
}

/// Defines schemas of strings that have one of the values of an enum of the model. The schema's name is the name of the
/// type, unless `as` gives another.
macro_rules! enum_schemas {
    ($($(#[doc = $doc:literal])+ $name:ident $(as $schema_name:literal)?: $all:expr;)+) => { $(
        $(#[doc = $doc])+
        pub struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let values: Vec<&str> = $all.iter().map(|value| value.as_str()).collect();
                string(concat!($($doc),+).trim()).enum_values(Some(values)).into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                [$($schema_name,)? stringify!($name)][0].into()
            }
        }
    )+ };
}

fn string(description: &str) -> ObjectBuilder {
    Object::builder().schema_type(Type::String).description(Some(description))
}

/// The pattern of an id: a prefix and the 26 digits of a ULID.
macro_rules! ulid {
    ($prefix:literal) => {
        concat!("^", $prefix, "[0-7][0-9A-HJKMNP-TV-Z]{25}$")
    };
}

/// The pattern of the name of an event type, a project or a company.
macro_rules! name {
    () => {
        "[A-Za-z0-9_.:-]{1,128}"
    };
}

string_schemas! {
    /// The id of an event. Deliveries carry it in the header `webhook-id`.
    EventIdText: ulid!("evt_"), ["evt_01K3Z9QJ5M8W2R4T6Y8A0C2E4G"];
    /// The id of a subscription.
    SubscriptionIdText: ulid!("sub_"), ["sub_01K3Z9Q0B1D3F5H7K9M1P3R5T7"];
    /// The id of a delivery.
    DeliveryIdText: ulid!("dlv_"), ["dlv_01K3Z9QJ5M8W2R4T6Y8A0C2E4H"];
    /// The id of a replay.
    ReplayIdText: ulid!("rpl_"), ["rpl_01K3Z9R0A1C3E5G7J9N1Q3S5V7"];
    /// The type of an event.
    EventTypeText: concat!("^", name!(), "$"), ["TODO_CREATED", "invoice.paid"];
    /// The id of a project.
    ProjectText: concat!("^", name!(), "$"), ["website"];
    /// The id of a company.
    CompanyText: concat!("^", name!(), "$"), ["acme"];
    /// The sender's own id of an event. It identifies the event within its project and company.
    SenderIdText: "^[!-~]{1,128}$", ["order-4711"];
    /// An event type, a prefix of event types, or `*` for all. A leading `!` excludes instead of includes.
    EventTermText: concat!("^(\\*|!?", name!(), "\\*?)$"), ["TODO_*", "!TODO_DELETED"];
    /// A project, a project of one company, all projects of a company, or `*` for all. A leading `!` excludes instead of includes.
    ProjectTermText: concat!("^(\\*|!?", name!(), "(/(", name!(), "|\\*))?)$"), ["acme/*", "globex/website"];
    /// A display name: up to 128 printable characters, not only spaces.
    NameText: concat!(
        "^(?![^\\x00-\\x1f]{129})",
        "[^\\x00-\\x1f\\x7f-\\x9f]{0,127}[^\\s\\x00-\\x1f\\x7f-\\x9f][^\\x00-\\x1f\\x7f-\\x9f]{0,127}$"
    ), ["crm"];
    /// An e-mail address: at most 64 characters before the `@`, and at most 254 in total.
    EmailText: concat!(
        "^(?![^@]{65})(?!.{255})",
        "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*",
        "@[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$"
    ), ["ops@acme.example"];
    /// The value of a header: visible ASCII characters and spaces.
    HeaderValueText: "^[\\t -~]{0,1024}$", ["sales"];
    /// The timeout of a request including its response, from 100ms to 60s.
    TimeoutText: "^([1-9][0-9]{2,3}ms|[1-5][0-9]{4}ms|60000ms|[1-9]s|[1-5][0-9]s|60s|1m)$", ["7s"];
    /// The wait before a retry, at most 7d.
    WaitText: concat!(
        "^([0-9]{1,8}ms|[1-5][0-9]{8}ms|60[0-3][0-9]{6}ms|604[0-7][0-9]{5}ms|604800000ms",
        "|[0-9]{1,5}s|[1-5][0-9]{5}s|60[0-3][0-9]{3}s|604[0-7][0-9]{2}s|604800s",
        "|[0-9]{1,3}m|[1-9][0-9]{3}m|100[0-7][0-9]m|10080m|[0-9]{1,2}h|1[0-5][0-9]h|16[0-8]h|[0-7]d)$"
    ), ["5s", "2m"];
    /// A number of attempts per second, minute or hour.
    RateText: "^([1-9][0-9]{0,8}|[1-3][0-9]{9}|4[01][0-9]{8})/[smh]$", ["50/s", "1000/h"];
    /// The public key of an ed25519 secret. Receivers verify signatures with it.
    PublicKeyText: "^whpk_[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$", ["whpk_C51Q6RBGJX0pJj8y6W+gNEKhZB3wpAuCjXSNrqR0SBk="];
    /// The grace period of a rotation, at most 30d.
    GraceText: concat!(
        "^([0-9]{1,9}ms|1[0-9]{9}ms|2[0-4][0-9]{8}ms|25[0-8][0-9]{7}ms|259[01][0-9]{6}ms|2592000000ms",
        "|[0-9]{1,6}s|1[0-9]{6}s|2[0-4][0-9]{5}s|25[0-8][0-9]{4}s|259[01][0-9]{3}s|2592000s",
        "|[0-9]{1,4}m|[1-3][0-9]{4}m|4[0-2][0-9]{3}m|43[01][0-9]{2}m|43200m",
        "|[0-9]{1,2}h|[1-6][0-9]{2}h|7[01][0-9]h|720h|[0-9]d|[12][0-9]d|30d)$"
    ), ["24h"];
    /// The version of a resource, as a strong entity tag. It changes with each setting.
    EntityTagText: "^\"[0-9a-f]{1,32}\"$", ["\"9f86d081884c7d65\""];
    /// A key that the caller chooses for a request.
    IdempotencyKeyText: "^[!-~]{1,255}$", ["order-1024"];
    /// The cursor of a project: `company/project`, or `project` for one without a company.
    ProjectKeyText: concat!("^(", name!(), "/)?", name!(), "$"), ["acme/website"];
    /// The `id` of a stream event.
    StreamIdText: "^[0-9]{1,19}$", ["1853283172581376"];
}

enum_schemas! {
    /// The state of a delivery: `pending` (waiting for its first attempt or a retry), `in_flight` (being attempted),
    /// `succeeded`, `exhausted` (all attempts failed), `held` (its subscription is disabled) or `cancelled`.
    DeliveryState: State::ALL;
    /// The reason that an attempt got no complete response.
    AttemptError: ErrorClass::ALL;
    /// The kind of a stream event.
    StreamEventKind as "HappeningKind": stream::Kind::ALL;
    /// The kind of change to a subscription.
    SubscriptionChangeKind: stream::Change::ALL;
    /// The final state of a delivery.
    FinalState: [State::Succeeded, State::Exhausted, State::Cancelled];
    /// The state of a replay.
    ReplayState: [JobState::Running, JobState::Done, JobState::Cancelled, JobState::Failed];
    /// The signature algorithm of a secret.
    SecretKind: [secret::SecretKind::HmacSha256, secret::SecretKind::Ed25519];
    /// The health of a subscription's receiver.
    Health: subscription::Health::ALL;
    /// The reason that a subscription is disabled.
    DisabledReason: Reason::ALL;
    /// The place where a subscription is managed.
    ManagedBy: subscription::ManagedBy::ALL;
    /// The format of the body that a receiver gets.
    Format: subscription::Format::ALL;
    /// Whether a delivery waits for earlier deliveries.
    Ordering: subscription::Ordering::ALL;
}

/// A time of a response.
pub struct Time;

impl PartialSchema for Time {
    fn schema() -> RefOr<Schema> {
        time("A time in RFC 3339. Responses use UTC with milliseconds.").into()
    }
}

impl ToSchema for Time {}

/// A time of a request.
pub struct GivenTime;

/// The pattern of the years that the model accepts. Its calendar ends one day before that of RFC 3339.
const YEARS: &str = "^(19[7-9][0-9]|[2-8][0-9]{3}|9[0-8][0-9]{2}|99[0-8][0-9]|999[0-8])-";

impl PartialSchema for GivenTime {
    fn schema() -> RefOr<Schema> {
        time("A time in RFC 3339, in 1970 or later.").pattern(Some(YEARS)).into()
    }
}

impl ToSchema for GivenTime {}

fn time(description: &str) -> ObjectBuilder {
    string(description)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .examples(["2026-01-31T08:00:00.000Z"])
}

/// The value of `If-Match`.
pub struct IfMatchText;

impl PartialSchema for IfMatchText {
    fn schema() -> RefOr<Schema> {
        string("`*`, or one or more values of `ETag`.")
            .format(Some(SchemaFormat::Custom("entity-tags".to_owned())))
            .pattern(Some("^(\\*|(W/)?\"[!#-~]*\"(, ?(W/)?\"[!#-~]*\")*)$"))
            .examples(["\"9f86d081884c7d65\"", "*"])
            .into()
    }
}

impl ToSchema for IfMatchText {}

/// A signing secret.
pub struct SecretText;

/// The pattern of a secret: `whsec_` and the base64 of 24 to 64 bytes, or `whsk_` and the base64 of a private key. A
/// private key has 32 bytes, or 64 with its public half.
const SECRET: &str = concat!(
    "^(whsec_([A-Za-z0-9+/]{4}){8,20}",
    "(([A-Za-z0-9+/]{4})?([A-Za-z0-9+/][AQgw]==)?|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)",
    "|whsk_[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=|whsk_[A-Za-z0-9+/]{85}[AQgw]==)$"
);

impl PartialSchema for SecretText {
    fn schema() -> RefOr<Schema> {
        string("A secret that signs deliveries: `whsec_` (HMAC-SHA256) or `whsk_` (ed25519), followed by base64.")
            .format(Some(SchemaFormat::Custom("signing-secret".to_owned())))
            .pattern(Some(SECRET))
            .examples(["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])
            .into()
    }
}

impl ToSchema for SecretText {
    fn name() -> Cow<'static, str> {
        "Secret".into()
    }
}

/// The URL of a receiver.
pub struct UrlText;

impl PartialSchema for UrlText {
    fn schema() -> RefOr<Schema> {
        let text = "The URL that receives the deliveries: http or https, without a #fragment, at an address that the daemon may call.";
        string(text)
            .format(Some(SchemaFormat::Custom("uri".to_owned())))
            .pattern(Some("^https?://[^#]+$"))
            .max_length(Some(2048))
            .examples(["https://crm.internal/hooks"])
            .into()
    }
}

impl ToSchema for UrlText {
    fn name() -> Cow<'static, str> {
        "Url".into()
    }
}

/// A payload filter.
pub struct FilterText;

impl PartialSchema for FilterText {
    fn schema() -> RefOr<Schema> {
        string("A CEL expression over `event`. The subscription matches only events for which it is true.")
            .format(Some(SchemaFormat::Custom("cel".to_owned())))
            .max_length(Some(4096))
            .examples(["event.data.amount > 100"])
            .into()
    }
}

impl ToSchema for FilterText {
    fn name() -> Cow<'static, str> {
        "Filter".into()
    }
}

/// Request headers by name.
pub struct Headers;

/// The pattern of the names of headers that neither the daemon nor HTTP sets.
const HEADER_NAME: &str = concat!(
    "^(?!(connection|content-length|content-type|expect|host|keep-alive|[Tt][Ee]|trailer|transfer-encoding|upgrade",
    "|user-agent|x-signature)$|webhook-|postrider-|proxy-)[!#$%&'*+.^_`|~0-9A-Za-z-]+$"
);

impl PartialSchema for Headers {
    fn schema() -> RefOr<Schema> {
        let value = AdditionalProperties::RefOr(RefOr::T(plain::<HeaderValueText>()));
        let name = Object::builder().schema_type(Type::String).pattern(Some(HEADER_NAME)).build();
        Object::builder()
            .schema_type(Type::Object)
            .description(Some(
                "Headers to add to each request. Headers that the daemon or HTTP sets are not allowed.",
            ))
            .property_names(Some(Schema::from(name)))
            .additional_properties(Some(value))
            .max_properties(Some(32))
            .examples([serde_json::json!({ "x-team": "sales" })])
            .into()
    }
}

impl ToSchema for Headers {}

/// Returns the schema of a type that does not refer to another schema.
fn plain<T: PartialSchema>() -> Schema {
    match T::schema() {
        RefOr::T(schema) => schema,
        RefOr::Ref(_) => Schema::default(),
    }
}

/// Any JSON value.
pub struct Json;

impl PartialSchema for Json {
    fn schema() -> RefOr<Schema> {
        Object::builder()
            .schema_type(SchemaType::AnyValue)
            .description(Some(
                "Any JSON value, delivered byte for byte. Objects and lists can nest at most 100 levels deep.",
            ))
            .into()
    }
}

impl ToSchema for Json {}
