//! Reads the members of a subscription one by one and notes every problem, each with its JSON pointer.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde_json::{Map, Value};
use url::Url;

use crate::model::member_error::{
    HEADER_BYTES_MAX, HEADERS_MAX, IN_FLIGHT_MAX, MemberError, NAME_CHARS_MAX, RETRIES_MAX,
};
use crate::model::problem::{Localized, Problem};
use crate::model::time::{Interval, millis};
use crate::model::tls::{Certificates, ClientIdentity, ClientKey, Tls};

const URL_BYTES_MAX: usize = 2048;
const FILTER_BYTES_MAX: usize = 4096;
const TIMEOUT_MS: std::ops::RangeInclusive<u64> = 100..=60_000;
const RETRY_WAIT_MS_MAX: u64 = 7 * 86_400_000;

/// Headers that only the daemon or HTTP itself may set.
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

/// Reads members and collects the problems that they have.
///
/// A member that is absent or `null` reads as `None`. So does a member with a problem.
pub struct MemberReader<'a> {
    members: &'a Map<String, Value>,
    problems: Vec<Problem>,
}

impl<'a> MemberReader<'a> {
    /// Creates a reader of `members`.
    pub(in crate::model) const fn new(members: &'a Map<String, Value>) -> Self {
        Self { members, problems: Vec::new() }
    }

    /// Returns the problems of all members that were read.
    pub(in crate::model) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// Returns the member unless it is absent or `null`.
    fn get(&self, name: &str) -> Option<&'a Value> {
        self.members.get(name).filter(|value| !value.is_null())
    }

    /// Notes a problem of the member `name`.
    fn refuse(&mut self, name: &str, detail: impl std::fmt::Display) {
        self.problems.push(Problem::new(format!("/{name}"), detail));
    }

    /// Notes a problem whose text exists in every language of the page.
    fn explain(&mut self, name: &str, error: &impl Localized) {
        self.problems.push(Problem::from_error(format!("/{name}"), error));
    }

    /// Returns the member if it is a string.
    fn text(&mut self, name: &str) -> Option<&'a str> {
        let value = self.get(name)?;
        let text = value.as_str();
        if text.is_none() {
            self.refuse(name, format_args!("is {}: expected a string", kind(value)));
        }
        text
    }

    /// Parses a string whose errors exist in every language of the page.
    pub(in crate::model) fn word<T: FromStr<Err: Localized>>(&mut self, name: &str) -> Option<T> {
        let parsed = self.text(name)?.parse();
        parsed.map_err(|error| self.explain(name, &error)).ok()
    }

    /// Parses a string whose errors exist in English only, because people rarely type it.
    pub(in crate::model) fn opaque<T: FromStr<Err: std::fmt::Display>>(&mut self, name: &str) -> Option<T> {
        let parsed = self.text(name)?.parse();
        parsed.map_err(|error| self.refuse(name, error)).ok()
    }

    /// Reads the display name.
    pub(in crate::model) fn name(&mut self) -> Option<String> {
        let name = self.text("name")?;
        if name.trim().is_empty()
            || name.chars().count() > NAME_CHARS_MAX
            || name.chars().any(char::is_control)
        {
            self.explain("name", &MemberError::Name);
            return None;
        }
        Some(name.to_owned())
    }

    /// Reads the URL of the receiver, which is required.
    pub(in crate::model) fn url(&mut self) -> Option<Url> {
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

    /// Returns the member if it is a list of strings.
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

    /// Reads a list of terms, such as event types.
    pub(in crate::model) fn terms<T>(
        &mut self,
        name: &str,
        parse: impl Fn(&[&'a str]) -> Result<T, Vec<Problem>>,
    ) -> Option<T> {
        let texts = self.texts(name)?;
        let prefix = format!("/{name}");
        parse(&texts)
            .map_err(|problems| self.problems.extend(problems.into_iter().map(|p| p.within(&prefix))))
            .ok()
    }

    /// Reads the filter as text. The daemon compiles it later, as the last check.
    pub(in crate::model) fn filter(&mut self) -> Option<String> {
        let text = self.text("filter")?;
        if text.len() > FILTER_BYTES_MAX {
            self.explain("filter", &MemberError::TooLong { bytes: text.len(), most: FILTER_BYTES_MAX });
            return None;
        }
        Some(text.to_owned())
    }

    /// Reads the headers that are added to each request.
    pub(in crate::model) fn headers(&mut self) -> BTreeMap<String, String> {
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

    /// Reads the time limit of an attempt.
    pub(in crate::model) fn timeout(&mut self) -> Option<Interval> {
        let timeout: Interval = self.word("timeout")?;
        if !TIMEOUT_MS.contains(&millis(timeout.get())) {
            self.explain("timeout", &MemberError::Timeout(timeout));
        }
        Some(timeout)
    }

    /// Reads the waits before attempts 2, 3, ….
    pub(in crate::model) fn retry_schedule(&mut self) -> Option<Vec<Interval>> {
        let texts = self.texts("retry_schedule")?;
        let (waits, problems) = read_retry_schedule(&texts);
        self.problems.extend(problems.into_iter().map(|problem| problem.within("/retry_schedule")));
        Some(waits)
    }

    /// Reads the limit of concurrent requests.
    pub(in crate::model) fn max_in_flight(&mut self) -> Option<NonZeroU32> {
        let value = self.get("max_in_flight")?;
        // JSON Schema counts 16.0 as a whole number, too.
        let text = value.to_string();
        let count: Option<NonZeroU32> = text.strip_suffix(".0").unwrap_or(&text).parse().ok();
        let count = count.filter(|count| count.get() <= IN_FLIGHT_MAX);
        if count.is_none() {
            self.explain("max_in_flight", &MemberError::InFlight(text));
        }
        count
    }

    /// Reads `tls_ca`, `tls_client_cert` and `tls_client_key`, which are valid only together and only for https.
    pub(in crate::model) fn tls(&mut self, url: &Url) -> Tls {
        if url.scheme() == "http" {
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

    /// Reads whether the subscription is enabled.
    pub(in crate::model) fn enabled(&mut self) -> Option<bool> {
        let value = self.get("enabled")?;
        if !value.is_boolean() {
            self.refuse("enabled", format_args!("is {}: expected true or false", kind(value)));
        }
        value.as_bool()
    }
}

/// Parses the waits before attempts 2, 3, … and returns them with all problems. An empty list means a single attempt.
pub fn read_retry_schedule(texts: &[&str]) -> (Vec<Interval>, Vec<Problem>) {
    let mut waits = Vec::with_capacity(texts.len());
    let mut problems = Vec::new();
    if texts.len() > RETRIES_MAX {
        problems.push(Problem::from_error("", &MemberError::RetriesTooMany(texts.len())));
    }
    for (index, text) in texts.iter().enumerate() {
        match text.parse::<Interval>() {
            Ok(wait) if millis(wait.get()) <= RETRY_WAIT_MS_MAX => waits.push(wait),
            Ok(wait) => {
                problems.push(Problem::from_error(format!("/{index}"), &MemberError::RetryTooLong(wait)));
            }
            Err(error) => problems.push(Problem::from_error(format!("/{index}"), &error)),
        }
    }
    (waits, problems)
}

/// Returns the header's name in lower case if a subscription may set this header to this value.
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

/// Names the kind of a JSON value for an error message, with its article.
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
