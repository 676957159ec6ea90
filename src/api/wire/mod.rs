//! The JSON forms of requests and responses.
//!
//! A secret has a JSON form only in the response that creates it.

pub mod catalog;
pub mod delivery;
pub mod event;
pub mod list;
pub mod replay;
pub mod rotation;
pub mod sample;
pub mod schema;
mod setting_schema;
pub mod stats;
pub mod stream;
pub mod subscription;
