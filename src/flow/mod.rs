//! The journey of an event, from its acceptance to the end of its last delivery. One file is one step.
//!
//! `accept` matches an event and writes it to the log together with its deliveries. Once they are durable,
//! `enqueue` gives each delivery to the `lane` of its subscription. `dispatch` decides which lane goes next,
//! `attempt` sends the request, and `settle` decides what follows and makes it durable: the delivery has ended, or
//! goes back to its lane until it is due again. [`recover`] continues the journey after a restart. `sweep` removes
//! what is past its retention.
//!
//! Around the steps:
//!
//! - [`manage`] changes subscriptions and single deliveries, and [`replay`] delivers past events again. [`change`] has
//!   the types that all changes share, the audit log among them.
//! - [`query`] answers questions about the present state. [`stream`] publishes what happens. [`measure`] counts and
//!   times it. `notices` reports problems to subscriptions and by mail.
//! - `inner` has [`Flow`], the handle through which `api` and `ui` use all this, and the state that the steps share.
//!   `schedule` and [`intake`] are parts of that state.
//!
//! This folder does not know the HTTP server. No lock is held over an await, except for the one that makes changes of
//! subscriptions wait for each other.

mod accept;
mod acceptance;
mod attempt;
pub mod change;
mod dispatch;
mod enqueue;
mod event_cache;
mod inner;
pub mod intake;
mod lane;
pub mod manage;
pub mod measure;
mod notices;
pub mod query;
pub mod recover;
pub mod replay;
mod schedule;
mod settle;
pub mod stream;
mod sweep;

pub use acceptance::{AcceptError, Accepted};
pub use change::audit;
pub use change::conflict::Conflict;
pub use change::entry::Entry;
pub use change::error::ChangeError;
pub use change::version::{Expected, Version};
pub use inner::Flow;
