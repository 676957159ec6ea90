//! Parameters in the query of a page, with the problem of each.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use http::Uri;
use url::form_urlencoded;

use super::localize::localize;
use super::viewer::Viewer;
use crate::model::problem::{Localized, Message};
use crate::model::time::{Timestamp, TimestampError};

/// The number of items on a page of a list.
pub(super) const PAGE_ITEMS: usize = 50;

/// The query of a page. Unknown parameters are ignored, and empty ones count as absent.
#[derive(Debug, Default)]
pub(super) struct Query {
    given: BTreeMap<String, String>,
    problems: BTreeMap<&'static str, Message>,
}

impl Query {
    /// Reads the query of `uri`.
    pub(super) fn new(uri: &Uri) -> Self {
        let pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        let given = pairs.map(|(name, value)| (name.into_owned(), value.trim().to_owned()));
        Self { given: given.filter(|(_, value)| !value.is_empty()).collect(), problems: BTreeMap::new() }
    }

    /// Returns a parameter as text; empty if it is absent.
    pub(super) fn get(&self, name: &str) -> &str {
        self.given.get(name).map_or("", String::as_str)
    }

    /// Parses a parameter. If it is invalid, records the problem and returns `None`.
    pub(super) fn read<T: FromStr<Err: Localized>>(&mut self, name: &'static str) -> Option<T> {
        let read = self.given.get(name)?.parse::<T>();
        read.map_err(|error| self.problems.insert(name, error.message())).ok()
    }

    /// Parses a time from a date field or in RFC 3339. Without an offset, the time is UTC.
    pub(super) fn time(&mut self, name: &'static str) -> Option<Timestamp> {
        let text = self.given.get(name)?.clone();
        self.time_of(name, &text)
    }

    /// Parses a time from the text of a form field. Returns `None` if the text is empty or invalid.
    pub(super) fn time_of(&mut self, name: &'static str, text: &str) -> Option<Timestamp> {
        let whole = match text.len() {
            0 => return None,
            10 => format!("{text}T00:00:00Z"),
            16 => format!("{text}:00Z"),
            19 => format!("{text}Z"),
            _ => text.to_owned(),
        };
        let read = whole.parse();
        read.map_err(|error: TimestampError| self.problems.insert(name, error.message())).ok()
    }

    /// Records a problem with a parameter.
    pub(super) fn refuse(&mut self, name: &'static str, problem: Message) {
        self.problems.insert(name, problem);
    }

    /// Returns whether any parameter has a problem.
    pub(super) fn has_problems(&self) -> bool {
        !self.problems.is_empty()
    }

    /// Returns the problem with a parameter; empty if there is none.
    pub(super) fn problem(&self, v: &Viewer, name: &str) -> String {
        self.problems.get(name).map(|problem| localize(v.language, problem)).unwrap_or_default()
    }

    /// Returns the first problem, if there is one.
    pub(super) fn first_problem(&self) -> Option<&Message> {
        self.problems.values().next()
    }

    /// Returns whether any of these parameters is set.
    pub(super) fn is_filtered(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.given.contains_key(*name))
    }

    /// Returns the path and query of the next page of this list.
    pub(super) fn next(&self, path: &str, cursor: impl fmt::Display) -> String {
        let mut text = self.filters();
        text.append_pair("cursor", &cursor.to_string());
        format!("{path}?{}", text.finish())
    }

    /// Returns the path and query of the same search on another page.
    pub(super) fn on(&self, path: &str) -> String {
        format!("{path}?{}", self.filters().finish())
    }

    fn filters(&self) -> form_urlencoded::Serializer<'static, String> {
        let mut text = form_urlencoded::Serializer::new(String::new());
        for (name, value) in self.given.iter().filter(|(name, _)| *name != "cursor" && *name != "notice") {
            text.append_pair(name, value);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::language::Language;
    use super::*;
    use crate::model::id::EventId;

    #[test]
    fn invalid_filters_are_reported() {
        let mut query =
            Query::new(&"/x?type=+A+&event=evt_1&since=2026-01-05T08:00&until=soon&q=".parse().unwrap());
        let english = Viewer::example(Language::English);
        assert_eq!(query.get("type"), "A");
        assert_eq!(query.read::<EventId>("event"), None);
        assert!(query.problem(&english, "event").contains("is not an event id"));
        assert_eq!(query.time("since").map(Timestamp::as_millis), Some(1_767_600_000_000));
        assert_eq!(query.time("until"), None);
        assert!(!query.problem(&english, "until").is_empty() && query.problem(&english, "since").is_empty());
        assert!(query.is_filtered(&["type"]) && !query.is_filtered(&["q"]));
    }

    #[test]
    fn the_next_page_keeps_the_filters() {
        let query = Query::new(&"/x?type=A%26B&cursor=old&notice=1".parse().unwrap());
        assert_eq!(query.next("/events", "new"), "/events?type=A%26B&cursor=new");
    }
}
