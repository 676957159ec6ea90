//! The HTTP API: what a person or a script can do to the daemon, over `/v1`.
//!
//! [`router`] makes the routes over a [`Flow`]; [`serve::serve`] serves them. A request passes
//! [`access::guard`], then its handler; every refusal, the framework's own included, is a problem of
//! RFC 9457 ([`problem`], which lists their types). Nothing here writes to the store but through [`Flow`], and
//! nothing here decides: the journey of a submitted event goes on in [`Flow::accept`].

use axum::Router;
use axum::middleware::from_fn_with_state;
use tokio_util::task::TaskTracker;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::access::{Gate, guard};
use self::problem::ApiError;
use crate::flow::ChangeError;
use crate::flow::Flow;
use crate::model::time::Clock;

pub mod access;
pub mod audit;
pub mod backup;
pub mod body;
pub mod catalog;
mod crowd;
pub mod document;
pub mod events;
pub mod idempotency;
pub mod intervene;
pub mod log;
pub mod members;
pub mod metrics;
pub mod page;
pub mod patience;
pub mod precondition;
pub mod probes;
pub mod problem;
pub mod raw_event;
pub mod refusals;
pub mod replays;
pub mod secrets;
pub mod serve;
pub mod stats;
pub mod stream;
pub mod submission;
pub mod subscriptions;
pub mod throttle;
pub mod tls;
pub mod traced;
pub mod wire;

/// What every handler works with.
#[derive(Clone)]
pub struct Api {
    flow: Flow,
    changes: TaskTracker,
}

impl Api {
    /// Makes a change to its end, whether or not the caller still waits for the answer: one that is durable
    /// but not yet in force would be forgotten until the next start.
    async fn carry_out<T: Send + 'static>(
        &self,
        change: impl Future<Output = Result<T, ChangeError>> + Send + 'static,
    ) -> Result<T, ApiError> {
        match self.changes.spawn(change).await {
            Ok(result) => Ok(result?),
            Err(error) => Err(ApiError::internal(&error)),
        }
    }
}

/// Every route of the API, behind the guard, with `/openapi.json` made from the handlers themselves.
///
/// Requests need a [`access::Peer`] among their extensions, which [`serve::serve`] puts there.
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
        .with_state(Api { flow, changes: TaskTracker::new() })
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
        .routes(routes!(document::show))
}

/// Does work that waits for the disk, away from the tasks that serve.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(ApiError::internal(&error)),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Key};

    /// A configuration with these keys.
    pub(super) fn config(keys: Vec<Key>) -> Config {
        Config { auth: crate::config::Auth { keys }, ..Config::default() }
    }
}
