//! The routes of the API and their OpenAPI document.

use std::sync::LazyLock;

use axum::Router;
use axum::middleware::from_fn_with_state;
use tokio_util::task::TaskTracker;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::guard::access::{Gate, guard};
use super::openapi::document;
use super::problem::ApiError;
use super::routes::{
    backup, catalog, events, intervene, log, metrics, openapi, probes, replays, secrets, stats, stream,
    subscriptions,
};
use super::state::Api;
use crate::flow::Flow;
use crate::model::time::Clock;

/// The OpenAPI document as JSON text, built from the handlers on first use.
pub static DOCUMENT: LazyLock<String> = LazyLock::new(|| document::to_json(routes().into_openapi()));

/// Builds the router of every API route, behind the access check.
///
/// Requests need a [`Peer`](super::caller::Peer) among their extensions, which
/// [`serve`](super::serve::serve) puts there.
pub fn router(flow: Flow, clock: Clock) -> Router {
    let gate = Gate::new(
        {
            let flow = flow.clone();
            move || flow.config()
        },
        clock,
    );
    let (routes, _) = routes().split_for_parts();
    routes
        .fallback(async || ApiError::NotFound("there is no such route: see /openapi.json".to_owned()))
        .with_state(Api { flow, tasks: TaskTracker::new(), document: &DOCUMENT })
        .layer(from_fn_with_state(gate, guard))
}

fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(document::base())
        .routes(routes!(events::submit, log::events))
        .routes(routes!(events::explain))
        .routes(routes!(log::event))
        .routes(routes!(log::deliveries_of))
        .routes(routes!(log::deliveries))
        .routes(routes!(log::delivery))
        .routes(routes!(intervene::retry))
        .routes(routes!(intervene::cancel))
        .routes(routes!(subscriptions::list, subscriptions::create))
        .routes(routes!(subscriptions::get, subscriptions::change, subscriptions::delete))
        .routes(routes!(subscriptions::enable))
        .routes(routes!(subscriptions::disable))
        .routes(routes!(secrets::rotate))
        .routes(routes!(intervene::test))
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
        .routes(routes!(openapi::show))
}
