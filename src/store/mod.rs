//! The durable log in sled. Each public method is one atomic and durable step.
//!
//! [`open`] checks the whole log and returns three handles. A [`Store`] hands out [`WriteSlot`]s of a bounded
//! queue; each slot takes one step. The [`Committer`] is the only writer: it applies the waiting steps, makes
//! them durable with one flush, and then acknowledges them. A [`Reader`] answers every query.
//! `docs/FORMAT.md` describes the rows.
//!
//! The store never decides what is delivered when, never reads the clock for a caller, and never acknowledges
//! a step that is not on the disk. A failed write stops it: see [`StoreError::Poisoned`].

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
