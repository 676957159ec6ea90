//! The web page: set up, watch and mend without writing a line.
//!
//! Pages are rendered here from [`Flow`] and its reader alone, as the API's answers are, and change things
//! through the same steps; what the API refuses is refused here, in the same words, beside the field concerned.
//! Each page works without script; the one script that there is makes it lively. Nothing is fetched from
//! elsewhere, and a language is chosen by the path (`/sv/…`), so that no cookie is needed where no keys are.
//!
//! [`router`] serves the page and hands on to the API what is not its own. A request passes `guard`, which
//! says who looks (`viewer::Viewer`) and dresses the answer, then its handler.

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn_with_state, map_request};
use axum::routing::{get, post};
use rand::RngExt as _;
use ring::hmac;
use tokio_util::task::TaskTracker;
use tower_http::compression::CompressionLayer;

use self::notice::Notices;
use self::page_error::PageError;
use self::session::Sessions;
use crate::api::guard::access::AccessGuard;
use crate::flow::{ChangeError, Flow};
use crate::model::time::Clock;
use crate::store::StoreError;

mod actions;
mod again;
mod assets;
mod catalog;
mod chart;
mod deliveries;
mod draft;
mod editor;
mod events;
mod explain;
mod form;
mod guard;
mod language;
mod live;
mod login;
mod notice;
mod once;
mod overview;
mod page_error;
mod preview;
mod query;
mod replay;
mod sentence;
mod session;
mod setting_field;
mod subscription;
mod subscriptions;
mod viewer;

/// What every page works with.
#[derive(Clone)]
struct Ui(Arc<Parts>);

struct Parts {
    flow: Flow,
    clock: Clock,
    gate: AccessGuard,
    sessions: Sessions,
    notices: Notices,
    /// Signs the token of each form, so that only a page of this process can have made it.
    form_key: hmac::Key,
    changes: TaskTracker,
}

impl std::ops::Deref for Ui {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Ui {
    /// Makes a change to its end, whether or not the browser still waits for the answer.
    async fn carry_out<T: Send + 'static>(
        &self,
        change: impl Future<Output = Result<T, ChangeError>> + Send + 'static,
    ) -> Result<Result<T, ChangeError>, PageError> {
        self.changes.spawn(change).await.map_err(|error| PageError::internal(&error))
    }

    /// Asks the log where blocking is no harm.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Flow) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, PageError> {
        let flow = self.flow.clone();
        let answer = tokio::task::spawn_blocking(move || question(&flow)).await;
        answer.map_err(|error| PageError::internal(&error))?.map_err(|error| PageError::internal(&error))
    }
}

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
    let key: [u8; 32] = rand::rng().random();
    let ui = Ui(Arc::new(Parts {
        sessions: Sessions::new(clock.clone()),
        notices: Notices::default(),
        form_key: hmac::Key::new(hmac::HMAC_SHA256, &key),
        changes: TaskTracker::new(),
        flow,
        clock,
        gate,
    }));
    let page = routes()
        .route_layer(from_fn_with_state(ui.clone(), guard::guard))
        .with_state(ui.clone())
        .merge(assets::routes())
        .layer(CompressionLayer::new())
        .fallback_service(api.layer(from_fn_with_state(ui, guard::dress_refusals)));
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
        .route("/subscriptions/{id}/delete", get(subscription::ask_delete).post(actions::delete))
        .route("/subscriptions/{id}/enable", post(actions::enable))
        .route("/subscriptions/{id}/disable", post(actions::disable))
        .route("/subscriptions/{id}/test", post(actions::test))
        .route("/subscriptions/{id}/rotate-secret", post(actions::rotate))
        .route("/subscriptions/{id}/replay", get(replay::form).post(replay::start))
        .route("/replays", get(replay::list))
        .route("/replays/{id}", get(replay::show))
        .route("/replays/{id}/cancel", post(replay::cancel))
        .route("/events", get(events::list))
        .route("/events/again", get(again::show).post(again::start))
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
