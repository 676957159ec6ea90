//! The files in the directory of the store: `lock`, `format`, `witness`, and sled's own files in `log/`.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::fsync;
use super::secret_cipher::make_private_folder;
use crate::store::error::OpenError;

/// The directory of the store while its lock is held.
#[derive(Debug)]
pub(in crate::store) struct Files {
    pub(in crate::store) root: PathBuf,
    lock: File,
    holders: TaskTracker,
    /// Dropped when the last reader or writer is gone.
    _held: TaskTrackerToken,
}

/// Resolves when the last reader or writer of a store is gone.
#[derive(Clone, Debug)]
pub struct Released(TaskTracker);

impl Released {
    /// Waits until the directory can be opened again. Cancel safe.
    pub async fn wait(&self) {
        self.0.wait().await;
    }
}

fn failed<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> OpenError + use<'a> {
    move |error| OpenError::Io { doing, path: path.to_owned(), error }
}

impl Files {
    /// Creates the directory if it does not exist, and locks it.
    pub(in crate::store) fn lock(root: &Path) -> Result<Self, OpenError> {
        make_private_folder(root).map_err(failed("create", root))?;
        let path = root.join("lock");
        let open = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
        let mut lock = open.map_err(failed("open", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let known = lock.read_to_string(&mut pid).is_ok() && !pid.trim().is_empty();
                let holder =
                    if known { format!("process {}", pid.trim()) } else { "another process".to_owned() };
                return Err(OpenError::Locked { path: root.to_owned(), holder });
            }
            Err(TryLockError::Error(error)) => return Err(failed("lock", &path)(error)),
        }
        let written = lock.set_len(0).and_then(|()| lock.rewind());
        written.and_then(|()| writeln!(lock, "{}", std::process::id())).map_err(failed("write", &path))?;
        let holders = TaskTracker::new();
        holders.close();
        let held = holders.token();
        Ok(Self { root: root.to_owned(), lock, holders, _held: held })
    }

    /// Returns a handle that resolves when this value has been dropped.
    pub(in crate::store) fn released(&self) -> Released {
        Released(self.holders.clone())
    }

    /// Returns the directory of sled's files.
    pub(in crate::store) fn log(&self) -> PathBuf {
        self.root.join("log")
    }

    /// Returns the file that records the last acknowledged commit.
    pub(in crate::store) fn witness(&self) -> PathBuf {
        self.root.join("witness")
    }

    /// Returns the file that records the last event whose notice was mailed.
    pub(in crate::store) fn mailed(&self) -> PathBuf {
        self.root.join("mailed")
    }

    fn marker(&self) -> PathBuf {
        self.root.join("format")
    }

    /// Refuses a directory that a later format wrote or that has lost a part, and removes the leftovers of an
    /// interrupted opening.
    pub(in crate::store) fn check(&self, format: u32) -> Result<(), OpenError> {
        let log = self.log();
        if let Ok(text) = fs::read_to_string(self.marker()) {
            // Check before sled opens its files, because a later version may store its log differently. The
            // log states its format too.
            if let Some(found) = text.trim().parse().ok().filter(|found| *found > format) {
                return Err(OpenError::Format { path: self.root.clone(), found, known: format });
            }
            for missing in ["db", "conf"] {
                if !log.join(missing).exists() {
                    return Err(OpenError::Missing { path: self.root.clone(), missing });
                }
            }
        }
        let entries = match fs::read_dir(&log) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed("read", &log)(error)),
        };
        for entry in entries {
            let entry = entry.map_err(failed("read", &log))?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            // sled would take this leftover for a damaged snapshot at every start.
            if name.starts_with("snap.") && name.ends_with(".generating") {
                fs::remove_file(entry.path()).map_err(failed("remove", &entry.path()))?;
            }
        }
        Ok(())
    }

    /// Returns the last acknowledged commit, if the file that records it exists.
    pub(in crate::store) fn witnessed(&self) -> Result<Option<u64>, OpenError> {
        let path = self.witness();
        let text = match fs::read(&path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("read", &path)(error)),
        };
        let number = text.trim().parse();
        number.map(Some).map_err(|_| {
            let error = io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "'{}' is not the number of a commit; remove the file to go on without it",
                    text.trim()
                ),
            );
            failed("read", &path)(error)
        })
    }

    /// Forces the files that sled created to the disk, and marks the directory as one that holds a log.
    pub(in crate::store) fn mark(&self, format: u32) -> Result<(), OpenError> {
        let (log, marker) = (self.log(), self.marker());
        for path in [&log.join("conf"), &log.join("db"), &log, &self.root] {
            fsync::sync_path(path).map_err(failed("sync", path))?;
        }
        if let Some(parent) = self.root.canonicalize().ok().as_deref().and_then(Path::parent) {
            fsync::sync_path(parent).map_err(failed("sync", parent))?;
        }
        fsync::replace_file(&marker, &format!("{format}\n")).map_err(failed("write", &marker))
    }

    /// Returns whether an event in the log may have been acknowledged. The mark is written before the first
    /// acknowledgement and never removed.
    pub(in crate::store) fn is_acknowledged(&self) -> bool {
        self.is_marked() || self.witness().exists()
    }

    /// Renames the directory of sled's files, so that a new log can be created, and returns the new name.
    pub(in crate::store) fn set_aside(&self) -> Result<PathBuf, OpenError> {
        let aside = self.root.join("log.unfinished");
        if aside.exists() {
            fs::remove_dir_all(&aside).map_err(failed("remove", &aside))?;
        }
        fs::rename(self.log(), &aside).map_err(failed("rename", &self.log()))?;
        fsync::sync_path(&self.root).map_err(failed("sync", &self.root))?;
        Ok(aside)
    }

    /// Returns whether the directory was marked at an earlier time.
    pub(in crate::store) fn is_marked(&self) -> bool {
        self.marker().exists()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // Closing the file releases the lock. Truncating it only removes the id of this process.
        let _ = self.lock.set_len(0);
    }
}
