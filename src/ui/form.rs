//! Forms that people send.

use axum::extract::Request;
use http::{Uri, header};
use url::form_urlencoded;

use super::page_error::PageError;
use super::state::Ui;
use super::viewer::Viewer;
use crate::api::request::body::BODY_TIMEOUT;

/// The largest form: the longest lists of a subscription fit.
const FORM_BYTES_MAX: usize = 512 * 1024;
const FORM_TYPE: &str = "application/x-www-form-urlencoded";

/// The fields of a form, in their order; a field may be there more than once.
#[derive(Debug, Default)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads the form of a page of ours, sent by somebody who may change things.
    ///
    /// # Errors
    /// Also when it does not carry the token that the page gave it, or the viewer may only look.
    pub(super) async fn of_change(ui: &Ui, viewer: &Viewer, request: Request) -> Result<Self, PageError> {
        let form = Self::read(ui, viewer, request).await?;
        if viewer.may_change() {
            return Ok(form);
        }
        let (name, role) = (&viewer.name, viewer.role.as_str());
        Err(PageError::forbidden(viewer.t2("problem-role", "name", name.clone(), "role", role)))
    }

    /// Reads the form of a page of ours, whoever sends it.
    pub(super) async fn read(ui: &Ui, viewer: &Viewer, request: Request) -> Result<Self, PageError> {
        let media_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if media_type.is_none_or(|given| given.split(';').next() != Some(FORM_TYPE)) {
            return Err(PageError::malformed(format!("expected a form, {FORM_TYPE}")));
        }
        let reading = axum::body::to_bytes(request.into_body(), FORM_BYTES_MAX);
        let body = match tokio::time::timeout(BODY_TIMEOUT, reading).await {
            Ok(Ok(body)) => body,
            Ok(Err(_)) => {
                return Err(PageError::malformed(format!(
                    "the form broke off, or has more than {FORM_BYTES_MAX} bytes"
                )));
            }
            Err(_) => return Err(PageError::malformed("the form did not come in time")),
        };
        let form = Self(form_urlencoded::parse(&body).into_owned().collect());
        if ui.form_tokens.verify(&viewer.token, form.get("token")) {
            return Ok(form);
        }
        Err(PageError::forbidden(viewer.t("page-error-token")))
    }

    /// The fields of a form that was sent as the query of an address.
    pub(super) fn of_query(uri: &Uri) -> Self {
        let query = uri.query().unwrap_or_default();
        Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    /// Every field with its value.
    pub(super) fn into_fields(self) -> Vec<(String, String)> {
        self.0
    }

    /// Returns whether the form has a field.
    pub(super) fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// A field's value without space around it; empty if it is not there.
    pub(super) fn get(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_default()
    }

    /// Every value of a field.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.trim())
    }

    #[cfg(test)]
    pub(super) fn of(fields: &[(&str, &str)]) -> Self {
        Self(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }
}
