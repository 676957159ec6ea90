//! Access control: keys with roles, and the checks of a daemon without keys.
//!
//! With keys, a request needs one whose role permits the route. Without keys, the daemon serves only loopback and Unix
//! sockets.
//!
//! Web pages from other sites cannot call the API, even from a browser on the same machine. With or without keys, the
//! [`browser`](super::browser) checks refuse their requests and preflights, and no response carries a CORS header. A
//! page could still send an HTML form without any of these signs, but a form cannot be of a
//! [media type](crate::api::request::media_type) that the API reads.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, header};
use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq as _;

use super::browser::{check_host, is_navigation, refuse_other_sites};
use super::throttle::AuthThrottle;
use crate::api::caller::{Caller, Peer};
use crate::api::error::{ApiError, into_problem};
use crate::api::request::media_type;
use crate::config::{Config, Key, Role};
use crate::model::time::Clock;

/// The requirement of a route to its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Requirement {
    /// None. Probes are open to everybody.
    Open,
    /// A key with this role or with [`Role::Admin`].
    Role(Role),
}

impl Requirement {
    /// Returns the requirement of a route: `ingest` to submit or match events, `read` for every other GET, and `admin`
    /// for everything else, including routes that do not exist.
    fn of(method: &Method, path: &str) -> Self {
        match (method, path) {
            (_, "/healthz" | "/readyz") => Self::Open,
            (&Method::POST, "/v1/events" | "/v1/match") => Self::Role(Role::Ingest),
            (&Method::GET | &Method::HEAD, _) => Self::Role(Role::Read),
            _ => Self::Role(Role::Admin),
        }
    }
}

/// The access check of a router: the current keys, and the recent authentication failures.
///
/// Cheap to clone; clones share one state.
#[derive(Clone)]
pub struct AccessGuard {
    config: Arc<dyn Fn() -> Arc<Config> + Send + Sync>,
    failures: Arc<AuthThrottle>,
}

impl AccessGuard {
    /// Creates a guard that takes the keys from `config` at each request, so that a reload takes effect immediately.
    pub fn new(config: impl Fn() -> Arc<Config> + Send + Sync + 'static, clock: Clock) -> Self {
        Self { config: Arc::new(config), failures: Arc::new(AuthThrottle::new(clock)) }
    }

    /// Returns the caller of a request that may use its route.
    fn authorize(&self, request: &Request) -> Result<Caller, ApiError> {
        refuse_other_sites(request)?;
        let config = (self.config)();
        let peer = request.extensions().get::<Peer>().copied();
        if config.auth.keys.is_empty() {
            return authorize_local(peer, request);
        }
        let Requirement::Role(role) = Requirement::of(request.method(), request.uri().path()) else {
            return Ok(Caller::local());
        };
        let caller = authorize_key(&config.auth.keys, role, request.headers());
        if matches!(caller, Err(ApiError::Unauthorized(_))) {
            self.failures.record(peer.and_then(Peer::source))?;
        }
        caller
    }

    /// Returns whether keys are configured.
    pub fn has_keys(&self) -> bool {
        !(self.config)().auth.keys.is_empty()
    }

    /// Checks a request for the web page before its viewer is known.
    ///
    /// Refuses requests of pages from other sites and, without keys, from other machines. Links from other sites to the
    /// page are permitted.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn authorize_page(&self, request: &Request) -> Result<(), ApiError> {
        if !is_navigation(request) {
            refuse_other_sites(request)?;
        }
        if self.has_keys() {
            return Ok(());
        }
        authorize_local(request.extensions().get::<Peer>().copied(), request).map(drop)
    }

    /// Returns the configured key that a person enters on the login page.
    ///
    /// Failures count towards the same limit as those of the API.
    ///
    /// # Errors
    /// `unauthorized` if the key is unknown, or `too-many-requests` after too many failures of the peer.
    pub fn authenticate(&self, peer: Option<Peer>, key: &str) -> Result<Key, ApiError> {
        let config = (self.config)();
        if let Some(key) = find_key(&config.auth.keys, key) {
            return Ok(key.clone());
        }
        self.failures.record(peer.and_then(Peer::source))?;
        Err(ApiError::Unauthorized("unknown API key: use one of [[auth.keys]]"))
    }

    /// Returns the key with this SHA-256 digest; `None` if it is no longer configured.
    pub fn key_by_digest(&self, sha256: &[u8; 32]) -> Option<Key> {
        (self.config)().auth.keys.iter().find(|key| key.sha256 == *sha256).cloned()
    }
}

/// Checks a request before its handler runs. The middleware of every route.
///
/// Adds the [`Caller`] to the request, or answers with an error. Error responses of the framework become problems.
pub async fn check_access(State(guard): State<AccessGuard>, mut request: Request, next: Next) -> Response {
    match guard.authorize(&request).and_then(|caller| media_type::check(&request).map(|()| caller)) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            into_problem(next.run(request).await)
        }
        Err(error) => error.into_response(),
    }
}

/// Returns the caller of a request that needs no key, because no keys are configured.
fn authorize_local(peer: Option<Peer>, request: &Request) -> Result<Caller, ApiError> {
    match peer.filter(|peer| peer.is_local()) {
        Some(Peer::Unix) => {}
        Some(Peer::Tcp(_)) => check_host(request, "http://")?,
        Some(Peer::Tls(_)) => check_host(request, "https://")?,
        None => {
            return Err(ApiError::Forbidden(
                "no API keys are configured, so the daemon serves only this machine: add [[auth.keys]] to the config"
                    .to_owned(),
            ));
        }
    }
    Ok(Caller::local())
}

/// Returns the caller of a request whose key has the needed role.
fn authorize_key(keys: &[Key], needed: Role, headers: &HeaderMap) -> Result<Caller, ApiError> {
    let Some(token) = bearer(headers) else {
        return Err(ApiError::Unauthorized("no API key: send one as 'Authorization: Bearer KEY'"));
    };
    let Some(key) = find_key(keys, token) else {
        return Err(ApiError::Unauthorized("unknown API key: use one of [[auth.keys]]"));
    };
    if key.role == needed || key.role == Role::Admin {
        return Ok(Caller::with_key(&key.name));
    }
    let permitted = if needed == Role::Admin { "admin" } else { &format!("{} or admin", needed.as_str()) };
    let (name, role) = (&key.name, key.role.as_str());
    Err(ApiError::Forbidden(format!("API key '{name}' has the role {role}: this route requires {permitted}")))
}

/// Returns the token of a single `Authorization: Bearer` header.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (scheme, token) = values.next()?.to_str().ok()?.split_once(' ')?;
    let token = token.trim_ascii();
    (values.next().is_none() && scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// Returns the configured key that `token` is.
///
/// Compares the digests of all keys in constant time, so that the duration reveals nothing about the keys.
fn find_key<'k>(keys: &'k [Key], token: &str) -> Option<&'k Key> {
    let given = digest(&SHA256, token.as_bytes());
    let mut found = None;
    for key in keys {
        if bool::from(given.as_ref().ct_eq(&key.sha256)) {
            found = Some(key);
        }
    }
    found
}

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;
