//! Makes sled's flush durable.
//!
//! sled 0.34 ends a flush with `sync_file_range`. That call writes neither the length and extents of the file
//! nor the cache of the device, so acknowledged rows can be lost in a power cut. The definition below
//! replaces the C library's function at link time and calls `fdatasync`. [`syncs`] counts the calls.
//! [`open`](super::open) fails if a flush does not increase that count, so that another linker or platform
//! cannot silently bring the weaker call back.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

static SYNCS: AtomicU64 = AtomicU64::new(0);

/// Returns how many times this process has forced a log to the disk.
pub(in crate::store) fn syncs() -> u64 {
    SYNCS.load(Ordering::Acquire)
}

/// Replaces the function of the C library with the same name. Everything written to `fd` is on the disk when
/// it returns 0.
///
/// # Safety
/// sled calls it with a file descriptor that it holds open. Any other value yields -1 and `EBADF`.
#[unsafe(no_mangle)]
#[expect(unsafe_code, reason = "the symbol that sled calls can only be replaced by one of the same name")]
pub(in crate::store) unsafe extern "C" fn sync_file_range(
    fd: libc::c_int,
    _: i64,
    _: i64,
    _: libc::c_uint,
) -> libc::c_int {
    // SAFETY: fdatasync takes no pointers and checks the descriptor itself.
    let result = unsafe { libc::fdatasync(fd) };
    if result == 0 {
        SYNCS.fetch_add(1, Ordering::AcqRel);
    }
    result
}

/// Forces the content of a file, or the entries of a directory, to the disk.
pub(in crate::store) fn sync_path(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Replaces the content of the file at `path` atomically: after a crash the file has the old text or the new.
pub(in crate::store) fn replace_file(path: &Path, text: &str) -> io::Result<()> {
    let next = path.with_extension("next");
    let mut file = File::create(&next)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&next, path)?;
    path.parent().map_or(Ok(()), sync_path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_has_the_new_text_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("witness");
        for text in ["a longer text\n", "short\n"] {
            replace_file(&path, text).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
