//! The routes of the API and their OpenAPI document.

use std::sync::LazyLock;

use axum::Router;
use axum::middleware::from_fn_with_state;
use tokio_util::task::TaskTracker;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiError;
use super::guard::access::{AccessGuard, check_access};
use super::openapi::document;
use super::routes::{
    backup, catalog, deliveries, events, matches, metrics, openapi, probes, replays, rotate_secret, samples,
    stats, stream, submit, subscriptions,
};
use super::state::ApiState;
use crate::flow::Flow;
use crate::model::time::Clock;

/// The OpenAPI document as JSON text, built from the handlers on first use.
pub static DOCUMENT: LazyLock<String> = LazyLock::new(|| document::to_json(routes().into_openapi()));

/// Builds the router of every API route, behind the access check.
///
/// Requests need a [`Peer`](super::caller::Peer) among their extensions, which
/// [`serve`](super::serve::serve) puts there.
pub fn router(flow: Flow, clock: Clock) -> Router {
    let guard = AccessGuard::new(
        {
            let flow = flow.clone();
            move || flow.config()
        },
        clock,
    );
    let (routes, _) = routes().split_for_parts();
    routes
        .fallback(async || ApiError::NotFound("there is no such route: see /openapi.json".to_owned()))
        .with_state(ApiState { flow, tasks: TaskTracker::new(), document: &DOCUMENT })
        .layer(from_fn_with_state(guard, check_access))
}

fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::with_openapi(document::base())
        .routes(routes!(submit::submit, events::list))
        .routes(routes!(matches::match_event))
        .routes(routes!(events::get))
        .routes(routes!(deliveries::list_of_event))
        .routes(routes!(deliveries::list))
        .routes(routes!(deliveries::get))
        .routes(routes!(deliveries::retry))
        .routes(routes!(deliveries::cancel))
        .routes(routes!(subscriptions::list, subscriptions::create))
        .routes(routes!(subscriptions::get, subscriptions::change, subscriptions::delete))
        .routes(routes!(subscriptions::enable))
        .routes(routes!(subscriptions::disable))
        .routes(routes!(rotate_secret::rotate))
        .routes(routes!(samples::test))
        .routes(routes!(replays::replay_event))
        .routes(routes!(replays::replay_subscription))
        .routes(routes!(replays::list))
        .routes(routes!(replays::get))
        .routes(routes!(replays::cancel))
        .routes(routes!(catalog::event_types))
        .routes(routes!(catalog::projects))
        .routes(routes!(backup::backup))
        .routes(routes!(stats::stats))
        .routes(routes!(stream::stream))
        .routes(routes!(metrics::metrics))
        .routes(routes!(probes::healthz))
        .routes(routes!(probes::readyz))
        .routes(routes!(openapi::get))
}
