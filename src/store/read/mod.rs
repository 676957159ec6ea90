//! Reads the log while the committer writes it.

pub(super) mod backup;
pub(super) mod query;
pub(super) mod reader;
pub(super) mod seen;
