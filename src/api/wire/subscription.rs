//! Subscriptions: given, shown, counted.

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::delivery::AttemptBody;
use crate::flow::subscriptions::Entry;
use crate::flow::view::Stats;
use crate::model::secret::SigningSecret;
use crate::model::time::Timestamp;
use crate::rules::rotation::active;

/// A subscription's settings, as they are given and shown.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the schema of what model::input reads member by member")]
pub struct SubscriptionInputBody {
    /// A name for people; the URL's host if left out.
    name: Option<String>,
    /// Where deliveries go: http or https. Required to create.
    #[schema(example = "https://crm.internal/hooks")]
    url: Option<String>,
    /// Which event types; everything if left out.
    #[schema(example = json!(["TODO_*", "!TODO_DELETED"]))]
    events: Option<Vec<String>>,
    /// Which projects; everything if left out.
    #[schema(example = json!(["acme/*", "globex/website"]))]
    projects: Option<Vec<String>>,
    /// A CEL expression over `event` that must also be true.
    filter: Option<String>,
    /// `standard`, `blue`, `raw` or `cloudevents`.
    format: Option<String>,
    /// Headers added to each request.
    headers: Option<std::collections::BTreeMap<String, String>>,
    /// The deadline of a whole exchange, such as `"7s"`.
    timeout: Option<String>,
    /// Waits before attempts 2, 3, …
    retry_schedule: Option<Vec<String>>,
    /// Requests out at once.
    max_in_flight: Option<u32>,
    /// Attempts in a span of time, such as `"50/s"`.
    rate_limit: Option<String>,
    /// `none` or `fifo`.
    ordering: Option<String>,
    /// PEM of the only authorities that may vouch for the receiver; those of the system if left out.
    tls_ca: Option<String>,
    /// PEM of the client certificate, and of those that lead to its authority.
    tls_client_cert: Option<String>,
    /// PEM of its key. Never shown.
    #[schema(write_only)]
    tls_client_key: Option<String>,
    /// Whether it is switched on.
    enabled: Option<bool>,
    /// `whsec_…` for HMAC or `whsk_…` for ed25519; an HMAC one is made if left out.
    secret: Option<String>,
}

/// A subscription.
#[derive(Serialize, ToSchema)]
pub struct SubscriptionBody {
    /// Its id.
    id: String,
    /// `name url events projects filter format headers timeout retry_schedule max_in_flight rate_limit ordering tls_ca tls_client_cert`.
    #[serde(flatten)]
    #[schema(value_type = SubscriptionInputBody, inline)]
    spec: Map<String, Value>,
    /// Whose the client certificate is and until when it is valid; null if there is none.
    tls_client: Option<TlsClientBody>,
    /// Whether it is switched on.
    enabled: bool,
    /// `healthy`, `failing` or `disabled`.
    health: &'static str,
    /// Why it is switched off: `exhausted`, `gone` or `manual`.
    disabled_reason: Option<&'static str>,
    /// Since when it is switched off.
    #[schema(value_type = Option<String>, format = DateTime)]
    disabled_at: Option<Timestamp>,
    /// The answer that led to it, in a few words.
    disabled_detail: Option<String>,
    /// Who changes it: `api` or `config`.
    managed_by: &'static str,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When its settings last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    /// Its deliveries by state, over the retained log.
    stats: StatsBody,
    /// What signs its deliveries, without the secrets themselves: the current one, then those that a rotation left.
    secrets: Vec<SecretBody>,
    /// The signing secret: only in the answer that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

impl SubscriptionBody {
    /// The subscription at `now` without its secret.
    pub fn new(entry: &Entry, stats: Stats, now: Timestamp) -> Self {
        let Entry { subscription, standing, .. } = entry;
        let disabled = standing.disabled.as_ref();
        Self {
            id: subscription.id.to_string(),
            spec: subscription.spec.to_members(),
            tls_client: subscription.spec.tls.client().map(|client| TlsClientBody {
                subject: client.chain().subject().to_owned(),
                expires_at: client.chain().expires_at(),
            }),
            enabled: disabled.is_none(),
            health: standing.health().as_str(),
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
pub struct SecretBody {
    /// How it signs: `hmac-sha256` or `ed25519`.
    #[schema(example = "hmac-sha256")]
    kind: &'static str,
    /// Since when it signs.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it stops; null for the current one.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// `whpk_…`, which verifies what an `ed25519` secret signs.
    #[serde(skip_serializing_if = "Option::is_none")]
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
pub struct EnabledBody {
    /// The subscription.
    #[serde(flatten)]
    pub subscription: SubscriptionBody,
    /// The health check; null if none was needed.
    pub health_check: Option<AttemptBody>,
}

/// A subscription's deliveries by state, and its filter's failures.
#[derive(Serialize, ToSchema)]
pub struct StatsBody {
    pending: u64,
    held: u64,
    in_flight: u64,
    succeeded: u64,
    exhausted: u64,
    cancelled: u64,
    /// When the oldest delivery that still waits was made.
    #[schema(value_type = Option<String>, format = DateTime)]
    oldest_waiting_at: Option<Timestamp>,
    /// How often `filter` failed while running, which counts as not matching.
    filter_errors: u64,
    /// The last such failure.
    last_filter_error: Option<String>,
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
