//! Who may call: keys with roles, and the guard of a daemon without keys.
//!
//! Without keys only loopback and Unix sockets are served. A web page in the user's browser can reach loopback
//! too, so there `Host` must name loopback (against DNS rebinding) and `Origin`, if there is one, must be the
//! daemon's own (against cross-site requests). With or without keys, what a browser itself says comes from
//! another site is refused, its preflights too, and no answer ever has a CORS header: no page of another site
//! reads anything, and none sends a body, which would have to be `application/json` (a form cannot be).

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use ring::digest::{SHA256, digest};

use super::body::check_type;
use super::problem::{ApiError, mend};
use super::throttle::Throttle;
use crate::config::{Config, Key, Role};
use crate::model::time::Clock;

/// What browsers say of where a request comes from (Fetch Metadata); nothing else sends it.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Where a request comes from. The accept loop puts it in every request's extensions; a request without it is
/// treated as one from afar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A TCP connection from this address.
    Tcp(SocketAddr),
    /// A TCP connection from this address, with TLS.
    Tls(SocketAddr),
    /// A Unix socket, whose mode bits say who may connect.
    Unix,
}

impl Peer {
    const fn is_local(self) -> bool {
        match self {
            Self::Tcp(address) | Self::Tls(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix => true,
        }
    }

    /// What failed keys are counted by. An IPv6 network of 64 bits counts as one: whoever has an address of it
    /// has all.
    fn source(self) -> Option<IpAddr> {
        match self {
            Self::Tcp(address) | Self::Tls(address) => Some(match address.ip().to_canonical() {
                IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
                ip @ IpAddr::V4(_) => ip,
            }),
            Self::Unix => None,
        }
    }
}

/// Who makes a call, for the log line of each change. In the extensions of every request that was let in.
#[derive(Clone, Debug)]
pub struct Caller(Option<Arc<str>>);

impl Caller {
    /// The name of the key, or `local` where no keys are configured.
    pub fn name(&self) -> &str {
        self.0.as_deref().unwrap_or("local")
    }
}

/// What a route asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// Nothing: probes.
    Open,
    /// A key with this role, or with [`Role::Admin`].
    Role(Role),
}

impl Need {
    /// Events in need `ingest`, reading needs `read`, everything else `admin`, routes that do not exist too.
    fn of(method: &Method, path: &str) -> Self {
        match (method, path) {
            (_, "/healthz" | "/readyz") => Self::Open,
            (&Method::POST, "/v1/events" | "/v1/match") => Self::Role(Role::Ingest),
            (&Method::GET | &Method::HEAD, _) => Self::Role(Role::Read),
            _ => Self::Role(Role::Admin),
        }
    }
}

/// The guard's state: the present keys, and the failures of late.
#[derive(Clone)]
pub struct Gate {
    config: Arc<dyn Fn() -> Arc<Config> + Send + Sync>,
    failures: Arc<Throttle>,
}

impl Gate {
    /// A guard that asks `config` for the keys at each request, so that a reload takes effect at once.
    pub fn new(config: impl Fn() -> Arc<Config> + Send + Sync + 'static, clock: Clock) -> Self {
        Self { config: Arc::new(config), failures: Arc::new(Throttle::new(clock)) }
    }

    fn admit(&self, request: &Request) -> Result<Caller, ApiError> {
        refuse_other_sites(request)?;
        let config = (self.config)();
        let peer = request.extensions().get::<Peer>().copied();
        if config.auth.keys.is_empty() {
            return admit_local(peer, request);
        }
        let Need::Role(role) = Need::of(request.method(), request.uri().path()) else {
            return Ok(Caller(None));
        };
        let admitted = admit_key(&config.auth.keys, role, request.headers());
        if matches!(admitted, Err(ApiError::Unauthorized(_))) {
            self.failures.count(peer.and_then(Peer::source))?;
        }
        admitted
    }

    /// Whether keys are configured.
    pub fn has_keys(&self) -> bool {
        !(self.config)().auth.keys.is_empty()
    }

    /// What holds for a request for the web page before it is known who looks: not sent by a page of another
    /// site, and without keys only from this machine. A link of another site may lead to the page.
    ///
    /// # Errors
    /// As the API refuses it.
    pub fn admit_page(&self, request: &Request) -> Result<(), ApiError> {
        if !is_navigation(request) {
            refuse_other_sites(request)?;
        }
        if self.has_keys() {
            return Ok(());
        }
        admit_local(request.extensions().get::<Peer>().copied(), request).map(drop)
    }

    /// The key that a person gives at the page's door. Failures count as they do for the API.
    ///
    /// # Errors
    /// If it is not known, or too many were tried from there.
    pub fn check_key(&self, peer: Option<Peer>, key: &str) -> Result<Key, ApiError> {
        let config = (self.config)();
        if let Some(key) = find(&config.auth.keys, key) {
            return Ok(key.clone());
        }
        self.failures.count(peer.and_then(Peer::source))?;
        Err(ApiError::Unauthorized("the key is not one of [[auth.keys]]"))
    }

    /// The key with that digest, if it is configured still.
    pub fn key_of(&self, sha256: &[u8; 32]) -> Option<Key> {
        (self.config)().auth.keys.iter().find(|key| key.sha256 == *sha256).cloned()
    }
}

/// Whether a person's browser goes to a page as a whole, which no other page can read.
fn is_navigation(request: &Request) -> bool {
    let says = |name: &str, value: &str| request.headers().get(name).is_some_and(|given| given == value);
    request.method() == Method::GET
        && says("sec-fetch-mode", "navigate")
        && says("sec-fetch-dest", "document")
}

/// The middleware of every route: lets the request in with its [`Caller`], or answers for it. Answers of the
/// framework come out as problems.
pub async fn guard(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    match gate.admit(&request).and_then(|caller| check_type(&request).map(|()| caller)) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            mend(next.run(request).await)
        }
        Err(failure) => failure.into_response(),
    }
}

/// Refuses what a browser says that a page of another site has asked for. Another port of the same machine is
/// the same *site* to a browser, and refused all the same.
fn refuse_other_sites(request: &Request) -> Result<(), ApiError> {
    let headers = request.headers();
    if request.method() == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
        return Err(ApiError::Forbidden("a preflight: pages of other sites may not call this".to_owned()));
    }
    let is_own = |site: &HeaderValue| matches!(site.as_bytes(), b"same-origin" | b"none");
    if headers.get_all(SEC_FETCH_SITE).iter().all(is_own) {
        return Ok(());
    }
    Err(ApiError::Forbidden("Sec-Fetch-Site names another site: its pages may not call this".to_owned()))
}

fn admit_local(peer: Option<Peer>, request: &Request) -> Result<Caller, ApiError> {
    match peer.filter(|peer| peer.is_local()) {
        Some(Peer::Unix) => {}
        Some(Peer::Tcp(_)) => check_host(request, "http://")?,
        Some(Peer::Tls(_)) => check_host(request, "https://")?,
        None => {
            return Err(ApiError::Forbidden(
                "no keys are configured, so that only loopback and Unix sockets are served: add [[auth.keys]]"
                    .to_owned(),
            ));
        }
    }
    Ok(Caller(None))
}

/// Loopback only: `Host` names loopback, and `Origin` is the same one by the same scheme.
fn check_host(request: &Request, scheme: &str) -> Result<(), ApiError> {
    let headers = request.headers();
    let named =
        headers.get_all(header::HOST).iter().map(|value| value.to_str().ok()?.parse::<Authority>().ok());
    let mut hosts: Vec<Option<Authority>> = named.collect();
    hosts.extend(request.uri().authority().cloned().map(Some));
    if hosts.is_empty() || !hosts.iter().all(|host| host.as_ref().is_some_and(is_loopback)) {
        return Err(ApiError::Forbidden(
            "Host names another machine: without keys, call localhost, 127.0.0.1 or [::1]".to_owned(),
        ));
    }
    let is_own = |origin: &str| {
        let origin = origin.strip_prefix(scheme).and_then(|rest| rest.parse::<Authority>().ok());
        hosts.iter().all(|host| host.is_some() && *host == origin)
    };
    if headers.get_all(header::ORIGIN).iter().all(|origin| origin.to_str().is_ok_and(is_own)) {
        return Ok(());
    }
    Err(ApiError::Forbidden("Origin is another site: a page of another site may not call this".to_owned()))
}

fn is_loopback(authority: &Authority) -> bool {
    let has_user = authority.as_str().contains('@');
    let host = authority.host();
    !has_user && (host.eq_ignore_ascii_case("localhost") || matches!(host, "127.0.0.1" | "[::1]"))
}

fn admit_key(keys: &[Key], needed: Role, headers: &HeaderMap) -> Result<Caller, ApiError> {
    let Some(token) = bearer(headers) else {
        return Err(ApiError::Unauthorized("send a key as 'Authorization: Bearer KEY'"));
    };
    let Some(key) = find(keys, token) else {
        return Err(ApiError::Unauthorized("the key is not one of [[auth.keys]]"));
    };
    if key.role == needed || key.role == Role::Admin {
        return Ok(Caller(Some(key.name.as_str().into())));
    }
    let (name, has, needs) = (&key.name, key.role.as_str(), needed.as_str());
    Err(ApiError::Forbidden(format!("key '{name}' has the role {has}: this needs {needs} (or admin)")))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (scheme, token) = values.next()?.to_str().ok()?.split_once(' ')?;
    let token = token.trim_ascii();
    (values.next().is_none() && scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// Compares with every key, each in constant time: how long it takes tells nothing of the keys.
fn find<'k>(keys: &'k [Key], token: &str) -> Option<&'k Key> {
    let given = digest(&SHA256, token.as_bytes());
    let mut found = None;
    for key in keys {
        if is_equal(given.as_ref(), &key.sha256) {
            found = Some(key);
        }
    }
    found
}

/// Both are digests: what an early end would tell is bits of a digest, and even so there is none.
fn is_equal(a: &[u8], b: &[u8]) -> bool {
    let difference = a.iter().zip(b).fold(0, |sum, (a, b)| std::hint::black_box(sum | (a ^ b)));
    a.len() == b.len() && difference == 0
}

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;
