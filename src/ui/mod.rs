//! The web page, for setting up subscriptions, watching deliveries and resolving failures in a browser.
//!
//! Pages read from [`Flow`] and the store's reader and make changes through the same functions as the API.
//! Input that the API refuses is refused here too, with the same words, beside the field. Every page works
//! without JavaScript; the one script adds live updates. No page loads anything from another host. The path
//! chooses the language (`/sv/…`), so that a daemon without keys needs no cookie.
//!
//! [`router`] serves the page and passes all other paths to the API. A request goes through `guard`, which
//! identifies the viewer (`viewer::Viewer`) and adds the response headers, and then to its handler.

use axum::Router;
use axum::middleware::{from_fn_with_state, map_request};
use axum::routing::{get, post};
use tower_http::compression::CompressionLayer;

use self::state::Ui;
use crate::api::guard::access::AccessGuard;
use crate::flow::Flow;
use crate::model::time::Clock;

mod actions;
mod assets;
mod catalog;
mod chart;
mod deliveries;
mod draft;
mod editor;
mod events;
mod form;
mod form_key;
mod form_token;
mod guard;
mod language;
mod live;
mod localize;
mod login;
mod notice;
mod overview;
mod page_error;
mod preview;
mod query;
mod redeliver;
mod render;
mod replay;
mod sentence;
mod session;
mod setting_field;
mod state;
mod subscription;
mod subscriptions;
mod viewer;

/// Returns a router that serves the page, and `api` for all other paths.
///
/// Requests need a [`crate::api::caller::Peer`] among their extensions.
pub fn router(flow: Flow, clock: Clock, api: Router) -> Router {
    let gate = AccessGuard::new(
        {
            let flow = flow.clone();
            move || flow.config()
        },
        clock.clone(),
    );
    let ui = Ui::new(flow, clock, gate);
    let page = routes()
        .route_layer(from_fn_with_state(ui.clone(), guard::guard))
        .with_state(ui.clone())
        .merge(assets::routes())
        .layer(CompressionLayer::new())
        .fallback_service(api.layer(from_fn_with_state(ui, guard::render_api_errors)));
    // The language is removed from the path before the request is routed.
    Router::new().fallback_service(page).layer(map_request(language::take_from_path))
}

fn routes() -> Router<Ui> {
    Router::new()
        .route("/", get(overview::show))
        .route("/subscriptions", get(subscriptions::list).post(editor::create))
        .route("/subscriptions/new", get(editor::new))
        .route("/subscriptions/draft", post(editor::draft))
        .route("/subscriptions/{id}", get(subscription::show))
        .route("/subscriptions/{id}/edit", get(editor::edit).post(editor::change))
        .route("/subscriptions/{id}/delete", get(subscription::confirm_delete).post(actions::delete))
        .route("/subscriptions/{id}/enable", post(actions::enable))
        .route("/subscriptions/{id}/disable", post(actions::disable))
        .route("/subscriptions/{id}/test", post(actions::test))
        .route("/subscriptions/{id}/rotate-secret", post(actions::rotate))
        .route("/subscriptions/{id}/replay", get(replay::form).post(replay::start))
        .route("/replays", get(replay::list))
        .route("/replays/{id}", get(replay::show))
        .route("/replays/{id}/cancel", post(replay::cancel))
        .route("/events", get(events::list))
        .route("/events/again", get(redeliver::show).post(redeliver::start))
        .route("/events/{id}", get(events::show))
        .route("/deliveries", get(deliveries::list))
        .route("/deliveries/{id}", get(deliveries::show))
        .route("/deliveries/{id}/retry", post(actions::retry))
        .route("/deliveries/{id}/cancel", post(actions::cancel))
        .route("/live", get(live::show))
        .route("/live/stream", get(live::stream))
        .route("/login", get(login::show).post(login::enter))
        .route("/logout", post(login::leave))
}
