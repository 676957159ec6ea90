//! A setting as a field of the editor: its widget, its text, and the conversion of the text to the API's
//! member.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::viewer::Viewer;
use crate::model::setting::{Kind, SETTINGS, Setting};

/// A field of the editor, with its localized texts.
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
    /// An `input` of this type, with this `inputmode`.
    Line(&'static str, &'static str),
    /// A `textarea` with this number of rows.
    Lines(usize),
    /// A `select` of these values, each with its label.
    Choice(Vec<(&'static str, String)>),
}

/// Returns the settings that have one field each. Events and projects have their own widgets.
pub(super) fn plain_settings() -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().filter(|setting| !matches!(setting.kind, Kind::EventTerms | Kind::ProjectTerms))
}

/// Returns the label of a setting in the viewer's language.
pub(super) fn label(v: &Viewer, setting: &Setting) -> String {
    v.label("setting", setting.name)
}

impl Field {
    /// Returns the field of a setting with the text that was typed. The field of a secret is always empty.
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

/// Returns the value of a member as text for a field; empty for null.
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

/// Converts the text of a field to a member. An empty text becomes null, which means the default.
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

/// Splits a text into words at commas and white space.
pub(super) fn words(text: &str) -> Vec<String> {
    let parts = text.split(|c: char| c.is_whitespace() || c == ',');
    parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// Parses headers, one per line, as `name: value`.
fn headers(typed: &str) -> Map<String, Value> {
    let header = |line: &str| {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        (!name.trim().is_empty()).then(|| (name.trim().to_owned(), json!(value.trim())))
    };
    typed.lines().filter_map(header).collect()
}

/// Normalizes the line ends that a browser sends, so that PEM stays as it was given.
fn pem(typed: &str) -> Cow<'_, str> {
    let lines: Vec<&str> = typed.lines().map(str::trim_end).collect();
    Cow::Owned(lines.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_field_converts_back_to_its_member() {
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
