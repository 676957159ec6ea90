//! Begins and ends a backup, between two transactions.

use std::sync::Arc;

use super::writer::Writer;
use crate::store::error::StoreError;
use crate::store::read::backup::ChangeCapture;
use crate::store::rows::change_feed::ChangeSubscriber;
use crate::store::rows::record;

impl Writer {
    /// Subscribes a backup to the changes from now on. Returns false if another backup is being taken.
    pub(in crate::store) fn begin_backup(
        &mut self,
        capture: &Arc<ChangeCapture>,
    ) -> Result<bool, StoreError> {
        self.write_batch()?;
        if self.backup.strong_count() > 0 {
            return Ok(false);
        }
        self.backup = Arc::downgrade(capture);
        let subscriber: Arc<dyn ChangeSubscriber> = Arc::<ChangeCapture>::clone(capture);
        self.feed.subscribe(Arc::downgrade(&subscriber));
        Ok(true)
    }

    /// Ends the backup's subscription. Returns the meta row of the log as it is now.
    pub(in crate::store) fn end_backup(&mut self) -> Result<Vec<u8>, StoreError> {
        self.write_batch()?;
        if let Some(capture) = std::mem::take(&mut self.backup).upgrade() {
            let subscriber: Arc<dyn ChangeSubscriber> = capture;
            self.feed.unsubscribe(&subscriber);
        }
        Ok(record::meta(self.feed.meta()))
    }
}
