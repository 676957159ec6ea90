//! Redelivery of selected events to one subscription. A person selects events in the list, or all results of
//! a search.

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use http::Uri;

use super::form::Form;
use super::notice::Notice;
use super::page_error::PageError;
use super::preview::{Criteria, PreviewedEvent, evaluate};
use super::query::Query;
use super::render;
use super::state::Ui;
use super::viewer::Viewer;
use super::{actions, events, form_key, subscription, subscriptions};
use crate::flow::Flow;
use crate::flow::{ChangeError, Entry};
use crate::model::id::{EventId, SubscriptionId};
use crate::rules::filter::Filter;
use crate::store::{EventHead, EventQuery, StoreError};

/// The maximum number of events in one form. A replay delivers more.
const SELECTED_MAX: usize = 200;
/// The maximum number of pages of the log that a search reads.
const PAGES_MAX: usize = 20;

/// The selected events, newest first.
#[derive(Default)]
struct Selection {
    heads: Vec<EventHead>,
    /// Whether all matching events are included. False if the search finds more than [`SELECTED_MAX`].
    is_complete: bool,
}

impl Selection {
    /// Reads the checked events, or else those that the search finds. Blocks.
    fn read(flow: &Flow, checked: &[EventId], mut search: EventQuery) -> Result<Self, StoreError> {
        let (mut heads, mut is_complete) = (Vec::new(), true);
        if !checked.is_empty() {
            for id in checked.iter().take(SELECTED_MAX) {
                heads.extend(flow.reader().event_head(*id)?);
            }
            return Ok(Self { heads, is_complete: checked.len() <= SELECTED_MAX });
        }
        for _ in 0..PAGES_MAX {
            search.limit = SELECTED_MAX - heads.len();
            let page = flow.reader().events(&search)?;
            heads.extend(page.items);
            (search.before, is_complete) = (page.next, page.next.is_none());
            if is_complete || heads.len() >= SELECTED_MAX {
                break;
            }
        }
        Ok(Self { heads, is_complete })
    }
}

/// A selected event, tested against the subscription.
struct SelectedEvent {
    previewed: PreviewedEvent,
    is_unfinished: bool,
}

#[derive(askama::Template)]
#[template(path = "redeliver.html")]
struct RedeliverPage<'a> {
    v: &'a Viewer,
    query: &'a Query,
    /// The parameters that the form passes on: the selected events, or the search.
    given: Vec<(String, String)>,
    /// The subscription to deliver to; `None` until one is chosen.
    entry: Option<&'a Entry>,
    rows: Vec<SelectedEvent>,
    is_complete: bool,
    form_key: String,
    names: Vec<String>,
}

impl RedeliverPage<'_> {
    fn deliverable(&self) -> usize {
        self.rows.iter().filter(|row| !row.is_unfinished).count()
    }

    fn unmatched(&self) -> usize {
        let unmatched = |row: &&SelectedEvent| !row.is_unfinished && row.previewed.reason.is_some();
        self.rows.iter().filter(unmatched).count()
    }
}

/// Shows the selected events and, once a subscription is chosen, what would be delivered.
pub(super) async fn show(
    State(ui): State<Ui>,
    Extension(viewer): Extension<Viewer>,
    uri: Uri,
) -> Result<Response, PageError> {
    viewer.require_change()?;
    let mut query = Query::new(&uri);
    let given = Form::of_query(&uri);
    let checked: Vec<EventId> = given.all("event").filter_map(|id| id.parse().ok()).collect();
    let search = events::search(&mut query);
    // An invalid search must find nothing instead of everything.
    let is_readable = !query.has_problems();
    let entry = subscriptions::find_named(&ui.flow, &mut query, "to");
    let to = entry.clone();
    let (rows, is_complete) = ui
        .query(move |flow| {
            let selected =
                if is_readable { Selection::read(flow, &checked, search)? } else { Selection::default() };
            Ok((rows(flow, selected.heads, to.as_ref())?, selected.is_complete))
        })
        .await?;
    let is_handed_on =
        |(name, value): &(String, String)| !value.is_empty() && name != "to" && name != "cursor";
    let given = given.into_fields().into_iter().filter(is_handed_on).collect();
    let names = subscriptions::names(&ui.flow);
    Ok(render::uncached_html(&RedeliverPage {
        v: &viewer,
        query: &query,
        given,
        entry: entry.as_ref(),
        rows,
        is_complete,
        form_key: form_key::generate(),
        names,
    }))
}

/// Tests each event against the subscription. Without a subscription, all events match.
fn rows(flow: &Flow, heads: Vec<EventHead>, to: Option<&Entry>) -> Result<Vec<SelectedEvent>, StoreError> {
    let criteria = to.map(|entry| {
        let spec = &entry.subscription.spec;
        let filter = spec.filter.as_deref().and_then(|text| Filter::compile(text).ok());
        Criteria { events: spec.events.clone(), projects: spec.projects.clone(), filter }
    });
    let row = |previewed: PreviewedEvent| {
        let id = to.map(|entry| entry.subscription.id);
        let is_unfinished = id.map(|id| flow.reader().is_under_way(previewed.id, id)).transpose()?;
        Ok(SelectedEvent { previewed, is_unfinished: is_unfinished.unwrap_or(false) })
    };
    evaluate(flow, criteria.as_ref(), heads)?.into_iter().map(row).collect()
}

/// The result of a redelivery.
#[derive(Default)]
struct Outcome {
    created: usize,
    skipped: usize,
}

/// Delivers the selected events again, oldest first.
pub(super) async fn start(
    State(ui): State<Ui>,
    Extension(viewer): Extension<Viewer>,
    request: Request,
) -> Result<Response, PageError> {
    let form = Form::read_change(&ui, &viewer, request).await?;
    let to = subscription::find(&ui, form.get("to"))?.subscription.id;
    let mut selected: Vec<EventId> = form.all("event").filter_map(|id| id.parse().ok()).collect();
    selected.sort_unstable();
    selected.dedup();
    if selected.is_empty() || selected.len() > SELECTED_MAX {
        let detail = format!("{} events were selected: expected 1 to {SELECTED_MAX}", selected.len());
        return Err(PageError::malformed(detail));
    }
    let change = deliver(ui.flow.clone(), viewer.clone(), form, to, selected);
    let notice = match ui.run_change(change).await? {
        Ok(Outcome { created, skipped }) => Notice::Redelivered { created, skipped },
        Err(error) => actions::refused(&viewer, error)?,
    };
    Ok(ui.notices.redirect(&viewer, &format!("/deliveries?subscription={to}"), notice))
}

async fn deliver(
    flow: Flow,
    viewer: Viewer,
    form: Form,
    to: SubscriptionId,
    selected: Vec<EventId>,
) -> Result<Outcome, ChangeError> {
    let (mut done, actor) = (Outcome::default(), viewer.actor());
    for id in selected {
        let key = form_key::of_form(&viewer, &format!("again {id}"), &form, to.to_string().as_bytes());
        let redelivered = match flow.replay_event(actor.clone(), id, Some(vec![to]), key).await {
            // Retention has deleted the event since the page was shown.
            Err(ChangeError::NotFound { .. }) => {
                done.skipped += 1;
                continue;
            }
            other => other?,
        };
        let created = redelivered.deliveries.len();
        done.created += created;
        done.skipped += redelivered.skipped.len();
    }
    Ok(done)
}
