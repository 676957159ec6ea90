//! Tables of callers and the routes that they can use.

use http::StatusCode;

use std::net::{IpAddr, SocketAddr};

use super::*;
use crate::config::Auth;
use crate::model::time::Clock;

const LOCAL: Peer = Peer::Tcp(SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9));
const FAR: Peer = Peer::Tcp(SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)), 9));

fn key(name: &str, role: Role) -> Key {
    let sha256 = digest(&SHA256, name.as_bytes()).as_ref().try_into().unwrap();
    Key { name: name.to_owned(), role, sha256 }
}

fn gate(keys: Vec<Key>) -> AccessGuard {
    let config = Arc::new(Config { auth: Auth { keys }, ..Config::default() });
    AccessGuard::new(move || Arc::clone(&config), Clock::system())
}

fn authorize(gate: &AccessGuard, peer: Peer, method: &Method, path: &str, headers: &[(&str, &str)]) -> u16 {
    let mut request = http::Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.extension(peer).body(axum::body::Body::empty()).unwrap();
    match gate.authorize(&request) {
        Ok(_) => StatusCode::OK.as_u16(),
        Err(failure) => failure.into_response().status().as_u16(),
    }
}

#[test]
fn each_role_permits_its_routes_and_no_others() {
    let keys = || vec![key("in", Role::Ingest), key("rd", Role::Read), key("ad", Role::Admin)];
    let (get, post) = (Method::GET, Method::POST);
    #[rustfmt::skip]
    let table: [(&Method, &str, [u16; 5]); 15] = [
        // no key, an unknown key, ingest, read, admin
        (&get, "/healthz", [200, 200, 200, 200, 200]),
        (&get, "/readyz", [200, 200, 200, 200, 200]),
        (&post, "/readyz", [200, 200, 200, 200, 200]),
        (&get, "/openapi.json", [401, 401, 403, 200, 200]),
        (&post, "/v1/events", [401, 401, 200, 403, 200]),
        (&post, "/v1/match", [401, 401, 200, 403, 200]),
        (&get, "/v1/events", [401, 401, 403, 200, 200]),
        (&get, "/v1/deliveries", [401, 401, 403, 200, 200]),
        (&Method::HEAD, "/v1/subscriptions", [401, 401, 403, 200, 200]),
        (&post, "/v1/subscriptions", [401, 401, 403, 403, 200]),
        (&Method::PATCH, "/v1/subscriptions/sub_1", [401, 401, 403, 403, 200]),
        (&Method::DELETE, "/v1/subscriptions/sub_1", [401, 401, 403, 403, 200]),
        (&post, "/v1/deliveries/dlv_1/retry", [401, 401, 403, 403, 200]),
        (&Method::OPTIONS, "/v1/events", [401, 401, 403, 403, 200]),
        (&post, "/v1/events/", [401, 401, 403, 403, 200]),
    ];
    for (method, path, expected) in table {
        let gate = gate(keys());
        let bearers = ["", "Bearer nope", "Bearer in", "bearer rd", "Bearer  ad"];
        let seen = bearers.map(|bearer| {
            let header = [("authorization", bearer)];
            let headers = if bearer.is_empty() { &[][..] } else { &header[..] };
            authorize(&gate, FAR, method, path, headers)
        });
        assert_eq!(seen, expected, "{method} {path}");
    }
}

#[test]
fn a_key_is_accepted_as_a_single_bearer_token_only() {
    let gate = gate(vec![key("ad", Role::Admin)]);
    let seen = |headers: &[(&str, &str)]| authorize(&gate, FAR, &Method::GET, "/v1/events", headers);
    assert_eq!(seen(&[("authorization", "Bearer ad")]), 200);
    for bad in ["ad", "Basic ad", "Bearer", "Bearer ", "Bearer ad x", "Bearerad"] {
        assert_eq!(seen(&[("authorization", bad)]), 401, "{bad}");
    }
    assert_eq!(seen(&[("authorization", "Bearer ad"), ("authorization", "Bearer ad")]), 401);
}

#[test]
fn without_keys_only_local_peers_are_served() {
    let gate = gate(Vec::new());
    let host = [("host", "localhost")];
    for (peer, expected) in [(LOCAL, 200), (Peer::Unix, 200), (FAR, 403)] {
        assert_eq!(authorize(&gate, peer, &Method::POST, "/v1/events", &host), expected, "{peer:?}");
    }
    let bare = http::Request::get("/v1/events").body(axum::body::Body::empty()).unwrap();
    assert!(matches!(gate.authorize(&bare), Err(ApiError::Forbidden(_))));
}

#[test]
fn without_keys_web_pages_from_other_sites_are_refused() {
    let gate = gate(Vec::new());
    let seen = |path: &str, headers: &[(&str, &str)]| authorize(&gate, LOCAL, &Method::POST, path, headers);
    for host in ["localhost", "LOCALHOST:8740", "127.0.0.1:1", "[::1]:8740", "[::1]"] {
        assert_eq!(seen("/v1/events", &[("host", host)]), 200, "{host}");
        let origin = format!("http://{host}");
        assert_eq!(seen("/v1/events", &[("host", host), ("origin", &origin)]), 200, "{host}");
    }
    for host in ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "x@localhost", "", "10.0.0.1"]
    {
        assert_eq!(seen("/v1/events", &[("host", host)]), 403, "{host}");
    }
    for origin in ["http://evil.example", "null", "http://localhost:1", "https://localhost:2", ""] {
        assert_eq!(seen("/v1/events", &[("host", "localhost:2"), ("origin", origin)]), 403, "{origin}");
    }
    assert_eq!(seen("/v1/events", &[]), 403);
    assert_eq!(seen("/v1/events", &[("host", "localhost"), ("host", "evil.example")]), 403);
    assert_eq!(seen("http://evil.example/v1/events", &[("host", "localhost")]), 403);
    assert_eq!(seen("http://localhost/v1/events", &[]), 200);
}

#[test]
fn requests_marked_as_cross_site_are_refused_with_and_without_keys() {
    let (with_keys, without) = (gate(vec![key("ad", Role::Admin)]), gate(Vec::new()));
    let own = [("authorization", "Bearer ad"), ("host", "localhost")];
    let seen = |gate: &AccessGuard, method: &Method, path: &str, more: &[(&str, &str)]| {
        authorize(gate, LOCAL, method, path, &[&own[..], more].concat())
    };
    for gate in [&with_keys, &without] {
        for path in ["/v1/events", "/healthz", "/openapi.json"] {
            for site in ["same-origin", "none"] {
                assert_eq!(seen(gate, &Method::GET, path, &[("sec-fetch-site", site)]), 200, "{path} {site}");
            }
            for site in ["cross-site", "same-site", "new-site", ""] {
                assert_eq!(seen(gate, &Method::GET, path, &[("sec-fetch-site", site)]), 403, "{path} {site}");
            }
            let twice = [("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")];
            assert_eq!(seen(gate, &Method::GET, path, &twice), 403, "{path}");
            let preflight = [("access-control-request-method", "POST")];
            assert_eq!(seen(gate, &Method::OPTIONS, path, &preflight), 403, "{path}");
            assert_eq!(seen(gate, &Method::OPTIONS, path, &[]), 200, "{path}");
        }
    }
}

#[test]
fn without_keys_probes_require_a_loopback_host() {
    let gate = gate(Vec::new());
    for (host, expected) in [("localhost", 200), ("evil.example", 403)] {
        assert_eq!(authorize(&gate, LOCAL, &Method::GET, "/healthz", &[("host", host)]), expected);
    }
}

#[test]
fn the_scheme_of_the_origin_must_be_that_of_the_listener() {
    let gate = gate(Vec::new());
    let Peer::Tcp(address) = LOCAL else { panic!("{LOCAL:?}") };
    let seen = |peer, origin| {
        let headers = [("host", "localhost:2"), ("origin", origin)];
        authorize(&gate, peer, &Method::POST, "/v1/events", &headers)
    };
    let (plain, tls) = ("http://localhost:2", "https://localhost:2");
    assert_eq!((seen(LOCAL, plain), seen(LOCAL, tls)), (200, 403));
    assert_eq!((seen(Peer::Tls(address), plain), seen(Peer::Tls(address), tls)), (403, 200));
    let elsewhere = [("host", "evil.example")];
    assert_eq!(authorize(&gate, Peer::Tls(address), &Method::GET, "/v1/events", &elsewhere), 403);
}
