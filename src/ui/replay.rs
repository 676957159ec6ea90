//! Replays of a subscription's past events: the form with its count, the list, and the page of one replay.

use std::time::Duration;

use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::Uri;

use super::actions::refused;
use super::form::Form;
use super::form_key;
use super::localize::localize;
use super::notice::Notice;
use super::page_error::PageError;
use super::query::{PAGE_ITEMS, Query};
use super::render;
use super::state::Ui;
use super::subscription::find;
use super::viewer::Viewer;
use crate::flow::Entry;
use crate::flow::Flow;
use crate::flow::replay::request::{REPLAYED_STATES, ReplayCount, ReplayRequest};
use crate::model::delivery::DeliveryState;
use crate::model::id::{ReplayId, SubscriptionId};
use crate::model::problem::{Localized as _, Message};
use crate::model::replay::{JobState, ReplayJob};
use crate::model::time::Timestamp;

/// The time limit for counting events while the browser waits for the page.
const COUNTING_MAX: Duration = Duration::from_secs(3);
/// The periods that the form offers as links.
const SPANS: [(&str, Duration); 3] = [
    ("replay-hour", Duration::from_hours(1)),
    ("replay-day", Duration::from_hours(24)),
    ("replay-week", Duration::from_hours(7 * 24)),
];

#[derive(askama::Template)]
#[template(path = "replay_form.html")]
struct ReplayForm<'a> {
    v: &'a Viewer,
    entry: &'a Entry,
    query: &'a Query,
    notice: Option<Notice>,
    counted: Option<ReplayCount>,
    form_key: String,
    states: [DeliveryState; 3],
}

impl ReplayForm<'_> {
    fn state_label(&self, state: DeliveryState) -> String {
        self.v.t(&format!("replay-state-{}", state.as_str()))
    }

    fn path(&self, rest: &str) -> String {
        self.v.link(&format!("/subscriptions/{}{rest}", self.entry.subscription.id))
    }

    /// Returns the names and links of the periods.
    fn spans(&self) -> Vec<(String, String)> {
        let of = |(name, length): (&str, Duration)| {
            let since = self.v.now.before(length).to_string();
            // The same format as the form's field.
            let since = since.get(..16).unwrap_or_default();
            (self.v.t(name), self.path(&format!("/replay?since={since}&count=1")))
        };
        let all = (self.v.t("replay-all"), self.path("/replay?count=1"));
        SPANS.into_iter().map(of).chain([all]).collect()
    }
}

/// Shows the form, with the number of matching events if the form asks for it.
pub(super) async fn form(
    State(ui): State<Ui>,
    Extension(viewer): Extension<Viewer>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, PageError> {
    viewer.require_change()?;
    let entry = find(&ui, &id)?;
    let mut query = Query::new(&uri);
    let ask = ReplayRequest {
        subscription: entry.subscription.id,
        since: query.time("since"),
        until: query.time("until"),
        states: parse_state(query.get("state")),
    };
    if let Err(problem) = ask.check_span() {
        query.refuse("until", problem.message());
    }
    let counted = match query.get("count") {
        "" => None,
        _ if query.has_problems() => None,
        _ => Some(ui.flow.count_replay(ask, COUNTING_MAX).await?),
    };
    let notice = ui.notices.take(&query);
    let (form_key, states) = (form_key::generate(), REPLAYED_STATES);
    let page = ReplayForm { v: &viewer, entry: &entry, query: &query, notice, counted, form_key, states };
    Ok(render::uncached_html(&page))
}

/// Returns the states to replay; empty for all events.
fn parse_state(word: &str) -> Vec<DeliveryState> {
    REPLAYED_STATES.into_iter().filter(|state| state.as_str() == word).collect()
}

/// Starts a replay and redirects to its page.
pub(super) async fn start(
    State(ui): State<Ui>,
    Extension(viewer): Extension<Viewer>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, PageError> {
    let form = Form::read_change(&ui, &viewer, request).await?;
    let subscription = find(&ui, &id)?.subscription.id;
    let fields = ["since", "until", "state"].map(|name| form.get(name));
    let [since, until, state] = fields;
    let ask = match read_ask(subscription, since, until, state) {
        Ok(ask) => ask,
        Err(problem) => {
            let path = format!("/subscriptions/{subscription}/replay");
            let notice = Notice::Refused(localize(viewer.language, &problem));
            return Ok(ui.notices.redirect(&viewer, &path, notice));
        }
    };
    let route = format!("replay {subscription}");
    let key = form_key::of_form(&viewer, &route, &form, fields.join("\n").as_bytes());
    let (flow, actor) = (ui.flow.clone(), viewer.actor());
    let change = async move {
        let (job, _) = flow.start_replay(actor, ask, key).await?;
        Ok(job.id)
    };
    let (path, notice) = match ui.run_change(change).await? {
        Ok(id) => (format!("/replays/{id}"), Notice::Done("notice-replay-started")),
        Err(error) => (format!("/subscriptions/{subscription}/replay"), refused(&viewer, error)?),
    };
    Ok(ui.notices.redirect(&viewer, &path, notice))
}

fn read_ask(
    subscription: SubscriptionId,
    since: &str,
    until: &str,
    state: &str,
) -> Result<ReplayRequest, Message> {
    let mut query = Query::default();
    let (since, until) = (query.time_of("since", since), query.time_of("until", until));
    let ask = ReplayRequest { subscription, since, until, states: parse_state(state) };
    let problem =
        query.first_problem().cloned().or_else(|| ask.check_span().err().map(|problem| problem.message()));
    problem.map_or(Ok(ask), Err)
}

/// A replay with the name of its subscription.
pub(super) struct ReplayRow {
    pub(super) job: ReplayJob,
    pub(super) name: String,
}

impl ReplayRow {
    fn of(flow: &Flow, job: ReplayJob) -> Self {
        let entry = flow.subscription(job.subscription);
        let name = entry.map(|entry| entry.subscription.spec.name.clone());
        Self { name: name.unwrap_or_else(|| job.subscription.to_string()), job }
    }

    pub(super) fn is_running(&self) -> bool {
        self.job.state == JobState::Running
    }

    /// Returns the CSS class for the replay's state.
    pub(super) fn class(&self) -> &'static str {
        match self.job.state {
            JobState::Running => "in_flight",
            JobState::Done => "succeeded",
            JobState::Cancelled => "cancelled",
            JobState::Failed => "exhausted",
        }
    }

    /// Returns the period of the replay in words.
    pub(super) fn period_text(&self, v: &Viewer) -> String {
        let text = |at: Option<Timestamp>, other: &str| at.map_or_else(|| v.t(other), |at| v.date_time(at));
        let since = text(self.job.since, "replay-from-beginning");
        let until = text(self.job.until.or(Some(self.job.created_at)), "");
        v.t2("replay-span", "since", since, "until", until)
    }

    /// Returns which events of the period are replayed, in words.
    pub(super) fn events_text(&self, v: &Viewer) -> String {
        match self.job.states.first() {
            Some(state) => v.t(&format!("replay-state-{}", state.as_str())),
            None => v.t("replay-state-any"),
        }
    }
}

#[derive(askama::Template)]
#[template(path = "replay.html")]
struct ReplayPage<'a> {
    v: &'a Viewer,
    row: &'a ReplayRow,
    notice: Option<Notice>,
}

/// Shows one replay with its progress.
pub(super) async fn show(
    State(ui): State<Ui>,
    Extension(viewer): Extension<Viewer>,
    Path(text): Path<String>,
    uri: Uri,
) -> Result<Response, PageError> {
    let job = ui.flow.replay(read_id(&text)?).await?;
    let row = ReplayRow::of(&ui.flow, job);
    let notice = ui.notices.take(&Query::new(&uri));
    Ok(render::html(&ReplayPage { v: &viewer, row: &row, notice }))
}

/// Cancels a replay. Deliveries that exist already continue.
pub(super) async fn cancel(
    State(ui): State<Ui>,
    Extension(viewer): Extension<Viewer>,
    Path(text): Path<String>,
    request: Request,
) -> Result<Response, PageError> {
    Form::read_change(&ui, &viewer, request).await?;
    let id = read_id(&text)?;
    let (flow, actor) = (ui.flow.clone(), viewer.actor());
    let change = async move {
        flow.cancel_replay(actor, id).await?;
        Ok(Notice::Done("notice-replay-cancelled"))
    };
    let notice = ui.run_change(change).await?.or_else(|error| refused(&viewer, error))?;
    Ok(ui.notices.redirect(&viewer, &format!("/replays/{id}"), notice))
}

fn read_id(text: &str) -> Result<ReplayId, PageError> {
    text.parse().map_err(|_| PageError::not_found("replay", text))
}

#[derive(askama::Template)]
#[template(path = "replays.html")]
struct ReplayList<'a> {
    v: &'a Viewer,
    rows: Vec<ReplayRow>,
    next: String,
}

/// Shows the replays in the log, newest first.
pub(super) async fn list(
    State(ui): State<Ui>,
    Extension(viewer): Extension<Viewer>,
    uri: Uri,
) -> Result<Response, PageError> {
    let mut query = Query::new(&uri);
    let jobs = ui.flow.replays(query.read("cursor"), PAGE_ITEMS + 1).await;
    let mut jobs = jobs.map_err(|error| PageError::internal(&error))?;
    let is_more = jobs.len() > PAGE_ITEMS;
    jobs.truncate(PAGE_ITEMS);
    let last = jobs.last().filter(|_| is_more);
    let next = last.map(|job| viewer.link(&query.next("/replays", job.id))).unwrap_or_default();
    let rows = jobs.into_iter().map(|job| ReplayRow::of(&ui.flow, job)).collect();
    Ok(render::html(&ReplayList { v: &viewer, rows, next }))
}
