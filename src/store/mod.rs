//! The durable log in sled: one atomic durable step per public method.
//!
//! [`open`] checks everything and hands out three things. A [`Store`] gives out [`WriteSlot`]s in a bounded queue,
//! each good for one step. The [`Committer`] is the only writer: it does what waits, makes it durable with one
//! flush and then acknowledges it. A [`Reader`] answers everything else. What the rows look like is told in
//! `docs/FORMAT.md`.
//!
//! Nothing here decides what is delivered when, asks the time by itself, or acknowledges what is not on the disk.
//! A failed write ends it all: see [`StoreError::Poisoned`].

mod disk;
mod error;
#[cfg(fuzzing)]
pub mod fuzz;
mod memory;
mod open;
mod read;
mod restore;
mod rows;
#[cfg(test)]
mod tests;
mod write;

pub use disk::cursor::EventCursor;
pub use disk::files::Released;
pub use error::{EngineError, KeyError, OpenError, QueueFull, SealError, StoreError};
pub use memory::seen::{Seen, SeenPage, SeenProject};
pub use memory::shared::{CommitCounts, ProgressCounts, ProgressKind, RowlessDelivery};
pub use open::{Opened, StoreOptions, open};
pub use read::backup::{Backup, BackupError};
pub use read::query::{DeliveryQuery, EventQuery, Page};
pub use read::reader::Reader;
pub use restore::{BackupInfo, RestoreError, RestoreProgress, check_backup, restore};
pub use rows::idempotency::{Idempotent, IdempotentRequest, RecordedEvent, RecordedResult};
pub use rows::record::EventHead;
pub use write::committer::Committer;
pub use write::queue::{Store, WriteSlot};
pub use write::step::{
    Append, Appended, REPLAY_DELIVERIES_MAX, Redelivery, Replay, Settlement, Sweep, SweepResult, Target,
};
