//! Who may call: keys with roles, and the check_access of a daemon without keys.
//!
//! Without keys only loopback and Unix sockets are served. A web page in the user's browser can reach loopback
//! too, so there `Host` must name loopback (against DNS rebinding) and `Origin`, if there is one, must be the
//! daemon's own (against cross-site requests). With or without keys, what a browser itself says comes from
//! another site is refused, its preflights too, and no answer ever has a CORS header: no page of another site
//! reads anything, and none sends a body, which would have to be `application/json` (a form cannot be).

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

/// What a route asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Requirement {
    /// Nothing: probes.
    Open,
    /// A key with this role, or with [`Role::Admin`].
    Role(Role),
}

impl Requirement {
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

/// The check_access's state: the present keys, and the failures of late.
#[derive(Clone)]
pub struct AccessGuard {
    config: Arc<dyn Fn() -> Arc<Config> + Send + Sync>,
    failures: Arc<AuthThrottle>,
}

impl AccessGuard {
    /// A check_access that asks `config` for the keys at each request, so that a reload takes effect at once.
    pub fn new(config: impl Fn() -> Arc<Config> + Send + Sync + 'static, clock: Clock) -> Self {
        Self { config: Arc::new(config), failures: Arc::new(AuthThrottle::new(clock)) }
    }

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
        let admitted = authorize_key(&config.auth.keys, role, request.headers());
        if matches!(admitted, Err(ApiError::Unauthorized(_))) {
            self.failures.record(peer.and_then(Peer::source))?;
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
    pub fn authorize_page(&self, request: &Request) -> Result<(), ApiError> {
        if !is_navigation(request) {
            refuse_other_sites(request)?;
        }
        if self.has_keys() {
            return Ok(());
        }
        authorize_local(request.extensions().get::<Peer>().copied(), request).map(drop)
    }

    /// The key that a person gives at the page's door. Failures count as they do for the API.
    ///
    /// # Errors
    /// If it is not known, or too many were tried from there.
    pub fn authenticate(&self, peer: Option<Peer>, key: &str) -> Result<Key, ApiError> {
        let config = (self.config)();
        if let Some(key) = find_key(&config.auth.keys, key) {
            return Ok(key.clone());
        }
        self.failures.record(peer.and_then(Peer::source))?;
        Err(ApiError::Unauthorized("the key is not one of [[auth.keys]]"))
    }

    /// The key with that digest, if it is configured still.
    pub fn key_by_digest(&self, sha256: &[u8; 32]) -> Option<Key> {
        (self.config)().auth.keys.iter().find(|key| key.sha256 == *sha256).cloned()
    }
}

/// The middleware of every route: lets the request in with its [`Caller`], or answers for it. Answers of the
/// framework come out as problems.
pub async fn check_access(State(guard): State<AccessGuard>, mut request: Request, next: Next) -> Response {
    match guard.authorize(&request).and_then(|caller| media_type::check(&request).map(|()| caller)) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            into_problem(next.run(request).await)
        }
        Err(failure) => failure.into_response(),
    }
}

fn authorize_local(peer: Option<Peer>, request: &Request) -> Result<Caller, ApiError> {
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
    Ok(Caller::local())
}

fn authorize_key(keys: &[Key], needed: Role, headers: &HeaderMap) -> Result<Caller, ApiError> {
    let Some(token) = bearer(headers) else {
        return Err(ApiError::Unauthorized("send a key as 'Authorization: Bearer KEY'"));
    };
    let Some(key) = find_key(keys, token) else {
        return Err(ApiError::Unauthorized("the key is not one of [[auth.keys]]"));
    };
    if key.role == needed || key.role == Role::Admin {
        return Ok(Caller::with_key(&key.name));
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
