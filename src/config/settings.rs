//! The typed form of `config.toml`: one struct for each section.
//!
//! The values are checked: no setting is out of range. A key stands here, in [`read`](super::read), and, with its
//! default and its description, in `config.toml`. A key that only a restart applies also stands in [`RESTART_KEYS`].

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use ipnet::IpNet;
use url::Url;

use crate::model::email::EmailAddress;
use crate::model::input::SubscriptionInput;
use crate::model::name::{CompanyId, EventType, ProjectId};
use crate::model::proxy::Proxy;
use crate::model::secret::Secret;
use crate::model::selector::EventSelector;
use crate::model::subscription::DisablePolicy;
use crate::model::time::Interval;

/// All settings of the daemon, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `[server]`: the addresses and limits of the API.
    pub server: Server,
    /// `[storage]`: the location and the memory of the log.
    pub storage: Storage,
    /// `[retention]`: when finished and held deliveries are pruned.
    pub retention: Retention,
    /// `[events]`: the deduplication of events.
    pub events: Events,
    /// `[delivery]`: how deliveries are attempted, unless a subscription overrides it.
    pub delivery: Delivery,
    /// `[health]`: when a failing subscription is disabled.
    pub health: Health,
    /// `[api]`: the limits of the management API.
    pub api: Api,
    /// `[log]`: the level and format of the log.
    pub log: Log,
    /// `[mail]`: the mail server and the recipients.
    pub mail: Mail,
    /// `[otlp]`: the export of traces.
    pub otlp: Otlp,
    /// `[auth]`: the API keys.
    pub auth: Auth,
    /// `[[event_types]]`: the catalog of event types; names are unique.
    pub event_types: Vec<EventTypeEntry>,
    /// `[[projects]]`: the catalog of projects; company and id together are unique.
    pub projects: Vec<ProjectEntry>,
    /// `[[subscriptions]]`; names are unique.
    pub subscriptions: Vec<ConfigSubscription>,
}

/// A key of the config file, and whether its value differs between two configs.
pub(super) type RestartKey = (&'static str, fn(&Config, &Config) -> bool);

/// Lists keys by section; a key that several fields make up, or that has another form here, names its own comparison.
macro_rules! restart_keys {
    ($($section:ident . $key:ident $(by $differs:expr)?),* $(,)?) => {
        &[$((
            concat!(stringify!($section), ".", stringify!($key)),
            restart_keys!(@differs $section $key $($differs)?),
        )),*]
    };
    (@differs $section:ident $key:ident) => { |old, new| old.$section.$key != new.$section.$key };
    (@differs $section:ident $key:ident $differs:expr) => { $differs };
}

/// The keys that only a restart applies. A test compares them with the marks `(restart)` in `config.toml`.
pub(super) const RESTART_KEYS: &[RestartKey] = restart_keys![
    server.listen,
    server.tls_cert by |old, new| old.server.tls.is_some() != new.server.tls.is_some(),
    server.unix_mode,
    server.queue_events_max,
    server.queue_bytes_max,
    storage.path,
    storage.key_file,
    storage.cache,
    events.dedup_window,
    delivery.connect_timeout,
    delivery.response_bytes_max,
    delivery.allow_networks,
    delivery.max_in_flight,
    delivery.proxy,
    delivery.payload_cache,
    api.stream_events_max,
    api.stream_readers_max,
    log.format,
    otlp.endpoint,
    otlp.sample_ratio by |old, new| old.otlp.sample_ratio.to_bits() != new.otlp.sample_ratio.to_bits(),
];

impl Config {
    /// Returns the keys that differ in `new` and that only a restart applies.
    pub fn restart_keys(&self, new: &Self) -> Vec<&'static str> {
        RESTART_KEYS.iter().filter(|(_, differs)| differs(self, new)).map(|(key, _)| *key).collect()
    }
}

/// The section `[server]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// The addresses of the API; never empty. A restart applies it.
    pub listen: Vec<Listen>,
    /// The certificate and key; none means plain HTTP. Enabling or disabling TLS needs a restart. Other files take effect
    /// at a reload.
    pub tls: Option<TlsFiles>,
    /// The mode bits of Unix sockets, which decide who may connect. A restart applies it.
    pub unix_mode: u32,
    /// The largest request body, in bytes.
    pub body_bytes_max: usize,
    /// The most events in one request.
    pub batch_events_max: usize,
    /// The most events that wait to become durable. Requests beyond it are answered with 429. A restart applies it.
    pub queue_events_max: usize,
    /// The most bytes of request bodies in memory. Requests beyond it are answered with 429. A restart applies it.
    pub queue_bytes_max: usize,
}

/// The files of a certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The PEM file of the certificate, followed by its chain.
    pub cert: PathBuf,
    /// The PEM file of the private key.
    pub key: PathBuf,
}

/// An address of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// An IP address and port.
    Tcp(SocketAddr),
    /// A Unix socket at this path, written `unix:/path`.
    Unix(PathBuf),
}

impl Listen {
    /// Returns whether only this machine can reach the address.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("unix:") {
            Some("") => Err("'unix:' has no path: write a path such as \"unix:/run/postrider.sock\"".to_owned()),
            Some(path) => Ok(Self::Unix(PathBuf::from(path))),
            None => text.parse().map(Self::Tcp).map_err(|_| {
                format!(
                    "'{text}' is not an address such as \"127.0.0.1:8740\", \"[::1]:8740\" or \"unix:/run/postrider.sock\""
                )
            }),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// `[storage]`. A restart applies all of it but `disk_reserve`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// The data directory.
    pub path: PathBuf,
    /// The file of the key that encrypts secrets; none means `key` in the data directory.
    pub key_file: Option<PathBuf>,
    /// The bytes of memory for the store's page cache.
    pub cache: u64,
    /// The bytes of free disk space below which events are refused.
    pub disk_reserve: u64,
}

/// The section `[retention]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// The age at which finished events, deliveries and attempts are pruned.
    pub events: Interval,
    /// The age at which held deliveries are pruned.
    pub held: Interval,
    /// The bytes of rows above which the oldest finished events are pruned early; 0 means no limit.
    pub size: u64,
}

/// The section `[events]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Events {
    /// The time for which the ids that senders give to events are remembered. A restart applies it.
    pub dedup_window: Interval,
}

/// The section `[delivery]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The time limit of a whole attempt.
    pub timeout: Interval,
    /// The time limit for connecting, within `timeout`. A restart applies it.
    pub connect_timeout: Interval,
    /// The delays before attempts 2, 3, …; empty means a single attempt.
    pub retry_schedule: Vec<Interval>,
    /// The random deviation from each delay, as a share of the delay: 0 to 1.
    pub jitter: f64,
    /// The most requests in flight. A restart applies it.
    pub max_in_flight: usize,
    /// The most requests in flight to one subscription.
    pub max_in_flight_per_subscription: usize,
    /// The bytes of a response body that are read. A restart applies it.
    pub response_bytes_max: usize,
    /// The private networks that deliveries may reach. A restart applies it.
    pub allow_networks: Vec<IpNet>,
    /// The most deliveries of one lane in memory.
    pub lane_page: usize,
    /// The bytes of memory for the bodies of deliveries that are about to be sent. A restart applies it.
    pub payload_cache: u64,
    /// The HTTP proxy for deliveries, and the receivers that bypass it. A restart applies it.
    pub proxy: Option<Proxy>,
}

/// The section `[health]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// Whether a delivery that has used its last attempt disables its subscription.
    pub disable: DisablePolicy,
}

/// `[api]`. A restart applies the keys that begin with `stream_`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Api {
    /// The number of newest stream events that are kept for clients of `/v1/stream`.
    pub stream_events_max: usize,
    /// The most clients of `/v1/stream`.
    pub stream_readers_max: usize,
    /// The most replays that run at once.
    pub replays_running_max: usize,
    /// The number of waiting deliveries at which a replay of their subscription pauses.
    pub replay_backlog_max: usize,
    /// The most subscriptions that `/metrics` names per criterion.
    pub metrics_subscriptions_max: usize,
}

/// The section `[log]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// A directive of `tracing_subscriber::EnvFilter`, such as `info` or `postrider=debug,info`.
    pub level: String,
    /// The format of a line. A restart applies it.
    pub format: LogFormat,
}

/// The section `[mail]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Mail {
    /// The URL of the server, with credentials; none disables mail.
    pub smtp: Option<Url>,
    /// The sender's address.
    pub from: EmailAddress,
    /// The recipients of all mail.
    pub to: Vec<EmailAddress>,
    /// The event types that are mailed.
    pub about: EventSelector,
}

/// `[otlp]`. A restart applies it.
#[derive(Clone, Debug, PartialEq)]
pub struct Otlp {
    /// The URL of the collector; traces go to `/v1/traces` under it. None disables traces.
    pub endpoint: Option<Url>,
    /// The share of traces without a parent that are exported: 0 to 1.
    pub sample_ratio: f64,
}

/// The section `[auth]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Auth {
    /// `[[auth.keys]]`; names are unique. If empty, every listener is local.
    pub keys: Vec<Key>,
}

/// An API key, of which only the digest is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The name of the key.
    pub name: String,
    /// The role of the key.
    pub role: Role,
    /// SHA-256 of the key's text.
    pub sha256: [u8; 32],
}

/// The permissions of an API key. [`Admin`](Self::Admin) includes the other two, which do not include each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// May submit events.
    Ingest,
    /// May read everything.
    Read,
    /// May do everything.
    Admin,
}

impl Role {
    /// Every role with its word in the config file.
    pub const WORDS: [(&str, Self); 3] =
        [("ingest", Self::Ingest), ("read", Self::Read), ("admin", Self::Admin)];

    /// Returns the word of the config file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Read => "read",
            Self::Admin => "admin",
        }
    }
}

/// The format of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogFormat {
    /// Text for people.
    Text,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// Every format with its word in the config file.
    pub const WORDS: [(&str, Self); 2] = [("text", Self::Text), ("json", Self::Json)];

    /// Returns the word of the config file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// An event type of the catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventTypeEntry {
    /// The event type.
    pub name: EventType,
    /// The heading under which the type is listed.
    pub group: Option<String>,
    /// The meaning of the type.
    pub description: Option<String>,
}

/// A project of the catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectEntry {
    /// The company of the project.
    pub company: Option<CompanyId>,
    /// The id of the project.
    pub id: ProjectId,
    /// The display name of the project.
    pub name: Option<String>,
}

/// A subscription of the config file.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigSubscription {
    /// The settings. `secret` is empty, and `enabled` is false if the file disables the subscription.
    pub input: SubscriptionInput,
    /// The secret that signs deliveries, from the file, a variable or another file.
    pub secret: Secret,
}
