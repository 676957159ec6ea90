//! A page of a list.

use serde::Serialize;
use utoipa::ToSchema;

/// One page of a list.
#[derive(Serialize, ToSchema)]
#[schema(as = List)]
pub struct ListBody<T> {
    /// The items of this page. A page can be shorter than `limit`, or empty, although more pages follow.
    pub items: Vec<T>,
    /// The `cursor` of the next page; null on the last page.
    #[schema(required)]
    pub next_cursor: Option<String>,
}
