//! The parts of the OpenAPI document that belong to no single route.

pub mod document;
pub mod parameters;
pub mod responses;
