//! The store's directory: `lock`, `format`, `witness`, and sled's own files in `log/`.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::fsync;
use super::secret_cipher::make_private_folder;
use crate::store::error::OpenError;

/// The directory with its lock held.
#[derive(Debug)]
pub(in crate::store) struct Files {
    pub(in crate::store) root: PathBuf,
    lock: File,
    holders: TaskTracker,
    /// Dropped with the last that reads or writes.
    _held: TaskTrackerToken,
}

/// Tells when the last that reads or writes a store has let go of it.
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
    /// Creates the directory if need be, and locks it.
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

    /// Tells when this has been dropped.
    pub(in crate::store) fn released(&self) -> Released {
        Released(self.holders.clone())
    }

    /// Where sled's files are.
    pub(in crate::store) fn log(&self) -> PathBuf {
        self.root.join("log")
    }

    /// Where the last acknowledged commit is noted.
    pub(in crate::store) fn witness(&self) -> PathBuf {
        self.root.join("witness")
    }

    /// Where it is noted how far notices were mailed.
    pub(in crate::store) fn mailed(&self) -> PathBuf {
        self.root.join("mailed")
    }

    fn marker(&self) -> PathBuf {
        self.root.join("format")
    }

    /// Refuses a directory that a later format than this was written in, or that has lost a part, and removes what
    /// an open that broke off has left.
    pub(in crate::store) fn check(&self, format: u32) -> Result<(), OpenError> {
        let log = self.log();
        if let Ok(text) = fs::read_to_string(self.marker()) {
            // Before sled touches anything: a later version may have quite another log. The log says it again.
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
            // sled takes such a leftover for a damaged snapshot, for ever.
            if name.starts_with("snap.") && name.ends_with(".generating") {
                fs::remove_file(entry.path()).map_err(failed("remove", &entry.path()))?;
            }
        }
        Ok(())
    }

    /// The commit that the witness names, if there is a witness.
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

    /// Forces what sled created to the disk, and marks the directory as one that holds a log.
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

    /// Whether somebody may have been told that something is in the log: it is marked before that, and stays so.
    pub(in crate::store) fn is_acknowledged(&self) -> bool {
        self.is_marked() || self.witness().exists()
    }

    /// Gives sled's files another name, where they are in nobody's way.
    pub(in crate::store) fn set_aside(&self) -> Result<PathBuf, OpenError> {
        let aside = self.root.join("log.unfinished");
        if aside.exists() {
            fs::remove_dir_all(&aside).map_err(failed("remove", &aside))?;
        }
        fs::rename(self.log(), &aside).map_err(failed("rename", &self.log()))?;
        fsync::sync_path(&self.root).map_err(failed("sync", &self.root))?;
        Ok(aside)
    }

    /// Whether the directory was marked before.
    pub(in crate::store) fn is_marked(&self) -> bool {
        self.marker().exists()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // Closing the file releases the lock too; this only names no process that is gone.
        let _ = self.lock.set_len(0);
    }
}
