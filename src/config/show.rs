//! The effective config as TOML that shows no secret.

use std::fmt::{Display, Write as _};
use std::path::Path;

use serde_json::{Map, Value};
use url::Url;

use super::section::size_text;
use super::{Config, ConfigSubscription, Delivery};
use crate::model::setting::{Kind, SETTINGS, Setting};

impl Config {
    /// All settings in force, as TOML. Secrets, the values of headers and the user info of URLs are left out
    /// or shown as `…`.
    pub fn to_toml(&self) -> String {
        let mut page = Page::default();
        self.sections(&mut page);
        self.catalog(&mut page);
        for subscription in &self.subscriptions {
            page.subscription(subscription);
        }
        page.0
    }

    fn sections(&self, page: &mut Page) {
        page.header("[server]");
        page.set("listen", quoted_list(&self.server.listen));
        let (cert, key) =
            self.server.tls.as_ref().map_or((Path::new(""), Path::new("")), |tls| (&tls.cert, &tls.key));
        page.set("tls_cert", quoted(cert.display()));
        page.set("tls_key", quoted(key.display()));
        page.set("unix_mode", quoted(format_args!("{:04o}", self.server.unix_mode)));
        page.set("body_bytes_max", size(self.server.body_bytes_max));
        page.set("batch_events_max", self.server.batch_events_max);
        page.set("queue_events_max", self.server.queue_events_max);
        page.set("queue_bytes_max", size(self.server.queue_bytes_max));
        page.header("[storage]");
        page.set("path", quoted(self.storage.path.display()));
        page.set("key_file", quoted(self.storage.key_file.as_deref().unwrap_or(Path::new("")).display()));
        page.set("cache", quoted(size_text(self.storage.cache)));
        page.set("disk_reserve", quoted(size_text(self.storage.disk_reserve)));
        page.header("[retention]");
        page.set("events", quoted(self.retention.events));
        page.set("held", quoted(self.retention.held));
        page.set("size", quoted(size_text(self.retention.size)));
        page.header("[events]");
        page.set("dedup_window", quoted(self.events.dedup_window));
        page.delivery(&self.delivery);
        page.header("[health]");
        page.set("disable", quoted(self.health.disable));
        page.header("[api]");
        page.set("stream_events_max", self.api.stream_events_max);
        page.set("stream_readers_max", self.api.stream_readers_max);
        page.set("replays_running_max", self.api.replays_running_max);
        page.set("replay_backlog_max", self.api.replay_backlog_max);
        page.set("metrics_subscriptions_max", self.api.metrics_subscriptions_max);
        page.header("[log]");
        page.set("level", quoted(&self.log.level));
        page.set("format", quoted(self.log.format.as_str()));
        page.header("[mail]");
        let smtp = self
            .mail
            .smtp
            .as_ref()
            .map_or_else(String::new, |url| super::error::without_user_info(url.as_str()));
        page.set("smtp", quoted(smtp));
        page.set("from", quoted(&self.mail.from));
        page.set("to", quoted_list(&self.mail.to));
        page.set("about", quoted_list(self.mail.about.to_texts()));
        page.header("[otlp]");
        page.set("endpoint", quoted(self.otlp.endpoint.as_ref().map_or("", Url::as_str)));
        page.set("sample_ratio", self.otlp.sample_ratio);
    }

    fn catalog(&self, page: &mut Page) {
        for key in &self.auth.keys {
            page.header("[[auth.keys]]");
            page.set("name", quoted(&key.name));
            page.set("role", quoted(key.role.as_str()));
            page.set("sha256", quoted(hex::encode(key.sha256)));
        }
        for entry in &self.event_types {
            page.header("[[event_types]]");
            page.set("name", quoted(&entry.name));
            page.set_some("group", entry.group.as_ref().map(quoted));
            page.set_some("description", entry.description.as_ref().map(quoted));
        }
        for entry in &self.projects {
            page.header("[[projects]]");
            page.set_some("company", entry.company.as_ref().map(quoted));
            page.set("id", quoted(&entry.id));
            page.set_some("name", entry.name.as_ref().map(quoted));
        }
    }
}

/// Returns a `[[subscriptions]]` table with these settings, which the config file reads back.
///
/// `secret_env` names the variable that has the signing secret. A client key is left out.
pub fn subscription_toml(members: &Map<String, Value>, enabled: Option<bool>, secret_env: &str) -> String {
    let mut page = Page::default();
    page.header("[[subscriptions]]");
    page.settings(|setting| members.get(setting.name).cloned().unwrap_or_default());
    page.set_some("enabled", enabled);
    page.set("secret_env", quoted(secret_env));
    page.0
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn header(&mut self, header: &str) {
        let gap = if self.0.is_empty() { "" } else { "\n" };
        self.line(format_args!("{gap}{header}"));
    }

    fn set(&mut self, key: &str, value: impl Display) {
        self.line(format_args!("{key} = {value}"));
    }

    fn set_some(&mut self, key: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.set(key, value);
        }
    }

    /// Writing to a string does not fail.
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.0, "{line}");
    }

    fn delivery(&mut self, delivery: &Delivery) {
        self.header("[delivery]");
        self.set("timeout", quoted(delivery.timeout));
        self.set("connect_timeout", quoted(delivery.connect_timeout));
        self.set("retry_schedule", quoted_list(&delivery.retry_schedule));
        self.set("jitter", format_args!("{:?}", delivery.jitter));
        self.set("max_in_flight", delivery.max_in_flight);
        self.set("max_in_flight_per_subscription", delivery.max_in_flight_per_subscription);
        self.set("response_bytes_max", size(delivery.response_bytes_max));
        self.set("allow_networks", quoted_list(&delivery.allow_networks));
        self.set("lane_page", delivery.lane_page);
        self.set("payload_cache", quoted(size_text(delivery.payload_cache)));
        if let Some(proxy) = &delivery.proxy {
            self.set("proxy", quoted(super::error::without_user_info(proxy.url().as_str())));
            self.set("no_proxy", quoted_list(proxy.no_proxy()));
        }
    }

    fn subscription(&mut self, subscription: &ConfigSubscription) {
        self.header("[[subscriptions]]");
        let spec = &subscription.input.spec;
        self.settings(|setting| redacted(setting, (setting.get)(spec)));
        self.set_some("enabled", subscription.input.enabled);
        self.line(format_args!("# secret: set, not shown"));
    }

    /// Writes every setting that is set. A secret becomes a comment.
    fn settings(&mut self, value: impl Fn(&Setting) -> Value) {
        for setting in &SETTINGS {
            match value(setting) {
                Value::Null => {}
                _ if setting.is_secret() => self.line(format_args!("# {}: set, not shown", setting.name)),
                Value::Object(members) if members.is_empty() => {}
                value => self.set(setting.name, toml(&value)),
            }
        }
    }
}

/// Replaces the parts of a setting's value that may hold a secret.
fn redacted(setting: &Setting, value: Value) -> Value {
    match (setting.kind, value) {
        (Kind::Url, Value::String(url)) => super::error::without_user_info(&url).into(),
        (Kind::Headers, Value::Object(headers)) => {
            headers.into_iter().map(|(name, _)| (name, Value::from("…"))).collect()
        }
        (_, value) => value,
    }
}

/// Writes a JSON value as TOML.
fn toml(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Array(items) => format!("[{}]", items.iter().map(toml).collect::<Vec<_>>().join(", ")),
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| format!("{} = {}", quoted(name), toml(value)));
            format!("{{ {} }}", members.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

fn size(bytes: usize) -> String {
    quoted(size_text(bytes as u64))
}

/// A TOML basic string: its escapes are those of JSON, and DEL besides.
fn quoted(text: impl Display) -> String {
    Value::from(text.to_string()).to_string().replace('\u{7f}', "\\u007f")
}

fn quoted_list<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    format!("[{}]", items.into_iter().map(quoted).collect::<Vec<_>>().join(", "))
}
