//! Protection against web pages of other sites, which a browser on this machine can show.
//!
//! A web page in a user's browser can send requests to loopback. Two checks stop it:
//!
//! - [`refuse_other_sites`] refuses every request that the browser itself marks as coming from another site.
//! - [`check_host`] protects a daemon without keys. `Host` must name loopback, which stops DNS rebinding, and `Origin`
//!   must be the daemon's own, which stops requests of other sites.

use axum::extract::Request;
use http::uri::Authority;
use http::{HeaderName, HeaderValue, Method, header};

use crate::api::error::ApiError;

/// The header in which a browser states where a request comes from (Fetch Metadata). Other clients do not send it.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Returns whether a browser navigates to a page. Other pages cannot read the response to a navigation.
pub fn is_navigation(request: &Request) -> bool {
    let says = |name: &str, value: &str| request.headers().get(name).is_some_and(|given| given == value);
    request.method() == Method::GET
        && says("sec-fetch-mode", "navigate")
        && says("sec-fetch-dest", "document")
}

/// Refuses a request that a browser marks as made by a page from another site.
///
/// For a browser, another port of the same machine is the same site. Its pages are refused too.
///
/// # Errors
/// `forbidden`.
pub fn refuse_other_sites(request: &Request) -> Result<(), ApiError> {
    let headers = request.headers();
    if request.method() == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
        return Err(ApiError::Forbidden(
            "CORS preflight refused: web pages from other sites cannot call the API".to_owned(),
        ));
    }
    let is_own = |site: &HeaderValue| matches!(site.as_bytes(), b"same-origin" | b"none");
    if headers.get_all(SEC_FETCH_SITE).iter().all(is_own) {
        return Ok(());
    }
    Err(ApiError::Forbidden(
        "Sec-Fetch-Site names another site: web pages from other sites cannot call the API".to_owned(),
    ))
}

/// Refuses a request over loopback whose `Host` does not name loopback, or whose `Origin` is another one.
///
/// # Errors
/// `forbidden`.
pub fn check_host(request: &Request, scheme: &str) -> Result<(), ApiError> {
    let headers = request.headers();
    let named =
        headers.get_all(header::HOST).iter().map(|value| value.to_str().ok()?.parse::<Authority>().ok());
    let mut hosts: Vec<Option<Authority>> = named.collect();
    hosts.extend(request.uri().authority().cloned().map(Some));
    if hosts.is_empty() || !hosts.iter().all(|host| host.as_ref().is_some_and(is_loopback)) {
        return Err(ApiError::Forbidden(
            "Host names another machine: without API keys, call localhost, 127.0.0.1 or [::1]".to_owned(),
        ));
    }
    let is_own = |origin: &str| {
        let origin = origin.strip_prefix(scheme).and_then(|rest| rest.parse::<Authority>().ok());
        hosts.iter().all(|host| host.is_some() && *host == origin)
    };
    if headers.get_all(header::ORIGIN).iter().all(|origin| origin.to_str().is_ok_and(is_own)) {
        return Ok(());
    }
    Err(ApiError::Forbidden(
        "Origin names another site: web pages from other sites cannot call the API".to_owned(),
    ))
}

fn is_loopback(authority: &Authority) -> bool {
    let has_user = authority.as_str().contains('@');
    let host = authority.host();
    !has_user && (host.eq_ignore_ascii_case("localhost") || matches!(host, "127.0.0.1" | "[::1]"))
}
