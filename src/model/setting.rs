//! The settings of a subscription: one table that describes each of them.
//!
//! Parsing (API and config file), the OpenAPI document, `export`, the flags of the command line, the editor's form
//! and the table in `docs/API.md` derive from [`SETTINGS`]. A new setting needs four edits:
//!
//! 1. here, a field in [`SubscriptionSpec`] with its default in [`SubscriptionSpec::new`], and a row in [`SETTINGS`];
//! 2. a tag in `store/rows/record/subscription.rs`, so that the record keeps the setting;
//! 3. and 4. a label and a help text, `setting-NAME` and `setting-NAME-help`, in each language of the page.
//!
//! Tests fail until the references name the setting too: `config.toml`, and `docs/API.md`, whose table
//! `BLESS=1 cargo test --test command_line settings::` writes.

pub mod reader;
mod value;

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use serde_json::{Map, Value, json};
use url::Url;

use self::reader::MemberReader;
pub use self::value::{Format, Ordering, RateLimit, RateLimitError};
use super::email::EmailAddress;
use super::member_error::{IN_FLIGHT_MAX, NAME_CHARS_MAX};
use super::selector::{EventSelector, ProjectSelector};
use super::time::Interval;
use super::tls::{Certificates, Tls};

/// The settings that a person makes: everything in a subscription but its identity, secrets and health.
#[derive(Clone, Debug, PartialEq)]
pub struct SubscriptionSpec {
    /// The display name. Names are unique among the subscriptions of the config file.
    pub name: String,
    /// The URL of the receiver.
    pub url: Url,
    /// The event types that match.
    pub events: EventSelector,
    /// The projects that match.
    pub projects: ProjectSelector,
    /// A CEL expression that must also be true for a match.
    pub filter: Option<String>,
    /// The format of the request body.
    pub format: Format,
    /// The headers that are added to each request, by lower-case name.
    pub headers: BTreeMap<String, String>,
    /// The time limit of an attempt. Default: `delivery.timeout`.
    pub timeout: Option<Interval>,
    /// The waits before attempts 2, 3, …. Default: `delivery.retry_schedule`.
    pub retry_schedule: Option<Vec<Interval>>,
    /// The limit of concurrent requests. Default: `delivery.max_in_flight_per_subscription`.
    pub max_in_flight: Option<NonZeroU32>,
    /// The rate limit of attempts. Default: none.
    pub rate_limit: Option<RateLimit>,
    /// Whether deliveries keep the order of the events.
    pub ordering: Ordering,
    /// The trusted authorities and the client certificate for this receiver.
    pub tls: Tls,
    /// The address that receives notices about the subscription's health.
    pub notify_email: Option<EmailAddress>,
}

impl SubscriptionSpec {
    /// Returns the settings of a subscription for which only the URL is given.
    pub fn new(url: Url) -> Self {
        Self {
            name: default_name(&url),
            url,
            events: EventSelector::all(),
            projects: ProjectSelector::all(),
            filter: None,
            format: Format::default(),
            headers: BTreeMap::new(),
            timeout: None,
            retry_schedule: None,
            max_in_flight: None,
            rate_limit: None,
            ordering: Ordering::default(),
            tls: Tls::default(),
            notify_email: None,
        }
    }

    /// Returns settings of which each has its default. The URL is `https://example.com/hooks`.
    ///
    /// # Panics
    /// Never, because the text of the URL is a constant.
    pub fn example() -> Self {
        #[expect(clippy::expect_used, reason = "the text is a constant")]
        let url = Url::parse("https://example.com/hooks").expect("the constant is a URL");
        Self::new(url)
    }

    /// Returns the settings as JSON members, without secrets. [`SubscriptionInput::read`] reads them back.
    ///
    /// [`SubscriptionInput::read`]: super::input::SubscriptionInput::read
    pub fn to_members(&self) -> Map<String, Value> {
        let shown = SETTINGS.iter().filter(|setting| !setting.is_secret());
        shown.map(|setting| (setting.name.to_owned(), (setting.get)(self))).collect()
    }

    /// Returns the settings as JSON members, with secrets. The result must not be logged or shown.
    pub(super) fn to_members_with_secrets(&self) -> Map<String, Value> {
        SETTINGS.iter().map(|setting| (setting.name.to_owned(), (setting.get)(self))).collect()
    }
}

/// Returns the URL's host, cut to the length that a name may have.
fn default_name(url: &Url) -> String {
    url.host_str().unwrap_or_default().chars().take(NAME_CHARS_MAX).collect()
}

/// The description of one setting.
pub struct Setting {
    /// The member's name in the API, the config file and the form.
    pub name: &'static str,
    /// The flag of the command line, without its first hyphens.
    pub flag: &'static str,
    /// The kind of value.
    pub kind: Kind,
    /// The part of the editor's form that has the setting.
    pub section: Section,
    /// The effect of the setting, as a sentence without its period.
    pub description: &'static str,
    /// The default in words; empty if the setting is required.
    pub default: &'static str,
    /// An example of a value as a person types it; empty if none helps.
    pub example: &'static str,
    /// Returns the value as JSON, `null` if it is not set. A secret is returned, too.
    pub get: fn(&SubscriptionSpec) -> Value,
    /// Reads the member and sets the value. The URL is read before the other settings.
    pub read: fn(&mut MemberReader<'_>, &mut SubscriptionSpec),
}

/// The kinds of values, which decide the JSON type, the widget of the form and how a flag reads its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The display name.
    Name,
    /// The URL of the receiver.
    Url,
    /// A list of event types.
    EventTerms,
    /// A list of projects.
    ProjectTerms,
    /// A CEL expression.
    Filter,
    /// A word that names a [`Format`].
    Format,
    /// A word that names an [`Ordering`].
    Ordering,
    /// An object of header names and values.
    Headers,
    /// The time limit of an attempt.
    Timeout,
    /// A list of waits.
    Waits,
    /// A whole number from 1 to this limit.
    Count(u32),
    /// A rate limit.
    Rate,
    /// PEM of certificates.
    Certificates,
    /// PEM of a private key, which is a secret.
    PrivateKey,
    /// An e-mail address.
    Email,
}

impl Kind {
    /// Returns the allowed words if the value is one of a few.
    pub fn words(self) -> Vec<&'static str> {
        match self {
            Self::Format => Format::ALL.iter().map(|format| format.as_str()).collect(),
            Self::Ordering => Ordering::ALL.iter().map(|ordering| ordering.as_str()).collect(),
            _ => Vec::new(),
        }
    }
}

/// The parts of the editor's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// The receiver and the people who look after it.
    Receiver,
    /// The selectors, which have widgets of their own.
    Selection,
    /// The filter expression.
    Filter,
    /// The settings of delivery, such as time limits and order.
    Delivery,
    /// TLS to the receiver.
    Tls,
}

impl Setting {
    /// Returns the setting with that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.name == name)
    }

    /// Returns whether a subscription cannot be created without this setting.
    pub const fn is_required(&self) -> bool {
        self.default.is_empty()
    }

    /// Returns whether the value is never shown.
    pub fn is_secret(&self) -> bool {
        self.kind == Kind::PrivateKey
    }

    /// Returns whether the value is `null` where the setting has its default.
    pub fn is_nullable(&self) -> bool {
        (self.get)(&SubscriptionSpec::example()).is_null()
    }
}

/// Every setting, in the order in which they are shown.
pub static SETTINGS: [Setting; 16] = [
    Setting {
        name: "name",
        flag: "name",
        kind: Kind::Name,
        section: Section::Receiver,
        description: "The display name",
        default: "the URL's host",
        example: "",
        get: |spec| json!(spec.name),
        read: |reader, spec| spec.name = reader.name().unwrap_or_else(|| default_name(&spec.url)),
    },
    Setting {
        name: "url",
        flag: "url",
        kind: Kind::Url,
        section: Section::Receiver,
        description: "The http or https URL of the receiver",
        default: "",
        example: "https://example.com/hooks",
        get: |spec| json!(spec.url.as_str()),
        read: |reader, spec| {
            if let Some(url) = reader.url() {
                spec.url = url;
            }
        },
    },
    Setting {
        name: "events",
        flag: "events",
        kind: Kind::EventTerms,
        section: Section::Selection,
        description: "The event types to deliver: names, prefixes with `*`, and exclusions with `!`",
        default: "all",
        example: "TODO_*, !TODO_DELETED",
        get: |spec| json!(spec.events.to_texts()),
        read: |reader, spec| {
            let events = reader.terms("events", EventSelector::parse);
            spec.events = events.unwrap_or_else(EventSelector::all);
        },
    },
    Setting {
        name: "projects",
        flag: "projects",
        kind: Kind::ProjectTerms,
        section: Section::Selection,
        description: "The projects to deliver events of: `project`, `company/project` or `company/*`, and exclusions with `!`",
        default: "all",
        example: "acme/*, globex/website",
        get: |spec| json!(spec.projects.to_texts()),
        read: |reader, spec| {
            let projects = reader.terms("projects", ProjectSelector::parse);
            spec.projects = projects.unwrap_or_else(ProjectSelector::all);
        },
    },
    Setting {
        name: "filter",
        flag: "filter",
        kind: Kind::Filter,
        section: Section::Filter,
        description: "A CEL expression over `event` that must also be true",
        default: "none",
        example: "event.data.amount > 100",
        get: |spec| json!(spec.filter),
        read: |reader, spec| spec.filter = reader.filter(),
    },
    Setting {
        name: "format",
        flag: "format",
        kind: Kind::Format,
        section: Section::Delivery,
        description: "The format of the request body: `standard`, `blue`, `raw` or `cloudevents`",
        default: "`standard`",
        example: "",
        get: |spec| json!(spec.format.as_str()),
        read: |reader, spec| spec.format = reader.word("format").unwrap_or_default(),
    },
    Setting {
        name: "headers",
        flag: "header",
        kind: Kind::Headers,
        section: Section::Delivery,
        description: "The headers that are added to each request",
        default: "none",
        example: "x-team: sales",
        get: |spec| json!(spec.headers),
        read: |reader, spec| spec.headers = reader.headers(),
    },
    Setting {
        name: "timeout",
        flag: "timeout",
        kind: Kind::Timeout,
        section: Section::Delivery,
        description: "The time limit of an attempt, from connecting to the end of the response",
        default: "`delivery.timeout`",
        example: "7s",
        get: |spec| json!(spec.timeout),
        read: |reader, spec| spec.timeout = reader.timeout(),
    },
    Setting {
        name: "retry_schedule",
        flag: "retry-schedule",
        kind: Kind::Waits,
        section: Section::Delivery,
        description: "The waits before attempts 2, 3, …; an empty list means a single attempt",
        default: "`delivery.retry_schedule`",
        example: "5s, 30s, 2m, 10m",
        get: |spec| json!(spec.retry_schedule),
        read: |reader, spec| spec.retry_schedule = reader.retry_schedule(),
    },
    Setting {
        name: "max_in_flight",
        flag: "max-in-flight",
        kind: Kind::Count(IN_FLIGHT_MAX),
        section: Section::Delivery,
        description: "The limit of concurrent requests",
        default: "`delivery.max_in_flight_per_subscription`",
        example: "16",
        get: |spec| json!(spec.max_in_flight),
        read: |reader, spec| spec.max_in_flight = reader.max_in_flight(),
    },
    Setting {
        name: "rate_limit",
        flag: "rate-limit",
        kind: Kind::Rate,
        section: Section::Delivery,
        description: "The rate limit of attempts, per second, minute or hour",
        default: "none",
        example: "50/s",
        get: |spec| json!(spec.rate_limit.map(|rate| rate.to_string())),
        read: |reader, spec| spec.rate_limit = reader.word("rate_limit"),
    },
    Setting {
        name: "ordering",
        flag: "ordering",
        kind: Kind::Ordering,
        section: Section::Delivery,
        description: "`fifo` delivers one event at a time, in order, and waits for its retries; `none` keeps no order",
        default: "`none`",
        example: "",
        get: |spec| json!(spec.ordering.as_str()),
        read: |reader, spec| spec.ordering = reader.word("ordering").unwrap_or_default(),
    },
    Setting {
        name: "tls_ca",
        flag: "tls-ca",
        kind: Kind::Certificates,
        section: Section::Tls,
        description: "PEM of the only authorities to trust for the receiver's certificate",
        default: "the authorities of the system",
        example: "",
        get: |spec| json!(spec.tls.authorities().map(Certificates::pem)),
        read: |reader, spec| spec.tls = reader.tls(&spec.url),
    },
    Setting {
        name: "tls_client_cert",
        flag: "tls-client-cert",
        kind: Kind::Certificates,
        section: Section::Tls,
        description: "PEM of the client certificate to present to the receiver, and of its intermediates",
        default: "none",
        example: "",
        get: |spec| json!(spec.tls.client().map(|client| client.chain().pem())),
        read: read_with_tls_ca,
    },
    Setting {
        name: "tls_client_key",
        flag: "tls-client-key",
        kind: Kind::PrivateKey,
        section: Section::Tls,
        description: "PEM of the client certificate's private key, without a passphrase; it is never shown",
        default: "none",
        example: "",
        get: |spec| json!(spec.tls.client().map(|client| client.key().reveal())),
        read: read_with_tls_ca,
    },
    Setting {
        name: "notify_email",
        flag: "notify-email",
        kind: Kind::Email,
        section: Section::Receiver,
        description: "The address that receives notices about the subscription's health, if the config sets up `mail`",
        default: "none",
        example: "ops@example.com",
        get: |spec| json!(spec.notify_email.as_ref().map(EmailAddress::as_str)),
        read: |reader, spec| spec.notify_email = reader.word("notify_email"),
    },
];

/// Does nothing: [`MemberReader::tls`] reads the three TLS members together.
const fn read_with_tls_ca(_: &mut MemberReader<'_>, _: &mut SubscriptionSpec) {}
