//! Chosen events, delivered again to one subscription: ticked in the list, or all that a search finds.

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use http::Uri;

use super::form::Form;
use super::notice::{self, Notice};
use super::page_error::PageError;
use super::preview::{Looked, Wanted, look};
use super::query::Query;
use super::viewer::Viewer;
use super::{Ui, actions, events, once, subscription, subscriptions};
use crate::flow::Flow;
use crate::flow::{ChangeError, Entry};
use crate::model::id::{EventId, SubscriptionId};
use crate::rules::filter::Filter;
use crate::store::{EventHead, EventQuery, StoreError};

/// The most events of one form; a subscription's whole past is delivered by a replay.
const CHOSEN_MAX: usize = 200;
/// How many pages of the log a search looks through.
const PAGES_MAX: usize = 20;

/// The events that were chosen, newest first.
#[derive(Default)]
struct Chosen {
    heads: Vec<EventHead>,
    /// False if the search finds more than one form takes.
    is_complete: bool,
}

impl Chosen {
    /// Those that the address names, or those that its search finds. Blocks.
    fn read(flow: &Flow, ticked: &[EventId], mut search: EventQuery) -> Result<Self, StoreError> {
        let (mut heads, mut is_complete) = (Vec::new(), true);
        if !ticked.is_empty() {
            for id in ticked.iter().take(CHOSEN_MAX) {
                heads.extend(flow.reader().event_head(*id)?);
            }
            return Ok(Self { heads, is_complete: ticked.len() <= CHOSEN_MAX });
        }
        for _ in 0..PAGES_MAX {
            search.limit = CHOSEN_MAX - heads.len();
            let page = flow.reader().events(&search)?;
            heads.extend(page.items);
            (search.before, is_complete) = (page.next, page.next.is_none());
            if is_complete || heads.len() >= CHOSEN_MAX {
                break;
            }
        }
        Ok(Self { heads, is_complete })
    }
}

/// A chosen event, and what it means for the subscription.
struct Row {
    looked: Looked,
    is_under_way: bool,
}

#[derive(askama::Template)]
#[template(path = "again.html")]
struct Page<'a> {
    v: &'a Viewer,
    query: &'a Query,
    /// What the form hands on: the events that were named, or the search.
    given: Vec<(String, String)>,
    /// To whom, once that is known.
    entry: Option<&'a Entry>,
    rows: Vec<Row>,
    is_complete: bool,
    once: String,
    names: Vec<String>,
}

impl Page<'_> {
    fn going(&self) -> usize {
        self.rows.iter().filter(|row| !row.is_under_way).count()
    }

    fn unwanted(&self) -> usize {
        let unwanted = |row: &&Row| !row.is_under_way && row.looked.reason.is_some();
        self.rows.iter().filter(unwanted).count()
    }
}

/// What was chosen and, once it is said to whom, what would be done.
pub(super) async fn show(
    State(ui): State<Ui>,
    Extension(viewer): Extension<Viewer>,
    uri: Uri,
) -> Result<Response, PageError> {
    viewer.require_change()?;
    let mut query = Query::new(&uri);
    let given = Form::of_query(&uri);
    let ticked: Vec<EventId> = given.all("event").filter_map(|id| id.parse().ok()).collect();
    let search = events::search(&mut query);
    // A search that cannot be read finds nothing, rather than everything.
    let is_readable = !query.has_problems();
    let entry = subscriptions::named(&ui.flow, &mut query, "to");
    let to = entry.clone();
    let (rows, is_complete) = ui
        .ask(move |flow| {
            let chosen = if is_readable { Chosen::read(flow, &ticked, search)? } else { Chosen::default() };
            Ok((rows(flow, chosen.heads, to.as_ref())?, chosen.is_complete))
        })
        .await?;
    let is_handed_on =
        |(name, value): &(String, String)| !value.is_empty() && name != "to" && name != "cursor";
    let given = given.into_fields().into_iter().filter(is_handed_on).collect();
    let names = subscriptions::names(&ui.flow);
    Ok(once::html(&Page {
        v: &viewer,
        query: &query,
        given,
        entry: entry.as_ref(),
        rows,
        is_complete,
        once: once::fresh(),
        names,
    }))
}

/// What the subscription makes of each event; as long as there is none, all of them are shown as chosen.
fn rows(flow: &Flow, heads: Vec<EventHead>, to: Option<&Entry>) -> Result<Vec<Row>, StoreError> {
    let wanted = to.map(|entry| {
        let spec = &entry.subscription.spec;
        let filter = spec.filter.as_deref().and_then(|text| Filter::compile(text).ok());
        Wanted { events: spec.events.clone(), projects: spec.projects.clone(), filter }
    });
    let row = |looked: Looked| {
        let id = to.map(|entry| entry.subscription.id);
        let is_under_way = id.map(|id| flow.reader().is_under_way(looked.id, id)).transpose()?;
        Ok(Row { looked, is_under_way: is_under_way.unwrap_or(false) })
    };
    look(flow, wanted.as_ref(), heads)?.into_iter().map(row).collect()
}

/// What came of a form.
#[derive(Default)]
struct Done {
    made: usize,
    passed_over: usize,
}

/// Delivers the chosen events again, oldest first.
pub(super) async fn start(
    State(ui): State<Ui>,
    Extension(viewer): Extension<Viewer>,
    request: Request,
) -> Result<Response, PageError> {
    let form = Form::of_change(&ui, &viewer, request).await?;
    let to = subscription::find(&ui, form.get("to"))?.subscription.id;
    let mut chosen: Vec<EventId> = form.all("event").filter_map(|id| id.parse().ok()).collect();
    chosen.sort_unstable();
    chosen.dedup();
    if chosen.is_empty() || chosen.len() > CHOSEN_MAX {
        let detail = format!("expected 1 to {CHOSEN_MAX} events, got {}", chosen.len());
        return Err(PageError::malformed(detail));
    }
    let change = deliver(ui.flow.clone(), viewer.clone(), form, to, chosen);
    let notice = match ui.carry_out(change).await? {
        Ok(Done { made, passed_over }) => Notice::Again { made, passed_over },
        Err(error) => actions::refused(&viewer, error)?,
    };
    Ok(notice::go(&ui, &viewer, &format!("/deliveries?subscription={to}"), notice))
}

async fn deliver(
    flow: Flow,
    viewer: Viewer,
    form: Form,
    to: SubscriptionId,
    chosen: Vec<EventId>,
) -> Result<Done, ChangeError> {
    let (mut done, actor) = (Done::default(), viewer.actor());
    for id in chosen {
        let once = once::of(&viewer, &format!("again {id}"), &form, to.to_string().as_bytes());
        let redelivered = match flow.replay_event(actor.clone(), id, Some(vec![to]), once).await {
            // Retention has taken it since the page was shown.
            Err(ChangeError::NotFound { .. }) => {
                done.passed_over += 1;
                continue;
            }
            other => other?,
        };
        let made = redelivered.deliveries.len();
        done.made += made;
        done.passed_over += redelivered.skipped.len();
    }
    Ok(done)
}
