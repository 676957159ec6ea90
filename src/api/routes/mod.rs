//! The handlers of the API's routes, one file for each kind of thing that they are about.
//!
//! A handler reads its request with the tools of [`request`](super::request), calls the
//! [`Flow`](crate::flow::Flow), and answers in a JSON form of [`wire`](super::wire). The attribute above a handler
//! describes it in the OpenAPI document; [`router`](super::router()) puts the handlers together.

pub mod backup;
pub mod catalog;
pub mod deliveries;
pub mod events;
pub mod matches;
pub mod metrics;
pub mod openapi;
pub mod probes;
pub mod replays;
pub mod rotate_secret;
pub mod samples;
pub mod stats;
pub mod stream;
pub mod submit;
pub mod subscriptions;
