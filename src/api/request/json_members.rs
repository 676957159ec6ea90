//! A reader of small JSON bodies that reports all problems at once.

use std::fmt;
use std::str::FromStr;

use axum::extract::Request;
use serde_json::{Map, Value};

use super::body;
use crate::api::error::ApiError;
use crate::flow::Flow;
use crate::model::pointer;
use crate::model::problem::{Problem, nearest};
use crate::model::setting::reader::kind;

/// The members of a JSON object, and the problems found in them so far. A member that is null counts as left out.
#[derive(Debug)]
pub struct JsonMembers {
    given: Map<String, Value>,
    problems: Vec<Problem>,
}

impl JsonMembers {
    /// Reads an optional body. Members other than those of `known` are problems.
    ///
    /// # Errors
    /// See [`body::read`], and if the body is not a JSON object.
    pub async fn read(request: Request, flow: &Flow, known: &[&str]) -> Result<Self, ApiError> {
        Self::from_bytes(&body::read_optional_json(request, flow).await?, known)
    }

    /// Reads the members of a body, or none if it is empty. Members other than those of `known` are problems.
    ///
    /// # Errors
    /// `malformed` if the body is not a JSON object.
    pub fn from_bytes(text: &[u8], known: &[&str]) -> Result<Self, ApiError> {
        let given = if text.is_empty() { Map::new() } else { body::members(text)? };
        Ok(Self::new(given, known))
    }

    /// Creates a reader of these members. Members other than those of `known` are problems.
    pub fn new(given: Map<String, Value>, known: &[&str]) -> Self {
        let unknown = given.keys().filter(|name| !known.contains(&name.as_str()));
        let problems = unknown.map(|name| {
            let hint = nearest(name, known.iter().copied()).map_or_else(
                || format!("expected {}", known.join(", ")),
                |near| format!("did you mean '{near}'?"),
            );
            let pointer = format!("/{}", pointer::escape(name));
            Problem::new(pointer, format_args!("is not a known member: {hint}"))
        });
        let problems = problems.collect();
        Self { given, problems }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.given.remove(name).filter(|value| !value.is_null())
    }

    /// Records a problem of a member.
    pub fn add_problem(&mut self, name: &str, detail: impl fmt::Display) {
        self.problems.push(Problem::new(format!("/{name}"), detail));
    }

    /// Returns a member parsed from its string; `None` if it is left out or invalid.
    pub fn get<T: FromStr<Err: fmt::Display>>(&mut self, name: &str) -> Option<T> {
        let value = self.take(name)?;
        self.parse(name, &value)
    }

    /// Returns a member parsed from its list of 1 to `most` strings; `None` if it is left out or invalid.
    pub fn get_list<T: FromStr<Err: fmt::Display>>(&mut self, name: &str, most: usize) -> Option<Vec<T>> {
        let value = self.take(name)?;
        let Value::Array(list) = value else {
            self.add_problem(name, format_args!("is {}: expected a list of strings", kind(&value)));
            return None;
        };
        if list.is_empty() || list.len() > most {
            let count = list.len();
            self.add_problem(
                name,
                format_args!("has {count} items: give 1 to {most}, or leave the member out"),
            );
            return None;
        }
        let read =
            list.iter().enumerate().map(|(index, value)| self.parse(&format!("{name}/{index}"), value));
        let read: Vec<Option<T>> = read.collect();
        read.into_iter().collect()
    }

    /// Returns a boolean member; `None` if it is left out or invalid.
    pub fn get_bool(&mut self, name: &str) -> Option<bool> {
        let value = self.take(name)?;
        if !value.is_boolean() {
            self.add_problem(name, format_args!("is {}: expected true or false", kind(&value)));
        }
        value.as_bool()
    }

    fn parse<T: FromStr<Err: fmt::Display>>(&mut self, name: &str, value: &Value) -> Option<T> {
        let Some(text) = value.as_str() else {
            self.add_problem(name, format_args!("is {}: expected a string", kind(value)));
            return None;
        };
        text.parse().map_err(|error| self.add_problem(name, error)).ok()
    }

    /// Finishes reading, and reports the problems found.
    ///
    /// # Errors
    /// `invalid-input` with all problems, if there are any.
    pub fn finish(self) -> Result<(), ApiError> {
        if self.problems.is_empty() { Ok(()) } else { Err(ApiError::Invalid(self.problems)) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::delivery::DeliveryState;
    use crate::model::time::Timestamp;

    type Read = (Option<Timestamp>, Option<Vec<DeliveryState>>, Option<bool>);

    fn read(body: &Value) -> Result<Read, Vec<String>> {
        let mut members =
            JsonMembers::new(body.as_object().unwrap().clone(), &["since", "states", "dry_run"]);
        let read = (members.get("since"), members.get_list("states", 3), members.get_bool("dry_run"));
        match members.finish() {
            Ok(()) => Ok(read),
            Err(ApiError::Invalid(problems)) => Err(problems.into_iter().map(|one| one.pointer).collect()),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn members_are_read() {
        assert_eq!(read(&json!({})), Ok((None, None, None)));
        assert_eq!(read(&json!({"since": null, "dry_run": false})), Ok((None, None, Some(false))));
        let body = json!({"since": "2026-01-01T00:00:00Z", "states": ["exhausted", "cancelled"]});
        let states = vec![DeliveryState::Exhausted, DeliveryState::Cancelled];
        assert_eq!(read(&body), Ok(("2026-01-01T00:00:00Z".parse().ok(), Some(states), None)));
    }

    #[test]
    fn every_invalid_member_is_reported() {
        let body = json!({"sinc/e": 1, "since": "x", "states": ["held", 1, "gone"], "dry_run": 1});
        let expected = ["/sinc~1e", "/since", "/states/1", "/states/2", "/dry_run"];
        assert_eq!(read(&body), Err(expected.map(str::to_owned).to_vec()));
        for states in [json!([]), json!("held"), json!(["held", "held", "held", "held"])] {
            assert_eq!(read(&json!({"states": states})), Err(vec!["/states".to_owned()]));
        }
    }
}
