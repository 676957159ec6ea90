//! The effective config as TOML that shows no secret.

use std::fmt::{Display, Write as _};
use std::path::Path;

use url::Url;

use super::section::size_text;
use super::{Config, ConfigSubscription, Delivery};
use crate::model::subscription::SubscriptionSpec;

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

/// A `[[subscriptions]]` table that reads back as it is, but for the secret, which `secret_env` names.
pub fn subscription_toml(spec: &SubscriptionSpec, enabled: Option<bool>, secret_env: &str) -> String {
    let mut page = Page::default();
    page.header("[[subscriptions]]");
    let headers: Vec<_> = spec.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    page.spec(spec, spec.url.as_str(), &headers);
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
        let headers: Vec<_> = spec.headers.keys().map(|name| (name.as_str(), "…")).collect();
        self.spec(spec, &super::error::without_user_info(spec.url.as_str()), &headers);
        self.set_some("enabled", subscription.input.enabled);
        self.line(format_args!("# secret: set, not shown"));
    }

    fn spec(&mut self, spec: &SubscriptionSpec, url: &str, headers: &[(&str, &str)]) {
        self.set("name", quoted(&spec.name));
        self.set("url", quoted(url));
        self.set("events", quoted_list(spec.events.to_texts()));
        self.set("projects", quoted_list(spec.projects.to_texts()));
        self.set_some("filter", spec.filter.as_ref().map(quoted));
        self.set("format", quoted(spec.format));
        if !headers.is_empty() {
            let headers = headers.iter().map(|(name, value)| format!("{} = {}", quoted(name), quoted(value)));
            self.set("headers", format_args!("{{ {} }}", headers.collect::<Vec<_>>().join(", ")));
        }
        self.set_some("timeout", spec.timeout.map(quoted));
        self.set_some("retry_schedule", spec.retry_schedule.as_ref().map(quoted_list));
        self.set_some("max_in_flight", spec.max_in_flight);
        self.set_some("rate_limit", spec.rate_limit.map(quoted));
        self.set("ordering", quoted(spec.ordering));
        self.set_some("tls_ca", spec.tls.authorities().map(|list| quoted(list.pem())));
        if let Some(client) = spec.tls.client() {
            self.set("tls_client_cert", quoted(client.chain().pem()));
            self.line(format_args!("# tls_client_key: set, not shown"));
        }
        self.set_some("notify_email", spec.notify_email.as_ref().map(quoted));
    }
}

fn size(bytes: usize) -> String {
    quoted(size_text(bytes as u64))
}

/// A TOML basic string: its escapes are those of JSON, and DEL besides.
fn quoted(text: impl Display) -> String {
    serde_json::Value::from(text.to_string()).to_string().replace('\u{7f}', "\\u007f")
}

fn quoted_list<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    format!("[{}]", items.into_iter().map(quoted).collect::<Vec<_>>().join(", "))
}
