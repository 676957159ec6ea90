//! Which daemon a command speaks to, and as whom.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;

use crate::config::{Config, Listen};
use crate::console::UsageError;
use crate::console::client::Client;

/// Arguments of every command that calls the API.
#[derive(Clone, Debug, Args)]
pub(super) struct Connection {
    /// The daemon: http://HOST:PORT, https://HOST:PORT or <unix:/PATH> [default: `server.listen` of the config]
    #[arg(long, env = "POSTRIDER_SERVER", global = true, value_name = "ADDRESS")]
    server: Option<String>,
    /// An API key, as `postrider keygen` makes
    #[arg(long, env = "POSTRIDER_KEY", hide_env_values = true, global = true)]
    key: Option<String>,
    /// Authorities to trust instead of the system's, for https (PEM)
    #[arg(long, env = "POSTRIDER_CA", global = true, value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl Connection {
    /// A client of that daemon; without an address, of the one that the config describes.
    pub(super) fn client(&self, config: Option<&Path>) -> anyhow::Result<Client> {
        let server = match &self.server {
            Some(server) => server.clone(),
            None => configured(config).context("give the daemon's address with --server")?,
        };
        let client =
            Client::new(&server, self.key.clone()).map_err(|error| UsageError(format!("{error:#}")))?;
        client.trusting(self.ca.as_deref())
    }
}

fn configured(config: Option<&Path>) -> anyhow::Result<String> {
    let server = Config::load_server(config, std::env::vars())?;
    let first = server.listen.first().context("server.listen is empty")?;
    let scheme = if server.tls.is_some() { "https" } else { "http" };
    Ok(match first {
        Listen::Tcp(address) => format!("{scheme}://{}", reachable(*address)),
        Listen::Unix(_) => first.to_string(),
    })
}

/// An address that everybody is served on is reached over loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_comes_from_the_config() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config.toml");
        for (listen, expected) in [
            ("127.0.0.1:9", "http://127.0.0.1:9"),
            ("0.0.0.0:9", "http://127.0.0.1:9"),
            ("[::]:9", "http://[::1]:9"),
            ("unix:/run/p.sock", "unix:/run/p.sock"),
        ] {
            // A secret that only the daemon's environment has is no concern of its callers.
            let text = format!(
                "[server]\nlisten = [\"{listen}\"]\n[[subscriptions]]\nname = \"a\"\nurl = \"http://x\"\nsecret_env = \"NOWHERE\"\n"
            );
            std::fs::write(&file, text).unwrap();
            assert_eq!(configured(Some(&file)).unwrap(), expected);
        }
        std::fs::write(&file, "[server]\nlisten = \"nowhere\"\n").unwrap();
        assert!(configured(Some(&file)).is_err());
    }
}
