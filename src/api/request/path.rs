//! The id in the path of a request.

use std::str::FromStr;

use axum::extract::{FromRequestParts, Path};
use axum::response::{IntoResponse, Response};
use http::request::Parts;

use crate::api::error::ApiError;
use crate::model::id::{DeliveryId, EventId, ReplayId, SubscriptionId};

/// Extracts the id of a resource from the path `/…/{id}`. A malformed id is answered with 404.
#[derive(Clone, Copy, Debug)]
pub struct PathId<T>(pub T);

/// An id of a resource of the API.
pub trait ResourceId: FromStr {
    /// The name of the kind of resource, for errors.
    const KIND: &'static str;
}

impl ResourceId for EventId {
    const KIND: &'static str = "event";
}

impl ResourceId for SubscriptionId {
    const KIND: &'static str = "subscription";
}

impl ResourceId for DeliveryId {
    const KIND: &'static str = "delivery";
}

impl ResourceId for ReplayId {
    const KIND: &'static str = "replay";
}

impl<S: Send + Sync, T: ResourceId> FromRequestParts<S> for PathId<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let Path(text) = path.map_err(IntoResponse::into_response)?;
        let id = text.parse().map_err(|_| ApiError::not_found(T::KIND, text).into_response());
        id.map(Self)
    }
}
