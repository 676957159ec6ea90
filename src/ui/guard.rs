//! Access control for the page, and the headers of its responses.
//!
//! Without API keys, the page makes the same checks as the API: a local connection, and the daemon's own
//! `Host` and `Origin`. With keys, a browser needs a session, or it is redirected to the login page. Every
//! form carries a token that only a page of this process can contain. With the token, `Sec-Fetch-Site` and
//! `SameSite=Strict`, no other site can make a browser submit a form.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use xxhash_rust::xxh3::xxh3_64;

use super::page_error::PageError;
use super::render::html;
use super::state::Ui;
use super::viewer::Viewer;
use super::{language, session};
use crate::api::caller::Peer;
use crate::api::problem::PROBLEM_JSON;
use crate::config::Role;

const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
     connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The headers of every response.
const HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

#[derive(askama::Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    v: &'a Viewer,
    error: &'a PageError,
}

/// Middleware of every page. Adds the [`Viewer`] to the request, or refuses the request.
pub(super) async fn guard(State(ui): State<Ui>, mut request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let seen = request.headers().get(header::IF_NONE_MATCH).cloned();
    let (viewer, refusal) = authenticate(&ui, &request);
    let mut response = match refusal {
        Some(Denial::Login) => Redirect::to(&viewer.link("/login")).into_response(),
        Some(Denial::Error(error)) => error.into_response(),
        None => {
            request.extensions_mut().insert(viewer.clone());
            next.run(request).await
        }
    };
    if let Some(error) = response.extensions_mut().remove::<PageError>() {
        response = error_page(&viewer, &error);
    }
    if method == Method::GET && response.status() == StatusCode::OK {
        response = add_etag(response, seen.as_ref()).await;
    }
    add_headers(response.headers_mut());
    response
}

/// Renders the API's errors as pages, if a browser asked for a page that does not exist.
pub(super) async fn render_api_errors(State(ui): State<Ui>, request: Request, next: Next) -> Response {
    let accepts = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let is_person = accepts.is_some_and(|accepts| accepts.contains("text/html"));
    if !is_person || request.uri().path().starts_with("/v1/") {
        return next.run(request).await;
    }
    let (viewer, _) = authenticate(&ui, &request);
    let response = next.run(request).await;
    let is_problem = response.headers().get(header::CONTENT_TYPE).is_some_and(|given| given == PROBLEM_JSON);
    if !is_problem {
        return response;
    }
    // Somebody without access must not learn which paths exist.
    let status = if viewer.name.is_empty() { StatusCode::FORBIDDEN } else { response.status() };
    let mut page = error_page(&viewer, &PageError::at(status, viewer.path.clone()));
    add_headers(page.headers_mut());
    page
}

enum Denial {
    Login,
    Error(PageError),
}

/// Returns the viewer, and why the request is denied, if it is.
fn authenticate(ui: &Ui, request: &Request) -> (Viewer, Option<Denial>) {
    let (language, is_language_in_path) = language::of(request);
    let uri = request.uri();
    let host = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
    let mut viewer = Viewer {
        language,
        is_language_in_path,
        path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        name: String::new(),
        from: match peer(request) {
            Some(Peer::Tcp(address) | Peer::Tls(address)) => address.to_string(),
            Some(Peer::Unix) => "unix".to_owned(),
            None => String::new(),
        },
        role: Role::Read,
        has_session: false,
        token: String::new(),
        origin: format!("{}://{}", scheme(request), host.unwrap_or("127.0.0.1:8740")),
        now: ui.clock.now(),
    };
    if let Err(failure) = ui.gate.authorize_page(request) {
        return (viewer, Some(Denial::Error(failure.into())));
    }
    let cookie = session::cookie(request.headers());
    viewer.token = ui.form_tokens.issue(cookie.as_deref().unwrap_or_default());
    if !ui.gate.has_keys() {
        (viewer.name, viewer.role) = ("local".to_owned(), Role::Admin);
        return (viewer, None);
    }
    match cookie.and_then(|cookie| ui.sessions.get(&cookie)).and_then(|digest| ui.gate.key_by_digest(&digest))
    {
        Some(key) => {
            (viewer.name, viewer.role, viewer.has_session) = (key.name, key.role, true);
            (viewer, None)
        }
        None if uri.path() == "/login" => (viewer, None),
        None => (viewer, Some(Denial::Login)),
    }
}

/// Returns the scheme that the browser uses. A proxy's header only affects what the page shows and the
/// cookie's `Secure` attribute.
pub(super) fn scheme(request: &Request) -> &'static str {
    let is_proxied = request.headers().get("x-forwarded-proto").is_some_and(|scheme| scheme == "https");
    if is_proxied || matches!(peer(request), Some(Peer::Tls(_))) { "https" } else { "http" }
}

/// Returns the address of the client.
pub(super) fn peer(request: &Request) -> Option<Peer> {
    request.extensions().get::<Peer>().copied()
}

fn error_page(v: &Viewer, error: &PageError) -> Response {
    (error.status, html(&ErrorPage { v, error })).into_response()
}

/// Adds an `ETag` to a page. Answers 304 if the browser has the page already.
async fn add_etag(response: Response, seen: Option<&HeaderValue>) -> Response {
    let (mut head, body) = response.into_parts();
    let media_type = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !media_type.is_some_and(|text| text.starts_with("text/html")) {
        return Response::from_parts(head, body);
    }
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        return PageError::internal(&"cannot read a rendered page").into_response();
    };
    let tag = format!("W/\"{:016x}\"", xxh3_64(&body));
    if seen.is_some_and(|seen| seen.as_bytes() == tag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response();
    }
    if let Ok(tag) = tag.parse() {
        head.headers.insert(header::ETAG, tag);
    }
    Response::from_parts(head, body.into())
}

fn add_headers(headers: &mut HeaderMap) {
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("private, no-cache"));
}
