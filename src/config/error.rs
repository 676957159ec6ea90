//! The errors of a configuration: all of them, each with its source.

use std::fmt;

use crate::model::pointer::unescape;
use crate::model::problem::Problem;

const VALUE_CHARS_MAX: usize = 60;

/// A problem of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// The source of the value: `config.toml:12`, the name of an environment variable, or `built-in default`.
    pub source_name: String,
    /// The key, such as `subscriptions[0].events[1]`; empty for the file as a whole.
    pub key: String,
    /// The value, unless it is a list, a table or a secret.
    pub value: Option<String>,
    /// What is wrong, what is allowed, and the remedy.
    pub detail: String,
}

/// Prints `config.toml:12: delivery.timeout = "soon": is not a duration …`.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.source_name)?;
        match (&self.value, self.key.as_str()) {
            (_, "") => f.write_str(&self.detail),
            (Some(value), key) => write!(f, "{key} = {value}: {}", self.detail),
            (None, key) => write!(f, "{key}: {}", self.detail),
        }
    }
}

/// All problems of a configuration in the order of the file. Prints one problem per line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    pub(super) fn new(errors: Vec<ConfigError>) -> Self {
        Self(errors)
    }

    /// Returns a problem of the file as a whole.
    pub(super) fn whole(source_name: String, detail: String) -> Self {
        Self(vec![ConfigError { source_name, key: String::new(), value: None, detail }])
    }

    /// Returns the problems; never empty.
    pub fn problems(&self) -> &[ConfigError] {
        &self.0
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let end_of_last = if index == 0 { "" } else { "\n" };
            write!(f, "{end_of_last}{error}")?;
        }
        Ok(())
    }
}

/// Converts a pointer such as `/subscriptions/0/url` to a key such as `subscriptions[0].url`.
pub(super) fn key_of(pointer: &str) -> String {
    let mut key = String::new();
    for part in pointer.split('/').skip(1) {
        if part.bytes().all(|byte| byte.is_ascii_digit()) {
            key.extend(["[", part, "]"]);
        } else {
            let dot = if key.is_empty() { "" } else { "." };
            key.extend([dot, &unescape(part)]);
        }
    }
    key
}

/// Returns the value as an error shows it: none for tables, lists and secrets, and URLs without their user info.
pub(super) fn shown(pointer: &str, value: &serde_json::Value) -> Option<String> {
    let name = pointer.rsplit('/').next().unwrap_or_default();
    if value.is_array() || value.is_object() || value.is_null() {
        return None;
    }
    if matches!(name, "secret" | "sha256" | "proxy" | "smtp" | "tls_client_key")
        || pointer.contains("/headers/")
    {
        return None;
    }
    let text =
        value.as_str().map_or_else(|| value.to_string(), |text| format!("{:?}", without_user_info(text)));
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => Some(format!("{}…", text.get(..end).unwrap_or_default())),
        None => Some(text),
    }
}

/// Returns the detail of a problem without the user info of a URL that it quotes.
pub(super) fn safe_detail(problem: &Problem, value: &serde_json::Value) -> String {
    match value.as_str() {
        Some(text) if problem.pointer.ends_with("/url") => {
            problem.detail.replace(text, &without_user_info(text))
        }
        _ => problem.detail.clone(),
    }
}

/// Replaces the user info of a URL, between `//` and `@`, with `…`. The text need not be a valid URL.
pub(super) fn without_user_info(text: &str) -> String {
    let hidden = text.split_once("//").and_then(|(scheme, rest)| {
        let authority = rest.split(['/', '?', '#']).next()?;
        let (user_info, _) = authority.rsplit_once('@')?;
        Some(format!("{scheme}//…{}", rest.strip_prefix(user_info)?))
    });
    hidden.unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_shown_as_keys() {
        for (pointer, key) in [
            ("/server/listen", "server.listen"),
            ("/subscriptions/0/events/11", "subscriptions[0].events[11]"),
            ("/a~1b", "a/b"),
            ("", ""),
        ] {
            assert_eq!(key_of(pointer), key);
        }
    }

    #[test]
    fn user_info_is_hidden() {
        for (text, shown) in [
            ("https://u:p@crm/x?y=a@b", "https://…@crm/x?y=a@b"),
            ("https://u:p@@crm", "https://…@crm"),
            ("https://crm/@x", "https://crm/@x"),
            ("crm", "crm"),
        ] {
            assert_eq!(without_user_info(text), shown);
        }
    }
}
