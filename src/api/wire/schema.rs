//! What the OpenAPI document says of single values: types that exist for their schema alone.
//!
//! A pattern says in the language of the document what `model` parses; tests hold the two together.

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

/// A string with a pattern: the name in the document, its description, the pattern, examples.
macro_rules! text {
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

/// A string that is one of a few words, all of them taken from the model.
macro_rules! words {
    ($($(#[doc = $doc:literal])+ $name:ident: $all:expr;)+) => { $(
        $(#[doc = $doc])+
        pub struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let words: Vec<&str> = $all.iter().map(|value| value.as_str()).collect();
                string(concat!($($doc),+).trim()).enum_values(Some(words)).into()
            }
        }

        impl ToSchema for $name {}
    )+ };
}

fn string(description: &str) -> ObjectBuilder {
    Object::builder().schema_type(Type::String).description(Some(description))
}

/// The 26 digits of a ULID.
macro_rules! ulid {
    ($prefix:literal) => {
        concat!("^", $prefix, "[0-7][0-9A-HJKMNP-TV-Z]{25}$")
    };
}

/// A name of an event type, a project or a company.
macro_rules! name {
    () => {
        "[A-Za-z0-9_.:-]{1,128}"
    };
}

text! {
    /// An event's id, which is also sent as `webhook-id`.
    EventIdText: ulid!("evt_"), ["evt_01K3Z9QJ5M8W2R4T6Y8A0C2E4G"];
    /// A subscription's id.
    SubscriptionIdText: ulid!("sub_"), ["sub_01K3Z9Q0B1D3F5H7K9M1P3R5T7"];
    /// A delivery's id.
    DeliveryIdText: ulid!("dlv_"), ["dlv_01K3Z9QJ5M8W2R4T6Y8A0C2E4H"];
    /// A replay's id.
    ReplayIdText: ulid!("rpl_"), ["rpl_01K3Z9R0A1C3E5G7J9N1Q3S5V7"];
    /// What happened.
    EventTypeText: concat!("^", name!(), "$"), ["TODO_CREATED", "invoice.paid"];
    /// A project's id.
    ProjectText: concat!("^", name!(), "$"), ["website"];
    /// A company's id.
    CompanyText: concat!("^", name!(), "$"), ["acme"];
    /// The sender's own id of an event, scoped to its project and company.
    SenderIdText: "^[!-~]{1,128}$", ["order-4711"];
    /// An event type, a prefix of some, or everything; with `!` it is taken out.
    EventTermText: concat!("^(\\*|!?", name!(), "\\*?)$"), ["TODO_*", "!TODO_DELETED"];
    /// A project, one of a company, every one of a company, or everything; with `!` it is taken out.
    ProjectTermText: concat!("^(\\*|!?", name!(), "(/(", name!(), "|\\*))?)$"), ["acme/*", "globex/website"];
    /// A name for people: up to 128 printable characters, and not spaces alone.
    NameText: concat!(
        "^(?![^\\x00-\\x1f]{129})",
        "[^\\x00-\\x1f\\x7f-\\x9f]{0,127}[^\\s\\x00-\\x1f\\x7f-\\x9f][^\\x00-\\x1f\\x7f-\\x9f]{0,127}$"
    ), ["crm"];
    /// An e-mail address: at most 64 characters before the `@`, at most 254 in all.
    EmailText: concat!(
        "^(?![^@]{65})(?!.{255})",
        "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*",
        "@[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$"
    ), ["ops@acme.example"];
    /// A value of a header: visible ASCII characters and spaces.
    HeaderValueText: "^[\\t -~]{0,1024}$", ["sales"];
    /// The deadline of a whole exchange: 100ms to 60s.
    TimeoutText: "^([1-9][0-9]{2,3}ms|[1-5][0-9]{4}ms|60000ms|[1-9]s|[1-5][0-9]s|60s|1m)$", ["7s"];
    /// The wait before an attempt: at most 7d.
    WaitText: concat!(
        "^([0-9]{1,8}ms|[1-5][0-9]{8}ms|60[0-3][0-9]{6}ms|604[0-7][0-9]{5}ms|604800000ms",
        "|[0-9]{1,5}s|[1-5][0-9]{5}s|60[0-3][0-9]{3}s|604[0-7][0-9]{2}s|604800s",
        "|[0-9]{1,3}m|[1-9][0-9]{3}m|100[0-7][0-9]m|10080m|[0-9]{1,2}h|1[0-5][0-9]h|16[0-8]h|[0-7]d)$"
    ), ["5s", "2m"];
    /// So many attempts in a second, a minute or an hour.
    RateText: "^([1-9][0-9]{0,8}|[1-3][0-9]{9}|4[01][0-9]{8})/[smh]$", ["50/s", "1000/h"];
    /// The public half of an ed25519 secret, which its receivers verify with.
    PublicKeyText: "^whpk_[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$", ["whpk_C51Q6RBGJX0pJj8y6W+gNEKhZB3wpAuCjXSNrqR0SBk="];
    /// How long secrets sign side by side: at most 30d.
    GraceText: concat!(
        "^([0-9]{1,9}ms|1[0-9]{9}ms|2[0-4][0-9]{8}ms|25[0-8][0-9]{7}ms|259[01][0-9]{6}ms|2592000000ms",
        "|[0-9]{1,6}s|1[0-9]{6}s|2[0-4][0-9]{5}s|25[0-8][0-9]{4}s|259[01][0-9]{3}s|2592000s",
        "|[0-9]{1,4}m|[1-3][0-9]{4}m|4[0-2][0-9]{3}m|43[01][0-9]{2}m|43200m",
        "|[0-9]{1,2}h|[1-6][0-9]{2}h|7[01][0-9]h|720h|[0-9]d|[12][0-9]d|30d)$"
    ), ["24h"];
    /// The version of something, strong: a quoted text that is another when a setting has changed.
    EntityTagText: "^\"[0-9a-f]{1,32}\"$", ["\"9f86d081884c7d65\""];
    /// A call's own name, made up by the caller.
    IdempotencyKeyText: "^[!-~]{1,255}$", ["order-1024"];
    /// Where a project stands in the list: `company/project`, or `project` alone.
    ProjectKeyText: concat!("^(", name!(), "/)?", name!(), "$"), ["acme/website"];
    /// The last id that was heard.
    StreamIdText: "^[0-9]{1,19}$", ["1853283172581376"];
}

words! {
    /// Where a delivery stands: `pending` (never tried, or waiting for a retry), `in_flight`, `succeeded`,
    /// `exhausted` (its attempts are used up), `held` (its subscription is switched off) or `cancelled`.
    DeliveryState: State::ALL;
    /// Why there was no complete answer.
    AttemptError: ErrorClass::ALL;
    /// What happens, as the stream tells it.
    HappeningKind: stream::Kind::ALL;
    /// What changed about a subscription.
    SubscriptionChangeKind: stream::Change::ALL;
    /// How a delivery ended.
    FinalState: [State::Succeeded, State::Exhausted, State::Cancelled];
    /// How far a replay is.
    ReplayState: [JobState::Running, JobState::Done, JobState::Cancelled, JobState::Failed];
    /// How a secret signs.
    SecretKind: [secret::SecretKind::HmacSha256, secret::SecretKind::Ed25519];
    /// How a subscription's receiver is doing.
    Health: subscription::Health::ALL;
    /// Why a subscription is switched off.
    DisabledReason: Reason::ALL;
    /// Who changes a subscription.
    ManagedBy: subscription::ManagedBy::ALL;
    /// The shape of the body that a receiver gets.
    Format: subscription::Format::ALL;
    /// Whether deliveries wait for those before them.
    Ordering: subscription::Ordering::ALL;
}

/// A time: RFC 3339, in answers UTC with milliseconds.
pub struct Time;

impl PartialSchema for Time {
    fn schema() -> RefOr<Schema> {
        time("A time in RFC 3339; in answers UTC, with milliseconds.").into()
    }
}

impl ToSchema for Time {}

/// A time that is given: RFC 3339, since 1970.
pub struct GivenTime;

/// The daemon's calendar ends a day before that of RFC 3339.
const YEARS: &str = "^(19[7-9][0-9]|[2-8][0-9]{3}|9[0-8][0-9]{2}|99[0-8][0-9]|999[0-8])-";

impl PartialSchema for GivenTime {
    fn schema() -> RefOr<Schema> {
        time("A time since 1970 in RFC 3339.").pattern(Some(YEARS)).into()
    }
}

impl ToSchema for GivenTime {}

fn time(description: &str) -> ObjectBuilder {
    string(description)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .examples(["2026-01-31T08:00:00.000Z"])
}

/// What `If-Match` takes.
pub struct IfMatchText;

impl PartialSchema for IfMatchText {
    fn schema() -> RefOr<Schema> {
        string("`*`, or versions as `ETag` gave them.")
            .format(Some(SchemaFormat::Custom("entity-tags".to_owned())))
            .pattern(Some("^(\\*|(W/)?\"[!#-~]*\"(, ?(W/)?\"[!#-~]*\")*)$"))
            .examples(["\"9f86d081884c7d65\"", "*"])
            .into()
    }
}

impl ToSchema for IfMatchText {}

/// A secret.
pub struct SecretText;

/// `whsec_` and the base64 of 24 to 64 bytes, or `whsk_` and the base64 of a private key of 32 bytes, or of 64 with its
/// public half.
const SECRET: &str = concat!(
    "^(whsec_([A-Za-z0-9+/]{4}){8,20}",
    "(([A-Za-z0-9+/]{4})?([A-Za-z0-9+/][AQgw]==)?|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)",
    "|whsk_[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=|whsk_[A-Za-z0-9+/]{85}[AQgw]==)$"
);

impl PartialSchema for SecretText {
    fn schema() -> RefOr<Schema> {
        string("A secret that signs deliveries: `whsec_` (HMAC-SHA256) or `whsk_` (ed25519), and base64.")
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

/// Where deliveries go.
pub struct UrlText;

impl PartialSchema for UrlText {
    fn schema() -> RefOr<Schema> {
        let text =
            "Where deliveries go: http or https, without a #fragment, and to an address that may be called.";
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

/// A filter.
pub struct FilterText;

impl PartialSchema for FilterText {
    fn schema() -> RefOr<Schema> {
        string("A CEL expression over `event` that must also be true.")
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

/// Headers by name.
pub struct Headers;

/// The name of a header that neither the daemon nor HTTP sets.
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
                "Headers added to each request; those that the daemon or HTTP sets are refused.",
            ))
            .property_names(Some(Schema::from(name)))
            .additional_properties(Some(value))
            .max_properties(Some(32))
            .examples([serde_json::json!({ "x-team": "sales" })])
            .into()
    }
}

impl ToSchema for Headers {}

/// The schema itself, of a type that has one.
fn plain<T: PartialSchema>() -> Schema {
    match T::schema() {
        RefOr::T(schema) => schema,
        RefOr::Ref(_) => Schema::default(),
    }
}

/// Any JSON.
pub struct Json;

impl PartialSchema for Json {
    fn schema() -> RefOr<Schema> {
        Object::builder()
            .schema_type(SchemaType::AnyValue)
            .description(Some(
                "Any JSON, passed through byte for byte; objects and lists at most 100 deep in each other.",
            ))
            .into()
    }
}

impl ToSchema for Json {}
