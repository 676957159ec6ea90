//! The data directory: its lock, its files, the key file, and durable writes.

pub(super) mod cursor;
pub(super) mod files;
pub(super) mod fsync;
pub(super) mod panic_guard;
pub(super) mod secret_cipher;
