//! Notices: what the daemon reports about itself, as events and by mail.

mod disk;
mod mail;
pub(super) mod queue;
pub(super) mod raise;
