//! Opens a store: checks the directory and the log, and rebuilds the state in memory.

pub(in crate::store) mod migration;
mod scan;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::sync::mpsc;

use self::migration::Migration;
use self::scan::{Scan, count, scan};
use super::disk::cursor::EventCursor;
use super::disk::files::{Files, Released};
use super::disk::fsync;
use super::disk::panic_guard;
use super::disk::secret_cipher::{self, SecretCipher};
use super::error::{OpenError, StoreError};
use super::memory::index::IndexState;
use super::memory::shared::{RowlessDelivery, SharedState};
use super::read::reader::Reader;
use super::rows::change_feed::ChangeFeed;
use super::rows::engine::Engine;
use super::rows::key::{TABLES, Table};
use super::rows::record::{FORMAT, Meta};
use super::rows::tables::{Tables, sealed_by};
use super::rows::write_batch::WriteBatch;
use super::write::committer::Committer;
use super::write::dedup::Dedup;
use super::write::idempotency_keys::Keys;
use super::write::queue::Store;
use super::write::step::Poison;
use super::write::watchdog::{CommitWatchdog, STUCK_AFTER};
use super::write::writer::Writer;
use crate::model::id::{IdSequence, SubscriptionId};
use crate::model::subscription::{HealthState, Subscription};
use crate::model::time::Clock;

/// The time limit for closing a log that could not be opened.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The file of sled's rows, relative to the directory of the store.
const DATA_FILE: &str = "log/db";

/// The options of [`open`].
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The directory of the store. It is created if it does not exist.
    pub path: PathBuf,
    /// The file with the key that seals secrets. The default is `key` in the directory of the store.
    pub key_file: Option<PathBuf>,
    /// The approximate limit of sled's page cache, in bytes.
    pub cache_bytes: u64,
    /// The time for which the ids of senders are remembered.
    pub dedup_window: Duration,
    /// The most steps that wait for the committer.
    pub queue_steps_max: usize,
}

/// An open store and the state that it had at opening.
#[derive(Debug)]
pub struct Opened {
    /// The queue that takes steps.
    pub store: Store,
    /// The handle that answers queries.
    pub reader: Reader,
    /// The task that applies the steps.
    pub committer: Committer,
    /// Every subscription with its health, ordered by id. Deleted subscriptions are included.
    pub subscriptions: Vec<(Subscription, HealthState)>,
    /// The fresh deliveries, oldest first: never tried, not settled, and without a row of their own.
    pub fresh: Vec<RowlessDelivery>,
    /// The lanes with rows on disk, and the number of rows of each. The lanes of deleted subscriptions must
    /// be cleared.
    pub lanes: Vec<(SubscriptionId, u64)>,
    /// The last event whose notice was mailed.
    pub mailed: EventCursor,
    /// Resolves when every handle of the store has been dropped.
    pub released: Released,
}

/// Opens the store and checks its whole content. This call blocks for about a second per gigabyte and reports
/// to `progress`.
///
/// # Errors
/// See [`OpenError`]. Nothing is repaired silently.
pub fn open(
    options: &StoreOptions,
    clock: Clock,
    mut rng: StdRng,
    progress: &mut dyn FnMut(&str),
) -> Result<Opened, OpenError> {
    let files = Files::lock(&options.path)?;
    files.check(FORMAT)?;
    if files.is_acknowledged() {
        return open_caught(files, options, clock, rng, progress);
    }
    let spare = StdRng::from_rng(&mut rng);
    let opened = open_caught(files, options, clock.clone(), rng, progress);
    let Err(OpenError::Unreadable { problem, .. }) = opened else { return opened };
    // An interrupted first start left the directory. No event in it was ever acknowledged.
    let files = Files::lock(&options.path)?;
    let aside = files.set_aside()?;
    tracing::warn!(path = %aside.display(), problem, "set aside the log of an interrupted first start");
    open_caught(files, options, clock, spare, progress)
}

fn open_caught(
    files: Files,
    options: &StoreOptions,
    clock: Clock,
    rng: StdRng,
    progress: &mut dyn FnMut(&str),
) -> Result<Opened, OpenError> {
    let mut held = None;
    let opened = panic_guard::catch(|| open_locked(files, options, (clock, rng), &mut held, progress));
    let opened = opened.unwrap_or_else(|problem| {
        let (root, path) = (options.path.clone(), options.path.join(DATA_FILE));
        Err(OpenError::Unreadable { root, path, problem })
    });
    if opened.is_err() {
        close_in_background(held);
    }
    opened
}

/// Closes an engine whose log could not be opened. sled waits for its own thread, forever if that thread
/// panicked on the damage. After the time limit, the engine is left alone until the process ends.
fn close_in_background(engine: Option<Engine>) {
    let Some(engine) = engine else { return };
    let (done, closed) = std::sync::mpsc::sync_channel::<()>(0);
    let close = move || {
        drop(engine);
        drop(done);
    };
    let begun = std::thread::Builder::new().name("store-close".to_owned()).spawn(close);
    if begun.is_ok() && closed.recv_timeout(CLOSE_TIMEOUT) == Err(RecvTimeoutError::Timeout) {
        tracing::warn!("sled keeps the files of the damaged log open until the process ends");
    }
}

/// Converts an error of the engine during opening.
fn open_error(root: &Path, error: StoreError) -> OpenError {
    let damage = match &error {
        StoreError::Engine(error) => error.damage(),
        _ => None,
    };
    match damage.map(str::to_owned) {
        Some(problem) => OpenError::Unreadable { root: root.to_owned(), path: root.join(DATA_FILE), problem },
        None => OpenError::Store { path: root.to_owned(), error },
    }
}

fn open_locked(
    files: Files,
    options: &StoreOptions,
    (clock, rng): (Clock, StdRng),
    held: &mut Option<Engine>,
    progress: &mut dyn FnMut(&str),
) -> Result<Opened, OpenError> {
    let failed = |error| open_error(&options.path, error);
    let engine = Engine::open(&files.log(), options.cache_bytes).map_err(failed)?;
    *held = Some(engine.clone());
    let tables = Tables::open(engine).map_err(failed)?;
    let meta = read_meta(&tables, &files)?;
    let key = options.key_file.clone().unwrap_or_else(|| secret_cipher::default_path(&options.path));
    let cipher = SecretCipher::open(&key, sealed_by(&tables).map_err(failed)?)
        .map_err(|error| OpenError::Key { path: options.path.clone(), key, error })?;
    let mut reader = Reader { tables, shared: Arc::default(), cipher, files: Arc::new(files) };
    let (meta, is_migrated) = migrated(&reader, meta, progress)?;
    let scan = scan(&reader, &meta, progress).map_err(failed)?;
    verify(&reader.files, &meta, &scan.counts)?;
    let last_id = last_id(&reader, &scan.index).map_err(failed)?;
    let Scan { subscriptions, plain, state, index, seen, lanes, buckets: [senders, keys], .. } = scan;
    let fresh = state.fresh().collect();
    reader.shared = Arc::new(SharedState::new(state, index, seen));
    let poison = Poison::default();
    let (now, instant) = (clock.now(), clock.instant());
    let mut writer = Writer {
        reader: reader.clone(),
        feed: ChangeFeed::new(reader.tables.clone(), meta),
        ids: IdSequence::after(last_id, rng),
        last_id,
        clock,
        now,
        dedup: Dedup::new(options.dedup_window, senders),
        keys: Keys::new(keys),
        batch: WriteBatch::default(),
        events_in_batch: 0,
        releases: std::collections::HashMap::new(),
        swept_to: 0,
        held_to: 0,
        revisit: BTreeSet::new(),
        backup: std::sync::Weak::new(),
        watchdog: Arc::new(CommitWatchdog::default()),
        poison: poison.clone(),
        flushing_since: instant,
        #[cfg(test)]
        fail_flush_after: None,
        #[cfg(test)]
        fail_write_after: None,
    };
    seal_plain(&mut writer, &plain).map_err(failed)?;
    probe(&mut writer, options)?;
    if is_migrated || !reader.files.is_marked() {
        reader.files.mark(FORMAT)?;
    }
    writer.write_segment_if_full().map_err(failed)?;
    let (sender, queue) = mpsc::channel(options.queue_steps_max.max(1));
    let committer = Committer { queue, writer, witness: reader.files.witness() };
    let (store, released) = (Store { queue: sender, poison }, reader.files.released());
    let mailed = EventCursor::new(reader.files.mailed());
    Ok(Opened { store, reader, committer, subscriptions, fresh, lanes, mailed, released })
}

/// Seals and rewrites the subscriptions whose secrets an earlier version stored in clear.
fn seal_plain(writer: &mut Writer, plain: &[Subscription]) -> Result<(), StoreError> {
    for subscription in plain {
        writer.put_subscription(subscription, None)?;
        writer.write_batch_if_full()?;
    }
    writer.write_batch()?;
    if !plain.is_empty() {
        tracing::info!(subscriptions = plain.len(), "sealed secrets that an earlier version stored in clear");
    }
    Ok(())
}

fn read_meta(tables: &Tables, files: &Files) -> Result<Meta, OpenError> {
    let path = || files.root.clone();
    let failed = |error| open_error(&files.root, error);
    if let Some(found) = tables.format().map_err(failed)?.filter(|found| *found > FORMAT) {
        return Err(OpenError::Format { path: path(), found, known: FORMAT });
    }
    let meta = tables.meta().map_err(failed)?.unwrap_or(Meta { format: FORMAT, ..Meta::default() });
    match files.witnessed()? {
        Some(witnessed) if witnessed > meta.commit_seq => {
            Err(OpenError::Behind { path: path(), found: meta.commit_seq, witnessed })
        }
        _ => Ok(meta),
    }
}

/// Migrates the log to the current format if it has an earlier one. Returns whether it did.
fn migrated(reader: &Reader, meta: Meta, progress: &mut dyn FnMut(&str)) -> Result<(Meta, bool), OpenError> {
    if meta.format == FORMAT {
        return Ok((meta, false));
    }
    let failed = |error| open_error(&reader.files.root, error);
    // Nothing is rewritten before the whole log is known to be intact.
    let counts = count(&reader.tables, progress).map_err(failed)?;
    verify(&reader.files, &meta, &counts)?;
    progress(&format!("the log has format {}: rewriting it in format {FORMAT}", meta.format));
    let meta = Migration::new(reader, meta, progress).run().map_err(failed)?;
    Ok((meta, true))
}

fn verify(files: &Files, meta: &Meta, counts: &[(u64, u64); TABLES]) -> Result<(), OpenError> {
    for ((table, found), expected) in Table::ALL.into_iter().zip(*counts).zip(meta.tables) {
        if found != expected {
            let problem = if found.0 == expected.0 {
                format!("has the right number of rows ({}), but the content of some differs", found.0)
            } else {
                format!("has {} rows instead of {}", found.0, expected.0)
            };
            return Err(OpenError::Damaged { path: files.root.clone(), tree: table.name(), problem });
        }
    }
    Ok(())
}

/// Returns the greatest id in the log. The deliveries of the last event may have no rows yet, and a segment
/// may be all that is left of its last event.
fn last_id(reader: &Reader, index: &IndexState) -> Result<u128, StoreError> {
    let last = reader.origin_at_or_before(u128::MAX)?;
    let last = last.map_or(0, |origin| origin.id.saturating_add(origin.count() as u128));
    Ok(index.segments.last().map_or(last, |segment| segment.last.max(last)))
}

/// Writes the meta row and flushes. Fails unless the flush forces the row to the disk.
fn probe(writer: &mut Writer, options: &StoreOptions) -> Result<(), OpenError> {
    let before = fsync::syncs();
    let watchdog = Arc::new(CommitWatchdog::default());
    let watch = watchdog.watch(STUCK_AFTER, Some(writer.reader.flusher()));
    let watch = watch.map_err(|error| OpenError::Io { doing: "watch", path: options.path.clone(), error })?;
    watchdog.commit_began();
    let written = writer.write().and_then(|()| writer.flush());
    drop(watch);
    written.map_err(|error| open_error(&options.path, error))?;
    if fsync::syncs() == before {
        return Err(OpenError::NotDurable { path: options.path.clone() });
    }
    Ok(())
}
