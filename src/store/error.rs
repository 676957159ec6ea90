//! Errors that the store returns.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// A failure of a step or a read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// An earlier write or flush failed. Since then the store acknowledges nothing.
    #[error(
        "use the log: it stopped after a failed write ({cause}); free space on the disk or repair it, then restart"
    )]
    Poisoned {
        /// The failure that stopped the store.
        cause: Arc<str>,
    },
    /// The committer has ended, so the step was not done.
    #[error("use the log: it is closed")]
    Closed,
    /// The storage engine failed to read or write.
    #[error("use the log: {0}")]
    Engine(#[from] EngineError),
    /// The operating system failed to report the free space of the disk.
    #[error("read the free disk space of {path}: {error}", path = path.display())]
    DiskSpace {
        /// The directory of the store.
        path: PathBuf,
        /// The underlying error.
        error: Arc<io::Error>,
    },
    /// A row has content that this version never writes.
    #[error("read row {key} of {tree}: {problem}; restore the log from a backup: postrider restore FILE")]
    Corrupt {
        /// The tree of the row.
        tree: &'static str,
        /// The key of the row, in hexadecimal.
        key: String,
        /// The fault in the content.
        problem: String,
    },
    /// A secret could not be sealed.
    #[error("use the log: {0}")]
    Seal(#[from] SealError),
    /// The committer made no progress for too long.
    #[error(
        "use the log: no commit progress for {secs} s while steps wait; check the disk for failures, then restart"
    )]
    Stuck {
        /// The wait, in seconds.
        secs: u64,
    },
    /// An event cursor could not be read or written.
    #[error("use {path}: {error}", path = path.display())]
    EventCursor {
        /// The file of the cursor.
        path: PathBuf,
        /// The underlying error.
        error: Arc<io::Error>,
    },
    /// The file that records the last acknowledged commit could not be written.
    #[error("write {path}: {error}", path = path.display())]
    CommitMarker {
        /// The file that could not be written.
        path: PathBuf,
        /// The underlying error.
        error: Arc<io::Error>,
    },
}

impl StoreError {
    pub(in crate::store) fn corrupt(tree: &'static str, key: &[u8], problem: impl Into<String>) -> Self {
        Self::Corrupt { tree, key: hex::encode(key), problem: problem.into() }
    }
}

/// An error of the storage engine, as text. The engine's own types stay inside the store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct EngineError {
    text: Arc<str>,
    damage: Option<Arc<str>>,
}

impl EngineError {
    /// Creates an error from its text. `damage` describes the fault in the engine's files if they are the
    /// cause.
    pub(in crate::store) fn new(text: &str, damage: Option<&str>) -> Self {
        Self { text: text.into(), damage: damage.map(Arc::from) }
    }

    /// Returns the fault in the engine's files, if they are the cause.
    pub(in crate::store) fn damage(&self) -> Option<&str> {
        self.damage.as_deref()
    }
}

/// The queue has no free slot for another step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueueFull {
    /// The limit of waiting steps is reached.
    #[error("queue a step: the queue is full; retry shortly")]
    Full,
    /// The committer has ended.
    #[error("queue a step: the log is closed")]
    Closed,
}

/// A reason why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds the lock of the directory.
    #[error("open {path}: {holder} holds its lock; stop that process, or set another storage.path", path = path.display())]
    Locked {
        /// The directory of the store.
        path: PathBuf,
        /// The process that holds the lock: `process 4711`, or `another process`.
        holder: String,
    },
    /// A file or directory could not be used.
    #[error("{doing} {path}: {error}", path = path.display())]
    Io {
        /// The operation that failed, such as `create`.
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The underlying error.
        error: io::Error,
    },
    /// The directory once held a log, and a part of it is missing.
    #[error(
        "open {path}: it held a log, but {missing} is missing; restore it from a backup (postrider restore FILE), \
         or remove the whole directory to start empty",
        path = path.display()
    )]
    Missing {
        /// The directory of the store.
        path: PathBuf,
        /// The missing file.
        missing: &'static str,
    },
    /// The log ends before the last acknowledged commit.
    #[error(
        "open {path}: its newest commit is {found}, but {witnessed} was acknowledged; restore it from a backup \
         (postrider restore FILE), or remove {path}/witness to continue without the lost commits",
        path = path.display()
    )]
    Behind {
        /// The directory of the store.
        path: PathBuf,
        /// The newest commit in the log.
        found: u64,
        /// The newest commit that was recorded as acknowledged.
        witnessed: u64,
    },
    /// The rows of the log differ from the counts and hashes that it records.
    #[error("open {path}: tree {tree} {problem}; restore it from a backup: postrider restore FILE", path = path.display())]
    Damaged {
        /// The directory of the store.
        path: PathBuf,
        /// The tree with the difference.
        tree: &'static str,
        /// The difference from the recorded counts.
        problem: String,
    },
    /// sled cannot read its own files.
    #[error(
        "open {path}: the file is damaged ({problem}); move {root} away and restore it from a backup: \
         postrider restore FILE",
        path = path.display(),
        root = root.display()
    )]
    Unreadable {
        /// The directory of the store.
        root: PathBuf,
        /// The damaged file.
        path: PathBuf,
        /// The message of sled.
        problem: String,
    },
    /// A later version of this program wrote the log.
    #[error(
        "open {path}: it has format {found}, this version reads up to {known}; use the version that wrote it, \
         or restore a backup from this version",
        path = path.display()
    )]
    Format {
        /// The directory of the store.
        path: PathBuf,
        /// The format of the log.
        found: u32,
        /// The newest format that this version reads.
        known: u32,
    },
    /// A flush does not reach the disk in this build.
    #[error(
        "open {path}: a flush did not force the log to the disk, so acknowledged events could be lost; build for \
         Linux with a linker that lets the program replace sync_file_range",
        path = path.display()
    )]
    NotDurable {
        /// The directory of the store.
        path: PathBuf,
    },
    /// The key file that seals the secrets cannot be used.
    #[error("open {path}: key file {key}: {error}", path = path.display(), key = key.display())]
    Key {
        /// The directory of the store.
        path: PathBuf,
        /// The key file.
        key: PathBuf,
        /// The reason why it cannot be used.
        error: KeyError,
    },
    /// The log could not be read or written.
    #[error("open {path}: {error}", path = path.display())]
    Store {
        /// The directory of the store.
        path: PathBuf,
        /// The underlying error.
        error: StoreError,
    },
}

/// A reason why the key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file is missing, and secrets are sealed with its key.
    #[error(
        "it is missing, and the secrets of the subscriptions are sealed with it: restore the file from your copy. \
         The secrets cannot be read without it, so no new key was created"
    )]
    Missing,
    /// The file holds another key than the one that sealed the secrets.
    #[error(
        "it holds another key than the one that sealed the secrets of the subscriptions: restore that key file"
    )]
    Wrong,
    /// The file does not have the length of a key.
    #[error(
        "it has {0} bytes instead of 32, so it is damaged or not a key file: restore the file from your copy"
    )]
    Length(u64),
    /// Other users can read or write the file.
    #[error("its mode {:04o} lets other users read or write it: run chmod 600, and consider the key compromised", .0)]
    Exposed(u32),
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(io::Error),
    /// The file cannot be created.
    #[error("it cannot be created: {0}")]
    Create(io::Error),
}

/// A secret could not be sealed: the operating system gave no random bytes, or the value is too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("seal a secret: the operating system gave no random bytes")]
pub struct SealError;
