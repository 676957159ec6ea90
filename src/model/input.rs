//! Subscriptions as people write them: one reading for the API, the config file and the page.
//!
//! Every member is read on its own so that all problems are told at once, each with its pointer. A change
//! (PATCH) is laid over the present settings and read again as a whole, so that there is one set of rules.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde_json::{Map, Value, json};
use url::Url;

use super::email::EmailAddress;
use super::member_error::{
    HEADER_BYTES_MAX, HEADERS_MAX, IN_FLIGHT_MAX, MemberError, NAME_CHARS_MAX, RETRIES_MAX,
};
use super::pointer;
use super::problem::{Explain, Problem, nearest};
use super::secret::Secret;
use super::selector::{EventSelector, ProjectSelector};
use super::subscription::SubscriptionSpec;
use super::time::Interval;
use super::tls::{Certificates, ClientIdentity, ClientKey, Tls};

/// The members of a subscription that a person sets, in the order that they are shown.
pub const SPEC_MEMBERS: [&str; 16] = [
    "name",
    "url",
    "events",
    "projects",
    "filter",
    "format",
    "headers",
    "timeout",
    "retry_schedule",
    "max_in_flight",
    "rate_limit",
    "ordering",
    "tls_ca",
    "tls_client_cert",
    "tls_client_key",
    "notify_email",
];

const URL_BYTES_MAX: usize = 2048;
const FILTER_BYTES_MAX: usize = 4096;
const TIMEOUT_MS: std::ops::RangeInclusive<u64> = 100..=60_000;
const RETRY_WAIT_MS_MAX: u64 = 7 * 86_400_000;

/// Headers that the daemon or HTTP itself sets.
const RESERVED_HEADERS: [&str; 12] = [
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "x-signature",
];
const RESERVED_HEADER_PREFIXES: [&str; 3] = ["webhook-", "postrider-", "proxy-"];

/// A subscription as it was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct SubscriptionInput {
    /// The settings.
    pub spec: SubscriptionSpec,
    /// Whether it is to be switched on, where that was said.
    pub enabled: Option<bool>,
    /// The secret, where one was given.
    pub secret: Option<Secret>,
}

impl SubscriptionInput {
    /// Reads the members of a new subscription.
    ///
    /// # Errors
    /// Everything that is wrong, each with its pointer.
    pub fn read(members: &Map<String, Value>) -> Result<Self, Vec<Problem>> {
        let mut reader = Reader { members, problems: Vec::new() };
        reader.refuse_unknown();
        let input = reader.input();
        match input {
            Some(input) if reader.problems.is_empty() => Ok(input),
            _ => Err(reader.problems),
        }
    }

    /// Reads a change to `present`: a member given replaces, `null` goes back to the default. The client key goes
    /// with its certificate.
    ///
    /// # Errors
    /// As [`read`](Self::read), of the whole that would result.
    pub fn read_change(
        present: &SubscriptionSpec,
        change: &Map<String, Value>,
    ) -> Result<Self, Vec<Problem>> {
        let mut members = present.to_members();
        let drops_client = change.get("tls_client_cert").is_some_and(Value::is_null);
        if let Some(client) = present.tls.client().filter(|_| !drops_client) {
            members.insert("tls_client_key".to_owned(), json!(client.key().reveal()));
        }
        members.extend(change.iter().map(|(name, value)| (name.clone(), value.clone())));
        Self::read(&members)
    }
}

impl SubscriptionSpec {
    /// The settings as JSON members, which [`SubscriptionInput::read`] reads back; all but the client key, which is
    /// never shown.
    pub fn to_members(&self) -> Map<String, Value> {
        let text = |value: Option<String>| value.map_or(Value::Null, Value::String);
        let mut members = Map::new();
        let mut put = |name: &str, value| members.insert(name.to_owned(), value);
        put("name", json!(self.name));
        put("url", json!(self.url.as_str()));
        put("events", json!(self.events.to_texts()));
        put("projects", json!(self.projects.to_texts()));
        put("filter", json!(self.filter));
        put("format", json!(self.format.as_str()));
        put("headers", json!(self.headers));
        put("timeout", json!(self.timeout));
        put("retry_schedule", json!(self.retry_schedule));
        put("max_in_flight", json!(self.max_in_flight));
        put("rate_limit", text(self.rate_limit.map(|rate| rate.to_string())));
        put("ordering", json!(self.ordering.as_str()));
        put("tls_ca", json!(self.tls.authorities().map(Certificates::pem)));
        put("tls_client_cert", json!(self.tls.client().map(|client| client.chain().pem())));
        put("notify_email", json!(self.notify_email.as_ref().map(EmailAddress::as_str)));
        members
    }
}

struct Reader<'a> {
    members: &'a Map<String, Value>,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    fn refuse_unknown(&mut self) {
        let known: Vec<&str> = SPEC_MEMBERS.into_iter().chain(["enabled", "secret"]).collect();
        for name in self.members.keys().filter(|name| !known.contains(&name.as_str())) {
            let hint = nearest(name, known.iter().copied()).map_or_else(
                || format!("expected {}", known.join(", ")),
                |near| format!("did you mean '{near}'?"),
            );
            let pointer = format!("/{}", pointer::escape(name));
            self.problems
                .push(Problem::new(pointer, format_args!("is not a member of a subscription: {hint}")));
        }
    }

    fn input(&mut self) -> Option<SubscriptionInput> {
        let url = self.url();
        let name = self.name(url.as_ref());
        let events = self.terms("events", EventSelector::parse).or_else(|| Some(EventSelector::all()));
        let projects =
            self.terms("projects", ProjectSelector::parse).or_else(|| Some(ProjectSelector::all()));
        let spec = SubscriptionSpec {
            filter: self.filter(),
            format: self.word("format").unwrap_or_default(),
            headers: self.headers(),
            timeout: self.timeout(),
            retry_schedule: self.retry_schedule(),
            max_in_flight: self.max_in_flight(),
            rate_limit: self.word("rate_limit"),
            ordering: self.word("ordering").unwrap_or_default(),
            tls: self.tls(url.as_ref()),
            notify_email: self.word("notify_email"),
            name: name?,
            url: url?,
            events: events?,
            projects: projects?,
        };
        Some(SubscriptionInput { spec, enabled: self.enabled(), secret: self.opaque("secret") })
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.members.get(name).filter(|value| !value.is_null())
    }

    fn refuse(&mut self, name: &str, detail: impl std::fmt::Display) {
        self.problems.push(Problem::new(format!("/{name}"), detail));
    }

    fn explain(&mut self, name: &str, error: &impl Explain) {
        self.problems.push(Problem::explained(format!("/{name}"), error));
    }

    fn text(&mut self, name: &str) -> Option<&'a str> {
        let value = self.get(name)?;
        let text = value.as_str();
        if text.is_none() {
            self.refuse(name, format_args!("is {}: expected a string", kind(value)));
        }
        text
    }

    fn word<T: FromStr<Err: Explain>>(&mut self, name: &str) -> Option<T> {
        let parsed = self.text(name)?.parse();
        parsed.map_err(|error| self.explain(name, &error)).ok()
    }

    /// What only programs give.
    fn opaque<T: FromStr<Err: std::fmt::Display>>(&mut self, name: &str) -> Option<T> {
        let parsed = self.text(name)?.parse();
        parsed.map_err(|error| self.refuse(name, error)).ok()
    }

    fn name(&mut self, url: Option<&Url>) -> Option<String> {
        let Some(name) = self.text("name") else {
            // A host may be longer than a name.
            return Some(url?.host_str()?.chars().take(NAME_CHARS_MAX).collect());
        };
        if name.trim().is_empty()
            || name.chars().count() > NAME_CHARS_MAX
            || name.chars().any(char::is_control)
        {
            self.explain("name", &MemberError::Name);
            return None;
        }
        Some(name.to_owned())
    }

    fn url(&mut self) -> Option<Url> {
        if self.get("url").is_none() {
            self.explain("url", &MemberError::UrlMissing);
            return None;
        }
        let text = self.text("url")?.to_owned();
        let problem = match Url::parse(&text) {
            Err(url::ParseError::RelativeUrlWithoutBase) => MemberError::UrlRelative(text),
            Err(cause) => MemberError::Url { text, cause },
            Ok(_) if text.len() > URL_BYTES_MAX => {
                MemberError::TooLong { bytes: text.len(), most: URL_BYTES_MAX }
            }
            Ok(url) if !matches!(url.scheme(), "http" | "https") => {
                MemberError::UrlScheme { text, scheme: url.scheme().to_owned() }
            }
            Ok(url) if url.fragment().is_some() => MemberError::UrlFragment(text),
            Ok(url) => return Some(url),
        };
        self.explain("url", &problem);
        None
    }

    fn texts(&mut self, name: &str) -> Option<Vec<&'a str>> {
        let value = self.get(name)?;
        let Some(list) = value.as_array() else {
            self.refuse(name, format_args!("is {}: expected a list of strings", kind(value)));
            return None;
        };
        let mut texts = Vec::with_capacity(list.len());
        for (index, item) in list.iter().enumerate() {
            match item.as_str() {
                Some(text) => texts.push(text),
                None => self
                    .refuse(&format!("{name}/{index}"), format_args!("is {}: expected a string", kind(item))),
            }
        }
        (texts.len() == list.len()).then_some(texts)
    }

    fn terms<T>(&mut self, name: &str, parse: impl Fn(&[&'a str]) -> Result<T, Vec<Problem>>) -> Option<T> {
        let texts = self.texts(name)?;
        let prefix = format!("/{name}");
        parse(&texts)
            .map_err(|problems| self.problems.extend(problems.into_iter().map(|p| p.within(&prefix))))
            .ok()
    }

    fn filter(&mut self) -> Option<String> {
        let text = self.text("filter")?;
        if text.len() > FILTER_BYTES_MAX {
            self.explain("filter", &MemberError::TooLong { bytes: text.len(), most: FILTER_BYTES_MAX });
            return None;
        }
        Some(text.to_owned())
    }

    fn headers(&mut self) -> BTreeMap<String, String> {
        let Some(value) = self.get("headers") else { return BTreeMap::new() };
        let Some(members) = value.as_object() else {
            self.refuse(
                "headers",
                format_args!("is {}: expected an object of names and values", kind(value)),
            );
            return BTreeMap::new();
        };
        if members.len() > HEADERS_MAX {
            self.explain("headers", &MemberError::HeadersTooMany(members.len()));
        }
        let mut headers = BTreeMap::new();
        for (name, value) in members {
            let Some(text) = value.as_str() else {
                self.refuse(
                    &format!("headers/{name}"),
                    format_args!("is {}: expected a string", kind(value)),
                );
                continue;
            };
            match header(name, text) {
                Ok(name) => drop(headers.insert(name, text.to_owned())),
                Err(refusal) => self.explain(&format!("headers/{name}"), &refusal),
            }
        }
        headers
    }

    fn timeout(&mut self) -> Option<Interval> {
        let timeout: Interval = self.word("timeout")?;
        if !TIMEOUT_MS.contains(&super::time::millis(timeout.get())) {
            self.explain("timeout", &MemberError::Timeout(timeout));
        }
        Some(timeout)
    }

    fn retry_schedule(&mut self) -> Option<Vec<Interval>> {
        let texts = self.texts("retry_schedule")?;
        let (waits, problems) = read_retry_schedule(&texts);
        self.problems.extend(problems.into_iter().map(|problem| problem.within("/retry_schedule")));
        Some(waits)
    }

    fn max_in_flight(&mut self) -> Option<NonZeroU32> {
        let value = self.get("max_in_flight")?;
        // As in JSON Schema, 16.0 is a whole number too.
        let text = value.to_string();
        let count: Option<NonZeroU32> = text.strip_suffix(".0").unwrap_or(&text).parse().ok();
        let count = count.filter(|count| count.get() <= IN_FLIGHT_MAX);
        if count.is_none() {
            self.explain("max_in_flight", &MemberError::InFlight(text));
        }
        count
    }

    fn tls(&mut self, url: Option<&Url>) -> Tls {
        if url.is_some_and(|url| url.scheme() == "http") {
            for name in ["tls_ca", "tls_client_cert", "tls_client_key"] {
                if self.get(name).is_some() {
                    self.refuse(name, "is for https, and the URL is http: leave it out");
                }
            }
        }
        let authorities: Option<Certificates> = self.opaque("tls_ca");
        if let Some(Err(error)) = authorities.as_ref().map(Certificates::check_authorities) {
            self.refuse("tls_ca", error);
        }
        Tls::new(authorities, self.client_identity())
    }

    fn client_identity(&mut self) -> Option<ClientIdentity> {
        let (chain, key): (_, Option<ClientKey>) =
            (self.opaque("tls_client_cert"), self.opaque("tls_client_key"));
        match (self.get("tls_client_cert"), self.get("tls_client_key")) {
            (Some(_), None) => {
                self.refuse("tls_client_key", "is missing: give the key of tls_client_cert");
            }
            (None, Some(_)) => {
                self.refuse("tls_client_cert", "is missing: give the certificate of tls_client_key");
            }
            _ => {}
        }
        let identity = ClientIdentity::new(chain?, key?);
        identity.map_err(|error| self.refuse("tls_client_key", error)).ok()
    }

    fn enabled(&mut self) -> Option<bool> {
        let value = self.get("enabled")?;
        if !value.is_boolean() {
            self.refuse("enabled", format_args!("is {}: expected true or false", kind(value)));
        }
        value.as_bool()
    }
}

/// Reads the waits before attempts 2, 3, …, with everything that is wrong; an empty list means one attempt.
pub fn read_retry_schedule(texts: &[&str]) -> (Vec<Interval>, Vec<Problem>) {
    let mut waits = Vec::with_capacity(texts.len());
    let mut problems = Vec::new();
    if texts.len() > RETRIES_MAX {
        problems.push(Problem::explained("", &MemberError::RetriesTooMany(texts.len())));
    }
    for (index, text) in texts.iter().enumerate() {
        match text.parse::<Interval>() {
            Ok(wait) if super::time::millis(wait.get()) <= RETRY_WAIT_MS_MAX => waits.push(wait),
            Ok(wait) => {
                problems.push(Problem::explained(format!("/{index}"), &MemberError::RetryTooLong(wait)));
            }
            Err(error) => problems.push(Problem::explained(format!("/{index}"), &error)),
        }
    }
    (waits, problems)
}

/// The header's name as it is kept, if it and its value may be.
fn header(name: &str, value: &str) -> Result<String, MemberError> {
    let name = http::HeaderName::from_bytes(name.as_bytes()).map_err(|_| MemberError::HeaderName)?;
    let name = name.as_str();
    if RESERVED_HEADERS.contains(&name)
        || RESERVED_HEADER_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    {
        return Err(MemberError::HeaderReserved);
    }
    let is_plain = value.bytes().all(|byte| byte == b'\t' || byte == b' ' || byte.is_ascii_graphic());
    if value.len() > HEADER_BYTES_MAX || !is_plain {
        return Err(MemberError::HeaderValue);
    }
    Ok(name.to_owned())
}

/// What kind of JSON value it is, in words for an error.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &Value) -> Result<SubscriptionInput, Vec<Problem>> {
        SubscriptionInput::read(value.as_object().unwrap())
    }

    #[test]
    fn a_url_is_enough() {
        let input = read(&json!({"url": "https://crm.internal/hooks"})).unwrap();
        assert_eq!(input.spec.name, "crm.internal");
        let label = "a".repeat(63);
        let input = read(&json!({"url": format!("https://{label}.{label}.{label}/hooks")})).unwrap();
        assert_eq!(input.spec.name, format!("{label}.{label}."));
        assert_eq!(read(&Value::Object(input.spec.to_members())).unwrap().spec, input.spec);
        assert_eq!((input.spec.events, input.spec.projects), (EventSelector::all(), ProjectSelector::all()));
        assert_eq!((input.enabled, input.secret), (None, None));
    }

    #[test]
    fn everything_comes_back() {
        let full = json!({
            "name": "crm", "url": "https://u:p@crm.internal/hooks?x=1", "events": ["TODO_*", "!TODO_DELETED"],
            "projects": ["acme/*"], "filter": "event.data.x > 1", "format": "blue", "headers": {"x-team": "a"},
            "timeout": "3s", "retry_schedule": ["1s", "2m"], "max_in_flight": 4, "rate_limit": "50/s", "ordering": "fifo",
            "tls_ca": null, "tls_client_cert": null, "notify_email": "ops@acme.example",
        });
        let spec = read(&full).unwrap().spec;
        assert_eq!(Value::Object(spec.to_members()), full);
        let change = json!({"timeout": null, "events": ["*"]});
        let changed = SubscriptionInput::read_change(&spec, change.as_object().unwrap()).unwrap().spec;
        assert_eq!((changed.timeout, changed.events), (None, EventSelector::all()));
        assert_eq!(changed.rate_limit, spec.rate_limit);
    }

    /// A certificate of its own and its key, as PEM.
    fn identity(name: &str) -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    #[test]
    fn a_client_key_stays_with_its_certificate_and_is_not_shown() {
        let (ca, (cert, key)) = (identity("ca").0, identity("us"));
        let full =
            json!({"url": "https://crm/", "tls_ca": ca, "tls_client_cert": cert, "tls_client_key": key});
        let spec = read(&full).unwrap().spec;
        let shown = spec.to_members();
        assert_eq!((&shown["tls_ca"], &shown["tls_client_cert"]), (&json!(ca), &json!(cert)));
        assert!(!format!("{shown:?}{spec:?}").contains("PRIVATE"));
        let change = |change: Value| SubscriptionInput::read_change(&spec, change.as_object().unwrap());
        assert_eq!(change(json!({"name": "x"})).unwrap().spec.tls, spec.tls);
        let plain = change(json!({"tls_client_cert": null})).unwrap().spec.tls;
        assert!(plain.client().is_none() && plain.authorities().is_some());
        let (cert, key) = identity("us");
        let renewed = change(json!({"tls_client_cert": cert, "tls_client_key": key})).unwrap().spec.tls;
        assert_eq!(renewed.client().unwrap().key().reveal(), key);
        let pointers = |change: Result<SubscriptionInput, Vec<Problem>>| {
            change.unwrap_err().into_iter().map(|p| p.pointer).collect::<Vec<_>>()
        };
        assert_eq!(pointers(change(json!({"tls_client_cert": cert}))), ["/tls_client_key"]);
        assert_eq!(pointers(change(json!({"tls_client_key": null}))), ["/tls_client_key"]);
        let all = ["/tls_ca", "/tls_client_cert", "/tls_client_key"];
        assert_eq!(pointers(change(json!({"url": "http://crm/"}))), all);
        assert_eq!(
            pointers(read(&json!({"url": "https://crm/", "tls_client_key": key}))),
            ["/tls_client_cert"]
        );
        let bad = json!({"url": "https://crm/", "tls_ca": "x", "tls_client_cert": 5, "tls_client_key": "x"});
        let problems = read(&bad).unwrap_err();
        assert_eq!(problems.iter().map(|p| p.pointer.as_str()).collect::<Vec<_>>(), all, "{problems:?}");
    }

    #[test]
    fn every_problem_is_told_with_its_pointer() {
        let problems = read(&json!({
            "url": "ftp://x/", "events": [], "projects": ["a b", 5, "ok"], "headers": {"Host": "x", "ok": "y"}, "timeout": "1h",
            "retry_schedule": ["1s", "soon"], "max_in_flight": 0, "ordering": "lifo", "evnts": [], "enabled": 1,
        }))
        .unwrap_err();
        let mut pointers: Vec<_> = problems.iter().map(|p| p.pointer.as_str()).collect();
        pointers.sort_unstable();
        let expected = [
            "/events",
            "/evnts",
            "/headers/Host",
            "/max_in_flight",
            "/ordering",
            "/projects/1",
            "/retry_schedule/1",
            "/timeout",
            "/url",
        ];
        assert_eq!(pointers, expected, "{problems:#?}");
        let typo = problems.iter().find(|p| p.pointer == "/evnts").unwrap();
        assert_eq!(typo.detail, "is not a member of a subscription: did you mean 'events'?");
    }
}
