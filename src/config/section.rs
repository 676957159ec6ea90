//! Reads the keys of one table, each with its type and range.
//!
//! An invalid key is recorded and read as a harmless value, so that one pass finds all problems. A configuration with a
//! problem is never used.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use bytesize::ByteSize;
use serde_json::{Map, Value};

use super::layers::Layers;
use crate::model::pointer::escape;
use crate::model::problem::{Problem, nearest};
use crate::model::setting::reader::kind;
use crate::model::time::Interval;

/// A table at `pointer`, and the keys that have been read from it.
pub(super) struct Section<'a> {
    layers: &'a Layers,
    problems: &'a mut Vec<Problem>,
    pointer: String,
    members: Option<&'a Map<String, Value>>,
    known: Vec<String>,
}

impl<'a> Section<'a> {
    /// Opens the table at `pointer`. Any other value is refused.
    pub(super) fn open(layers: &'a Layers, problems: &'a mut Vec<Problem>, pointer: &str) -> Self {
        let value = layers.merged.pointer(pointer);
        if let Some(value) = value.filter(|value| !value.is_object()) {
            problems.push(Problem::new(pointer, format_args!("is {}: expected a table", kind(value))));
        }
        let members = value.and_then(Value::as_object);
        Self { layers, problems, pointer: pointer.to_owned(), members, known: Vec::new() }
    }

    /// Returns the value of a key and marks the key as known.
    pub(super) fn get(&mut self, name: &str) -> Option<&'a Value> {
        if !self.known.iter().any(|known| known == name) {
            self.known.push(name.to_owned());
        }
        self.members?.get(name)
    }

    /// Returns the value of a key that has no default, and refuses its absence. `what` completes "add …".
    pub(super) fn demand(&mut self, name: &'static str, what: &str) -> Option<&'a Value> {
        let value = self.get(name);
        if value.is_none() && self.members.is_some() {
            self.refuse(name, format_args!("is missing: add {what}"));
        }
        value
    }

    /// Returns all keys and values.
    pub(super) fn members(&self) -> impl Iterator<Item = (&'a String, &'a Value)> + use<'a> {
        self.members.into_iter().flatten()
    }

    /// Returns the source of a key, such as `config.toml:12`.
    pub(super) fn source_name(&self, pointer: &str) -> String {
        self.layers.source_name(pointer)
    }

    /// Returns the pointer of a key.
    pub(super) fn pointer(&self, name: &str) -> String {
        if name.is_empty() { self.pointer.clone() } else { format!("{}/{name}", self.pointer) }
    }

    /// Records a problem of a key, or of the table if `name` is empty.
    pub(super) fn refuse(&mut self, name: &str, detail: impl Display) {
        self.problems.push(Problem::new(self.pointer(name), detail));
    }

    /// Returns whether a key has a problem.
    pub(super) fn is_refused(&self, name: &str) -> bool {
        let pointer = self.pointer(name);
        self.problems.iter().any(|problem| problem.pointer == pointer)
    }

    /// Records problems that were found in this table.
    pub(super) fn refuse_all(&mut self, problems: Vec<Problem>) {
        self.problems.extend(problems.into_iter().map(|problem| problem.within(&self.pointer)));
    }

    /// Refuses every key that has not been read.
    pub(super) fn close(self) {
        for (name, _) in self.members().filter(|(name, _)| !self.known.contains(name)) {
            let hint = nearest(name, self.known.iter().map(String::as_str)).map_or_else(
                || format!("the known keys are {}", self.known.join(", ")),
                |near| format!("did you mean '{near}'?"),
            );
            let pointer = format!("{}/{}", self.pointer, escape(name));
            self.problems.push(Problem::new(pointer, format_args!("is not a known key: {hint}")));
        }
    }

    /// Reads a text. `expected` completes "expected …".
    pub(super) fn text(&mut self, name: &str, expected: &str) -> Option<&'a str> {
        let value = self.get(name)?;
        if !value.is_string() {
            self.refuse(name, format_args!("is {}: expected {expected}", kind(value)));
        }
        value.as_str()
    }

    /// Reads a text that is required and not empty.
    pub(super) fn required(&mut self, name: &'static str, expected: &str) -> &'a str {
        self.demand(name, expected);
        match self.text(name, expected) {
            Some(text) if text.trim().is_empty() => {
                self.refuse(name, format_args!("is empty: expected {expected}"));
                text
            }
            text => text.unwrap_or_default(),
        }
    }

    /// Parses a text. The error of the parser becomes the problem.
    pub(super) fn parsed<T>(&mut self, name: &'static str, expected: &str) -> Option<T>
    where
        T: FromStr<Err: Display>,
    {
        let parsed = self.text(name, expected)?.parse();
        parsed.map_err(|error| self.refuse(name, error)).ok()
    }

    /// Reads one of the given words.
    pub(super) fn word<T: Copy>(&mut self, name: &'static str, words: &[(&str, T)]) -> Option<T> {
        let expected = alternatives(words.iter().map(|(word, _)| *word));
        let text = self.text(name, &expected)?;
        let value = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if value.is_none() {
            self.refuse(name, format_args!("is not allowed: expected {expected}"));
        }
        value
    }

    /// Reads a duration within a range.
    pub(super) fn interval(&mut self, name: &'static str, range: &RangeInclusive<Interval>) -> Interval {
        let interval = self.parsed::<Interval>(name, "a duration such as \"5s\"").unwrap_or(*range.start());
        self.within(name, interval, range, Interval::to_string)
    }

    /// Reads a size in bytes within a range.
    pub(super) fn size(&mut self, name: &'static str, range: &RangeInclusive<u64>) -> u64 {
        const EXPECTED: &str = "a size such as \"64KiB\", \"1MiB\" or \"2GiB\"";
        let Some(text) = self.text(name, EXPECTED) else { return *range.start() };
        if let Ok(size) = text.parse::<ByteSize>() {
            self.within(name, size.as_u64(), range, |bytes| size_text(*bytes))
        } else {
            self.refuse(name, format_args!("is not {EXPECTED}"));
            *range.start()
        }
    }

    /// Reads a size of memory in bytes within a range.
    pub(super) fn size_in_memory(&mut self, name: &'static str, range: &RangeInclusive<u64>) -> usize {
        usize::try_from(self.size(name, range)).unwrap_or(usize::MAX)
    }

    /// Reads a whole number within a range.
    pub(super) fn count(&mut self, name: &'static str, range: &RangeInclusive<usize>) -> usize {
        let Some(value) = self.get(name) else { return *range.start() };
        let number = value.as_u64().or_else(|| self.variable_text(name, value)?.parse().ok());
        if let Some(number) = number.and_then(|number| usize::try_from(number).ok()) {
            self.within(name, number, range, usize::to_string)
        } else {
            let (least, most) = range.clone().into_inner();
            self.refuse(name, format_args!("is not a whole number from {least} to {most}"));
            least
        }
    }

    /// Reads a number from 0 to 1.
    pub(super) fn share(&mut self, name: &'static str) -> f64 {
        let Some(value) = self.get(name) else { return 0.0 };
        let number = value.as_f64().or_else(|| self.variable_text(name, value)?.parse().ok());
        if let Some(number) = number.filter(|number| (0.0..=1.0).contains(number)) {
            number
        } else {
            self.refuse(name, "is not a number from 0 to 1, such as 0.2");
            0.0
        }
    }

    /// Reads a list of texts. An environment variable may contain a single text without brackets.
    pub(super) fn texts(&mut self, name: &'static str, expected: &str) -> Vec<&'a str> {
        let Some(value) = self.get(name) else { return Vec::new() };
        if let Some(text) = self.variable_text(name, value) {
            return vec![text];
        }
        let Some(list) = value.as_array() else {
            self.refuse(name, format_args!("is {}: expected {expected}", kind(value)));
            return Vec::new();
        };
        for (index, item) in list.iter().enumerate().filter(|(_, item)| !item.is_string()) {
            self.refuse(&format!("{name}/{index}"), format_args!("is {}: expected a string", kind(item)));
        }
        list.iter().map(Value::as_str).collect::<Option<_>>().unwrap_or_default()
    }

    /// Parses a list of texts and returns each with its index. Problems are recorded at the index.
    pub(super) fn list<T>(&mut self, name: &'static str, expected: &str) -> Vec<(usize, T)>
    where
        T: FromStr<Err: Display>,
    {
        let texts = self.texts(name, expected);
        let mut items = Vec::with_capacity(texts.len());
        for (index, text) in texts.into_iter().enumerate() {
            match text.parse() {
                Ok(item) => items.push((index, item)),
                Err(error) => self.refuse(&format!("{name}/{index}"), error),
            }
        }
        items
    }

    fn variable_text(&self, name: &str, value: &'a Value) -> Option<&'a str> {
        value.as_str().filter(|_| self.layers.is_variable(&self.pointer(name)))
    }

    fn within<T: Copy + PartialOrd>(
        &mut self,
        name: &str,
        value: T,
        range: &RangeInclusive<T>,
        text: impl Fn(&T) -> String,
    ) -> T {
        if !range.contains(&value) {
            let (least, most) = (text(range.start()), text(range.end()));
            self.refuse(name, format_args!("is not between {least} and {most}"));
        }
        value
    }
}

/// Returns `"a", "b" or "c"`.
fn alternatives<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let quoted = words.map(|word| format!("\"{word}\"")).collect::<Vec<_>>();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

/// Formats a size exactly, in the largest unit without a remainder.
pub(super) fn size_text(bytes: u64) -> String {
    const UNITS: [(u32, &str); 5] = [(50, "PiB"), (40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    let unit = UNITS.iter().find(|(bits, _)| bytes > 0 && bytes.trailing_zeros() >= *bits);
    unit.map_or_else(|| format!("{bytes}B"), |(bits, name)| format!("{}{name}", bytes >> bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_formatted_as_they_are_written() {
        for text in ["0B", "1B", "1023B", "1KiB", "1025B", "64KiB", "1MiB", "2GiB", "1TiB", "1PiB"] {
            let bytes = text.parse::<ByteSize>().unwrap().as_u64();
            assert_eq!(size_text(bytes), text);
        }
        assert_eq!(size_text("1024KiB".parse::<ByteSize>().unwrap().as_u64()), "1MiB");
    }
}
