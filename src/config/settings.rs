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

/// Every setting of the daemon, valid.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `[server]`: where and how much is taken in.
    pub server: Server,
    /// `[storage]`: where the log lies and what it may use.
    pub storage: Storage,
    /// `[retention]`: how long finished and held things are kept.
    pub retention: Retention,
    /// `[events]`: how events are recognised as the same.
    pub events: Events,
    /// `[delivery]`: how deliveries are attempted, where a subscription does not say otherwise.
    pub delivery: Delivery,
    /// `[health]`: what becomes of a receiver that fails.
    pub health: Health,
    /// `[api]`: bounds of the management API.
    pub api: Api,
    /// `[log]`: what the daemon tells.
    pub log: Log,
    /// `[mail]`: whom it tells by mail.
    pub mail: Mail,
    /// `[otlp]`: where it sends traces.
    pub otlp: Otlp,
    /// `[auth]`: who may call the API.
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

/// `[server]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where the API is served; never empty. A restart applies it.
    pub listen: Vec<Listen>,
    /// What the addresses are served with; none means plain HTTP. Turning it on or off takes a restart; other files
    /// take effect at once.
    pub tls: Option<TlsFiles>,
    /// The mode bits of Unix sockets, which say who may connect. A restart applies it.
    pub unix_mode: u32,
    /// The largest request body.
    pub body_bytes_max: usize,
    /// The most events in one request.
    pub batch_events_max: usize,
    /// The most events that wait to be made durable; over it a request is answered 429. A restart applies it.
    pub queue_events_max: usize,
    /// The most bytes of request bodies in memory at once; over it a request is answered 429. A restart applies it.
    pub queue_bytes_max: usize,
}

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM: the certificate, then those that lead to its authority.
    pub cert: PathBuf,
    /// PEM: its private key.
    pub key: PathBuf,
}

/// An address to serve on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// An IP address and port.
    Tcp(SocketAddr),
    /// A Unix socket at this path, written `unix:/path`.
    Unix(PathBuf),
}

impl Listen {
    /// Whether only this machine can reach it.
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
            Some("") => Err("'unix:' has no path: write it as \"unix:/run/postrider.sock\"".to_owned()),
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
    /// The file with the key that secrets are sealed with; else `key` in the data directory.
    pub key_file: Option<PathBuf>,
    /// Bytes of memory for the store's pages.
    pub cache: u64,
    /// Bytes of free space below which events are refused.
    pub disk_reserve: u64,
}

/// `[retention]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// How long finished events, deliveries and attempts are kept.
    pub events: Interval,
    /// How long held deliveries are kept.
    pub held: Interval,
    /// Beyond so many bytes of rows the oldest finished events go earlier; 0 is no bound.
    pub size: u64,
}

/// `[events]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Events {
    /// How long a sender's id is remembered. A restart applies it.
    pub dedup_window: Interval,
}

/// `[delivery]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The deadline of a whole exchange.
    pub timeout: Interval,
    /// The deadline of connecting, part of `timeout`. A restart applies it.
    pub connect_timeout: Interval,
    /// The waits before attempts 2, 3, …; empty means one attempt.
    pub retry_schedule: Vec<Interval>,
    /// How far a wait may stray from the schedule, as a share of it: 0 to 1.
    pub jitter: f64,
    /// The most requests out at once.
    pub max_in_flight: usize,
    /// The most requests out at once to one subscription.
    pub max_in_flight_per_subscription: usize,
    /// How much of an answer's body is read. A restart applies it.
    pub response_bytes_max: usize,
    /// Networks that may be called although they are private. A restart applies it.
    pub allow_networks: Vec<IpNet>,
    /// The most deliveries that a lane holds in memory. A restart applies it.
    pub lane_page: usize,
    /// Bytes of memory for the bodies of deliveries about to go out. A restart applies it.
    pub payload_cache: u64,
    /// The HTTP proxy that receivers are called through. A restart applies it.
    pub proxy: Option<Proxy>,
}

/// `[health]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// What a delivery with no attempts left does to its subscription.
    pub disable: DisablePolicy,
}

/// `[api]`. A restart applies what begins with `stream_`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Api {
    /// How many of the newest happenings are kept for readers of `/v1/stream`.
    pub stream_events_max: usize,
    /// The most readers of `/v1/stream` at once.
    pub stream_readers_max: usize,
    /// The most replays that run at once.
    pub replays_running_max: usize,
    /// A replay waits while so many deliveries of its subscription are waiting.
    pub replay_backlog_max: usize,
    /// The most subscriptions that `/metrics` names for each reason.
    pub metrics_subscriptions_max: usize,
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// A directive of `tracing_subscriber::EnvFilter`, such as `info` or `postrider=debug,info`.
    pub level: String,
    /// The shape of a line. A restart applies it.
    pub format: LogFormat,
}

/// `[mail]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Mail {
    /// The server, with what it wants to know of us; none means no mail.
    pub smtp: Option<Url>,
    /// From whom.
    pub from: EmailAddress,
    /// To whom, whatever a notice is about.
    pub to: Vec<EmailAddress>,
    /// Which notices.
    pub about: EventSelector,
}

/// `[otlp]`. A restart applies it.
#[derive(Clone, Debug, PartialEq)]
pub struct Otlp {
    /// The collector, to whose `/v1/traces` they go; none means no traces.
    pub endpoint: Option<Url>,
    /// The share of the traces that begin here which is told of: 0 to 1.
    pub sample_ratio: f64,
}

/// `[auth]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Auth {
    /// `[[auth.keys]]`; names are unique. Empty means that every listener is local.
    pub keys: Vec<Key>,
}

/// An API key, known by its digest only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Whose it is.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// SHA-256 of the key's text.
    pub sha256: [u8; 32],
}

/// What an API key may do. [`Admin`](Self::Admin) includes the other two, which do not include each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Submit events.
    Ingest,
    /// Look at everything.
    Read,
    /// Everything.
    Admin,
}

impl Role {
    /// Every role and the word that the config file uses.
    pub const WORDS: [(&str, Self); 3] =
        [("ingest", Self::Ingest), ("read", Self::Read), ("admin", Self::Admin)];

    /// The word that the config file uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Read => "read",
            Self::Admin => "admin",
        }
    }
}

/// The shape of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// Every shape and the word that the config file uses.
    pub const WORDS: [(&str, Self); 2] = [("text", Self::Text), ("json", Self::Json)];

    /// The word that the config file uses.
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
    /// The type.
    pub name: EventType,
    /// The heading that it is listed under.
    pub group: Option<String>,
    /// What it means, for people.
    pub description: Option<String>,
}

/// A project of the catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectEntry {
    /// The company whose it is.
    pub company: Option<CompanyId>,
    /// Its id.
    pub id: ProjectId,
    /// Its name, for people.
    pub name: Option<String>,
}

/// A subscription of the config file.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigSubscription {
    /// Its settings; `secret` there is empty, and `enabled` false where the file says so.
    pub input: SubscriptionInput,
    /// What signs its deliveries, wherever the file had it from.
    pub secret: Secret,
}
