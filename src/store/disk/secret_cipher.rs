//! Encrypts secrets at rest. Only the key file can decrypt them.
//!
//! A sealed value is the id of its key (8 bytes), a random nonce (12 bytes), and the ciphertext with its tag
//! (ChaCha20-Poly1305, RFC 8439). The id of its row is authenticated with it, so a value cannot be moved to
//! another row. The first start creates the key file. A start never creates a new key if something is sealed
//! already.

use std::fmt;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};

use super::fsync;
use crate::store::error::{KeyError, SealError};

const KEY_BYTES: usize = 32;
const ID_BYTES: usize = 8;
const PURPOSE: &[u8] = b"postrider sealed v1";

/// The id of a key. It reveals nothing about the key.
pub(in crate::store) type KeyId = [u8; ID_BYTES];

/// Seals and unseals values. Cloning is cheap, and `Debug` shows no key.
#[derive(Clone)]
pub(in crate::store) struct SecretCipher {
    key: Arc<LessSafeKey>,
    id: KeyId,
    random: SystemRandom,
}

impl fmt::Debug for SecretCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretCipher(…)")
    }
}

impl SecretCipher {
    /// Reads the key file, or creates it if it does not exist and nothing is sealed. `sealed_by` is the key
    /// that sealed the values in the store, if any.
    pub(in crate::store) fn open(path: &Path, sealed_by: Option<KeyId>) -> Result<Self, KeyError> {
        let cipher = match read(path) {
            Ok(key) => Self::new(&key),
            Err(KeyError::Missing) if sealed_by.is_none() => Self::new(&create(path)?),
            Err(error) => return Err(error),
        };
        if sealed_by.is_none_or(|id| id == cipher.id) { Ok(cipher) } else { Err(KeyError::Wrong) }
    }

    /// Returns an error if the key file cannot be used, or does not hold the key that sealed the values in
    /// the store.
    pub(in crate::store) fn check(path: &Path, sealed_by: Option<KeyId>) -> Result<(), KeyError> {
        let cipher = Self::new(&read(path)?);
        if sealed_by.is_none_or(|id| id == cipher.id) { Ok(()) } else { Err(KeyError::Wrong) }
    }

    #[expect(clippy::expect_used, reason = "the key has the length of the algorithm's keys")]
    pub(in crate::store) fn new(key: &[u8; KEY_BYTES]) -> Self {
        let unbound = UnboundKey::new(&CHACHA20_POLY1305, key).expect("the key has 32 bytes");
        let named = digest(&SHA256, &[b"postrider key id", key.as_slice()].concat());
        let mut id = KeyId::default();
        id.iter_mut().zip(named.as_ref()).for_each(|(to, from)| *to = *from);
        Self { key: Arc::new(LessSafeKey::new(unbound)), id, random: SystemRandom::new() }
    }

    /// Encrypts `plain` for the row `of`.
    pub(in crate::store) fn seal(&self, of: u128, mut plain: Vec<u8>) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).map_err(|_| SealError)?;
        let used = Nonce::assume_unique_for_key(nonce);
        self.key.seal_in_place_append_tag(used, aad(of), &mut plain).map_err(|_| SealError)?;
        Ok([self.id.as_slice(), &nonce, &plain].concat())
    }

    /// Decrypts a value of the row `of`. Returns `None` if the value was changed, or was sealed for another
    /// row or with another key.
    pub(in crate::store) fn unseal(&self, of: u128, sealed: &[u8]) -> Option<Vec<u8>> {
        let (id, rest) = sealed.split_first_chunk::<ID_BYTES>()?;
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_LEN>()?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let mut bytes = ciphertext.to_vec();
        let plain = self.key.open_in_place(nonce, aad(of), &mut bytes).ok()?;
        (*id == self.id).then(|| plain.to_vec())
    }
}

/// Returns the id of the key that sealed a value.
pub(in crate::store) fn key_id(sealed: &[u8]) -> Option<KeyId> {
    sealed.first_chunk().copied()
}

fn aad(of: u128) -> Aad<Vec<u8>> {
    Aad::from([PURPOSE, &of.to_be_bytes()].concat())
}

fn read(path: &Path) -> Result<[u8; KEY_BYTES], KeyError> {
    let about = match fs::metadata(path) {
        Ok(about) => about,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(KeyError::Missing),
        Err(error) => return Err(KeyError::Unreadable(error)),
    };
    if !about.is_file() {
        return Err(KeyError::Unreadable(io::Error::other("it is not a file")));
    }
    if about.mode() & 0o077 != 0 {
        return Err(KeyError::Exposed(about.mode() & 0o7777));
    }
    if about.len() != KEY_BYTES as u64 {
        return Err(KeyError::Length(about.len()));
    }
    let bytes = fs::read(path).map_err(KeyError::Unreadable)?;
    bytes.try_into().map_err(|bytes: Vec<u8>| KeyError::Length(bytes.len() as u64))
}

/// Creates a key file durably. It exists with its whole content, or not at all.
fn create(path: &Path) -> Result<[u8; KEY_BYTES], KeyError> {
    let mut key = [0; KEY_BYTES];
    SystemRandom::new().fill(&mut key).map_err(|_| KeyError::Create(io::Error::other(SealError)))?;
    write(path, &key).map_err(KeyError::Create)?;
    tracing::info!(path = %path.display(), "created the key file that seals secrets: keep a copy apart from the data");
    Ok(key)
}

fn write(path: &Path, key: &[u8]) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    make_private_folder(folder)?;
    let next = path.with_extension("next");
    // Remove the leftover of an interrupted start. That key was never used, because the final name is given
    // by a link.
    match fs::remove_file(&next) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&next)?;
    file.write_all(key)?;
    file.sync_all()?;
    fs::hard_link(&next, path)?;
    fs::remove_file(&next)?;
    fsync::sync_path(folder)
}

/// Creates a directory that only its owner can enter, if it does not exist.
pub(in crate::store) fn make_private_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|parent| *parent != Path::new("")) {
        fs::create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made,
    }
}

/// Returns the default path of a store's key file.
pub(in crate::store) fn default_path(root: &Path) -> PathBuf {
    root.join("key")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn what_is_sealed_opens_with_its_key_for_its_row_unchanged_and_not_otherwise() {
        let (cipher, other) = (SecretCipher::new(&[7; 32]), SecretCipher::new(&[8; 32]));
        let sealed = cipher.seal(9, b"hush".to_vec()).unwrap();
        assert_eq!(cipher.unseal(9, &sealed).unwrap(), b"hush");
        assert_eq!(sealed.len(), ID_BYTES + NONCE_LEN + 4 + 16);
        assert!(!sealed.windows(4).any(|part| part == b"hush"));
        assert_ne!(cipher.seal(9, b"hush".to_vec()).unwrap(), sealed, "each has a nonce of its own");
        assert_eq!(key_id(&sealed), Some(cipher.id));
        assert_eq!(cipher.unseal(10, &sealed), None);
        assert_eq!(other.unseal(9, &sealed), None);
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert_eq!(cipher.unseal(9, &changed), None, "{index}");
            assert_eq!(cipher.unseal(9, &sealed[..index]), None, "{index}");
        }
        assert_eq!(format!("{cipher:?}"), "SecretCipher(…)");
    }

    #[test]
    fn a_key_file_is_made_once_for_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("private/key");
        fs::create_dir_all(directory.path()).unwrap();
        let first = SecretCipher::open(&path, None).unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        let bytes = fs::read(&path).unwrap();
        assert_eq!(SecretCipher::open(&path, Some(first.id)).unwrap().id, first.id);
        assert_eq!(fs::read(&path).unwrap(), bytes);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        let second = SecretCipher::open(&directory.path().join("other"), None).unwrap();
        assert_ne!(second.id, first.id);
    }

    #[test]
    fn a_start_that_broke_off_while_it_made_the_key_hinders_no_later_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        fs::write(path.with_extension("next"), "half").unwrap();
        SecretCipher::open(&path, None).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_key_file_that_cannot_be_trusted_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let id = SecretCipher::open(&path, None).unwrap().id;
        for exposed in [0o640, 0o604, 0o620, 0o602, 0o601, 0o644] {
            chmod(&path, exposed);
            let error = SecretCipher::open(&path, None).unwrap_err();
            assert!(matches!(error, KeyError::Exposed(mode) if mode == exposed), "{error}");
        }
        for kept in [0o600, 0o400] {
            chmod(&path, kept);
            assert!(SecretCipher::open(&path, Some(id)).is_ok());
        }
        assert!(matches!(SecretCipher::open(&path, Some([0; 8])), Err(KeyError::Wrong)));
        chmod(&path, 0o600);
        for length in [0, 31, 33] {
            fs::write(&path, vec![1; length]).unwrap();
            let error = SecretCipher::open(&path, None).unwrap_err();
            assert!(matches!(error, KeyError::Length(bytes) if bytes == length as u64), "{error}");
        }
        fs::remove_file(&path).unwrap();
        assert!(matches!(SecretCipher::open(&path, Some(id)), Err(KeyError::Missing)));
        assert!(!path.exists(), "no new key is made while something is sealed with the old one");
        fs::create_dir(&path).unwrap();
        assert!(matches!(SecretCipher::open(&path, None), Err(KeyError::Unreadable(_))));
    }
}
