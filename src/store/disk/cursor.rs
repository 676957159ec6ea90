//! How far somebody has read the log: an event's id in a file of its own beside it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::fsync;
use crate::model::id::EventId;
use crate::store::error::StoreError;

/// A place in the log that outlives a restart. Not in the log itself: it is written when nothing else is.
#[derive(Clone, Debug)]
pub struct EventCursor(Arc<PathBuf>);

impl EventCursor {
    pub(in crate::store) fn new(path: PathBuf) -> Self {
        Self(Arc::new(path))
    }

    /// The event that was reached; none before the first. Blocks.
    ///
    /// # Errors
    /// If the file cannot be read or names no event.
    pub fn read(&self) -> Result<Option<EventId>, StoreError> {
        let text = match std::fs::read_to_string(&*self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed(error)),
        };
        let id = text.trim().parse().map(Some);
        id.map_err(|_| {
            self.failed(io::Error::new(io::ErrorKind::InvalidData, "it names no event: remove it"))
        })
    }

    /// Puts it at this event, durably. Blocks.
    ///
    /// # Errors
    /// If the file cannot be written; then it is where it was.
    pub fn put(&self, id: EventId) -> Result<(), StoreError> {
        fsync::replace_file(&self.0, &format!("{id}\n")).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> StoreError {
        StoreError::EventCursor { path: self.0.to_path_buf(), error: Arc::new(error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bookmark_is_where_it_was_put_last() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mailed");
        let bookmark = EventCursor::new(path.clone());
        assert_eq!(bookmark.read().unwrap(), None);
        for bits in [7, 5] {
            bookmark.put(EventId::from_bits(bits)).unwrap();
            assert_eq!(EventCursor::new(path.clone()).read().unwrap(), Some(EventId::from_bits(bits)));
        }
        std::fs::write(&path, "evt_").unwrap();
        assert!(bookmark.read().is_err());
    }
}
