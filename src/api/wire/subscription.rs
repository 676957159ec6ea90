//! The JSON forms of subscriptions.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::openapi::schema::{AdditionalProperties, Object, ObjectBuilder, OneOf, Schema, SchemaType, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::delivery::AttemptBody;
use super::schema::{
    DisabledReason, Health, ManagedBy, PublicKeyText, SecretKind, SecretText, SubscriptionIdText, Time,
};
use super::setting_schema;
use crate::flow::Entry;
use crate::flow::query::status::DeliveryStats;
use crate::model::secret::SigningSecret;
use crate::model::setting::{SETTINGS, Setting, SubscriptionSpec};
use crate::model::time::Timestamp;
use crate::rules::rotation::active;

/// A change to a subscription, as a JSON Merge Patch (RFC 7396).
pub struct ChangeBody;

impl PartialSchema for ChangeBody {
    fn schema() -> RefOr<Schema> {
        let description = "A change to a subscription, as a JSON Merge Patch (RFC 7396). Members that you give \
                           replace the current values, and null restores the default.";
        let properties = SETTINGS.iter().map(|setting| (setting.name, setting_schema::given(setting)));
        let object =
            properties.fold(Object::builder(), |object, (name, schema)| object.property(name, schema));
        let enabled = Object::builder()
            .schema_type(SchemaType::from_iter([Type::Boolean, Type::Null]))
            .description(Some("Whether the subscription is enabled."));
        object
            .schema_type(Type::Object)
            .description(Some(description))
            .property("enabled", enabled)
            .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)))
            .examples([json!({ "events": ["TODO_*"], "timeout": null, "enabled": true })])
            .into()
    }
}

impl ToSchema for ChangeBody {
    fn name() -> Cow<'static, str> {
        "SubscriptionChange".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        setting_schema::components(schemas);
    }
}

/// A new subscription: the members of a change with a required URL, and optionally the signing secret.
pub struct NewSubscription;

impl PartialSchema for NewSubscription {
    fn schema() -> RefOr<Schema> {
        let RefOr::T(Schema::Object(mut object)) = ChangeBody::schema() else { return ChangeBody::schema() };
        let reference = |name: &str| RefOr::from(Ref::from_schema_name(name));
        object.description = Some("A new subscription.".to_owned());
        object.required.push("url".to_owned());
        object.properties.insert("url".to_owned(), reference("Url"));
        let secret = OneOf::builder().item(Object::with_type(Type::Null)).item(reference("Secret"));
        let secret = secret.description(Some("The signing secret. Default: the daemon generates one."));
        object.properties.insert("secret".to_owned(), secret.into());
        object.examples = vec![json!({
            "name": "crm", "url": "https://crm.internal/hooks", "events": ["TODO_*", "!TODO_DELETED"],
            "projects": ["acme/*", "globex/website"],
        })];
        Schema::Object(object).into()
    }
}

impl ToSchema for NewSubscription {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        ChangeBody::schemas(schemas);
        schemas.push((SecretText::name().into_owned(), SecretText::schema()));
    }
}

/// The settings of a subscription in a response, without secrets.
pub struct SettingsBody;

impl PartialSchema for SettingsBody {
    fn schema() -> RefOr<Schema> {
        let shown = SETTINGS.iter().filter(|setting| !setting.is_secret());
        let property = |object: ObjectBuilder, setting: &Setting| {
            object.property(setting.name, setting_schema::shown(setting)).required(setting.name)
        };
        shown
            .fold(Object::builder(), property)
            .schema_type(Type::Object)
            .description(Some("The settings of a subscription."))
            .into()
    }
}

impl ToSchema for SettingsBody {
    fn name() -> Cow<'static, str> {
        "SubscriptionSettings".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        setting_schema::components(schemas);
    }
}

/// A subscription, with its state and statistics.
#[derive(Serialize, ToSchema)]
#[schema(as = Subscription, examples(json!(SubscriptionBody::example())))]
pub struct SubscriptionBody {
    /// The subscription's id.
    #[schema(value_type = SubscriptionIdText)]
    id: String,
    /// The settings of the subscription.
    #[serde(flatten)]
    #[schema(value_type = SettingsBody)]
    spec: Map<String, Value>,
    /// The client certificate; null if there is none.
    tls_client: Option<TlsClientBody>,
    /// Whether the subscription is enabled.
    enabled: bool,
    /// The health of the receiver.
    #[schema(value_type = Health)]
    health: &'static str,
    /// The reason that the subscription is disabled; null if it is enabled.
    #[schema(value_type = Option<DisabledReason>, required)]
    disabled_reason: Option<&'static str>,
    /// The time when the subscription was disabled; null if it is enabled.
    #[schema(value_type = Option<Time>, required)]
    disabled_at: Option<Timestamp>,
    /// The response or error that made the daemon disable the subscription; null if there is none.
    #[schema(required)]
    disabled_detail: Option<String>,
    /// The place where the subscription is managed: through the API, or in the config file.
    #[schema(value_type = ManagedBy)]
    managed_by: &'static str,
    /// The time when the subscription was created.
    #[schema(value_type = Time)]
    created_at: Timestamp,
    /// The time when a setting last changed.
    #[schema(value_type = Time)]
    updated_at: Timestamp,
    /// The statistics of the deliveries in the log.
    stats: StatsBody,
    /// The secrets that sign deliveries, without their values: the current secret, then earlier ones whose grace period
    /// has not ended.
    secrets: Vec<SecretBody>,
    /// The value of the current secret. Only the response that creates the secret contains it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = SecretText, required = false)]
    secret: Option<String>,
}

impl SubscriptionBody {
    /// Returns the example in the OpenAPI document.
    pub fn example() -> Value {
        let mut example = json!({
            "id": "sub_01K3Z9Q0B1D3F5H7K9M1P3R5T7", "tls_client": null, "enabled": true, "health": "healthy",
            "disabled_reason": null, "disabled_at": null, "disabled_detail": null, "managed_by": "api",
            "created_at": "2026-01-31T08:00:00.000Z", "updated_at": "2026-01-31T08:00:00.000Z",
            "stats": StatsBody::example(),
            "secrets": [{ "kind": "hmac-sha256", "created_at": "2026-01-31T08:00:00.000Z", "expires_at": null }],
        });
        let given = json!({
            "name": "crm", "url": "https://crm.internal/hooks", "events": ["TODO_*", "!TODO_DELETED"],
            "projects": ["acme/*", "globex/website"],
        });
        let defaults = SubscriptionSpec::example().to_members();
        if let (Some(example), Value::Object(given)) = (example.as_object_mut(), given) {
            example.extend(defaults.into_iter().chain(given));
        }
        example
    }

    /// Returns the JSON form of a subscription at `now`, without its secret.
    pub fn new(entry: &Entry, stats: DeliveryStats, now: Timestamp) -> Self {
        let Entry { subscription, health, .. } = entry;
        let disabled = health.disabled.as_ref();
        Self {
            id: subscription.id.to_string(),
            spec: subscription.spec.to_members(),
            tls_client: subscription.spec.tls.client().map(|client| TlsClientBody {
                subject: client.chain().subject().to_owned(),
                expires_at: client.chain().expires_at(),
            }),
            enabled: disabled.is_none(),
            health: health.summary().as_str(),
            disabled_reason: disabled.map(|disabled| disabled.reason.as_str()),
            disabled_at: disabled.map(|disabled| disabled.at),
            disabled_detail: disabled.map(|disabled| disabled.detail.clone()).filter(|text| !text.is_empty()),
            managed_by: subscription.managed_by.as_str(),
            created_at: subscription.created_at,
            updated_at: subscription.updated_at,
            stats: stats.into(),
            secrets: active(&subscription.secrets, now).map(SecretBody::from).collect(),
            secret: None,
        }
    }

    /// Adds the value of the current secret, for the response that creates it.
    #[must_use]
    pub fn revealing(mut self, entry: &Entry) -> Self {
        let current = entry.subscription.secrets.first();
        self.secret = current.map(|signing| signing.secret.reveal().to_owned());
        self
    }
}

/// The client certificate that is presented to the receiver. Its private key is never shown.
#[derive(Serialize, ToSchema)]
pub struct TlsClientBody {
    /// The subject of the certificate, such as `CN=postrider,O=Acme`.
    subject: String,
    /// The time when the certificate expires.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// A signing secret, without its value.
#[derive(Serialize, ToSchema)]
#[schema(as = ShownSecret)]
pub struct SecretBody {
    /// The signature algorithm of the secret.
    #[schema(value_type = SecretKind)]
    kind: &'static str,
    /// The time when the secret was created.
    #[schema(value_type = Time)]
    created_at: Timestamp,
    /// The time when the secret stops signing; null for the current secret.
    #[schema(value_type = Option<Time>, required)]
    expires_at: Option<Timestamp>,
    /// The public key that verifies the signatures of an `ed25519` secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = PublicKeyText, required = false)]
    public_key: Option<String>,
}

impl From<&SigningSecret> for SecretBody {
    fn from(signing: &SigningSecret) -> Self {
        let SigningSecret { secret, created_at, expires_at } = signing;
        Self {
            kind: secret.kind().as_str(),
            created_at: *created_at,
            expires_at: *expires_at,
            public_key: secret.public_key().map(|key| key.to_string()),
        }
    }
}

/// An enabled subscription, with its health check if one was sent.
#[derive(Serialize, ToSchema)]
#[schema(as = Enabled, examples(json!(EnabledBody::example())))]
pub struct EnabledBody {
    /// The subscription that was enabled.
    #[serde(flatten)]
    pub subscription: SubscriptionBody,
    /// The health check; null if none was necessary.
    #[schema(required)]
    pub health_check: Option<AttemptBody>,
}

impl EnabledBody {
    fn example() -> Value {
        let mut example = SubscriptionBody::example();
        if let Some(members) = example.as_object_mut() {
            members.insert("health_check".to_owned(), Value::Null);
        }
        example
    }
}

/// The number of a subscription's deliveries by state, and the errors of its filter.
#[derive(Serialize, ToSchema)]
#[schema(as = SubscriptionStats, examples(json!(StatsBody::example())))]
pub struct StatsBody {
    /// Waiting for their first attempt or for a retry.
    pending: u64,
    /// Held while the subscription is disabled.
    held: u64,
    /// Being attempted now.
    in_flight: u64,
    /// Accepted by the receiver.
    succeeded: u64,
    /// Failed after all attempts of the retry schedule.
    exhausted: u64,
    /// Cancelled before they succeeded.
    cancelled: u64,
    /// The time when the oldest unfinished delivery was created; null if there is none.
    #[schema(value_type = Option<Time>, required)]
    oldest_waiting_at: Option<Timestamp>,
    /// The number of times that `filter` failed. An event whose evaluation fails does not match.
    filter_errors: u64,
    /// The last error of `filter`; null if there is none.
    #[schema(required)]
    last_filter_error: Option<String>,
}

impl StatsBody {
    fn example() -> Value {
        json!({
            "pending": 1, "held": 0, "in_flight": 0, "succeeded": 4711, "exhausted": 2, "cancelled": 0,
            "oldest_waiting_at": "2026-01-31T08:00:00.000Z", "filter_errors": 0, "last_filter_error": null,
        })
    }
}

impl From<DeliveryStats> for StatsBody {
    fn from(stats: DeliveryStats) -> Self {
        Self {
            pending: stats.pending,
            held: stats.held,
            in_flight: stats.in_flight,
            succeeded: stats.succeeded,
            exhausted: stats.exhausted,
            cancelled: stats.cancelled,
            oldest_waiting_at: stats.oldest_waiting_at,
            filter_errors: stats.filter_errors,
            last_filter_error: stats.last_filter_error,
        }
    }
}
