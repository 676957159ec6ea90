//! The web page: set up, watch and mend without writing a line.
//!
//! Pages are rendered here from [`Flow`] and its reader alone, as the API's answers are, and change things
//! through the same steps; what the API refuses is refused here, in the same words, beside the field concerned.
//! Each page works without script; the one script that there is makes it lively. Nothing is fetched from
//! elsewhere, and a language is chosen by the path (`/sv/…`), so that no cookie is needed where no keys are.
//!
//! [`router`] serves the page and hands on to the API what is not its own. A request passes `guard`, which
//! says who looks (`viewer::Viewer`) and dresses the answer, then its handler.

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

/// The page, and `api` for every path that is not the page's.
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
    // The language is taken off the path before a route is looked for.
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
