//! The types that all changes share: the actor that requests a change, the version that it expects, and its errors.

pub mod audit;
pub(super) mod conflict;
pub(super) mod entry;
pub(super) mod error;
pub(super) mod version;
