//! Login with an API key, if keys are configured.

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, response::AppendHeaders};
use http::{StatusCode, header};

use super::form::Form;
use super::page_error::PageError;
use super::render;
use super::state::Ui;
use super::viewer::Viewer;
use super::{guard, session};
use crate::config::Role;

#[derive(askama::Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    v: &'a Viewer,
    /// The error of the last attempt to log in; empty if there was none.
    problem: String,
}

/// Shows the login form.
pub(super) async fn show(State(ui): State<Ui>, Extension(viewer): Extension<Viewer>) -> Response {
    if viewer.has_session || !ui.gate.has_keys() {
        return Redirect::to(&viewer.link("/")).into_response();
    }
    render::html(&LoginPage { v: &viewer, problem: String::new() })
}

/// Starts a session for a key whose role is read or admin.
pub(super) async fn enter(
    State(ui): State<Ui>,
    Extension(viewer): Extension<Viewer>,
    request: Request,
) -> Result<Response, PageError> {
    let (peer, is_secure) = (guard::peer(&request), guard::scheme(&request) == "https");
    let form = Form::read(&ui, &viewer, request).await?;
    let problem = match ui.gate.authenticate(peer, form.get("key")) {
        Ok(key) if key.role == Role::Ingest => viewer.t1("login-ingest", "name", key.name),
        Ok(key) => {
            tracing::info!(by = key.name, "logged in to the page");
            let cookie = session::set_cookie(Some(&ui.sessions.begin(key.sha256)), is_secure);
            return Ok(with_cookie(&viewer, cookie, "/"));
        }
        Err(failure) if failure.status() == StatusCode::UNAUTHORIZED => viewer.t("login-unknown"),
        Err(failure) => failure.detail(),
    };
    Ok((StatusCode::UNAUTHORIZED, render::html(&LoginPage { v: &viewer, problem })).into_response())
}

/// Ends the session.
pub(super) async fn leave(
    State(ui): State<Ui>,
    Extension(viewer): Extension<Viewer>,
    request: Request,
) -> Result<Response, PageError> {
    let (cookie, is_secure) = (session::cookie(request.headers()), guard::scheme(&request) == "https");
    Form::read(&ui, &viewer, request).await?;
    if let Some(cookie) = cookie {
        ui.sessions.end(&cookie);
    }
    Ok(with_cookie(&viewer, session::set_cookie(None, is_secure), "/login"))
}

fn with_cookie(viewer: &Viewer, cookie: String, path: &str) -> Response {
    (AppendHeaders([(header::SET_COOKIE, cookie)]), Redirect::to(&viewer.link(path))).into_response()
}
