//! The journey of an event, one file a step.
//!
//! [`accept`] matches an event and appends it with its deliveries; once that is durable each goes to its
//! subscription's [`lane`]. [`dispatch`] says which lane's turn it is, [`attempt`] makes the request, [`settle`]
//! decides what follows and makes it durable, and so back to dispatch or to the end. [`recover`] re-enters the
//! journey from the log after a restart; [`sweep`] ends it by age. People step in through [`subscriptions`],
//! [`enable`], [`secrets`], [`reconcile`], [`sample`] and [`intervene`], and send the log out again through
//! [`redeliver`] and [`replay`]; [`view`], [`list`], [`numbers`], [`gauges`] and [`timings`] tell them where things stand, [`stream`] what
//! happens, [`audit`] who changed what. [`backup`] hands out the log whole. What the daemon has to say of itself goes
//! the same way (`notices`), and to people by mail (`mail`); a collector of traces is told of each step (`traces`).
//!
//! Nothing here knows HTTP's server side, and which store it has. No lock is held over an await but the one
//! that puts changes of subscriptions one after the other.

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
