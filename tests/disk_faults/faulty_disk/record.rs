//! Records the operations on a directory, in order.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A successful call. Its paths are absolute when reported and relative to the root in the record.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Create(PathBuf),
    Write { path: PathBuf, offset: u64, bytes: Box<[u8]> },
    Truncate { path: PathBuf, length: u64 },
    SyncFile(PathBuf),
    SyncFolder(PathBuf),
    Rename(PathBuf, PathBuf),
    Unlink(PathBuf),
    Link(PathBuf, PathBuf),
    Mkdir(PathBuf),
}

/// All operations on `root` since the recording began.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) root: PathBuf,
    /// The files that existed before the recording.
    pub(crate) base: BTreeMap<PathBuf, Vec<u8>>,
    pub(crate) ops: Vec<Op>,
}

impl Record {
    pub(crate) fn new(root: PathBuf) -> Self {
        let base = if root.is_dir() { super::image::files(&root) } else { BTreeMap::new() };
        Self { root, base, ops: Vec::new() }
    }

    pub(crate) fn add(&mut self, op: Op) {
        let below = |path: &Path| path.strip_prefix(&self.root).unwrap().to_owned();
        let op = match op {
            Op::Create(path) => Op::Create(below(&path)),
            Op::Write { path, offset, bytes } => Op::Write { path: below(&path), offset, bytes },
            Op::Truncate { path, length } => Op::Truncate { path: below(&path), length },
            Op::SyncFile(path) => Op::SyncFile(below(&path)),
            Op::SyncFolder(path) => Op::SyncFolder(below(&path)),
            Op::Rename(from, to) => Op::Rename(below(&from), below(&to)),
            Op::Unlink(path) => Op::Unlink(below(&path)),
            Op::Link(from, to) => Op::Link(below(&from), below(&to)),
            Op::Mkdir(path) => Op::Mkdir(below(&path)),
        };
        self.ops.push(op);
    }

    /// Returns the number of syncs among the operations.
    pub(crate) fn syncs(&self) -> usize {
        self.ops.iter().filter(|op| matches!(op, Op::SyncFile(_))).count()
    }
}
