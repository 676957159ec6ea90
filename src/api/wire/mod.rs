//! The JSON forms of what the API takes and shows. Secrets have no form here but in the answer that made them.

use serde::Serialize;
use utoipa::ToSchema;

pub mod catalog;
pub mod delivery;
pub mod event;
pub mod replay;
pub mod sample;
pub mod schema;
mod setting_schema;
pub mod stats;
pub mod stream;
pub mod subscription;

/// One page of a list.
#[derive(Serialize, ToSchema)]
pub struct List<T> {
    /// The page; it may be shorter than `limit`, even empty, and still have a next one.
    pub items: Vec<T>,
    /// Give it as `cursor` for the next page; null on the last.
    #[schema(required)]
    pub next_cursor: Option<String>,
}
