//! Forms that a browser submits.

use axum::extract::Request;
use http::{Uri, header};
use url::form_urlencoded;

use super::page_error::PageError;
use super::state::Ui;
use super::viewer::Viewer;
use crate::api::request::body::BODY_TIMEOUT;

/// The maximum size of a form in bytes. The longest lists of a subscription fit.
const FORM_BYTES_MAX: usize = 512 * 1024;
const FORM_TYPE: &str = "application/x-www-form-urlencoded";

/// The fields of a form in order. A field can occur more than once.
#[derive(Debug, Default)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads a form that changes something.
    ///
    /// # Errors
    /// The form is refused if its token is wrong or if the viewer's role does not allow changes.
    pub(super) async fn read_change(ui: &Ui, viewer: &Viewer, request: Request) -> Result<Self, PageError> {
        let form = Self::read(ui, viewer, request).await?;
        if viewer.may_change() {
            return Ok(form);
        }
        let (name, role) = (&viewer.name, viewer.role.as_str());
        Err(PageError::forbidden(viewer.t2("problem-role", "name", name.clone(), "role", role)))
    }

    /// Reads a form and checks its token. The viewer can have any role.
    pub(super) async fn read(ui: &Ui, viewer: &Viewer, request: Request) -> Result<Self, PageError> {
        let media_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if media_type.is_none_or(|given| given.split(';').next() != Some(FORM_TYPE)) {
            return Err(PageError::malformed(format!("invalid content type: expected {FORM_TYPE}")));
        }
        let reading = axum::body::to_bytes(request.into_body(), FORM_BYTES_MAX);
        let body = match tokio::time::timeout(BODY_TIMEOUT, reading).await {
            Ok(Ok(body)) => body,
            Ok(Err(_)) => {
                return Err(PageError::malformed(format!(
                    "the form is incomplete or larger than {FORM_BYTES_MAX} bytes: submit it again with fewer items"
                )));
            }
            Err(_) => return Err(PageError::malformed("the form was not received in time: submit it again")),
        };
        let form = Self(form_urlencoded::parse(&body).into_owned().collect());
        if ui.form_tokens.verify(&viewer.token, form.get("token")) {
            return Ok(form);
        }
        Err(PageError::forbidden(viewer.t("page-error-token")))
    }

    /// Reads the fields from the query of a URL.
    pub(super) fn of_query(uri: &Uri) -> Self {
        let query = uri.query().unwrap_or_default();
        Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    /// Returns all fields with their values.
    pub(super) fn into_fields(self) -> Vec<(String, String)> {
        self.0
    }

    /// Returns whether the form has a field.
    pub(super) fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// Returns the first value of a field, trimmed; empty if the form does not have the field.
    pub(super) fn get(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_default()
    }

    /// Returns all values of a field, trimmed.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.trim())
    }

    #[cfg(test)]
    pub(super) fn of(fields: &[(&str, &str)]) -> Self {
        Self(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }
}
