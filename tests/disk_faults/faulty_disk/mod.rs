//! A disk that can be watched and broken: replacements for the C library's calls that change files.
//!
//! Each definition below wins at link time over the shared library's, as `sync_file_range` does in the store,
//! so the standard library and sled call it. Outside the watched directory it only forwards the call. Inside,
//! it performs and records one call at a time, and can make the n-th call fail or be the last. Syncs are not
//! forwarded: a mark in the record stands for them.

pub(crate) mod image;
pub(crate) mod record;
pub(crate) mod work;

use std::ffi::{CStr, OsStr, c_char, c_int, c_long, c_uint, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use record::{Op, Record};

/// A fault of the n-th change of the watched directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Only this change fails, with this error number.
    Error(u64, c_int),
    /// This change and all later ones fail. A write is half done, any other change is not done at all.
    Cut(u64),
}

struct Watch {
    record: Record,
    fault: Option<Fault>,
    changes: u64,
    fired: bool,
}

static WATCH: Mutex<Option<Watch>> = Mutex::new(None);

/// Each test holds this lock while it runs, since a process watches one directory at a time.
pub(crate) static ONE_TEST: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn watch() -> MutexGuard<'static, Option<Watch>> {
    WATCH.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Watches `root`, which need not exist yet, until [`stop`].
pub(crate) fn start(root: &Path, fault: Option<Fault>) {
    let root = root.parent().unwrap().canonicalize().unwrap().join(root.file_name().unwrap());
    let old = watch().replace(Watch { record: Record::new(root), fault, changes: 0, fired: false });
    assert!(old.is_none(), "one directory at a time");
}

/// Returns the number of recorded operations.
pub(crate) fn position() -> usize {
    watch().as_ref().map_or(0, |watch| watch.record.ops.len())
}

/// Returns whether the fault has occurred.
pub(crate) fn fired() -> bool {
    watch().as_ref().is_some_and(|watch| watch.fired)
}

/// Stops watching and returns the record.
pub(crate) fn stop() -> Record {
    watch().take().unwrap().record
}

/// Ends a watch that a failed test left active.
pub(crate) fn clear() {
    *watch() = None;
}

/// The decision about a call.
enum Verdict {
    Go,
    Fail(c_int),
    /// Do half of a write, then fail.
    Half,
}

impl Watch {
    fn verdict(&mut self) -> Verdict {
        self.changes += 1;
        match self.fault {
            Some(Fault::Error(at, number)) if at == self.changes => {
                self.fired = true;
                Verdict::Fail(number)
            }
            Some(Fault::Cut(at)) if at == self.changes => {
                self.fired = true;
                Verdict::Half
            }
            Some(Fault::Cut(at)) if at < self.changes => Verdict::Fail(libc::EIO),
            _ => Verdict::Go,
        }
    }
}

fn refuse(number: c_int) -> c_int {
    // SAFETY: a thread may always write its own error number.
    unsafe { *libc::__errno_location() = number };
    -1
}

/// Converts the result of a call that returns a small number.
fn number(result: c_long) -> c_int {
    c_int::try_from(result).unwrap_or(-1)
}

/// Converts the result of a call that returns a number of bytes.
fn size(result: c_long) -> isize {
    isize::try_from(result).unwrap_or(-1)
}

fn path_of(text: *const c_char) -> PathBuf {
    // SAFETY: the callers pass on a path they were given: a string that ends with a zero byte.
    let text = unsafe { CStr::from_ptr(text) };
    let path = Path::new(OsStr::from_bytes(text.to_bytes()));
    // The directories above exist, and no test replaces them by links.
    if path.is_absolute() { path.to_owned() } else { std::env::current_dir().unwrap().join(path) }
}

/// Returns the path of an open file, or `None` if it is not a file or is unlinked.
fn path_of_file(fd: c_int) -> Option<PathBuf> {
    let path = std::fs::read_link(format!("/proc/self/fd/{fd}")).ok()?;
    (path.is_absolute() && !path.to_string_lossy().ends_with(" (deleted)")).then_some(path)
}

/// Performs a call on a path in the watched directory. `go` performs it, and `op` describes it after success.
fn on_path(path: &Path, go: impl FnOnce() -> c_int, op: impl FnOnce() -> Option<Op>) -> c_int {
    let mut guard = watch();
    let Some(watch) = guard.as_mut().filter(|watch| path.starts_with(&watch.record.root)) else {
        drop(guard);
        return go();
    };
    match watch.verdict() {
        Verdict::Go => {
            let done = go();
            if done >= 0
                && let Some(op) = op()
            {
                watch.record.add(op);
            }
            done
        }
        Verdict::Fail(number) => refuse(number),
        Verdict::Half => refuse(libc::EIO),
    }
}

/// Performs a write of `length` bytes. `go` writes the given number of them.
fn on_write(
    fd: c_int,
    bytes: *const c_void,
    length: usize,
    offset: Option<i64>,
    go: impl Fn(usize) -> isize,
) -> isize {
    let Some(path) = path_of_file(fd) else { return go(length) };
    let mut guard = watch();
    let Some(watch) = guard.as_mut().filter(|watch| path.starts_with(&watch.record.root)) else {
        drop(guard);
        return go(length);
    };
    // SAFETY: lseek takes no pointers.
    let offset = offset.unwrap_or_else(|| unsafe { libc::lseek64(fd, 0, libc::SEEK_CUR) });
    let note = |watch: &mut Watch, done: isize| {
        if let Ok(done) = usize::try_from(done) {
            // SAFETY: the kernel has just read this many bytes from there.
            let bytes = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), done) };
            watch.record.add(Op::Write {
                path: path.clone(),
                offset: offset.cast_unsigned(),
                bytes: bytes.into(),
            });
        }
        done
    };
    match watch.verdict() {
        Verdict::Go => note(watch, go(length)),
        Verdict::Fail(number) => refuse(number) as isize,
        Verdict::Half => {
            note(watch, go(length / 2));
            refuse(libc::EIO) as isize
        }
    }
}

fn on_sync(fd: c_int, call: c_long) -> c_int {
    // SAFETY: fsync and fdatasync take no pointers.
    let go = || number(unsafe { libc::syscall(call, fd) });
    let Some(path) = path_of_file(fd) else { return go() };
    let is_watched = watch().as_ref().is_some_and(|watch| path.starts_with(&watch.record.root));
    if !is_watched {
        return go();
    }
    on_path(
        &path,
        || 0,
        || Some(if path.is_dir() { Op::SyncFolder(path.clone()) } else { Op::SyncFile(path.clone()) }),
    )
}

/// # Safety
/// As `write(2)`.
#[unsafe(no_mangle)]
unsafe extern "C" fn write(fd: c_int, bytes: *const c_void, length: usize) -> isize {
    // SAFETY: the caller guarantees that the bytes are valid.
    on_write(fd, bytes, length, None, |length| {
        size(unsafe { libc::syscall(libc::SYS_write, fd, bytes, length) })
    })
}

/// # Safety
/// As `pwrite(2)`.
#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite64(fd: c_int, bytes: *const c_void, length: usize, offset: i64) -> isize {
    // SAFETY: the caller guarantees that the bytes are valid.
    let go = |length: usize| size(unsafe { libc::syscall(libc::SYS_pwrite64, fd, bytes, length, offset) });
    on_write(fd, bytes, length, Some(offset), go)
}

/// # Safety
/// As `ftruncate(2)`.
#[unsafe(no_mangle)]
unsafe extern "C" fn ftruncate64(fd: c_int, length: i64) -> c_int {
    // SAFETY: ftruncate takes no pointers.
    let go = || number(unsafe { libc::syscall(libc::SYS_ftruncate, fd, length) });
    let Some(path) = path_of_file(fd) else { return go() };
    on_path(&path, go, || Some(Op::Truncate { path: path.clone(), length: length.cast_unsigned() }))
}

/// # Safety
/// As `fsync(2)`.
#[unsafe(no_mangle)]
unsafe extern "C" fn fsync(fd: c_int) -> c_int {
    on_sync(fd, libc::SYS_fsync)
}

/// # Safety
/// As `fdatasync(2)`.
#[unsafe(no_mangle)]
unsafe extern "C" fn fdatasync(fd: c_int) -> c_int {
    on_sync(fd, libc::SYS_fdatasync)
}

/// # Safety
/// As `open(2)`; the mode is read whether or not the flags ask for it.
#[unsafe(no_mangle)]
unsafe extern "C" fn open64(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    // SAFETY: the caller guarantees that the path is valid.
    let go = || number(unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path, flags, mode) });
    if flags & (libc::O_CREAT | libc::O_TRUNC) == 0 {
        return go();
    }
    let path = path_of(path);
    if path.exists() {
        let emptied = flags & libc::O_TRUNC != 0;
        if !emptied {
            return go();
        }
        return on_path(&path, go, || Some(Op::Truncate { path: path.clone(), length: 0 }));
    }
    on_path(&path, go, || Some(Op::Create(path.clone())))
}

/// # Safety
/// As `rename(2)`.
#[unsafe(no_mangle)]
unsafe extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    let (old, new) = (path_of(from), path_of(to));
    // SAFETY: the caller guarantees that the paths are valid.
    let go =
        || number(unsafe { libc::syscall(libc::SYS_renameat2, libc::AT_FDCWD, from, libc::AT_FDCWD, to, 0) });
    on_path(&new, go, || Some(Op::Rename(old, new.clone())))
}

/// # Safety
/// As `unlink(2)`.
#[unsafe(no_mangle)]
unsafe extern "C" fn unlink(path: *const c_char) -> c_int {
    // SAFETY: the caller guarantees that the path is valid.
    let go = || number(unsafe { libc::syscall(libc::SYS_unlinkat, libc::AT_FDCWD, path, 0) });
    let path = path_of(path);
    on_path(&path, go, || Some(Op::Unlink(path.clone())))
}

/// # Safety
/// As `linkat(2)`.
#[unsafe(no_mangle)]
unsafe extern "C" fn linkat(
    from_folder: c_int,
    from: *const c_char,
    to_folder: c_int,
    to: *const c_char,
    flags: c_int,
) -> c_int {
    let (old, new) = (path_of(from), path_of(to));
    // SAFETY: the caller guarantees that the paths are valid.
    let go = || number(unsafe { libc::syscall(libc::SYS_linkat, from_folder, from, to_folder, to, flags) });
    on_path(&new, go, || Some(Op::Link(old, new.clone())))
}

/// # Safety
/// As `mkdir(2)`.
#[unsafe(no_mangle)]
unsafe extern "C" fn mkdir(path: *const c_char, mode: c_uint) -> c_int {
    // SAFETY: the caller guarantees that the path is valid.
    let go = || number(unsafe { libc::syscall(libc::SYS_mkdirat, libc::AT_FDCWD, path, mode) });
    let path = path_of(path);
    on_path(&path, go, || Some(Op::Mkdir(path.clone())))
}
