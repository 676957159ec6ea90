//! The origin of a request: its peer and its caller.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

/// The peer of the connection that a request came over.
///
/// The server puts it among the extensions of every request. A request without it is treated as one from another
/// machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A TCP connection from this address.
    Tcp(SocketAddr),
    /// A TLS connection from this address.
    Tls(SocketAddr),
    /// A Unix socket. The mode of its file decides who can connect.
    Unix,
}

impl Peer {
    /// Returns whether the peer is on this machine.
    pub const fn is_local(self) -> bool {
        match self {
            Self::Tcp(address) | Self::Tls(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix => true,
        }
    }

    /// Returns the address that failed keys are counted by; `None` for a Unix socket.
    ///
    /// An IPv6 network of 64 bits counts as one address, because a peer with one address of it can usually use all
    /// of them.
    pub fn source(self) -> Option<IpAddr> {
        match self {
            Self::Tcp(address) | Self::Tls(address) => Some(match address.ip().to_canonical() {
                IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
                ip @ IpAddr::V4(_) => ip,
            }),
            Self::Unix => None,
        }
    }
}

/// The authenticated caller of a request.
///
/// The guard puts it among the extensions of every request that it lets through.
#[derive(Clone, Debug)]
pub struct Caller(Option<Arc<str>>);

impl Caller {
    /// Returns the caller of a request that needed no key.
    pub const fn local() -> Self {
        Self(None)
    }

    /// Returns the caller that authenticated with the key of this name.
    pub fn with_key(name: &str) -> Self {
        Self(Some(name.into()))
    }

    /// Returns the name of the key, or `local` for a request that needed none.
    pub fn name(&self) -> &str {
        self.0.as_deref().unwrap_or("local")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_keys_count_by_ipv4_address_or_ipv6_network() {
        let source =
            |text: &str| Peer::Tcp(format!("{text}:1").parse().unwrap()).source().unwrap().to_string();
        for (address, counted) in [
            ("10.0.0.1", "10.0.0.1"),
            ("[::ffff:10.0.0.1]", "10.0.0.1"),
            ("[2001:db8:1:2:3:4:5:6]", "2001:db8:1:2::"),
        ] {
            assert_eq!(source(address), counted);
        }
        assert_eq!(Peer::Unix.source(), None);
    }
}
