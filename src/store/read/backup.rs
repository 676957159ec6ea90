//! Writes a backup of a log that is in use: every row, and every change that was made during the backup.
//!
//! The rows are read tree by tree, each as it is at that moment. Meanwhile the committer passes on a copy of
//! every transaction ([`ChangeCapture`]). The rows followed by these changes, in order, give the log as it
//! was at the end of the backup. So nothing waits for a backup, and the log is not copied anywhere else.
//! `docs/FORMAT.md` describes the file.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::store::rows::engine::RowBytes;
use ring::digest::{Context, SHA256};

use super::reader::Reader;
use crate::model::time::Timestamp;
use crate::store::disk::secret_cipher::KeyId;
use crate::store::error::StoreError;
use crate::store::rows::change_feed::ChangeSubscriber;
use crate::store::rows::key::Table;
use crate::store::rows::record::{FORMAT, Meta};
use crate::store::rows::tables::sealed_by;
use crate::store::rows::write_batch::WriteBatch;

/// The first bytes of a backup file.
pub(in crate::store) const MAGIC: &[u8; 16] = b"postrider backup";
/// The version of the backup file's layout.
pub(in crate::store) const VERSION: u8 = 1;

/// The kinds of frames. A frame is its kind (u8), its length (u32) and that many bytes.
pub(in crate::store) const HEADER: u8 = 1;
pub(in crate::store) const ROW: u8 = 2;
pub(in crate::store) const PUT: u8 = 3;
pub(in crate::store) const REMOVE: u8 = 4;
pub(in crate::store) const META: u8 = 5;
/// The SHA-256 digest of everything before this frame.
pub(in crate::store) const DIGEST: u8 = 6;

/// The approximate size of one piece of a backup.
const PIECE_BYTES: usize = 256 * 1024;
/// The most bytes of changes that wait for a reader. A slower reader ends the backup.
const CAPTURE_BYTES_MAX: usize = 64 << 20;

/// Collects the transactions that are committed while a backup is taken.
#[derive(Debug, Default)]
pub(in crate::store) struct ChangeCapture {
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    changes: VecDeque<Vec<u8>>,
    bytes: usize,
    overrun: bool,
}

impl ChangeCapture {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Result<Option<Vec<u8>>, BackupError> {
        let mut waiting = self.lock();
        if waiting.overrun {
            return Err(BackupError::Overrun);
        }
        let next = waiting.changes.pop_front();
        waiting.bytes -= next.as_ref().map_or(0, Vec::len);
        Ok(next)
    }
}

impl ChangeSubscriber for ChangeCapture {
    /// Copies the changes without waiting. If too many bytes wait already, the backup ends.
    fn applied(&self, batch: &WriteBatch, _: &Meta) {
        let mut waiting = self.lock();
        if waiting.overrun {
            return;
        }
        let mut bytes = Vec::with_capacity(batch.bytes() + batch.len() * 16);
        for (table, key, value) in batch.changes() {
            match value {
                Some(value) => frame(&mut bytes, PUT, &[&[table as u8], &key_length(key), key, value]),
                None => frame(&mut bytes, REMOVE, &[&[table as u8], &key_length(key), key]),
            }
        }
        waiting.bytes += bytes.len();
        waiting.changes.push_back(bytes);
        if waiting.bytes > CAPTURE_BYTES_MAX {
            *waiting = Waiting { overrun: true, ..Waiting::default() };
        }
    }
}

/// A reason why a backup is not completed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BackupError {
    /// Another backup is in progress.
    #[error("take a backup: another backup is in progress; wait until it ends")]
    Busy,
    /// The backup is read too slowly.
    #[error("take a backup: events are accepted faster than the backup is downloaded; retry under less load")]
    Overrun,
    /// The log cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A backup in progress.
pub struct Backup {
    reader: Reader,
    pub(in crate::store) capture: Arc<ChangeCapture>,
    digest: Context,
    /// The tree that is being read, and the last key that was read.
    table: usize,
    after: Option<RowBytes>,
    has_begun: bool,
    now: Timestamp,
}

impl Backup {
    /// Creates a backup of this log. Its rows can be read after the committer has begun the capture
    /// (`WriteSlot::begin_backup`).
    pub fn new(reader: Reader, now: Timestamp) -> Self {
        let capture = Arc::new(ChangeCapture::default());
        Self { reader, capture, digest: Context::new(&SHA256), table: 0, after: None, has_begun: false, now }
    }

    /// Reads the next piece of the rows, or `None` when all have been read. Blocks for some milliseconds.
    ///
    /// # Errors
    /// [`BackupError::Overrun`], or an error of the log.
    pub fn next_rows(&mut self) -> Result<Option<Vec<u8>>, BackupError> {
        let mut piece = Vec::with_capacity(PIECE_BYTES + 8192);
        if !self.has_begun {
            self.begin(&mut piece)?;
            self.has_begun = true;
        }
        self.drain(&mut piece)?;
        while let Some(table) = Table::ALL.get(self.table).copied() {
            if piece.len() >= PIECE_BYTES {
                break;
            }
            self.read(table, &mut piece)?;
        }
        self.digest.update(&piece);
        Ok(if piece.is_empty() { None } else { Some(piece) })
    }

    fn begin(&self, piece: &mut Vec<u8>) -> Result<(), StoreError> {
        piece.extend_from_slice(MAGIC);
        piece.push(VERSION);
        let key: KeyId = sealed_by(&self.reader.tables)?.unwrap_or_default();
        let rows =
            self.reader.tables.meta()?.map_or(0, |meta| meta.tables.iter().map(|(rows, _)| rows).sum());
        let made = self.now.as_millis().to_be_bytes();
        frame(piece, HEADER, &[&FORMAT.to_be_bytes(), &made, &u64::to_be_bytes(rows), &key]);
        Ok(())
    }

    /// Appends the changes that have arrived since the last piece.
    fn drain(&self, piece: &mut Vec<u8>) -> Result<(), BackupError> {
        while let Some(changes) = self.capture.take()? {
            piece.extend_from_slice(&changes);
        }
        Ok(())
    }

    /// Appends rows of a tree, from the end of the last piece.
    fn read(&mut self, table: Table, piece: &mut Vec<u8>) -> Result<(), StoreError> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = self.after.take().map_or(Unbounded, Excluded);
        for row in self.reader.tables.tree(table).range::<RowBytes>((from, Unbounded)) {
            let (key, value) = row?;
            frame(piece, ROW, &[&[table as u8], &key_length(&key), &key, &value]);
            if piece.len() >= PIECE_BYTES {
                self.after = Some(key);
                return Ok(());
            }
        }
        self.table += 1;
        Ok(())
    }

    /// Returns the last piece. `meta` is the meta row at the end, which the committer passes on.
    ///
    /// # Errors
    /// [`BackupError::Overrun`].
    pub fn finish(mut self, meta: &[u8]) -> Result<Vec<u8>, BackupError> {
        let mut piece = Vec::new();
        self.drain(&mut piece)?;
        frame(&mut piece, META, &[meta]);
        self.digest.update(&piece);
        frame(&mut piece, DIGEST, &[self.digest.finish().as_ref()]);
        Ok(piece)
    }
}

fn key_length(key: &[u8]) -> [u8; 1] {
    // The longest key has 40 bytes, so its length fits.
    [u8::try_from(key.len()).unwrap_or(u8::MAX)]
}

fn frame(bytes: &mut Vec<u8>, kind: u8, parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    bytes.push(kind);
    bytes.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    for part in parts {
        bytes.extend_from_slice(part);
    }
}
