//! What a button does: one step of the flow each, as the API's calls are.

use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::response::Response;

use super::Ui;
use super::fault::Fault;
use super::form::Form;
use super::notice::{self, Notice};
use super::subscription::find;
use super::viewer::Viewer;
use crate::flow::subscriptions::ChangeError;
use crate::model::id::DeliveryId;

/// Switches a subscription on, with a health check first where one is due.
pub(super) async fn enable(
    State(ui): State<Ui>,
    Extension(viewer): Extension<Viewer>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Fault> {
    Form::of_change(&ui, &viewer, request).await?;
    let id = find(&ui, &id)?.subscription.id;
    let (flow, by) = (ui.flow.clone(), viewer.name.clone());
    let change = async move {
        let enabled = flow.enable(id).await?;
        tracing::info!(by, %id, "subscription enabled");
        Ok(enabled)
    };
    let notice = match ui.carry_out(change).await? {
        Ok(enabled) => enabled.check.map_or(Notice::Done("notice-enabled"), |attempt| {
            Notice::Answer("notice-enabled-checked", Box::new(attempt))
        }),
        Err(ChangeError::CheckFailed { attempt }) => Notice::Answer("notice-check-failed", attempt),
        Err(error) => refused(error)?,
    };
    Ok(notice::go(&ui, &viewer, &format!("/subscriptions/{id}"), notice))
}

/// Switches a subscription off.
pub(super) async fn disable(
    State(ui): State<Ui>,
    Extension(viewer): Extension<Viewer>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Fault> {
    Form::of_change(&ui, &viewer, request).await?;
    let id = find(&ui, &id)?.subscription.id;
    let (flow, by) = (ui.flow.clone(), viewer.name.clone());
    let change = async move {
        flow.disable(id).await?;
        tracing::info!(by, %id, "subscription disabled");
        Ok(Notice::Done("notice-disabled"))
    };
    let notice = ui.carry_out(change).await?.or_else(refused)?;
    Ok(notice::go(&ui, &viewer, &format!("/subscriptions/{id}"), notice))
}

/// Deletes a subscription.
pub(super) async fn delete(
    State(ui): State<Ui>,
    Extension(viewer): Extension<Viewer>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Fault> {
    Form::of_change(&ui, &viewer, request).await?;
    let id = find(&ui, &id)?.subscription.id;
    let (flow, by) = (ui.flow.clone(), viewer.name.clone());
    let change = async move {
        flow.delete(id).await?;
        tracing::info!(by, %id, "subscription deleted");
        Ok(Notice::Done("notice-deleted"))
    };
    let notice = ui.carry_out(change).await?.or_else(refused)?;
    Ok(notice::go(&ui, &viewer, "/subscriptions", notice))
}

/// Tries a delivery again now.
pub(super) async fn retry(
    State(ui): State<Ui>,
    Extension(viewer): Extension<Viewer>,
    Path(text): Path<String>,
    request: Request,
) -> Result<Response, Fault> {
    Form::of_change(&ui, &viewer, request).await?;
    let id: DeliveryId = text.parse().map_err(|_| Fault::not_found("delivery", &text))?;
    let (flow, by) = (ui.flow.clone(), viewer.name.clone());
    let change = async move {
        flow.retry(id).await?;
        tracing::info!(by, %id, "delivery retried");
        Ok(Notice::Done("notice-retried"))
    };
    let notice = ui.carry_out(change).await?.or_else(refused)?;
    Ok(notice::go(&ui, &viewer, &format!("/deliveries/{id}"), notice))
}

/// What does not fit the present state is told on the page that the form came from; the rest is a fault.
fn refused(error: ChangeError) -> Result<Notice, Fault> {
    match error {
        ChangeError::Conflict(_) | ChangeError::ManagedByConfig { .. } | ChangeError::Invalid(_) => {
            Ok(Notice::Refused(error.to_string()))
        }
        error => Err(error.into()),
    }
}
