//! A setting as a field of the editor: its widget, its text, and the API's member that the text stands for.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::viewer::Viewer;
use crate::model::setting::{Kind, SETTINGS, Setting};

/// A field of the editor, ready to be shown.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) label: String,
    pub(super) help: String,
    pub(super) text: String,
    pub(super) placeholder: &'static str,
    pub(super) widget: Widget,
    pub(super) is_invalid: bool,
}

/// The HTML element of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Widget {
    /// An `input` of this type, with this input mode.
    Line(&'static str, &'static str),
    /// A `textarea` of so many rows.
    Lines(usize),
    /// A `select` of these words, each with its label.
    Choice(Vec<(&'static str, String)>),
}

/// Returns the settings that have one field each. Events and projects have widgets of their own.
pub(super) fn plain_settings() -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().filter(|setting| !matches!(setting.kind, Kind::EventTerms | Kind::ProjectTerms))
}

/// Returns the label of a setting in the viewer's language.
pub(super) fn label(v: &Viewer, setting: &Setting) -> String {
    v.label("setting", setting.name)
}

impl Field {
    /// Returns the field of a setting with what was typed into it. A secret is never sent back.
    pub(super) fn new(v: &Viewer, setting: &Setting, typed: &str, is_invalid: bool) -> Self {
        Self {
            name: setting.name,
            label: label(v, setting),
            help: v.t(&format!("setting-{}-help", setting.name.replace('_', "-"))),
            text: if setting.is_secret() { String::new() } else { typed.to_owned() },
            placeholder: setting.example,
            widget: widget(v, setting),
            is_invalid,
        }
    }
}

fn widget(v: &Viewer, setting: &Setting) -> Widget {
    match setting.kind {
        Kind::Url => Widget::Line("url", "url"),
        Kind::Email => Widget::Line("email", "email"),
        Kind::Count(_) => Widget::Line("text", "numeric"),
        Kind::Name | Kind::Timeout | Kind::Waits | Kind::Rate | Kind::EventTerms | Kind::ProjectTerms => {
            Widget::Line("text", "text")
        }
        Kind::Filter | Kind::Headers => Widget::Lines(2),
        Kind::Certificates | Kind::PrivateKey => Widget::Lines(4),
        Kind::Format | Kind::Ordering => {
            let words = setting.kind.words().into_iter();
            Widget::Choice(words.map(|word| (word, v.label(setting.name, word))).collect())
        }
    }
}

/// Returns a member as a person types it; empty if it is null.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        Value::Object(members) => {
            let lines = members.iter().map(|(name, value)| format!("{name}: {}", text(value)));
            lines.collect::<Vec<_>>().join("\n")
        }
        other => other.to_string(),
    }
}

/// Returns the member that a typed text stands for; null, the default, if it is empty.
pub(super) fn member(kind: Kind, typed: &str) -> Value {
    match kind {
        Kind::Headers => Value::Object(headers(typed)),
        _ if typed.is_empty() => Value::Null,
        Kind::Count(_) => typed.parse::<u64>().map_or_else(|_| json!(typed), |number| json!(number)),
        Kind::Waits => {
            let waits = words(typed);
            if waits.is_empty() { Value::Null } else { json!(waits) }
        }
        Kind::Certificates | Kind::PrivateKey => json!(pem(typed)),
        _ => json!(typed),
    }
}

/// Returns the words of a text, which commas and white space separate.
pub(super) fn words(text: &str) -> Vec<String> {
    let parts = text.split(|c: char| c.is_whitespace() || c == ',');
    parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// Reads headers, written `name: value`, one on each line.
fn headers(typed: &str) -> Map<String, Value> {
    let header = |line: &str| {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        (!name.trim().is_empty()).then(|| (name.trim().to_owned(), json!(value.trim())))
    };
    typed.lines().filter_map(header).collect()
}

/// Undoes what a browser does to the line ends of a text, so that PEM comes back as it was given.
fn pem(typed: &str) -> Cow<'_, str> {
    let lines: Vec<&str> = typed.lines().map(str::trim_end).collect();
    Cow::Owned(lines.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_stands_for_the_member_that_it_shows() {
        for (kind, value) in [
            (Kind::Name, json!("crm")),
            (Kind::Waits, json!(["5s", "2m"])),
            (Kind::Count(9), json!(3)),
            (Kind::Headers, json!({"x-a": "b: c", "x-b": "d"})),
            (Kind::Certificates, json!("-----BEGIN-----\nA\n-----END-----\n")),
            (Kind::Rate, Value::Null),
        ] {
            assert_eq!(member(kind, text(&value).trim()), value, "{kind:?}");
        }
        assert_eq!(member(Kind::Certificates, "A\r\nB"), json!("A\nB\n"));
        assert_eq!(member(Kind::Count(9), "many"), json!("many"));
        assert_eq!(member(Kind::Headers, ""), json!({}));
    }
}
