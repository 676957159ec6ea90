//! Readers of requests: bodies, query parameters and headers.
//!
//! A reader collects all problems of a request, so that one answer names them all.

pub mod actor;
pub mod body;
pub mod idempotency;
pub mod if_match;
pub mod json_members;
pub mod media_type;
pub mod path;
pub mod query;
pub mod raw_event;
pub mod submission;
pub mod trace;
