//! What all changes share: who asks for one, what it expects, and why it is refused.

pub mod audit;
pub(super) mod conflict;
pub(super) mod entry;
pub(super) mod error;
pub(super) mod version;
