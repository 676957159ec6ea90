//! Reads each section and checks its values.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use ipnet::IpNet;
use url::Url;

use super::error::{ConfigError, ConfigErrors, key_of, safe_detail, shown};
use super::layers::Layers;
use super::section::Section;
use super::subscriptions::{self, Secrets};
use super::{
    Api, Auth, Config, Delivery, EventTypeEntry, Events, Health, Key, Listen, Log, LogFormat, Mail, Otlp,
    ProjectEntry, Retention, Role, Server, Storage, TlsFiles,
};
use crate::model::email::EmailAddress;
use crate::model::problem::Problem;
use crate::model::proxy::{NoProxyEntry, Proxy};
use crate::model::selector::EventSelector;
use crate::model::setting::reader::{kind, read_retry_schedule};
use crate::model::time::Interval;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;
const PIB: u64 = 1 << 50;
const DAY_SECS: u64 = 86_400;
const KEEP: RangeInclusive<Interval> = Interval::from_secs(1)..=Interval::from_secs(3650 * DAY_SECS);
const DEDUP: RangeInclusive<Interval> = Interval::from_secs(0)..=Interval::from_secs(365 * DAY_SECS);
const TIMEOUT: RangeInclusive<Interval> = Interval::from_millis(100)..=Interval::from_secs(60);
const LISTS: [&str; 3] = ["event_types", "projects", "subscriptions"];
const SECTIONS: [&str; 11] =
    ["server", "storage", "retention", "events", "delivery", "health", "api", "log", "mail", "otlp", "auth"];

/// Reads all settings from the merged layers.
pub(super) fn config(layers: &Layers, secrets: &Secrets<'_>) -> Result<Config, ConfigErrors> {
    let mut reader = Reader { layers, problems: Vec::new() };
    reader.refuse_unknown_sections();
    let config = Config {
        server: reader.section("/server", server),
        storage: reader.section("/storage", storage),
        retention: reader.section("/retention", |s| Retention {
            events: s.interval("events", &KEEP),
            held: s.interval("held", &KEEP),
            size: s.size("size", &(0..=1 << 50)),
        }),
        events: reader.section("/events", |s| Events { dedup_window: s.interval("dedup_window", &DEDUP) }),
        delivery: reader.section("/delivery", delivery),
        health: reader.section("/health", |s| Health {
            disable: s.parsed("disable", "\"exhausted\", \"always\" or \"never\"").unwrap_or_default(),
        }),
        api: reader.section("/api", |s| Api {
            stream_events_max: s.count("stream_events_max", &(1..=1_000_000)),
            stream_readers_max: s.count("stream_readers_max", &(0..=4096)),
            replays_running_max: s.count("replays_running_max", &(1..=100_000)),
            replay_backlog_max: s.count("replay_backlog_max", &(1..=1_000_000)),
            metrics_subscriptions_max: s.count("metrics_subscriptions_max", &(0..=1000)),
        }),
        log: reader.section("/log", log),
        mail: reader.section("/mail", mail),
        otlp: reader
            .section("/otlp", |s| Otlp { endpoint: collector(s), sample_ratio: s.share("sample_ratio") }),
        auth: Auth { keys: reader.keys() },
        event_types: reader.event_types(),
        projects: reader.projects(),
        subscriptions: reader.subscriptions(secrets),
    };
    reader.refuse_public_listeners_without_keys(&config);
    if reader.problems.is_empty() { Ok(config) } else { Err(errors(layers, reader.problems)) }
}

/// Reads only `[server]`.
pub(super) fn server_of(layers: &Layers) -> Result<Server, ConfigErrors> {
    let mut reader = Reader { layers, problems: Vec::new() };
    let server = reader.section("/server", server);
    if reader.problems.is_empty() { Ok(server) } else { Err(errors(layers, reader.problems)) }
}

struct Reader<'a> {
    layers: &'a Layers,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn refuse_unknown_sections(&mut self) {
        let mut root = Section::open(self.layers, &mut self.problems, "");
        for name in SECTIONS.into_iter().chain(LISTS) {
            root.get(name);
        }
        root.close();
    }

    fn section<T>(&mut self, pointer: &str, read: impl FnOnce(&mut Section<'_>) -> T) -> T {
        let mut section = Section::open(self.layers, &mut self.problems, pointer);
        let value = read(&mut section);
        section.close();
        value
    }

    /// Reads each table of a list whose tables start with the line `header`.
    fn tables<T>(
        &mut self,
        pointer: &str,
        header: &str,
        mut read: impl FnMut(&mut Section<'_>) -> Option<T>,
    ) -> Vec<T> {
        let Some(value) = self.layers.merged.pointer(pointer) else { return Vec::new() };
        let Some(list) = value.as_array() else {
            let detail = format!("is {}: expected tables, each under a line {header}", kind(value));
            self.problems.push(Problem::new(pointer, detail));
            return Vec::new();
        };
        let pointers = (0..list.len()).map(|index| format!("{pointer}/{index}"));
        pointers.filter_map(|pointer| self.section(&pointer, &mut read)).collect()
    }

    fn keys(&mut self) -> Vec<Key> {
        self.section("/auth", |auth| auth.get("keys").is_some());
        let mut names = Names::default();
        self.tables("/auth/keys", "[[auth.keys]]", |s| {
            let name = s.required("name", "a name for the key, such as \"billing\"").to_owned();
            names.refuse_second(s, "name", &name, "key");
            let (role, sha256) = (role(s), digest(s));
            Some(Key { name, role: role?, sha256: sha256? })
        })
    }

    fn event_types(&mut self) -> Vec<EventTypeEntry> {
        let mut names = Names::default();
        self.tables("/event_types", "[[event_types]]", |s| {
            let name = s.required("name", "the event type, such as \"TODO_CREATED\"");
            names.refuse_second(s, "name", name, "event type");
            let (group, description) = (optional(s, "group"), optional(s, "description"));
            Some(EventTypeEntry { name: named(s, "name", name)?, group, description })
        })
    }

    fn projects(&mut self) -> Vec<ProjectEntry> {
        let mut ids = Names::default();
        self.tables("/projects", "[[projects]]", |s| {
            let id = s.required("id", "the project's id, such as \"website\"");
            let company = s.text("company", "a company's id, such as \"acme\"").unwrap_or_default();
            ids.refuse_second(s, "id", &format!("{company}/{id}"), "project");
            let (known, name) = (company.is_empty().then_some(None), optional(s, "name"));
            let company = known.or_else(|| named(s, "company", company).map(Some))?;
            Some(ProjectEntry { company, id: named(s, "id", id)?, name })
        })
    }

    fn subscriptions(&mut self, secrets: &Secrets<'_>) -> Vec<super::ConfigSubscription> {
        let mut names = Names::default();
        self.tables("/subscriptions", "[[subscriptions]]", |s| {
            let subscription = subscriptions::read(s, secrets);
            let name = s.members().find(|(member, _)| *member == "name").and_then(|(_, name)| name.as_str());
            names.refuse_second(s, "name", name.unwrap_or_default(), "subscription");
            subscription
        })
    }

    /// Refuses addresses that other machines can reach when there is no API key.
    fn refuse_public_listeners_without_keys(&mut self, config: &Config) {
        let listen_is_wrong =
            self.problems.iter().any(|problem| problem.pointer.starts_with("/server/listen"));
        let keys = self.layers.merged.pointer("/auth/keys").and_then(serde_json::Value::as_array);
        let has_keys = listen_is_wrong || keys.is_some_and(|keys| !keys.is_empty());
        let open =
            config.server.listen.iter().enumerate().filter(|(_, listen)| !has_keys && !listen.is_local());
        for (index, listen) in open {
            let detail = format!(
                "{listen} can be reached from other machines, but there is no API key: add a key under [[auth.keys]] \
                 (run `postrider keygen`), or listen on 127.0.0.1 or a Unix socket"
            );
            self.problems.push(Problem::new(format!("/server/listen/{index}"), detail));
        }
    }
}

fn server(s: &mut Section<'_>) -> Server {
    let expected = "a list of addresses such as [\"127.0.0.1:8740\"]";
    if s.get("listen").and_then(|value| value.as_array()).is_some_and(Vec::is_empty) {
        s.refuse("listen", "is empty: add at least one address, such as \"127.0.0.1:8740\"");
    }
    let mut listen: Vec<Listen> = Vec::new();
    for (index, address) in s.list("listen", expected) {
        if listen.contains(&address) {
            s.refuse(&format!("listen/{index}"), format_args!("{address} is listed twice: remove one"));
        }
        listen.push(address);
    }
    let batch_events_max = s.count("batch_events_max", &(1..=100_000));
    let queue_events_max = s.count("queue_events_max", &(1..=1_000_000));
    if queue_events_max < batch_events_max && !s.is_refused("batch_events_max") {
        s.refuse(
            "queue_events_max",
            format_args!(
                "is less than batch_events_max ({batch_events_max}): raise it, or lower batch_events_max"
            ),
        );
    }
    let body_bytes_max = s.size_in_memory("body_bytes_max", &(KIB..=GIB));
    let queue_bytes_max = s.size_in_memory("queue_bytes_max", &(MIB..=TIB));
    if queue_bytes_max < body_bytes_max && !s.is_refused("body_bytes_max") {
        s.refuse("queue_bytes_max", "is less than body_bytes_max: raise it, or lower body_bytes_max");
    }
    Server {
        listen,
        tls: tls(s),
        unix_mode: unix_mode(s),
        body_bytes_max,
        batch_events_max,
        queue_events_max,
        queue_bytes_max,
    }
}

fn tls(s: &mut Section<'_>) -> Option<TlsFiles> {
    let mut file = |name, expected| s.text(name, expected).filter(|path| !path.is_empty());
    match (file("tls_cert", "the path of a PEM file"), file("tls_key", "the path of a PEM file")) {
        (Some(cert), Some(key)) => Some(TlsFiles { cert: cert.into(), key: key.into() }),
        (None, None) => None,
        (Some(_), None) => {
            s.refuse("tls_cert", "is set without tls_key: set both or neither");
            None
        }
        (None, Some(_)) => {
            s.refuse("tls_key", "is set without tls_cert: set both or neither");
            None
        }
    }
}

/// Reads mode bits in octal.
fn unix_mode(s: &mut Section<'_>) -> u32 {
    const OWNER: u32 = 0o600;
    let expected = "octal mode bits such as \"0660\" (owner and group) or \"0600\" (owner)";
    let text = s.text("unix_mode", expected).unwrap_or("0600");
    let is_octal = matches!(text.len(), 3 | 4) && text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    match u32::from_str_radix(text, 8).ok().filter(|mode| is_octal && *mode <= 0o777) {
        Some(mode) if mode & OWNER == OWNER => mode,
        Some(_) => {
            s.refuse(
                "unix_mode",
                "denies access to the owner: use 6 or 7 as the first of the last three digits",
            );
            OWNER
        }
        None => {
            s.refuse("unix_mode", format_args!("is not {expected}"));
            OWNER
        }
    }
}

fn storage(s: &mut Section<'_>) -> Storage {
    Storage {
        path: s.required("path", "the data directory, such as \"data\"").into(),
        key_file: s.text("key_file", "the path of a file").filter(|path| !path.is_empty()).map(Into::into),
        cache: s.size("cache", &(MIB..=TIB)),
        disk_reserve: s.size("disk_reserve", &(0..=PIB)),
    }
}

fn delivery(s: &mut Section<'_>) -> Delivery {
    Delivery {
        timeout: s.interval("timeout", &TIMEOUT),
        connect_timeout: s.interval("connect_timeout", &(Interval::from_millis(10)..=*TIMEOUT.end())),
        retry_schedule: retry_schedule(s),
        jitter: s.share("jitter"),
        max_in_flight: s.count("max_in_flight", &(1..=65_536)),
        max_in_flight_per_subscription: s.count("max_in_flight_per_subscription", &(1..=1024)),
        response_bytes_max: s.size_in_memory("response_bytes_max", &(KIB..=16 * MIB)),
        allow_networks: networks(s),
        lane_page: s.count("lane_page", &(1..=10_000)),
        payload_cache: s.size("payload_cache", &(0..=TIB)),
        proxy: proxy(s),
    }
}

fn proxy(s: &mut Section<'_>) -> Option<Proxy> {
    let expected = "a list of hosts and networks such as [\"crm.internal\", \"10.0.0.0/8\"]";
    let around = s.list::<NoProxyEntry>("no_proxy", expected).into_iter().map(|(_, around)| around).collect();
    let text =
        s.text("proxy", "a URL such as \"http://proxy.internal:3128\"").filter(|text| !text.is_empty())?;
    let url = text.parse::<Url>().ok().filter(|url| {
        matches!(url.scheme(), "http" | "https") && url.has_host() && matches!(url.path(), "" | "/")
    });
    if url.is_none() {
        s.refuse(
            "proxy",
            "is not a URL such as \"http://proxy.internal:3128\" or \"http://user:password@proxy:3128\"",
        );
    }
    Some(Proxy::new(url?, around))
}

fn networks(s: &mut Section<'_>) -> Vec<IpNet> {
    let texts = s.texts("allow_networks", "a list of networks such as [\"10.0.0.0/8\"]");
    let mut networks = Vec::with_capacity(texts.len());
    for (index, text) in texts.into_iter().enumerate() {
        match text.parse() {
            Ok(network) => networks.push(network),
            Err(_) => s.refuse(
                &format!("allow_networks/{index}"),
                "is not a network such as \"10.0.0.0/8\", \"192.168.1.7/32\" or \"fc00::/7\"",
            ),
        }
    }
    networks
}

fn retry_schedule(s: &mut Section<'_>) -> Vec<Interval> {
    let texts = s.texts("retry_schedule", "a list of durations such as [\"5s\", \"30s\"]");
    let (waits, problems) = read_retry_schedule(&texts);
    s.refuse_all(problems.into_iter().map(|problem| problem.within("/retry_schedule")).collect());
    waits
}

fn log(s: &mut Section<'_>) -> Log {
    let level = s.required("level", "a level such as \"info\"");
    if let Err(error) = tracing_subscriber::EnvFilter::try_new(level) {
        s.refuse(
            "level",
            format_args!("is not a log level: expected error, warn, info, debug or trace, or levels of modules such as \"postrider=debug,info\": {error}"),
        );
    }
    let format = s.word("format", &LogFormat::WORDS);
    Log { level: level.to_owned(), format: format.unwrap_or(LogFormat::Text) }
}

fn mail(s: &mut Section<'_>) -> Mail {
    let to = s.list("to", "a list of addresses such as [\"ops@acme.example\"]");
    let from = s.parsed::<EmailAddress>("from", "an address such as \"postrider@acme.example\"");
    let about = s.texts("about", "a list of event types such as [\"postrider.*\"]");
    let about = EventSelector::parse(&about).unwrap_or_else(|problems| {
        s.refuse_all(problems.into_iter().map(|problem| problem.within("/about")).collect());
        EventSelector::all()
    });
    Mail {
        smtp: smtp(s),
        from: from.unwrap_or_else(nobody),
        to: to.into_iter().map(|(_, to)| to).collect(),
        about,
    }
}

/// Returns an address in place of one that was refused.
#[expect(
    clippy::expect_used,
    reason = "a config with a problem is never used, and a test parses this address"
)]
fn nobody() -> EmailAddress {
    "postrider@localhost".parse().expect("the text is a valid address")
}

fn smtp(s: &mut Section<'_>) -> Option<Url> {
    let expected = "a URL such as \"smtps://user:password@mail.internal\"";
    let text = s.text("smtp", expected).filter(|text| !text.is_empty())?;
    let is_known = |url: &Url| {
        let tls: Vec<_> = url.query_pairs().collect();
        let is_tls = |value: &str| matches!(value, "required" | "opportunistic");
        let known = tls.iter().all(|(name, value)| name == "tls" && is_tls(value));
        url.has_host() && known && matches!((url.scheme(), tls.len()), ("smtp", 0 | 1) | ("smtps", 0))
    };
    let url = text.parse::<Url>().ok().filter(is_known);
    if url.is_none() {
        s.refuse(
            "smtp",
            format_args!(
                "is not {expected}, \"smtp://mail.internal:587?tls=required\" or \"smtp://localhost:25\""
            ),
        );
    }
    url
}

fn collector(s: &mut Section<'_>) -> Option<Url> {
    let expected = "a URL such as \"http://127.0.0.1:4318\"";
    let text = s.text("endpoint", expected).filter(|text| !text.is_empty())?;
    let url = text.parse::<Url>().ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let Some(url) = url else {
        s.refuse("endpoint", format_args!("is not {expected}"));
        return None;
    };
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        s.refuse("endpoint", "has a user, a password or a query: set the credentials of the collector in OTEL_EXPORTER_OTLP_HEADERS");
    } else if !cfg!(feature = "otel") {
        s.refuse(
            "endpoint",
            "is set, but this build cannot export traces: build with --features otel, or set it to \"\"",
        );
    }
    Some(url)
}

fn role(s: &mut Section<'_>) -> Option<Role> {
    s.demand("role", "\"ingest\", \"read\" or \"admin\"");
    s.word("role", &Role::WORDS)
}

fn digest(s: &mut Section<'_>) -> Option<[u8; 32]> {
    let text = s.required("sha256", "the digest that `postrider keygen` prints");
    let mut digest = [0; 32];
    if let Ok(()) = hex::decode_to_slice(text, &mut digest) {
        Some(digest)
    } else {
        s.refuse(
            "sha256",
            "is not 64 hexadecimal digits: use the digest that `postrider keygen` prints, not the key",
        );
        None
    }
}

fn optional(s: &mut Section<'_>, name: &'static str) -> Option<String> {
    s.text(name, "a string").map(str::to_owned)
}

/// Parses a name that has been read. An empty name has already been refused.
fn named<T: std::str::FromStr<Err: std::fmt::Display>>(
    s: &mut Section<'_>,
    name: &str,
    text: &str,
) -> Option<T> {
    if text.trim().is_empty() {
        return None;
    }
    text.parse().map_err(|error| s.refuse(name, error)).ok()
}

/// The names in a list of tables so far.
#[derive(Default)]
struct Names(BTreeMap<String, String>);

impl Names {
    fn refuse_second(&mut self, s: &mut Section<'_>, member: &str, name: &str, what: &str) {
        if name.is_empty() || name.ends_with('/') {
            return;
        }
        let pointer = s.pointer(member);
        let first = self.0.entry(name.to_owned()).or_insert_with(|| pointer.clone());
        if *first != pointer {
            let place = s.source_name(first);
            s.refuse(member, format_args!("names the same {what} as {place}: each name must be unique"));
        }
    }
}

/// Adds the source to each problem, and sorts them in the order of the file.
fn errors(layers: &Layers, mut problems: Vec<Problem>) -> ConfigErrors {
    problems.sort_by_cached_key(|problem| layers.line(&problem.pointer));
    let errors = problems.into_iter().map(|problem| {
        let value = layers.merged.pointer(&problem.pointer).unwrap_or(&serde_json::Value::Null);
        ConfigError {
            source_name: layers.source_name(&problem.pointer),
            key: key_of(&problem.pointer),
            value: shown(&problem.pointer, value),
            detail: safe_detail(&problem, value),
        }
    });
    ConfigErrors::new(errors.collect())
}
