//! The editor of a subscription. A person picks events and projects from lists, or writes the terms of a
//! selector.

use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::catalog::Catalog;
use super::draft::{Draft, Mode, Problems};
use super::form::Form;
use super::form_key;
use super::localize::change_error;
use super::notice::{self, Notice};
use super::page_error::PageError;
use super::preview::{Criteria, PreviewedEvent, preview};
use super::render;
use super::sentence::sentence;
use super::setting_field::{Field, Widget, plain_settings};
use super::state::Ui;
use super::subscription::find;
use super::viewer::Viewer;
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
struct EditorPage<'a> {
    v: &'a Viewer,
    /// The subscription to change; `None` for a new one.
    present: Option<&'a Entry>,
    draft: &'a Draft,
    catalog: &'a Catalog,
    problems: Problems,
    /// Whether the browser has submitted the form. A form that is still empty shows no summary of problems.
    is_submitted: bool,
    sentence: String,
    previewed: Option<Vec<PreviewedEvent>>,
    modes: [Mode; 4],
}

impl EditorPage<'_> {
    fn matching(&self) -> usize {
        self.previewed.iter().flatten().filter(|previewed| previewed.reason.is_none()).count()
    }

    fn previewed_count(&self) -> usize {
        self.previewed.as_ref().map_or(0, Vec::len)
    }

    fn action(&self) -> String {
        self.present.map_or_else(
            || self.v.link("/subscriptions"),
            |entry| self.v.link(&format!("/subscriptions/{}/edit", entry.subscription.id)),
        )
    }

    /// Returns the version of the settings that the form was filled with.
    fn version(&self) -> String {
        self.present.map(|entry| entry.version().to_string()).unwrap_or_default()
    }

    /// Returns the fields of a section. Required fields come first.
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

    /// Returns whether to expand a section: if a field has a problem, or if a setting is set that most
    /// subscriptions do not use.
    fn is_open(&self, section: Section) -> bool {
        let is_set = |field: &Field| section != Section::Delivery && !field.text.is_empty();
        self.fields(section).iter().any(|field| field.is_invalid || is_set(field))
    }

    fn id(&self) -> String {
        self.present.map(|entry| entry.subscription.id.to_string()).unwrap_or_default()
    }
}

/// Shows the form for a new subscription.
pub(super) async fn new(
    State(ui): State<Ui>,
    Extension(viewer): Extension<Viewer>,
) -> Result<Response, PageError> {
    viewer.require_change()?;
    let catalog = Catalog::read(&ui.flow);
    show(&ui, &viewer, None, &Draft::new(), &catalog, None).await
}

/// Shows the form with the present settings of a subscription.
pub(super) async fn edit(
    State(ui): State<Ui>,
    Extension(viewer): Extension<Viewer>,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    viewer.require_change()?;
    let entry = find_editable(&ui, &id)?;
    let catalog = Catalog::read(&ui.flow);
    let draft = Draft::of_spec(&entry.subscription.spec, &catalog);
    show(&ui, &viewer, Some(&entry), &draft, &catalog, None).await
}

/// Shows the form as typed so far, with its problems and a preview. Changes nothing.
pub(super) async fn draft(
    State(ui): State<Ui>,
    Extension(viewer): Extension<Viewer>,
    request: Request,
) -> Result<Response, PageError> {
    let form = Form::read_change(&ui, &viewer, request).await?;
    let entry = match form.get("id") {
        "" => None,
        id => Some(find_editable(&ui, id)?),
    };
    let catalog = Catalog::read(&ui.flow);
    let draft = Draft::of_form(&form, &catalog);
    let problems = check(&ui, entry.as_ref(), &draft).await;
    show(&ui, &viewer, entry.as_ref(), &draft, &catalog, Some(problems)).await
}

/// Creates a subscription from the form.
pub(super) async fn create(
    State(ui): State<Ui>,
    Extension(viewer): Extension<Viewer>,
    request: Request,
) -> Result<Response, PageError> {
    let form = Form::read_change(&ui, &viewer, request).await?;
    let catalog = Catalog::read(&ui.flow);
    let mut draft = Draft::of_form(&form, &catalog);
    let members = draft.to_members();
    let input = match SubscriptionInput::read(&members) {
        Ok(input) => input,
        Err(problems) => return refuse(&ui, &viewer, None, &draft, &catalog, problems).await,
    };
    let asked = serde_json::to_vec(&members).map_err(|error| PageError::internal(&error))?;
    let key = form_key::of_form(&viewer, "subscription", &form, &asked);
    let (flow, actor) = (ui.flow.clone(), viewer.actor());
    let change = async move {
        let (entry, _) = flow.create(actor, input, key).await?;
        Ok(entry)
    };
    match ui.run_change(change).await? {
        Ok(entry) => {
            let notice = if entry.is_unchanged() {
                notice::secret_or(&entry, "notice-created")
            } else {
                Notice::Done("notice-created")
            };
            Ok(ui.notices.redirect(&viewer, &format!("/subscriptions/{}", entry.subscription.id), notice))
        }
        Err(ChangeError::Invalid(problems)) => refuse(&ui, &viewer, None, &draft, &catalog, problems).await,
        Err(ChangeError::KeyReused) => {
            draft.form_key = form_key::generate();
            let problems = vec![Problem::new("/all", viewer.t("editor-already-submitted"))];
            refuse(&ui, &viewer, None, &draft, &catalog, problems).await
        }
        Err(error) => Err(error.into()),
    }
}

/// Changes a subscription to the settings of the form.
pub(super) async fn change(
    State(ui): State<Ui>,
    Extension(viewer): Extension<Viewer>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, PageError> {
    let form = Form::read_change(&ui, &viewer, request).await?;
    let entry = find_editable(&ui, &id)?;
    let catalog = Catalog::read(&ui.flow);
    let draft = Draft::of_form(&form, &catalog);
    let (flow, actor, id) = (ui.flow.clone(), viewer.actor(), entry.subscription.id);
    let members = draft.to_members();
    // The change applies only to the version that the form was filled with, so that it does not overwrite
    // somebody else's change.
    let expected =
        form.get("version").parse().map_or(Expected::Any, |version| Expected::OneOf(vec![version]));
    let change = async move {
        flow.change(actor, id, expected, members).await?;
        Ok(())
    };
    match ui.run_change(change).await? {
        Ok(()) => {
            Ok(ui.notices.redirect(&viewer, &format!("/subscriptions/{id}"), Notice::Done("notice-changed")))
        }
        Err(ChangeError::Invalid(problems)) => {
            refuse(&ui, &viewer, Some(&entry), &draft, &catalog, problems).await
        }
        Err(ChangeError::Outdated { .. }) if is_already_saved(&ui, id, &draft) => {
            Ok(ui.notices.redirect(&viewer, &format!("/subscriptions/{id}"), Notice::Done("notice-changed")))
        }
        Err(error @ ChangeError::Outdated { .. }) => {
            let notice = Notice::Refused(change_error(viewer.language, &error));
            Ok(ui.notices.redirect(&viewer, &format!("/subscriptions/{id}"), notice))
        }
        Err(error) => Err(error.into()),
    }
}

/// Returns whether the subscription already has the settings of the form, as after a form that was sent
/// twice.
fn is_already_saved(ui: &Ui, id: SubscriptionId, draft: &Draft) -> bool {
    let Some(entry) = ui.flow.subscription(id) else { return false };
    let spec = &entry.subscription.spec;
    SubscriptionInput::read_change(spec, &draft.to_members()).is_ok_and(|input| input.spec == *spec)
}

/// Finds a subscription that the editor may change. The config file's subscriptions are refused.
fn find_editable(ui: &Ui, id: &str) -> Result<Entry, PageError> {
    let entry = find(ui, id)?;
    match entry.subscription.managed_by {
        ManagedBy::Api => Ok(entry),
        ManagedBy::Config => {
            Err(ChangeError::ManagedByConfig { name: entry.subscription.spec.name.clone() }.into())
        }
    }
}

/// Returns all problems of a draft, in the API's words.
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
        Err(problems) => with_filter_problem(draft, problems),
    }
}

/// Adds the problem of the filter, which is not compiled if other members are invalid.
fn with_filter_problem(draft: &Draft, mut problems: Vec<Problem>) -> Vec<Problem> {
    let filter = draft.text("filter");
    let is_reported = filter.is_empty() || problems.iter().any(|problem| problem.pointer == "/filter");
    if let Some(Err(error)) = (!is_reported).then(|| Filter::compile(filter)) {
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
    let problems = with_filter_problem(draft, problems);
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
    let is_submitted = problems.is_some();
    let events = EventSelector::parse(&draft.events.to_terms()).ok();
    let projects = ProjectSelector::parse(&draft.projects.to_terms()).ok();
    let filter = draft.text("filter");
    let filter = if filter.is_empty() { Some(None) } else { Filter::compile(filter).ok().map(Some) };
    let (sentence, previewed) = match (events, projects) {
        (Some(events), Some(projects)) => {
            let sentence = sentence(v, catalog, &events, &projects);
            let previewed = match filter {
                Some(filter) => {
                    let criteria = Criteria { events, projects, filter };
                    Some(ui.query(move |flow| preview(flow, &criteria)).await?)
                }
                None => None,
            };
            (sentence, previewed)
        }
        _ => (String::new(), None),
    };
    Ok(render::uncached_html(&EditorPage {
        v,
        present,
        draft,
        catalog,
        problems: Problems::of(v.language, &problems.unwrap_or_default()),
        is_submitted,
        sentence,
        previewed,
        modes: Mode::ALL,
    }))
}
