//! The editor of a subscription: for people who never saw a selector, and for those who write them by hand.

use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::catalog::Catalog;
use super::draft::{Draft, Mode, Problems};
use super::explain::said;
use super::form::Form;
use super::notice::{self, Notice};
use super::page_error::PageError;
use super::preview::{Looked, Wanted, preview};
use super::sentence::sentence;
use super::setting_field::{Field, Widget, plain_settings};
use super::subscription::find;
use super::viewer::Viewer;
use super::{Ui, once};
use crate::flow::Expected;
use crate::flow::{ChangeError, Entry};
use crate::model::id::SubscriptionId;
use crate::model::input::SubscriptionInput;
use crate::model::problem::Problem;
use crate::model::selector::{EventSelector, ProjectSelector};
use crate::model::setting::{Section, Setting};
use crate::model::subscription::ManagedBy;
use crate::rules::filter::Filter;

#[derive(askama::Template)]
#[template(path = "editor.html")]
struct Page<'a> {
    v: &'a Viewer,
    /// The subscription that is changed; none for a new one.
    present: Option<&'a Entry>,
    draft: &'a Draft,
    catalog: &'a Catalog,
    problems: Problems,
    /// Whether the browser sent it: only then an empty field is pointed at.
    is_sent: bool,
    sentence: String,
    looked: Option<Vec<Looked>>,
    modes: [Mode; 4],
}

impl Page<'_> {
    fn matching(&self) -> usize {
        self.looked.iter().flatten().filter(|looked| looked.reason.is_none()).count()
    }

    fn looked_at(&self) -> usize {
        self.looked.as_ref().map_or(0, Vec::len)
    }

    fn action(&self) -> String {
        self.present.map_or_else(
            || self.v.at("/subscriptions"),
            |entry| self.v.at(&format!("/subscriptions/{}/edit", entry.subscription.id)),
        )
    }

    /// The version of the settings that the form began with.
    fn version(&self) -> String {
        self.present.map(|entry| entry.version().to_string()).unwrap_or_default()
    }

    /// Returns the fields of a section. What is required comes first.
    fn fields(&self, section: Section) -> Vec<Field> {
        let (first, rest): (Vec<_>, Vec<_>) = plain_settings()
            .filter(|setting| setting.section == section)
            .partition(|setting| setting.is_required());
        let field = |setting: &Setting| {
            let is_invalid = !self.problems.get(setting.name).is_empty();
            Field::new(self.v, setting, self.draft.text(setting.name), is_invalid)
        };
        first.into_iter().chain(rest).map(field).collect()
    }

    /// Returns whether to show a section that can be folded away: if it has a problem, or something rare is set.
    fn is_open(&self, section: Section) -> bool {
        let is_set = |field: &Field| section != Section::Delivery && !field.text.is_empty();
        self.fields(section).iter().any(|field| field.is_invalid || is_set(field))
    }

    fn id(&self) -> String {
        self.present.map(|entry| entry.subscription.id.to_string()).unwrap_or_default()
    }
}

/// An empty form.
pub(super) async fn new(
    State(ui): State<Ui>,
    Extension(viewer): Extension<Viewer>,
) -> Result<Response, PageError> {
    viewer.require_change()?;
    let catalog = Catalog::read(&ui.flow);
    show(&ui, &viewer, None, &Draft::new(), &catalog, None).await
}

/// The form of a subscription's present settings.
pub(super) async fn edit(
    State(ui): State<Ui>,
    Extension(viewer): Extension<Viewer>,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    viewer.require_change()?;
    let entry = owned(&ui, &id)?;
    let catalog = Catalog::read(&ui.flow);
    let draft = Draft::of_spec(&entry.subscription.spec, &catalog);
    show(&ui, &viewer, Some(&entry), &draft, &catalog, None).await
}

/// The form as it was typed so far, with what is to be said about it. Changes nothing.
pub(super) async fn draft(
    State(ui): State<Ui>,
    Extension(viewer): Extension<Viewer>,
    request: Request,
) -> Result<Response, PageError> {
    let form = Form::of_change(&ui, &viewer, request).await?;
    let entry = match form.get("id") {
        "" => None,
        id => Some(owned(&ui, id)?),
    };
    let catalog = Catalog::read(&ui.flow);
    let draft = Draft::of_form(&form, &catalog);
    let problems = check(&ui, entry.as_ref(), &draft).await;
    show(&ui, &viewer, entry.as_ref(), &draft, &catalog, Some(problems)).await
}

/// Makes a subscription of the form.
pub(super) async fn create(
    State(ui): State<Ui>,
    Extension(viewer): Extension<Viewer>,
    request: Request,
) -> Result<Response, PageError> {
    let form = Form::of_change(&ui, &viewer, request).await?;
    let catalog = Catalog::read(&ui.flow);
    let mut draft = Draft::of_form(&form, &catalog);
    let members = draft.to_members();
    let input = match SubscriptionInput::read(&members) {
        Ok(input) => input,
        Err(problems) => return refuse(&ui, &viewer, None, &draft, &catalog, problems).await,
    };
    let asked = serde_json::to_vec(&members).map_err(|error| PageError::internal(&error))?;
    let once = once::of(&viewer, "subscription", &form, &asked);
    let (flow, actor) = (ui.flow.clone(), viewer.actor());
    let change = async move {
        let (entry, _) = flow.create(actor, input, once).await?;
        Ok(entry)
    };
    match ui.carry_out(change).await? {
        Ok(entry) => {
            let notice = if entry.is_unchanged() {
                notice::secret(&entry, "notice-created")
            } else {
                Notice::Done("notice-created")
            };
            Ok(notice::go(&ui, &viewer, &format!("/subscriptions/{}", entry.subscription.id), notice))
        }
        Err(ChangeError::Invalid(problems)) => refuse(&ui, &viewer, None, &draft, &catalog, problems).await,
        Err(ChangeError::KeyReused) => {
            draft.once = once::fresh();
            let problems = vec![Problem::new("/all", viewer.t("editor-sent-before"))];
            refuse(&ui, &viewer, None, &draft, &catalog, problems).await
        }
        Err(error) => Err(error.into()),
    }
}

/// Gives a subscription the settings of the form.
pub(super) async fn change(
    State(ui): State<Ui>,
    Extension(viewer): Extension<Viewer>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, PageError> {
    let form = Form::of_change(&ui, &viewer, request).await?;
    let entry = owned(&ui, &id)?;
    let catalog = Catalog::read(&ui.flow);
    let draft = Draft::of_form(&form, &catalog);
    let (flow, actor, id) = (ui.flow.clone(), viewer.actor(), entry.subscription.id);
    let members = draft.to_members();
    // Whoever edits changes what they saw, and not what somebody else has made of it meanwhile.
    let expected =
        form.get("version").parse().map_or(Expected::Any, |version| Expected::OneOf(vec![version]));
    let change = async move {
        flow.change(actor, id, expected, members).await?;
        Ok(())
    };
    match ui.carry_out(change).await? {
        Ok(()) => {
            Ok(notice::go(&ui, &viewer, &format!("/subscriptions/{id}"), Notice::Done("notice-changed")))
        }
        Err(ChangeError::Invalid(problems)) => {
            refuse(&ui, &viewer, Some(&entry), &draft, &catalog, problems).await
        }
        Err(ChangeError::Outdated { .. }) if is_in_force(&ui, id, &draft) => {
            Ok(notice::go(&ui, &viewer, &format!("/subscriptions/{id}"), Notice::Done("notice-changed")))
        }
        Err(error @ ChangeError::Outdated { .. }) => {
            let notice = Notice::Refused(said(&viewer, &error));
            Ok(notice::go(&ui, &viewer, &format!("/subscriptions/{id}"), notice))
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether the settings are what the form asks for: then it was sent twice.
fn is_in_force(ui: &Ui, id: SubscriptionId, draft: &Draft) -> bool {
    let Some(entry) = ui.flow.subscription(id) else { return false };
    let spec = &entry.subscription.spec;
    SubscriptionInput::read_change(spec, &draft.to_members()).is_ok_and(|input| input.spec == *spec)
}

/// The subscription, if it is not the config file's.
fn owned(ui: &Ui, id: &str) -> Result<Entry, PageError> {
    let entry = find(ui, id)?;
    match entry.subscription.managed_by {
        ManagedBy::Api => Ok(entry),
        ManagedBy::Config => {
            Err(ChangeError::ManagedByConfig { name: entry.subscription.spec.name.clone() }.into())
        }
    }
}

/// Everything that is wrong with a draft, as the API would say it.
async fn check(ui: &Ui, present: Option<&Entry>, draft: &Draft) -> Vec<Problem> {
    let members = draft.to_members();
    let input = match present {
        Some(entry) => SubscriptionInput::read_change(&entry.subscription.spec, &members),
        None => SubscriptionInput::read(&members),
    };
    match input {
        Ok(input) => match ui.flow.check(&input.spec).await {
            Err(ChangeError::Invalid(problems)) => problems,
            _ => Vec::new(),
        },
        Err(problems) => and_of_filter(draft, problems),
    }
}

/// Also what is wrong with the filter, which is looked at last.
fn and_of_filter(draft: &Draft, mut problems: Vec<Problem>) -> Vec<Problem> {
    let filter = draft.text("filter");
    let is_told = filter.is_empty() || problems.iter().any(|problem| problem.pointer == "/filter");
    if let Some(Err(error)) = (!is_told).then(|| Filter::compile(filter)) {
        problems.push(Problem::from_error("/filter", &error));
    }
    problems
}

async fn refuse(
    ui: &Ui,
    viewer: &Viewer,
    present: Option<&Entry>,
    draft: &Draft,
    catalog: &Catalog,
    problems: Vec<Problem>,
) -> Result<Response, PageError> {
    let problems = and_of_filter(draft, problems);
    let page = show(ui, viewer, present, draft, catalog, Some(problems)).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}

async fn show(
    ui: &Ui,
    v: &Viewer,
    present: Option<&Entry>,
    draft: &Draft,
    catalog: &Catalog,
    problems: Option<Vec<Problem>>,
) -> Result<Response, PageError> {
    let is_sent = problems.is_some();
    let events = EventSelector::parse(&draft.events.to_terms()).ok();
    let projects = ProjectSelector::parse(&draft.projects.to_terms()).ok();
    let filter = draft.text("filter");
    let filter = if filter.is_empty() { Some(None) } else { Filter::compile(filter).ok().map(Some) };
    let (sentence, looked) = match (events, projects) {
        (Some(events), Some(projects)) => {
            let sentence = sentence(v, catalog, &events, &projects);
            let looked = match filter {
                Some(filter) => {
                    let wanted = Wanted { events, projects, filter };
                    Some(ui.ask(move |flow| preview(flow, &wanted)).await?)
                }
                None => None,
            };
            (sentence, looked)
        }
        _ => (String::new(), None),
    };
    Ok(once::html(&Page {
        v,
        present,
        draft,
        catalog,
        problems: Problems::of(v.language, &problems.unwrap_or_default()),
        is_sent,
        sentence,
        looked,
        modes: Mode::ALL,
    }))
}
