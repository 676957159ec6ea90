//! Subscriptions: given, shown, counted.

use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::openapi::schema::{Object, OneOf, Schema, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::delivery::AttemptBody;
use super::schema::{
    DisabledReason, EmailText, EventTermText, FilterText, Format, Headers, Health, ManagedBy, NameText,
    Ordering, ProjectTermText, PublicKeyText, RateText, SecretKind, SecretText, SubscriptionIdText, Time,
    TimeoutText, UrlText, WaitText,
};
use crate::flow::subscriptions::Entry;
use crate::flow::view::Stats;
use crate::model::secret::SigningSecret;
use crate::model::time::Timestamp;
use crate::rules::rotation::active;

/// A change to a subscription: a member given replaces, null goes back to the default (RFC 7396).
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SubscriptionChange, examples(json!({ "events": ["TODO_*"], "timeout": null, "enabled": true })))]
pub struct ChangeBody {
    /// A name for people; the URL's host if left out.
    #[schema(value_type = Option<NameText>)]
    name: Option<String>,
    /// Where deliveries go.
    #[schema(value_type = UrlText, required = false)]
    url: Option<String>,
    /// Which event types; everything if left out.
    #[schema(value_type = Option<Vec<EventTermText>>, min_items = 1, max_items = 10_000)]
    events: Option<Vec<String>>,
    /// Which projects; everything if left out.
    #[schema(value_type = Option<Vec<ProjectTermText>>, min_items = 1, max_items = 10_000)]
    projects: Option<Vec<String>>,
    /// What else must be true.
    #[schema(value_type = Option<FilterText>)]
    filter: Option<String>,
    /// The shape of the body; `standard` if left out.
    #[schema(value_type = Option<Format>)]
    format: Option<String>,
    /// Headers added to each request.
    #[schema(value_type = Option<Headers>)]
    headers: Option<Value>,
    /// The deadline of a whole exchange; `delivery.timeout` if left out.
    #[schema(value_type = Option<TimeoutText>)]
    timeout: Option<String>,
    /// Waits before attempts 2, 3, …; `delivery.retry_schedule` if left out, and a single attempt if empty.
    #[schema(value_type = Option<Vec<WaitText>>, max_items = 30)]
    retry_schedule: Option<Vec<String>>,
    /// Requests out at once; `delivery.max_in_flight_per_subscription` if left out.
    #[schema(minimum = 1, maximum = 1024)]
    max_in_flight: Option<u32>,
    /// The most attempts in a span of time; no limit if left out.
    #[schema(value_type = Option<RateText>)]
    rate_limit: Option<String>,
    /// Whether deliveries wait for those before them; `none` if left out.
    #[schema(value_type = Option<Ordering>)]
    ordering: Option<String>,
    /// PEM of the only authorities that may vouch for the receiver; those of the system if left out.
    tls_ca: Option<String>,
    /// PEM of the client certificate, and of those that lead to its authority.
    tls_client_cert: Option<String>,
    /// PEM of its key. Never shown.
    #[schema(write_only)]
    tls_client_key: Option<String>,
    /// Who gets mail about its health, as `mail` of the config says.
    #[schema(value_type = Option<EmailText>)]
    notify_email: Option<String>,
    /// Whether it is switched on.
    enabled: Option<bool>,
}

/// A new subscription: what a change takes, the URL required, and the secret if it is not to be made.
pub struct NewSubscription;

impl PartialSchema for NewSubscription {
    fn schema() -> RefOr<Schema> {
        let RefOr::T(Schema::Object(mut object)) = ChangeBody::schema() else { return ChangeBody::schema() };
        let reference = |name: &str| RefOr::from(Ref::from_schema_name(name));
        object.description = Some("A new subscription.".to_owned());
        object.required.push("url".to_owned());
        object.properties.insert("url".to_owned(), reference("Url"));
        let secret = OneOf::builder().item(Object::with_type(Type::Null)).item(reference("Secret"));
        let secret = secret.description(Some("What signs its deliveries; made if left out."));
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

/// The settings of a subscription as they show.
#[derive(Serialize, ToSchema)]
#[schema(as = SubscriptionSettings)]
pub struct SettingsBody {
    /// A name for people.
    #[schema(value_type = NameText)]
    name: String,
    /// Where deliveries go.
    #[schema(value_type = UrlText)]
    url: String,
    /// Which event types.
    #[schema(value_type = Vec<EventTermText>, min_items = 1)]
    events: Vec<String>,
    /// Which projects.
    #[schema(value_type = Vec<ProjectTermText>, min_items = 1)]
    projects: Vec<String>,
    /// What else must be true.
    #[schema(value_type = Option<FilterText>, required)]
    filter: Option<String>,
    /// The shape of the body.
    #[schema(value_type = Format)]
    format: String,
    /// Headers added to each request.
    #[schema(value_type = Headers)]
    headers: Value,
    /// The deadline of a whole exchange; null follows `delivery.timeout`.
    #[schema(required)]
    timeout: Option<String>,
    /// Waits before attempts 2, 3, …; null follows `delivery.retry_schedule`.
    #[schema(required)]
    retry_schedule: Option<Vec<String>>,
    /// Requests out at once; null follows `delivery.max_in_flight_per_subscription`.
    #[schema(required, minimum = 1, maximum = 1024)]
    max_in_flight: Option<u32>,
    /// The most attempts in a span of time.
    #[schema(value_type = Option<RateText>, required)]
    rate_limit: Option<String>,
    /// Whether deliveries wait for those before them.
    #[schema(value_type = Ordering)]
    ordering: String,
    /// Who gets mail about its health.
    #[schema(value_type = Option<EmailText>, required)]
    notify_email: Option<String>,
}

/// A subscription.
#[derive(Serialize, ToSchema)]
#[schema(as = Subscription, examples(json!(SubscriptionBody::example())))]
pub struct SubscriptionBody {
    /// Its id.
    #[schema(value_type = SubscriptionIdText)]
    id: String,
    /// `name url events projects filter format headers timeout retry_schedule max_in_flight rate_limit ordering tls_ca tls_client_cert notify_email`.
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
    /// What the document shows.
    pub fn example() -> Value {
        json!({
            "id": "sub_01K3Z9Q0B1D3F5H7K9M1P3R5T7", "name": "crm", "url": "https://crm.internal/hooks",
            "events": ["TODO_*", "!TODO_DELETED"], "projects": ["acme/*", "globex/website"], "filter": null,
            "format": "standard", "headers": {}, "timeout": null, "retry_schedule": null, "max_in_flight": null,
            "rate_limit": null, "ordering": "none", "notify_email": null, "enabled": true, "health": "healthy",
            "disabled_reason": null, "disabled_at": null, "disabled_detail": null, "managed_by": "api",
            "created_at": "2026-01-31T08:00:00.000Z", "updated_at": "2026-01-31T08:00:00.000Z",
            "stats": StatsBody::example(),
            "secrets": [{ "kind": "hmac-sha256", "created_at": "2026-01-31T08:00:00.000Z", "expires_at": null }],
        })
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
