//! Files that record a position in the log: each holds the id of an event.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::fsync;
use crate::model::id::EventId;
use crate::store::error::StoreError;

/// A position in the log that survives a restart. It has a file of its own because it changes when nothing
/// else is written.
#[derive(Clone, Debug)]
pub struct EventCursor(Arc<PathBuf>);

impl EventCursor {
    pub(in crate::store) fn new(path: PathBuf) -> Self {
        Self(Arc::new(path))
    }

    /// Returns the event at the position, or `None` before the first event. Blocks.
    ///
    /// # Errors
    /// If the file cannot be read or holds no event id.
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

    /// Moves the position to this event, durably. Blocks.
    ///
    /// # Errors
    /// If the file cannot be written. The position is unchanged then.
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
