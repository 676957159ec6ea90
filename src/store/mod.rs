//! The durable log in sled: one atomic durable step per public method.
//!
//! [`open`] checks everything and hands out three things. A [`Store`] gives out [`Place`]s in a bounded queue,
//! each good for one step. The [`Committer`] is the only writer: it does what waits, makes it durable with one
//! flush and then acknowledges it. A [`Reader`] answers everything else. What the rows look like is told in
//! `docs/FORMAT.md`.
//!
//! Nothing here decides what is delivered when, asks the time by itself, or acknowledges what is not on the disk.
//! A failed write ends it all: see [`StoreError::Poisoned`].

mod append;
mod apply;
mod backup;
mod bookmark;
mod buckets;
mod committer;
mod dedup;
mod error;
mod files;
mod fsync;
#[cfg(fuzzing)]
pub mod fuzz;
mod guard;
mod index;
mod key;
mod ledger;
mod migrate;
mod once;
mod open;
mod pulse;
mod query;
mod queue;
mod reader;
mod record;
mod restore;
mod scan;
mod seal;
mod seen;
mod segment;
mod settle;
mod step;
mod sweep;
mod table;

pub use backup::{Backup, BackupError};
pub use bookmark::Bookmark;
pub use committer::Committer;
pub use error::{OpenError, QueueFull, StoreError};
pub use files::Released;
pub use ledger::{Counts, Fresh, ProgressKind, Tally};
pub use once::{Earlier, EarlierEvent, Once, OnceKey};
pub use open::{Opened, StoreOptions, open};
pub use query::{DeliveryQuery, EventQuery, Page};
pub use queue::{Place, Store};
pub use reader::Reader;
pub use record::EventHead;
pub use restore::{BackupInfo, RestoreError, RestoreProgress, check_backup, restore};
pub use seal::{KeyError, SealError};
pub use seen::{Seen, SeenPage, SeenProject};
pub use step::{
    Append, Appended, REPLAY_DELIVERIES_MAX, Redelivery, Replay, Settlement, Sweep, Swept, Target,
};

#[cfg(test)]
mod backup_tests;
#[cfg(test)]
mod migrate_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod once_tests;
#[cfg(test)]
mod rig;
#[cfg(test)]
mod sealing_tests;
#[cfg(test)]
mod sweep_tests;
#[cfg(test)]
mod tests;
