//! A backup of the log while it is written: every row, and every change that was made meanwhile.
//!
//! The rows are read tree by tree, each as it is at that moment, while the committer hands in a copy of every
//! transaction ([`ChangeCapture`]). Rows first and then those changes, in order, give exactly the log as it was at the end. So
//! nothing waits for a backup, and no copy of the log is kept anywhere. `docs/FORMAT.md` has the form.

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

/// What a backup begins with.
pub(in crate::store) const MAGIC: &[u8; 16] = b"postrider backup";
/// The form of the file.
pub(in crate::store) const VERSION: u8 = 1;

/// Frames: a kind (u8), a length (u32) and as many bytes.
pub(in crate::store) const HEADER: u8 = 1;
pub(in crate::store) const ROW: u8 = 2;
pub(in crate::store) const PUT: u8 = 3;
pub(in crate::store) const REMOVE: u8 = 4;
pub(in crate::store) const META: u8 = 5;
/// The SHA-256 of everything before it.
pub(in crate::store) const DIGEST: u8 = 6;

/// About how much one piece of a backup has.
const PIECE_BYTES: usize = 256 * 1024;
/// How many changes may wait for a backup that is fetched slowly.
const CAPTURE_BYTES_MAX: usize = 64 << 20;

/// Gathers what is committed while a backup is taken.
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
    /// Copies the changes. Never waits: more changes than may wait end the backup.
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

/// Why a backup came to no end.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BackupError {
    /// Another one is being taken.
    #[error("take a backup: another one is under way")]
    Busy,
    /// It is fetched too slowly.
    #[error("take a backup: events come in faster than it is fetched; try again when there is less to do")]
    Overrun,
    /// The log cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A backup that is being taken.
pub struct Backup {
    reader: Reader,
    pub(in crate::store) capture: Arc<ChangeCapture>,
    digest: Context,
    /// The tree that is being read, and the last key that was.
    table: usize,
    after: Option<RowBytes>,
    has_begun: bool,
    now: Timestamp,
}

impl Backup {
    /// One of this log. It gets its rows once the committer has been told of it (`WriteSlot::begin_backup`).
    pub fn new(reader: Reader, now: Timestamp) -> Self {
        let capture = Arc::new(ChangeCapture::default());
        Self { reader, capture, digest: Context::new(&SHA256), table: 0, after: None, has_begun: false, now }
    }

    /// The next piece of the rows; none once all are read. Blocks for some milliseconds.
    ///
    /// # Errors
    /// [`BackupError::Overrun`], or the log cannot be read.
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

    /// Adds the changes of late.
    fn drain(&self, piece: &mut Vec<u8>) -> Result<(), BackupError> {
        while let Some(changes) = self.capture.take()? {
            piece.extend_from_slice(&changes);
        }
        Ok(())
    }

    /// Adds rows of a tree, from where the last piece ended.
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

    /// The last piece, once the committer has handed in the meta row of the end.
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
    // The longest key has 40 bytes.
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
