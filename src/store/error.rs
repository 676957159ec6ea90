//! What can go wrong at the store's border.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// A step or a read that the store could not do.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// A write or flush failed earlier: nothing has been acknowledged since, nor will be.
    #[error("use the log: it stopped when a write failed ({cause}); free or repair the disk and restart")]
    Poisoned {
        /// The failure that stopped it.
        cause: Arc<str>,
    },
    /// The committer has ended, so that the step was not done.
    #[error("use the log: it is closed")]
    Closed,
    /// The storage engine could not read or write.
    #[error("use the log: {0}")]
    Engine(#[from] EngineError),
    /// The operating system could not report the free space of the disk.
    #[error("read the free disk space of {path}: {error}", path = path.display())]
    DiskSpace {
        /// The store's directory.
        path: PathBuf,
        /// The underlying error.
        error: Arc<io::Error>,
    },
    /// A row is not what this version writes.
    #[error("read row {key} of {tree}: {problem}; restore the log from a backup: postrider restore FILE")]
    Corrupt {
        /// The tree it is in.
        tree: &'static str,
        /// Its key in hexadecimal.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A secret could not be sealed.
    #[error("use the log: {0}")]
    Seal(#[from] SealError),
    /// The committer made no progress for too long.
    #[error(
        "use the log: no commit progress for {secs} s with steps waiting; look for a failing disk and restart"
    )]
    Stuck {
        /// How long it was waited for.
        secs: u64,
    },
    /// A bookmark could not be read or written.
    #[error("use {path}: {error}", path = path.display())]
    EventCursor {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: Arc<io::Error>,
    },
    /// The witness file could not be written.
    #[error("write {path}: {error}", path = path.display())]
    CommitMarker {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: Arc<io::Error>,
    },
}

impl StoreError {
    pub(in crate::store) fn corrupt(tree: &'static str, key: &[u8], problem: impl Into<String>) -> Self {
        Self::Corrupt { tree, key: hex::encode(key), problem: problem.into() }
    }
}

/// An error of the storage engine, as text: the engine's own types stay inside the store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct EngineError {
    text: Arc<str>,
    damage: Option<Arc<str>>,
}

impl EngineError {
    /// Describes an error. `damage` says what is wrong with the engine's files, if they are the cause.
    pub(in crate::store) fn new(text: &str, damage: Option<&str>) -> Self {
        Self { text: text.into(), damage: damage.map(Arc::from) }
    }

    /// Returns what is wrong with the engine's files, if they are the cause.
    pub(in crate::store) fn damage(&self) -> Option<&str> {
        self.damage.as_deref()
    }
}

/// No place in the queue for another step now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueueFull {
    /// As many steps as may wait are waiting.
    #[error("queue a step: as many as may wait are waiting; try again shortly")]
    Full,
    /// The committer has ended.
    #[error("queue a step: the log is closed")]
    Closed,
}

/// Why a store does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("open {path}: {holder} holds its lock; stop that one, or set another storage.path", path = path.display())]
    Locked {
        /// The store's directory.
        path: PathBuf,
        /// Who has it: `process 4711`, or `another process`.
        holder: String,
    },
    /// A file or directory could not be used.
    #[error("{doing} {path}: {error}", path = path.display())]
    Io {
        /// What was tried, such as `create`.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        error: io::Error,
    },
    /// The directory once held a log, and part of it is gone.
    #[error(
        "open {path}: it held a log, but {missing} is missing; restore it from a backup (postrider restore FILE), \
         or remove the whole directory to start empty",
        path = path.display()
    )]
    Missing {
        /// The store's directory.
        path: PathBuf,
        /// The file that is gone.
        missing: &'static str,
    },
    /// The log ends before what was last acknowledged.
    #[error(
        "open {path}: its newest commit is {found}, but {witnessed} was acknowledged; restore it from a backup \
         (postrider restore FILE), or remove {path}/witness to go on without what was lost",
        path = path.display()
    )]
    Behind {
        /// The store's directory.
        path: PathBuf,
        /// The newest commit in the log.
        found: u64,
        /// The newest commit that is known to have been acknowledged.
        witnessed: u64,
    },
    /// The log does not hold the rows that it says it holds.
    #[error("open {path}: tree {tree} {problem}; restore it from a backup: postrider restore FILE", path = path.display())]
    Damaged {
        /// The store's directory.
        path: PathBuf,
        /// The tree.
        tree: &'static str,
        /// How it differs.
        problem: String,
    },
    /// sled cannot make sense of its files.
    #[error(
        "open {path}: the file is damaged ({problem}); move {root} away and restore it from a backup: \
         postrider restore FILE",
        path = path.display(),
        root = root.display()
    )]
    Unreadable {
        /// The store's directory.
        root: PathBuf,
        /// The file.
        path: PathBuf,
        /// What sled says.
        problem: String,
    },
    /// A later version of this program wrote it.
    #[error(
        "open {path}: it has format {found}, this version reads up to {known}; use the version that wrote it, \
         or restore a backup that this one made",
        path = path.display()
    )]
    Format {
        /// The store's directory.
        path: PathBuf,
        /// The format found.
        found: u32,
        /// The newest that this version reads.
        known: u32,
    },
    /// A flush does not reach the disk in this build.
    #[error(
        "open {path}: a flush did not force the log to the disk, so acknowledged events could be lost; build for \
         Linux with a linker that lets the program replace sync_file_range",
        path = path.display()
    )]
    NotDurable {
        /// The store's directory.
        path: PathBuf,
    },
    /// The key file that secrets are sealed with cannot be used.
    #[error("open {path}: key file {key}: {error}", path = path.display(), key = key.display())]
    Key {
        /// The store's directory.
        path: PathBuf,
        /// The key file.
        key: PathBuf,
        /// Why not.
        error: KeyError,
    },
    /// The log itself could not be read or written.
    #[error("open {path}: {error}", path = path.display())]
    Store {
        /// The store's directory.
        path: PathBuf,
        /// Why not.
        error: StoreError,
    },
}

/// Why the key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Nothing is there, and something is sealed.
    #[error(
        "it is missing, and the secrets of subscriptions are sealed with it: put it back from where it is kept; \
         without it they cannot be read, and no new one is made"
    )]
    Missing,
    /// It is another one.
    #[error(
        "it is another key than the one that the secrets of subscriptions are sealed with: put that one back"
    )]
    Wrong,
    /// It is not of a key's length.
    #[error(
        "it has {0} bytes instead of 32, so it is damaged or no key file: put it back from where it is kept"
    )]
    Length(u64),
    /// Others can read or write it.
    #[error("its mode {:04o} lets others than its owner at it: chmod 600, and consider the key known", .0)]
    Exposed(u32),
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(io::Error),
    /// It cannot be made.
    #[error("it cannot be made: {0}")]
    Create(io::Error),
}

/// The operating system gave no random bytes, or the value is too large to be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("seal a secret: the operating system gave no random bytes")]
pub struct SealError;
