//! What is wrong with a config: all of it, each with the place to mend it.

use std::fmt;

use crate::model::pointer::unescape;
use crate::model::problem::Problem;

const VALUE_CHARS_MAX: usize = 60;

/// One thing wrong with a config.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// Where it stands: `config.toml:12`, the name of an environment variable, or `built-in default`.
    pub source_name: String,
    /// The key, such as `subscriptions[0].events[1]`; empty for the file as a whole.
    pub key: String,
    /// The value, where it is short and no secret.
    pub value: Option<String>,
    /// What is wrong with it and what would be right.
    pub detail: String,
}

/// `config.toml:12: delivery.timeout = "soon": is not a duration …`
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

/// Everything that is wrong with a config, in the order of the file; prints one problem a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    pub(super) fn new(errors: Vec<ConfigError>) -> Self {
        Self(errors)
    }

    /// A problem of the file as a whole.
    pub(super) fn whole(source_name: String, detail: String) -> Self {
        Self(vec![ConfigError { source_name, key: String::new(), value: None, detail }])
    }

    /// Each problem; never empty.
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

/// `/subscriptions/0/url` as people read it: `subscriptions[0].url`.
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

/// The value as an error may show it: nothing for tables, lists and secrets; no user info of a URL.
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

/// The detail of a problem, with the user info of the URL that it may quote taken out.
pub(super) fn safe_detail(problem: &Problem, value: &serde_json::Value) -> String {
    match value.as_str() {
        Some(text) if problem.pointer.ends_with("/url") => {
            problem.detail.replace(text, &without_user_info(text))
        }
        _ => problem.detail.clone(),
    }
}

/// A URL, or what was meant to be one, with `…` for what stands between `//` and `@`.
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
    fn keys_read_as_they_are_written() {
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
