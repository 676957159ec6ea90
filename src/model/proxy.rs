//! The HTTP proxy for requests, and the receivers that are called without it.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use url::{Host, Url};

/// An HTTP proxy.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    url: Url,
    no_proxy: Vec<NoProxyEntry>,
}

/// An entry of `no_proxy`: receivers that are called without the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoProxyEntry {
    /// The host with this name, and all hosts below it.
    Host(String),
    /// Hosts that are given as an address in this network.
    Network(IpNet),
}

impl Proxy {
    /// Creates the proxy at `url` for all receivers except those in `no_proxy`.
    pub const fn new(url: Url, no_proxy: Vec<NoProxyEntry>) -> Self {
        Self { url, no_proxy }
    }

    /// Returns the URL of the proxy, including its user info.
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// Returns the receivers that are called without the proxy.
    pub fn no_proxy(&self) -> &[NoProxyEntry] {
        &self.no_proxy
    }

    /// Returns whether the receiver is called through the proxy.
    pub fn serves(&self, receiver: &Url) -> bool {
        let address = match receiver.host() {
            Some(Host::Ipv4(v4)) => Some(IpAddr::V4(v4)),
            Some(Host::Ipv6(v6)) => Some(IpAddr::V6(v6).to_canonical()),
            Some(Host::Domain(_)) | None => None,
        };
        let name = receiver.domain().map(|name| name.trim_end_matches('.'));
        !self.no_proxy.iter().any(|no_proxy| match no_proxy {
            NoProxyEntry::Network(network) => address.is_some_and(|address| network.contains(&address)),
            NoProxyEntry::Host(host) => name.is_some_and(|name| {
                name.strip_suffix(host.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }),
        })
    }
}

/// Omits the user info.
impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy").field("host", &self.url.host_str()).finish_non_exhaustive()
    }
}

impl FromStr for NoProxyEntry {
    type Err = String;

    /// Parses a network, an address or a host. A dot before a host has no effect.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(network) = text.parse() {
            return Ok(Self::Network(network));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Network(address.into()));
        }
        match Host::parse(text.strip_prefix('.').unwrap_or(text)) {
            Ok(Host::Domain(name)) if !name.contains('*') => Ok(Self::Host(name)),
            _ => Err(format!(
                "'{text}' is neither a host such as \"crm.internal\" nor a network such as \"10.0.0.0/8\""
            )),
        }
    }
}

impl std::fmt::Display for NoProxyEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Host(name) => f.write_str(name),
            Self::Network(network) => network.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_proxy_entries_match_hosts_and_networks() {
        let no_proxy = ["crm.internal", ".Lan", "10.0.0.0/8", "192.0.2.7", "fd00::/8"];
        let no_proxy = no_proxy.iter().map(|text| text.parse().unwrap()).collect();
        let proxy = Proxy::new("http://u:p@proxy:3128".parse().unwrap(), no_proxy);
        for (host, through) in [
            ("crm.internal", false),
            ("CRM.internal.", false),
            ("a.crm.internal", false),
            ("xcrm.internal", true),
            ("crm.internal.example", true),
            ("lan", false),
            ("a.lan", false),
            ("plan", true),
            ("10.1.2.3", false),
            ("0x0a.1", false),
            ("[::ffff:10.0.0.1]", false),
            ("11.0.0.1", true),
            ("192.0.2.7", false),
            ("192.0.2.8", true),
            ("[fd00::1]", false),
            ("[fe80::1]", true),
            ("10.example", true),
        ] {
            let url: Url = format!("https://{host}/").parse().unwrap();
            assert_eq!(proxy.serves(&url), through, "{host}");
        }
        assert!(!format!("{proxy:?}").contains("u:p"));
        for bad in ["", ".", "*.lan", "a b", "http://x", "10.0.0.0/99"] {
            assert!(bad.parse::<NoProxyEntry>().is_err(), "{bad}");
        }
    }
}
