//! Address checks: which addresses the daemon may send requests to.
//!
//! Anyone who can write a subscription makes the daemon send requests from inside its network. Therefore the
//! daemon calls only public addresses, and networks that the config file allows. The check is about
//! addresses, never about names. Names are resolved when a connection is made, and the resulting addresses
//! are checked here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use url::{Host, Url};

use crate::model::problem::{Localized, Message};

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(a: u16, b: u16, c: u16, d: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0), prefix)
}

/// Source: the special-purpose address registry for IPv4 (RFC 6890 and its updates), and one cloud platform
/// address in public space.
const FORBIDDEN_V4: [(Ipv4Net, &str); 18] = [
    (v4(0, 0, 0, 0, 32), "unspecified"),
    (v4(0, 0, 0, 0, 8), "of this network"),
    (v4(10, 0, 0, 0, 8), "private"),
    (v4(100, 64, 0, 0, 10), "of a carrier's NAT"),
    (v4(127, 0, 0, 0, 8), "loopback"),
    (v4(168, 63, 129, 16, 32), "cloud metadata"),
    (v4(169, 254, 0, 0, 16), "link-local (cloud metadata)"),
    (v4(172, 16, 0, 0, 12), "private"),
    (v4(192, 0, 0, 0, 24), "reserved for protocols"),
    (v4(192, 0, 2, 0, 24), "for documentation"),
    (v4(192, 88, 99, 0, 24), "a 6to4 relay"),
    (v4(192, 168, 0, 0, 16), "private"),
    (v4(198, 18, 0, 0, 15), "for benchmarking"),
    (v4(198, 51, 100, 0, 24), "for documentation"),
    (v4(203, 0, 113, 0, 24), "for documentation"),
    (v4(224, 0, 0, 0, 4), "multicast"),
    (v4(255, 255, 255, 255, 32), "broadcast"),
    (v4(240, 0, 0, 0, 4), "reserved"),
];

/// Source: the special-purpose address registry for IPv6.
///
/// The whole block of local-use NAT64 is forbidden, because only its own network knows where the IPv4 address
/// is in it.
const FORBIDDEN_V6: [(Ipv6Net, &str); 14] = [
    (v6(0, 0, 0, 0, 128), "unspecified"),
    (Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128), "loopback"),
    (v6(0x64, 0xff9b, 1, 0, 48), "local-use NAT64"),
    (v6(0x100, 0, 0, 0, 63), "discard-only"),
    (v6(0x2001, 2, 0, 0, 48), "for benchmarking"),
    (v6(0x2001, 0x10, 0, 0, 28), "reserved for protocols"),
    (v6(0x2001, 0x20, 0, 0, 28), "reserved for protocols"),
    (v6(0x2001, 0xdb8, 0, 0, 32), "for documentation"),
    (v6(0x3fff, 0, 0, 0, 20), "for documentation"),
    (v6(0x5f00, 0, 0, 0, 16), "reserved for protocols"),
    (v6(0xfc00, 0, 0, 0, 7), "unique local (private)"),
    (v6(0xfe80, 0, 0, 0, 10), "link-local (cloud metadata)"),
    (v6(0xfec0, 0, 0, 0, 10), "site-local"),
    (v6(0xff00, 0, 0, 0, 8), "multicast"),
];

const COMPATIBLE: Ipv6Net = v6(0, 0, 0, 0, 96);
const TRANSLATED: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, 0, 0), 96);
const NAT64: Ipv6Net = v6(0x64, 0xff9b, 0, 0, 96);
const TEREDO: Ipv6Net = v6(0x2001, 0, 0, 0, 32);
const SIX_TO_FOUR: Ipv6Net = v6(0x2002, 0, 0, 0, 16);

/// An address that the daemon may not call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{address} is {why}{} and may not be called: add its network to `delivery.allow_networks` to allow it",
    .inside.map(|v4| format!(" (it stands for {v4})")).unwrap_or_default()
)]
pub struct ForbiddenAddress {
    address: IpAddr,
    inside: Option<Ipv4Addr>,
    why: &'static str,
}

impl Localized for ForbiddenAddress {
    fn message(&self) -> Message {
        let message = match self.inside {
            None => Message::new("problem-address"),
            Some(v4) => Message::new("problem-address-inside").with("inside", v4),
        };
        message.with("address", self.address).with_phrase("why", self.why)
    }
}

impl ForbiddenAddress {
    /// Returns the address.
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// Returns what kind of address it is, such as `loopback`.
    pub const fn why(&self) -> &'static str {
        self.why
    }
}

/// The addresses that the daemon may call: public ones, and those of the allowed networks. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct AllowedNetworks(Arc<[IpNet]>);

impl AllowedNetworks {
    /// Allows public addresses and the addresses of `networks`.
    ///
    /// An IPv4 network also covers the IPv6-mapped form of its addresses (`::ffff:10.0.0.1`), which reaches
    /// the same host. Other IPv6 forms that contain an IPv4 address lead through a gateway to another host.
    /// They need an IPv6 network that covers them.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks.into())
    }

    /// Returns an error if the daemon may not call the address.
    pub fn check(&self, address: IpAddr) -> Result<(), ForbiddenAddress> {
        let canonical = address.to_canonical();
        if self.0.iter().any(|network| network.contains(&address) || network.contains(&canonical)) {
            return Ok(());
        }
        let (inside, why) = match (address, canonical) {
            (IpAddr::V4(v4), _) => (None, forbidden_reason_v4(v4)),
            (IpAddr::V6(_), IpAddr::V4(v4)) => (Some(v4), forbidden_reason_v4(v4)),
            (IpAddr::V6(v6), IpAddr::V6(_)) => forbidden_reason_v6(v6),
        };
        why.map_or(Ok(()), |why| Err(ForbiddenAddress { address, inside, why }))
    }

    /// Returns an error if the URL's host is an address, in any notation, that the daemon may not call.
    ///
    /// A host name always passes, because its addresses are checked when it is resolved.
    pub fn check_url(&self, url: &Url) -> Result<(), ForbiddenAddress> {
        match url.host() {
            Some(Host::Ipv4(v4)) => self.check(v4.into()),
            Some(Host::Ipv6(v6)) => self.check(v6.into()),
            Some(Host::Domain(_)) | None => Ok(()),
        }
    }
}

fn forbidden_reason_v4(address: Ipv4Addr) -> Option<&'static str> {
    FORBIDDEN_V4.iter().find(|(network, _)| network.contains(&address)).map(|(_, why)| *why)
}

fn forbidden_reason_v6(address: Ipv6Addr) -> (Option<Ipv4Addr>, Option<&'static str>) {
    if let Some((_, why)) = FORBIDDEN_V6.iter().find(|(network, _)| network.contains(&address)) {
        return (None, Some(why));
    }
    let forbidden =
        embedded(address).into_iter().flatten().find_map(|v4| Some((v4, forbidden_reason_v4(v4)?)));
    forbidden.map_or((None, None), |(v4, why)| (Some(v4), Some(why)))
}

/// Returns the IPv4 addresses that an IPv6 address leads to, except for the mapped form.
///
/// Teredo has two: the server, and the client, whose bits are inverted (RFC 4380).
fn embedded(address: Ipv6Addr) -> [Option<Ipv4Addr>; 2] {
    let bits = address.to_bits();
    if SIX_TO_FOUR.contains(&address) {
        [Some(low_32(bits >> 80)), None]
    } else if TEREDO.contains(&address) {
        [Some(low_32(bits >> 64)), Some(low_32(!bits))]
    } else if [COMPATIBLE, TRANSLATED, NAT64].iter().any(|network| network.contains(&address)) {
        [Some(low_32(bits)), None]
    } else {
        [None, None]
    }
}

#[expect(clippy::cast_possible_truncation, reason = "only the low 32 bits are wanted")]
const fn low_32(bits: u128) -> Ipv4Addr {
    Ipv4Addr::from_bits(bits as u32)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn allowing(networks: &[&str]) -> AllowedNetworks {
        AllowedNetworks::new(networks.iter().map(|text| text.parse().unwrap()).collect())
    }

    fn why(address: &str) -> Option<&'static str> {
        allowing(&[]).check(address.parse().unwrap()).err().map(|error| error.why())
    }

    #[test]
    fn special_ipv4_networks_are_forbidden_to_their_bounds() {
        for (first, last, expected) in [
            ("0.0.0.1", "0.255.255.255", "of this network"),
            ("10.0.0.0", "10.255.255.255", "private"),
            ("100.64.0.0", "100.127.255.255", "of a carrier's NAT"),
            ("127.0.0.0", "127.255.255.255", "loopback"),
            ("168.63.129.16", "168.63.129.16", "cloud metadata"),
            ("169.254.0.0", "169.254.255.255", "link-local (cloud metadata)"),
            ("172.16.0.0", "172.31.255.255", "private"),
            ("192.0.0.0", "192.0.0.255", "reserved for protocols"),
            ("192.0.2.0", "192.0.2.255", "for documentation"),
            ("192.88.99.0", "192.88.99.255", "a 6to4 relay"),
            ("192.168.0.0", "192.168.255.255", "private"),
            ("198.18.0.0", "198.19.255.255", "for benchmarking"),
            ("198.51.100.0", "198.51.100.255", "for documentation"),
            ("203.0.113.0", "203.0.113.255", "for documentation"),
            ("224.0.0.0", "239.255.255.255", "multicast"),
            ("240.0.0.0", "255.255.255.254", "reserved"),
        ] {
            assert_eq!((why(first), why(last)), (Some(expected), Some(expected)), "{first} to {last}");
        }
        assert_eq!((why("0.0.0.0"), why("255.255.255.255")), (Some("unspecified"), Some("broadcast")));
    }

    #[test]
    fn neighbours_of_special_networks_are_allowed() {
        for public in [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "168.63.129.15",
            "168.63.129.17",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.0.3.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "203.0.114.0",
            "223.255.255.255",
            "8.8.8.8",
            "2606:4700::1111",
            "2001:4860::8888",
            "fbff::1",
            "fe00::1",
            "2003::1",
        ] {
            assert_eq!(why(public), None, "{public}");
        }
    }

    #[test]
    fn special_ipv6_networks_are_forbidden() {
        for (address, expected) in [
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("64:ff9b:1::808:808", "local-use NAT64"),
            ("100::1", "discard-only"),
            ("2001:2::1", "for benchmarking"),
            ("2001:10::1", "reserved for protocols"),
            ("2001:2f::1", "reserved for protocols"),
            ("2001:db8::1", "for documentation"),
            ("3fff:fff::1", "for documentation"),
            ("5f00::1", "reserved for protocols"),
            ("fc00::1", "unique local (private)"),
            ("fd00:ec2::254", "unique local (private)"),
            ("fe80::1", "link-local (cloud metadata)"),
            ("febf::1", "link-local (cloud metadata)"),
            ("fec0::1", "site-local"),
            ("ff02::1", "multicast"),
        ] {
            assert_eq!(why(address), Some(expected), "{address}");
        }
    }

    #[test]
    fn embedded_ipv4_addresses_are_checked() {
        for (private, public) in [
            ("::ffff:127.0.0.1", "::ffff:8.8.8.8"),
            ("::127.0.0.1", "::8.8.8.8"),
            ("::ffff:0:127.0.0.1", "::ffff:0:8.8.8.8"),
            ("64:ff9b::127.0.0.1", "64:ff9b::8.8.8.8"),
            ("2002:7f00:1::1", "2002:808:808::1"),
            // Teredo: a server and a client, one or both of them public. 80ff:fffe is 127.0.0.1 inverted.
            ("2001:0:808:808::80ff:fffe", "2001:0:808:808::f7f7:f7f7"),
            ("2001:0:7f00:1::f7f7:f7f7", "2001:0:808:808::f7f7:f7f7"),
        ] {
            assert_eq!((why(private), why(public)), (Some("loopback"), None), "{private}, {public}");
        }
    }

    #[test]
    fn only_allowed_networks_are_exempt() {
        let networks = allowing(&["127.0.0.0/8", "10.1.0.0/16", "fd00::/8", "64:ff9b::a00:0/104"]);
        let may = |address: &str| networks.check(address.parse().unwrap()).is_ok();
        for good in ["127.0.0.1", "::ffff:127.0.0.1", "10.1.2.3", "fd00::1", "64:ff9b::10.9.9.9"] {
            assert!(may(good), "{good}");
        }
        for bad in ["10.2.0.0", "::ffff:10.2.0.0", "::1", "fc00::1", "::127.0.0.1", "2002:7f00:1::"] {
            assert!(!may(bad), "{bad}");
        }
        assert!(allowing(&["0.0.0.0/0", "::/0"]).check("::1".parse().unwrap()).is_ok());
        assert!(allowing(&["::ffff:0:0/96"]).check("::ffff:127.0.0.1".parse().unwrap()).is_ok());
    }

    #[test]
    fn address_literals_are_checked_in_every_notation() {
        for host in [
            "127.0.0.1",
            "127.1",
            "127.0.1",
            "0x7f.1",
            "0x7f000001",
            "0177.0.0.1",
            "017700000001",
            "2130706433",
            "127.0.0.1.",
            "%31%32%37.0.0.1",
            "１２７.0.0.1",
            "127。0。0。1",
            "[::1]",
            "[0:0:0:0:0:0:0:1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::127.0.0.1]",
            "0",
            "0x0",
            "169.254.169.254",
            "0xa9fea9fe",
        ] {
            for scheme in ["http", "https"] {
                let url: Url = format!("{scheme}://user@{host}:8080/x").parse().unwrap();
                assert!(allowing(&[]).check_url(&url).is_err(), "{url}");
                assert!(allowing(&["0.0.0.0/0", "::/0"]).check_url(&url).is_ok(), "{url}");
            }
        }
        for host in
            ["8.8.8.8", "134744072", "[2606:4700::1111]", "example.com", "localhost", "127.0.0.1.example"]
        {
            let url: Url = format!("https://{host}/").parse().unwrap();
            assert_eq!(allowing(&[]).check_url(&url), Ok(()), "{url}");
        }
    }

    #[test]
    fn error_names_the_address_the_reason_and_the_remedy() {
        let message = |address: &str| allowing(&[]).check(address.parse().unwrap()).unwrap_err().to_string();
        assert_eq!(
            message("10.0.0.1"),
            "10.0.0.1 is private and may not be called: add its network to `delivery.allow_networks` to allow it"
        );
        assert!(
            message("2002:7f00:1::").starts_with("2002:7f00:1:: is loopback (it stands for 127.0.0.1) and")
        );
    }

    proptest! {
        #[test]
        fn every_ipv6_form_of_an_ipv4_address_gets_the_same_result(bits: u32) {
            let plain = Ipv4Addr::from_bits(bits);
            let [a, b, c, d] = plain.octets().map(u16::from);
            let (high, low) = (a << 8 | b, c << 8 | d);
            let allowed = allowing(&[]);
            let expected = allowed.check(plain.into()).is_ok();
            for form in [
                Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, high, low),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
                Ipv6Addr::new(0x2001, 0, 0x808, 0x808, 0, 0, !high, !low),
            ] {
                prop_assert_eq!(allowed.check(form.into()).is_ok(), expected, "{}", form);
            }
        }
    }
}
