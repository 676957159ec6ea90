//! Restores a data directory from a backup. The whole backup is checked before the directory is created.

use std::fs::{self, File};
use std::io::{self, BufReader, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use ring::digest::{Context, SHA256};

use super::disk::files::Files;
use super::disk::fsync;
use super::disk::secret_cipher::{self, KeyId, SecretCipher};
use super::error::{KeyError, OpenError, StoreError};
use super::read::backup::{DIGEST, HEADER, MAGIC, META, PUT, REMOVE, ROW, VERSION};
use super::rows::engine::Engine;
use super::rows::key::Table;
use super::rows::record::FORMAT;
use super::rows::record::{self, Meta};
use super::rows::tables::Tables;
use super::rows::write_batch::WriteBatch;
use crate::model::time::Timestamp;

/// The most bytes of a frame. A row has at most 7,000 bytes.
const FRAME_BYTES_MAX: usize = 64 * 1024;
/// The most rows of one transaction.
const ROWS_MAX: usize = 256;
const BYTES_MAX: usize = 256 * 1024;
/// The number of bytes between two reports of progress.
const PROGRESS_BYTES: u64 = 4 << 20;
/// The cache of sled during a restore, in bytes.
const CACHE_BYTES: u64 = 64 << 20;

/// A reason why a backup cannot be restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// A file or directory cannot be used.
    #[error("{doing} {path}: {error}", path = path.display())]
    Io {
        /// The operation that failed, such as `create`.
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The underlying error.
        error: io::Error,
    },
    /// The file does not begin like a backup.
    #[error("read {path}: it is not a backup of postrider; name a file that `postrider backup` wrote", path = path.display())]
    NoBackup {
        /// The path of the file.
        path: PathBuf,
    },
    /// The backup ends too early.
    #[error("read {path}: it ends after {at} bytes, before the end of the backup; download it again, or take another backup", path = path.display())]
    CutShort {
        /// The path of the backup.
        path: PathBuf,
        /// The position of the end, in bytes.
        at: u64,
    },
    /// The content of the backup has changed since it was written.
    #[error("read {path}: it is damaged ({problem}); download it again, or take another backup", path = path.display())]
    Changed {
        /// The path of the backup.
        path: PathBuf,
        /// The difference from the written content.
        problem: String,
    },
    /// A later version of this program wrote the backup.
    #[error("read {path}: it has format {found}, this version reads up to {known}; use the version that wrote it", path = path.display())]
    Newer {
        /// The path of the backup.
        path: PathBuf,
        /// The format of the backup.
        found: u32,
        /// The newest format that this version reads.
        known: u32,
    },
    /// The target directory is not empty.
    #[error("restore to {path}: the directory is not empty; name another directory, or move this one away", path = path.display())]
    NotEmpty {
        /// The target directory.
        path: PathBuf,
    },
    /// The backup holds sealed secrets and no key was given. A backup never holds the key.
    #[error(
        "restore: the secrets in the backup are sealed with key {id}, and a backup never holds the key; name your \
         copy of the key file with --key FILE"
    )]
    KeyNeeded {
        /// The id of the key, in hexadecimal.
        id: String,
    },
    /// The key file cannot be used.
    #[error("key file {path}: {error}", path = path.display())]
    Key {
        /// The key file.
        path: PathBuf,
        /// The reason why it cannot be used.
        error: KeyError,
    },
    /// The restored directory cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The restored log cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The properties of a backup whose content has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupInfo {
    /// The time at which the backup began.
    pub made_at: Timestamp,
    /// The number of rows in the log at the end of the backup.
    pub rows: u64,
    /// The size of the backup file, in bytes.
    pub bytes: u64,
    /// The id of the key that sealed the secrets of the backup, in hexadecimal.
    pub key: Option<String>,
}

/// A callback for progress: the current phase, the bytes done, and the bytes in all.
pub type RestoreProgress<'a> = &'a mut dyn FnMut(&'static str, u64, u64);

/// An iterator over the frames of a backup.
struct Frames<'a> {
    path: &'a Path,
    input: BufReader<File>,
    digest: Context,
    at: u64,
    size: u64,
}

impl<'a> Frames<'a> {
    fn open(path: &'a Path) -> Result<Self, RestoreError> {
        let file = File::open(path).map_err(failed("open", path))?;
        let size = file.metadata().map_err(failed("read", path))?.len();
        let input = BufReader::with_capacity(256 * 1024, file);
        let mut frames = Self { path, input, digest: Context::new(&SHA256), at: 0, size };
        let mut begin = [0; MAGIC.len() + 1];
        match frames.fill(&mut begin) {
            Err(RestoreError::CutShort { .. }) => {
                return Err(RestoreError::NoBackup { path: path.to_owned() });
            }
            filled => filled?,
        }
        match begin.split_last() {
            Some((&VERSION, magic)) if magic == MAGIC => {}
            Some((&found, magic)) if magic == MAGIC => {
                return Err(RestoreError::Newer {
                    path: path.to_owned(),
                    found: found.into(),
                    known: VERSION.into(),
                });
            }
            _ => return Err(RestoreError::NoBackup { path: path.to_owned() }),
        }
        frames.digest.update(&begin);
        Ok(frames)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), RestoreError> {
        match self.input.read_exact(bytes) {
            Ok(()) => {
                self.at += bytes.len() as u64;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(RestoreError::CutShort { path: self.path.to_owned(), at: self.size })
            }
            Err(error) => Err(failed("read", self.path)(error)),
        }
    }

    fn changed(&self, problem: impl Into<String>) -> RestoreError {
        RestoreError::Changed { path: self.path.to_owned(), problem: problem.into() }
    }

    /// Reads the next frame. The last frame is the digest, which does not cover itself.
    fn next(&mut self) -> Result<(u8, Vec<u8>), RestoreError> {
        let mut head = [0; 5];
        self.fill(&mut head)?;
        let [kind, length @ ..] = head;
        let length = u32::from_be_bytes(length) as usize;
        if length > FRAME_BYTES_MAX || !(HEADER..=DIGEST).contains(&kind) {
            return Err(self.changed(format!("byte {} does not begin a frame", self.at)));
        }
        let mut body = vec![0; length];
        self.fill(&mut body)?;
        if kind != DIGEST {
            self.digest.update(&head);
            self.digest.update(&body);
        }
        Ok((kind, body))
    }

    /// Returns whether the file ends at this position. It must end after the digest.
    fn is_at_end(&mut self) -> Result<bool, RestoreError> {
        let mut one = [0];
        Ok(self.input.read(&mut one).map_err(failed("read", self.path))? == 0)
    }
}

fn failed<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> RestoreError + use<'a> {
    move |error| RestoreError::Io { doing, path: path.to_owned(), error }
}

/// A backup that was read to its end and is intact.
struct Checked {
    info: BackupInfo,
    key: Option<KeyId>,
    meta: Meta,
}

/// Reads a whole backup and checks it.
///
/// # Errors
/// If the content has changed since it was written, or if this version cannot read it.
pub fn check_backup(path: &Path, progress: RestoreProgress<'_>) -> Result<BackupInfo, RestoreError> {
    check(path, progress).map(|checked| checked.info)
}

fn check(path: &Path, progress: RestoreProgress<'_>) -> Result<Checked, RestoreError> {
    let mut frames = Frames::open(path)?;
    let (kind, header) = frames.next()?;
    let (format, made_at, key) =
        read_header(kind, &header).ok_or_else(|| frames.changed("it has no header"))?;
    if format > FORMAT {
        return Err(RestoreError::Newer { path: path.to_owned(), found: format, known: FORMAT });
    }
    let mut meta = None;
    let mut told = 0;
    let digest = loop {
        let (kind, body) = frames.next()?;
        match kind {
            ROW | PUT | REMOVE if meta.is_none() => {
                read_row(kind, &body)
                    .ok_or_else(|| frames.changed(format!("byte {} does not end a row", frames.at)))?;
            }
            META if meta.is_none() => {
                meta = Some(record::read_meta(&body).map_err(|problem| frames.changed(problem))?);
            }
            DIGEST => break body,
            _ => return Err(frames.changed("a frame is out of place")),
        }
        if frames.at - told > PROGRESS_BYTES {
            told = frames.at;
            progress("checking", frames.at, frames.size);
        }
    };
    if !frames.is_at_end()? {
        return Err(frames.changed("it goes on after its end"));
    }
    if frames.digest.clone().finish().as_ref() != digest {
        return Err(frames.changed("its checksum does not match"));
    }
    let meta = meta.ok_or_else(|| frames.changed("it has no end"))?;
    let rows = meta.tables.iter().map(|(rows, _)| rows).sum();
    let info = BackupInfo { made_at, rows, bytes: frames.size, key: key.map(hex::encode) };
    Ok(Checked { info, key, meta })
}

/// Parses the header: the format, the time at which the backup began, and the key of its secrets.
fn read_header(kind: u8, body: &[u8]) -> Option<(u32, Timestamp, Option<KeyId>)> {
    let (format, rest) = body.split_first_chunk()?;
    let (made_at, rest) = rest.split_first_chunk()?;
    let (_rows, key) = rest.split_first_chunk::<8>()?;
    let key: KeyId = key.try_into().ok()?;
    let made_at = Timestamp::from_millis(u64::from_be_bytes(*made_at));
    (kind == HEADER).then_some((
        u32::from_be_bytes(*format),
        made_at,
        (key != KeyId::default()).then_some(key),
    ))
}

/// A row of a backup: its tree, its key, and its value. A removed row has no value.
type Row<'a> = (Table, &'a [u8], Option<&'a [u8]>);

fn read_row(kind: u8, body: &[u8]) -> Option<Row<'_>> {
    let ([table, length], rest) = body.split_first_chunk()?;
    let table = Table::ALL.get(usize::from(*table)).copied()?;
    let (key, value) = rest.split_at_checked(usize::from(*length))?;
    match kind {
        REMOVE if value.is_empty() => Some((table, key, None)),
        REMOVE => None,
        _ => Some((table, key, Some(value))),
    }
}

/// Creates a data directory from a backup. `key` is the file with the key of the backup's secrets; it is
/// copied into the directory.
///
/// The whole backup is checked first. The directory appears under its name complete, or not at all.
///
/// # Errors
/// See [`RestoreError`]. A directory that is not empty is left unchanged.
pub fn restore(
    backup: &Path,
    target: &Path,
    key: Option<&Path>,
    progress: RestoreProgress<'_>,
) -> Result<BackupInfo, RestoreError> {
    let is_free = match fs::read_dir(target) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => return Err(failed("read", target)(error)),
    };
    if !is_free {
        return Err(RestoreError::NotEmpty { path: target.to_owned() });
    }
    let checked = check(backup, progress)?;
    let key = match (checked.key, key) {
        (Some(id), None) => return Err(RestoreError::KeyNeeded { id: hex::encode(id) }),
        (id, Some(path)) => {
            let unfit = |error| RestoreError::Key { path: path.to_owned(), error };
            SecretCipher::check(path, id).map_err(unfit)?;
            Some(fs::read(path).map_err(failed("read", path))?)
        }
        (None, None) => None,
    };
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(".restoring");
    let building = target.with_file_name(name);
    if building.exists() {
        // Remove the leftover of an interrupted restore.
        fs::remove_dir_all(&building).map_err(failed("remove", &building))?;
    }
    build(backup, &building, &checked, progress)?;
    if let Some(key) = key {
        write_key(&secret_cipher::default_path(&building), &key)?;
    }
    fsync::sync_path(&building).map_err(failed("sync", &building))?;
    fs::rename(&building, target).map_err(failed("name", target))?;
    let parent = target.canonicalize().ok().and_then(|path| path.parent().map(Path::to_owned));
    parent.map_or(Ok(()), |parent| fsync::sync_path(&parent).map_err(failed("sync", &parent)))?;
    Ok(checked.info)
}

fn write_key(path: &Path, key: &[u8]) -> Result<(), RestoreError> {
    let written = || {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(key)?;
        file.sync_all()
    };
    written().map_err(failed("write", path))
}

/// Writes a new log: first the rows of the backup, then the changes that were made while it was taken.
fn build(
    backup: &Path,
    building: &Path,
    checked: &Checked,
    progress: RestoreProgress<'_>,
) -> Result<(), RestoreError> {
    let files = Files::lock(building)?;
    let engine = Engine::open(&files.log(), CACHE_BYTES)?;
    let tables = Tables::open(engine)?;
    let mut meta = Meta { format: checked.meta.format, ..Meta::default() };
    for (pass, doing) in [(true, "writing"), (false, "catching up")] {
        meta = load(backup, &tables, meta, (pass, doing), progress)?;
    }
    if let Some((table, _)) =
        Table::ALL.into_iter().zip(meta.tables.iter().zip(checked.meta.tables)).find(|(_, (a, b))| *a != b)
    {
        let problem = format!("the restored tree {} differs from the backup", table.name());
        return Err(RestoreError::Changed { path: backup.to_owned(), problem });
    }
    let commit_seq = checked.meta.commit_seq.saturating_sub(1);
    tables.apply(&WriteBatch::default(), &Meta { commit_seq, ..checked.meta.clone() })?;
    let before = fsync::syncs();
    tables.flush()?;
    if fsync::syncs() == before {
        return Err(OpenError::NotDurable { path: building.to_owned() }.into());
    }
    files.mark(checked.meta.format)?;
    let witness = files.witness();
    fsync::replace_file(&witness, &format!("{}\n", checked.meta.commit_seq))
        .map_err(failed("write", &witness))
}

/// Writes one part of a backup: its rows or its changes.
fn load(
    backup: &Path,
    tables: &Tables,
    mut meta: Meta,
    (is_for_rows, doing): (bool, &'static str),
    progress: RestoreProgress<'_>,
) -> Result<Meta, RestoreError> {
    let mut frames = Frames::open(backup)?;
    let mut batch = WriteBatch::default();
    let mut told = 0;
    loop {
        let (kind, body) = frames.next()?;
        if batch.len() >= ROWS_MAX || batch.bytes() >= BYTES_MAX || kind == META {
            meta = tables.apply(&batch, &meta)?;
            batch = WriteBatch::default();
        }
        if kind == META {
            return Ok(meta);
        }
        if kind != HEADER && (kind == ROW) == is_for_rows {
            let row = read_row(kind, &body);
            let (table, key, value) =
                row.ok_or_else(|| frames.changed("it has changed since it was checked"))?;
            match value {
                Some(value) => batch.put(table, key, value),
                None => batch.remove(table, key),
            }
        }
        if frames.at - told > PROGRESS_BYTES {
            told = frames.at;
            progress(doing, frames.at, frames.size);
        }
    }
}
