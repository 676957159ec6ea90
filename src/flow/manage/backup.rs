//! Backups: the whole log is read piece by piece while the daemon goes on working.

use bytes::Bytes;
use tokio::sync::mpsc::Sender;

use crate::flow::change::audit::{Action, Actor};
use crate::flow::inner::Flow;
use crate::store::{Backup, BackupError, StoreError, WriteSlot};

impl Flow {
    /// Begins a backup. [`stream_backup`](Self::stream_backup) then reads it.
    ///
    /// # Errors
    /// Another backup is under way, or the store has failed.
    pub async fn begin_backup(&self, actor: &Actor) -> Result<Backup, BackupError> {
        let backup = Backup::new(self.reader.clone(), self.clock.now());
        let begun = self.commit(|place, done| place.begin_backup(&backup, done)).await?;
        if !begun {
            return Err(BackupError::Busy);
        }
        actor.record(Action::BackupBegun, "", "");
        Ok(backup)
    }

    /// Reads a backup and sends its pieces, until it ends or the receiver of the pieces is dropped.
    pub async fn stream_backup(&self, mut backup: Backup, pieces: Sender<Result<Bytes, BackupError>>) {
        loop {
            let (given_back, piece) = match read(backup).await {
                Ok(read) => read,
                Err(error) => return drop(pieces.send(Err(error)).await),
            };
            backup = given_back;
            let Some(piece) = piece else { break };
            if pieces.send(Ok(piece.into())).await.is_err() {
                return;
            }
        }
        let end = self.commit(WriteSlot::end_backup).await;
        let last = end.map_err(BackupError::Store).and_then(|meta| backup.finish(&meta));
        // If the receiver is gone, nobody needs the last piece.
        drop(pieces.send(last.map(Bytes::from)).await);
    }
}

/// Reads the next rows on a thread where blocking is allowed.
async fn read(mut backup: Backup) -> Result<(Backup, Option<Vec<u8>>), BackupError> {
    let work = tokio::task::spawn_blocking(move || {
        let piece = backup.next_rows();
        piece.map(|piece| (backup, piece))
    });
    work.await.unwrap_or_else(|error| {
        Err(BackupError::Store(StoreError::Poisoned { cause: error.to_string().into() }))
    })
}
