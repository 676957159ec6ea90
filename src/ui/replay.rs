//! A subscription's past, delivered again: the form with its count, and how far a replay is.

use std::time::Duration;

use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::Uri;

use super::actions::refused;
use super::explain::explain;
use super::form::Form;
use super::notice::{self, Notice};
use super::page_error::PageError;
use super::query::{PAGE_ITEMS, Query};
use super::subscription::find;
use super::viewer::Viewer;
use super::{Ui, guard, once};
use crate::flow::Entry;
use crate::flow::Flow;
use crate::flow::replay::request::{REPLAYED_STATES, ReplayCount, ReplayRequest};
use crate::model::delivery::DeliveryState;
use crate::model::id::{ReplayId, SubscriptionId};
use crate::model::problem::{Localized as _, Message};
use crate::model::replay::{JobState, ReplayJob};
use crate::model::time::Timestamp;

/// For how long the events of a span are counted while somebody waits for the page.
const COUNTING_MAX: Duration = Duration::from_secs(3);
/// The spans that are offered.
const SPANS: [(&str, Duration); 3] = [
    ("replay-hour", Duration::from_hours(1)),
    ("replay-day", Duration::from_hours(24)),
    ("replay-week", Duration::from_hours(7 * 24)),
];

#[derive(askama::Template)]
#[template(path = "replay_form.html")]
struct FormPage<'a> {
    v: &'a Viewer,
    entry: &'a Entry,
    query: &'a Query,
    notice: Option<Notice>,
    counted: Option<ReplayCount>,
    once: String,
    states: [DeliveryState; 3],
}

impl FormPage<'_> {
    fn which(&self, state: DeliveryState) -> String {
        self.v.t(&format!("replay-state-{}", state.as_str()))
    }

    fn path(&self, rest: &str) -> String {
        self.v.at(&format!("/subscriptions/{}{rest}", self.entry.subscription.id))
    }

    /// The spans that one click counts: their names and addresses.
    fn spans(&self) -> Vec<(String, String)> {
        let of = |(name, length): (&str, Duration)| {
            let since = self.v.now.before(length).to_string();
            // As a field of the form would give it.
            let since = since.get(..16).unwrap_or_default();
            (self.v.t(name), self.path(&format!("/replay?since={since}&count=1")))
        };
        let all = (self.v.t("replay-all"), self.path("/replay?count=1"));
        SPANS.into_iter().map(of).chain([all]).collect()
    }
}

/// The form, with the count of what was filled in.
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
        states: replayed(query.get("state")),
    };
    if let Err(problem) = ask.check_span() {
        query.refuse("until", problem.message());
    }
    let counted = match query.get("count") {
        "" => None,
        _ if query.has_problems() => None,
        _ => Some(ui.flow.count_replay(ask, COUNTING_MAX).await?),
    };
    let notice = notice::take(&ui, &query);
    let (once, states) = (once::fresh(), REPLAYED_STATES);
    let page = FormPage { v: &viewer, entry: &entry, query: &query, notice, counted, once, states };
    Ok(once::html(&page))
}

/// The states of that word; none for every event.
fn replayed(word: &str) -> Vec<DeliveryState> {
    REPLAYED_STATES.into_iter().filter(|state| state.as_str() == word).collect()
}

/// Starts a replay and shows how far it is.
pub(super) async fn start(
    State(ui): State<Ui>,
    Extension(viewer): Extension<Viewer>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, PageError> {
    let form = Form::of_change(&ui, &viewer, request).await?;
    let subscription = find(&ui, &id)?.subscription.id;
    let fields = ["since", "until", "state"].map(|name| form.get(name));
    let [since, until, state] = fields;
    let ask = match read_ask(subscription, since, until, state) {
        Ok(ask) => ask,
        Err(problem) => {
            let path = format!("/subscriptions/{subscription}/replay");
            let notice = Notice::Refused(explain(viewer.language, &problem));
            return Ok(notice::go(&ui, &viewer, &path, notice));
        }
    };
    let route = format!("replay {subscription}");
    let once = once::of(&viewer, &route, &form, fields.join("\n").as_bytes());
    let (flow, actor) = (ui.flow.clone(), viewer.actor());
    let change = async move {
        let (job, _) = flow.start_replay(actor, ask, once).await?;
        Ok(job.id)
    };
    let (path, notice) = match ui.carry_out(change).await? {
        Ok(id) => (format!("/replays/{id}"), Notice::Done("notice-replay-started")),
        Err(error) => (format!("/subscriptions/{subscription}/replay"), refused(&viewer, error)?),
    };
    Ok(notice::go(&ui, &viewer, &path, notice))
}

fn read_ask(
    subscription: SubscriptionId,
    since: &str,
    until: &str,
    state: &str,
) -> Result<ReplayRequest, Message> {
    let mut query = Query::default();
    let (since, until) = (query.time_of("since", since), query.time_of("until", until));
    let ask = ReplayRequest { subscription, since, until, states: replayed(state) };
    let problem =
        query.first_problem().cloned().or_else(|| ask.check_span().err().map(|problem| problem.message()));
    problem.map_or(Ok(ask), Err)
}

/// A replay with the name of its subscription.
pub(super) struct Row {
    pub(super) job: ReplayJob,
    pub(super) name: String,
}

impl Row {
    fn of(flow: &Flow, job: ReplayJob) -> Self {
        let entry = flow.subscription(job.subscription);
        let name = entry.map(|entry| entry.subscription.spec.name.clone());
        Self { name: name.unwrap_or_else(|| job.subscription.to_string()), job }
    }

    pub(super) fn is_running(&self) -> bool {
        self.job.state == JobState::Running
    }

    /// The word of its state, which the style sheet colours.
    pub(super) fn class(&self) -> &'static str {
        match self.job.state {
            JobState::Running => "in_flight",
            JobState::Done => "succeeded",
            JobState::Cancelled => "cancelled",
            JobState::Failed => "exhausted",
        }
    }

    /// What it covers, in words.
    pub(super) fn span(&self, v: &Viewer) -> String {
        let clock = |at: Option<Timestamp>, other: &str| at.map_or_else(|| v.t(other), |at| v.clock(at));
        let since = clock(self.job.since, "replay-from-beginning");
        let until = clock(self.job.until.or(Some(self.job.created_at)), "");
        v.t2("replay-span", "since", since, "until", until)
    }

    /// Which of the events in it, in words.
    pub(super) fn what(&self, v: &Viewer) -> String {
        match self.job.states.first() {
            Some(state) => v.t(&format!("replay-state-{}", state.as_str())),
            None => v.t("replay-state-any"),
        }
    }
}

#[derive(askama::Template)]
#[template(path = "replay.html")]
struct One<'a> {
    v: &'a Viewer,
    row: &'a Row,
    notice: Option<Notice>,
}

/// One replay, as far as it is.
pub(super) async fn show(
    State(ui): State<Ui>,
    Extension(viewer): Extension<Viewer>,
    Path(text): Path<String>,
    uri: Uri,
) -> Result<Response, PageError> {
    let job = ui.flow.replay(read_id(&text)?).await?;
    let row = Row::of(&ui.flow, job);
    let notice = notice::take(&ui, &Query::new(&uri));
    Ok(guard::html(&One { v: &viewer, row: &row, notice }))
}

/// Stops a replay from making more deliveries.
pub(super) async fn cancel(
    State(ui): State<Ui>,
    Extension(viewer): Extension<Viewer>,
    Path(text): Path<String>,
    request: Request,
) -> Result<Response, PageError> {
    Form::of_change(&ui, &viewer, request).await?;
    let id = read_id(&text)?;
    let (flow, actor) = (ui.flow.clone(), viewer.actor());
    let change = async move {
        flow.cancel_replay(actor, id).await?;
        Ok(Notice::Done("notice-replay-cancelled"))
    };
    let notice = ui.carry_out(change).await?.or_else(|error| refused(&viewer, error))?;
    Ok(notice::go(&ui, &viewer, &format!("/replays/{id}"), notice))
}

fn read_id(text: &str) -> Result<ReplayId, PageError> {
    text.parse().map_err(|_| PageError::not_found("replay", text))
}

#[derive(askama::Template)]
#[template(path = "replays.html")]
struct List<'a> {
    v: &'a Viewer,
    rows: Vec<Row>,
    next: String,
}

/// The replays that the log still has, newest first.
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
    let next = last.map(|job| viewer.at(&query.next("/replays", job.id))).unwrap_or_default();
    let rows = jobs.into_iter().map(|job| Row::of(&ui.flow, job)).collect();
    Ok(guard::html(&List { v: &viewer, rows, next }))
}
