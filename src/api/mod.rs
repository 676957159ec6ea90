//! The HTTP API under `/v1`, and the server that accepts its connections.
//!
//! [`router`] builds the routes over a [`Flow`](crate::flow::Flow), and [`serve::serve`] serves them. A request
//! first passes [`guard::access`]; then its handler in [`routes`] reads it ([`request`]), calls the flow and answers
//! in a JSON form of [`wire`]. Every [`error`](error::ApiError) is answered with an RFC 9457 [`problem`]. Handlers change nothing but through
//! the flow, which takes the decisions: a submitted event goes on in
//! [`Flow::accept`](crate::flow::Flow::accept).
//!
//! The folders are layers, and a file imports from those above its own only: [`wire`], [`problem`], [`mod@error`] and [`caller`];
//! [`request`]; [`guard`] and [`openapi`]; [`state`] and [`routes`]; [`mod@router`]. [`serve`] knows only the peer's
//! address of [`caller`].

pub use self::router::router;

pub mod caller;
pub mod error;
pub mod guard;
pub mod openapi;
pub mod problem;
pub mod request;
pub mod router;
pub mod routes;
pub mod serve;
pub mod state;
pub mod wire;

#[cfg(test)]
mod document_tests;
