//! Subscriptions: given, shown, counted.

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
use crate::flow::view::Stats;
use crate::model::secret::SigningSecret;
use crate::model::setting::{SETTINGS, Setting, SubscriptionSpec};
use crate::model::time::Timestamp;
use crate::rules::rotation::active;

/// A change to a subscription: a given member replaces the present one, and null restores the default (RFC 7396).
pub struct ChangeBody;

impl PartialSchema for ChangeBody {
    fn schema() -> RefOr<Schema> {
        let description = "A change to a subscription: a given member replaces the present one, and null \
                           restores the default (RFC 7396).";
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

/// The settings of a subscription in a response: all but secrets.
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

/// A subscription.
#[derive(Serialize, ToSchema)]
#[schema(as = Subscription, examples(json!(SubscriptionBody::example())))]
pub struct SubscriptionBody {
    /// Its id.
    #[schema(value_type = SubscriptionIdText)]
    id: String,
    /// The settings.
    #[serde(flatten)]
    #[schema(value_type = SettingsBody)]
    spec: Map<String, Value>,
    /// Whose the client certificate is and until when it is valid; null if there is none.
    tls_client: Option<TlsClientBody>,
    /// Whether it is switched on.
    enabled: bool,
    /// How its receiver is doing.
    #[schema(value_type = Health)]
    health: &'static str,
    /// Why it is switched off.
    #[schema(value_type = Option<DisabledReason>, required)]
    disabled_reason: Option<&'static str>,
    /// Since when it is switched off.
    #[schema(value_type = Option<Time>, required)]
    disabled_at: Option<Timestamp>,
    /// The answer that led to it, in a few words.
    #[schema(required)]
    disabled_detail: Option<String>,
    /// Who changes it.
    #[schema(value_type = ManagedBy)]
    managed_by: &'static str,
    /// When it was made.
    #[schema(value_type = Time)]
    created_at: Timestamp,
    /// When its settings last changed.
    #[schema(value_type = Time)]
    updated_at: Timestamp,
    /// Its deliveries by state, over the retained log.
    stats: StatsBody,
    /// What signs its deliveries, without the secrets themselves: the current one, then those that a rotation left.
    secrets: Vec<SecretBody>,
    /// The signing secret: only in the answer that made it.
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

    /// The subscription at `now` without its secret.
    pub fn new(entry: &Entry, stats: Stats, now: Timestamp) -> Self {
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

    /// The same with its current secret, for the answer that made it.
    #[must_use]
    pub fn revealing(mut self, entry: &Entry) -> Self {
        let current = entry.subscription.secrets.first();
        self.secret = current.map(|signing| signing.secret.reveal().to_owned());
        self
    }
}

/// The client certificate that a subscription shows its receiver; its key is set.
#[derive(Serialize, ToSchema)]
pub struct TlsClientBody {
    /// Whose it is, such as `CN=postrider,O=Acme`.
    subject: String,
    /// Until when it is valid.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// A secret that signs, as far as it may be shown.
#[derive(Serialize, ToSchema)]
#[schema(as = ShownSecret)]
pub struct SecretBody {
    /// How it signs.
    #[schema(value_type = SecretKind)]
    kind: &'static str,
    /// Since when it signs.
    #[schema(value_type = Time)]
    created_at: Timestamp,
    /// When it stops; null for the current one.
    #[schema(value_type = Option<Time>, required)]
    expires_at: Option<Timestamp>,
    /// What verifies what an `ed25519` secret signs.
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

/// A subscription that was switched on, with the health check if one was sent.
#[derive(Serialize, ToSchema)]
#[schema(as = Enabled, examples(json!(EnabledBody::example())))]
pub struct EnabledBody {
    /// The subscription.
    #[serde(flatten)]
    pub subscription: SubscriptionBody,
    /// The health check; null if none was needed.
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

/// A subscription's deliveries by state, and its filter's failures.
#[derive(Serialize, ToSchema)]
#[schema(as = SubscriptionStats, examples(json!(StatsBody::example())))]
pub struct StatsBody {
    pending: u64,
    held: u64,
    in_flight: u64,
    succeeded: u64,
    exhausted: u64,
    cancelled: u64,
    /// When the oldest delivery that still waits was made.
    #[schema(value_type = Option<Time>, required)]
    oldest_waiting_at: Option<Timestamp>,
    /// How often `filter` failed while running, which counts as not matching.
    filter_errors: u64,
    /// The last such failure.
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

impl From<Stats> for StatsBody {
    fn from(stats: Stats) -> Self {
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
