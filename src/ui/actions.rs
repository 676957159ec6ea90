//! Handlers of the buttons that change a subscription or a delivery. Each one makes the same change as the
//! API's route.

use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::response::Response;

use super::form::Form;
use super::localize::change_error;
use super::notice::{self, Notice};
use super::page_error::PageError;
use super::state::Ui;
use super::subscription::find;
use super::viewer::Viewer;
use crate::flow::ChangeError;
use crate::flow::Expected;
use crate::flow::manage::secrets::{Rotation, check_grace};
use crate::model::id::DeliveryId;
use crate::model::time::Interval;

/// Enables a subscription, after a health check if one is required.
pub(super) async fn enable(
    State(ui): State<Ui>,
    Extension(viewer): Extension<Viewer>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, PageError> {
    Form::read_change(&ui, &viewer, request).await?;
    let id = find(&ui, &id)?.subscription.id;
    let (flow, actor) = (ui.flow.clone(), viewer.actor());
    let change = async move {
        let enabled = flow.enable(actor, id, Expected::Any).await?;
        Ok(enabled)
    };
    let notice = match ui.run_change(change).await? {
        Ok(enabled) => enabled.check.map_or(Notice::Done("notice-enabled"), |attempt| {
            Notice::Answer("notice-enabled-checked", Box::new(attempt))
        }),
        Err(ChangeError::CheckFailed { attempt }) => Notice::Answer("notice-check-failed", attempt),
        Err(error) => refused(&viewer, error)?,
    };
    Ok(ui.notices.redirect(&viewer, &format!("/subscriptions/{id}"), notice))
}

/// Disables a subscription.
pub(super) async fn disable(
    State(ui): State<Ui>,
    Extension(viewer): Extension<Viewer>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, PageError> {
    Form::read_change(&ui, &viewer, request).await?;
    let id = find(&ui, &id)?.subscription.id;
    let (flow, actor) = (ui.flow.clone(), viewer.actor());
    let change = async move {
        flow.disable(actor, id, Expected::Any).await?;
        Ok(Notice::Done("notice-disabled"))
    };
    let notice = ui.run_change(change).await?.or_else(|error| refused(&viewer, error))?;
    Ok(ui.notices.redirect(&viewer, &format!("/subscriptions/{id}"), notice))
}

/// Deletes a subscription.
pub(super) async fn delete(
    State(ui): State<Ui>,
    Extension(viewer): Extension<Viewer>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, PageError> {
    Form::read_change(&ui, &viewer, request).await?;
    let id = find(&ui, &id)?.subscription.id;
    let (flow, actor) = (ui.flow.clone(), viewer.actor());
    let change = async move {
        flow.delete(actor, id, Expected::Any).await?;
        Ok(Notice::Done("notice-deleted"))
    };
    let notice = ui.run_change(change).await?.or_else(|error| refused(&viewer, error))?;
    Ok(ui.notices.redirect(&viewer, "/subscriptions", notice))
}

/// Requests another attempt of a delivery.
pub(super) async fn retry(
    State(ui): State<Ui>,
    Extension(viewer): Extension<Viewer>,
    Path(text): Path<String>,
    request: Request,
) -> Result<Response, PageError> {
    Form::read_change(&ui, &viewer, request).await?;
    let id: DeliveryId = text.parse().map_err(|_| PageError::not_found("delivery", &text))?;
    let (flow, actor) = (ui.flow.clone(), viewer.actor());
    let change = async move {
        flow.retry(actor, id).await?;
        Ok(Notice::Done("notice-retried"))
    };
    let notice = ui.run_change(change).await?.or_else(|error| refused(&viewer, error))?;
    Ok(ui.notices.redirect(&viewer, &format!("/deliveries/{id}"), notice))
}

/// Cancels a delivery that is not finished.
pub(super) async fn cancel(
    State(ui): State<Ui>,
    Extension(viewer): Extension<Viewer>,
    Path(text): Path<String>,
    request: Request,
) -> Result<Response, PageError> {
    Form::read_change(&ui, &viewer, request).await?;
    let id: DeliveryId = text.parse().map_err(|_| PageError::not_found("delivery", &text))?;
    let (flow, actor) = (ui.flow.clone(), viewer.actor());
    let change = async move {
        flow.cancel(actor, id).await?;
        Ok(Notice::Done("notice-cancelled"))
    };
    let notice = ui.run_change(change).await?.or_else(|error| refused(&viewer, error))?;
    Ok(ui.notices.redirect(&viewer, &format!("/deliveries/{id}"), notice))
}

/// Sends a test event to a subscription's receiver and shows the response.
pub(super) async fn test(
    State(ui): State<Ui>,
    Extension(viewer): Extension<Viewer>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, PageError> {
    Form::read_change(&ui, &viewer, request).await?;
    let id = find(&ui, &id)?.subscription.id;
    let (flow, actor) = (ui.flow.clone(), viewer.actor());
    let change = async move {
        let attempt = flow.send_sample(actor, id, None).await?;
        Ok(Notice::Answer("notice-tested", Box::new(attempt)))
    };
    let notice = ui.run_change(change).await?.or_else(|error| refused(&viewer, error))?;
    Ok(ui.notices.redirect(&viewer, &format!("/subscriptions/{id}"), notice))
}

/// Rotates the secret of a subscription. Earlier secrets sign until the grace period ends.
pub(super) async fn rotate(
    State(ui): State<Ui>,
    Extension(viewer): Extension<Viewer>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, PageError> {
    let form = Form::read_change(&ui, &viewer, request).await?;
    let id = find(&ui, &id)?.subscription.id;
    let read = |text: &str| text.parse::<Interval>().map_err(|error| error.to_string()).and_then(check_grace);
    let grace = match read(form.get("grace")) {
        Ok(grace) => grace,
        Err(detail) => {
            return Ok(ui.notices.redirect(
                &viewer,
                &format!("/subscriptions/{id}"),
                Notice::Refused(detail),
            ));
        }
    };
    let (flow, actor) = (ui.flow.clone(), viewer.actor());
    let change = async move {
        let entry = flow.rotate_secret(actor, id, Expected::Any, Rotation { grace, secret: None }).await?;
        Ok(notice::secret_or(&entry, "notice-rotated"))
    };
    let notice = ui.run_change(change).await?.or_else(|error| refused(&viewer, error))?;
    Ok(ui.notices.redirect(&viewer, &format!("/subscriptions/{id}"), notice))
}

/// Returns a notice for a change that conflicts with the present state. Returns other errors as a page error.
pub(super) fn refused(v: &Viewer, error: ChangeError) -> Result<Notice, PageError> {
    match error {
        ChangeError::Conflict(_)
        | ChangeError::ManagedByConfig { .. }
        | ChangeError::Outdated { .. }
        | ChangeError::TooMany { .. }
        | ChangeError::KeyReused
        | ChangeError::Invalid(_) => Ok(Notice::Refused(change_error(v.language, &error))),
        error => Err(error.into()),
    }
}
