//! A reader of query parameters that reports all problems at once.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use axum::extract::FromRequestParts;
use http::Uri;
use http::request::Parts;
use url::form_urlencoded;

use crate::api::error::ApiError;
use crate::model::problem::{Problem, nearest};

/// The most items of a page when the request has no `limit`.
pub const LIMIT_DEFAULT: usize = 50;
/// The largest `limit`.
pub const LIMIT_MAX: usize = 500;

/// The query parameters of a request, and the problems found in them so far.
pub struct QueryParams {
    given: BTreeMap<String, String>,
    problems: Vec<Problem>,
}

impl QueryParams {
    /// Parses the query of `uri`. Parameters other than those of `known`, and repeated ones, are problems.
    pub fn new(uri: &Uri, known: &[&str]) -> Self {
        let mut params = Self { given: BTreeMap::new(), problems: Vec::new() };
        for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
            if !known.contains(&&*name) {
                params.add_problem(&name, unknown(&name, known));
            } else if params.given.insert(name.to_string(), value.into_owned()).is_some() {
                params.add_problem(&name, "is given more than once: give it once");
            }
        }
        params
    }

    fn add_problem(&mut self, name: &str, detail: impl fmt::Display) {
        self.problems.push(Problem::new(format!("?{name}"), detail));
    }

    /// Returns the parsed value of a parameter; `None` if it is missing or invalid.
    pub fn get<T: FromStr<Err: fmt::Display>>(&mut self, name: &str) -> Option<T> {
        let parsed = self.given.get(name)?.parse();
        parsed.map_err(|error| self.add_problem(name, error)).ok()
    }

    /// Returns the parsed values of a comma-separated parameter; no values if it is missing or invalid.
    pub fn get_list<T: FromStr<Err: fmt::Display>>(&mut self, name: &str) -> Vec<T> {
        let Some(text) = self.given.get(name).cloned() else { return Vec::new() };
        let parsed: Result<Vec<T>, _> = text.split(',').map(str::parse).collect();
        parsed.map_err(|error| self.add_problem(name, error)).unwrap_or_default()
    }

    /// Returns the value of `limit`, or [`LIMIT_DEFAULT`] if it is missing or invalid.
    pub fn limit(&mut self) -> usize {
        let Some(text) = self.given.get("limit").cloned() else { return LIMIT_DEFAULT };
        match text.parse() {
            Ok(limit) if (1..=LIMIT_MAX).contains(&limit) => limit,
            _ => {
                self.add_problem(
                    "limit",
                    format_args!("'{text}' is not a whole number from 1 to {LIMIT_MAX}"),
                );
                LIMIT_DEFAULT
            }
        }
    }

    /// Finishes reading, and reports the problems found.
    ///
    /// # Errors
    /// `malformed` with all problems, if there are any.
    pub fn finish(self) -> Result<(), ApiError> {
        if self.problems.is_empty() { Ok(()) } else { Err(ApiError::Malformed(self.problems)) }
    }
}

/// Refuses a request with query parameters, for routes that have none.
#[derive(Clone, Copy, Debug)]
pub struct NoQuery;

impl<S: Sync> FromRequestParts<S> for NoQuery {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        QueryParams::new(&parts.uri, &[]).finish().map(|()| Self)
    }
}

fn unknown(name: &str, known: &[&str]) -> String {
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("is not a parameter of this route: did you mean '{near}'?"),
        None if known.is_empty() => {
            "is not a parameter of this route, which has none: leave it out".to_owned()
        }
        None => format!("is not a parameter of this route: expected {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::delivery::DeliveryState;
    use crate::model::id::EventId;

    fn read(query: &str) -> Result<(usize, Option<EventId>, Vec<DeliveryState>), Vec<String>> {
        let uri: Uri = format!("/x?{query}").parse().unwrap();
        let mut params = QueryParams::new(&uri, &["limit", "cursor", "state"]);
        let read = (params.limit(), params.get("cursor"), params.get_list("state"));
        match params.finish() {
            Ok(()) => Ok(read),
            Err(ApiError::Malformed(problems)) => Err(problems.iter().map(ToString::to_string).collect()),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn parameters_are_read() {
        let id = EventId::from_bits(5);
        assert_eq!(read(""), Ok((LIMIT_DEFAULT, None, vec![])));
        assert_eq!(read(&format!("limit=500&cursor={id}")), Ok((500, Some(id), vec![])));
        let states = vec![DeliveryState::Held, DeliveryState::InFlight];
        assert_eq!(read("state=held%2Cin_flight"), Ok((LIMIT_DEFAULT, None, states)));
    }

    #[test]
    fn every_invalid_parameter_is_reported() {
        let problems = read("limt=1&limit=0&cursor=x&state=held,gone&state=held").unwrap_err();
        let pointers: Vec<_> = problems.iter().map(|text| text.split(':').next().unwrap()).collect();
        assert_eq!(pointers, ["?limt", "?state", "?limit", "?cursor"]);
        assert!(problems[0].ends_with("did you mean 'limit'?"), "{problems:?}");
        assert!(read("limit=501").is_err() && read("limit=-1").is_err());
    }
}
