//! The HTTP API under `/v1`, and the server that accepts its connections.
//!
//! [`router()`] builds the routes over a [`Flow`](crate::flow::Flow), and [`serve::serve`] serves them. A request first
//! passes the access check of [`guard`]. Then a handler of [`routes`] reads it with [`request`], calls the flow, and
//! answers in a JSON form of [`wire`]. An [`ApiError`](error::ApiError) is answered with an RFC 9457 [`problem`].
//!
//! The API writes only through the flow, which also takes the decisions. A submitted event continues in
//! [`Flow::accept`](crate::flow::Flow::accept).
//!
//! The modules are layers. Each imports only from those before it:
//!
//! 1. [`wire`], [`problem`], [`mod@error`], [`caller`]: the JSON forms, the errors and the origin of a request.
//! 2. [`request`]: readers of bodies, query parameters and headers.
//! 3. [`guard`], [`openapi`]: the access check, and the shared parts of the OpenAPI document.
//! 4. [`state`], [`routes`]: the handlers.
//! 5. [`mod@router`]: the routes.
//!
//! [`serve`] stands apart. It only needs the type of a request's peer from [`caller`].

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
