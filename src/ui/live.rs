//! The live page, which shows events, attempts and changes of subscriptions as they happen.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, Uri};

use super::page_error::PageError;
use super::render;
use super::state::Ui;
use super::viewer::Viewer;
use crate::api;
use crate::model::attempt::ErrorClass;
use crate::model::delivery::DeliveryState;
use crate::model::subscription::Health;

/// The maximum number of subscriptions that are shown by name. Others are shown by ID.
const NAMES_MAX: usize = 500;

#[derive(askama::Template)]
#[template(path = "live.html")]
struct LivePage<'a> {
    v: &'a Viewer,
    names: Vec<(String, String)>,
    states: [DeliveryState; 6],
    healths: &'static [Health],
    classes: [ErrorClass; 7],
}

/// Shows the page. The script fills its table.
pub(super) async fn show(State(ui): State<Ui>, Extension(viewer): Extension<Viewer>) -> Response {
    let entries = ui.flow.subscriptions().into_iter().take(NAMES_MAX);
    let names = entries
        .map(|entry| (entry.subscription.id.to_string(), entry.subscription.spec.name.clone()))
        .collect();
    render::html(&LivePage {
        v: &viewer,
        names,
        states: DeliveryState::ALL,
        healths: Health::ALL,
        classes: ErrorClass::ALL,
    })
}

/// Serves the API's event stream to a browser that has a session instead of a key.
pub(super) async fn stream(
    State(ui): State<Ui>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, PageError> {
    Ok(api::routes::stream::respond(&ui.flow, &headers, &uri)?)
}
