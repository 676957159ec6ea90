//! Notices about the free space of the disk.

use std::time::Duration;

use crate::flow::inner::Flow;
use crate::model::notice::{Notice, NoticeKind};
use crate::store::Reader;

/// The pause between two checks of the free space.
const CHECK_EVERY: Duration = Duration::from_secs(10);

impl Flow {
    /// Watches the free space of the disk. Never returns.
    pub(in crate::flow) async fn run_storage_watch(self) {
        let mut is_low = false;
        loop {
            match self.read(Reader::disk_free).await {
                Ok(free) => is_low = self.check_storage(is_low, free),
                Err(error) => tracing::warn!(%error, "failed to read the free space of the disk"),
            }
            tokio::time::sleep(CHECK_EVERY).await;
        }
    }

    /// Returns whether the free space is low, and raises a notice if that has changed.
    ///
    /// The space is low below twice the reserve, and no longer low from three times the reserve on.
    fn check_storage(&self, was_low: bool, free: u64) -> bool {
        let reserve = self.config.load().storage.disk_reserve;
        let bound = reserve.saturating_mul(if was_low { 3 } else { 2 });
        let is_low = free < bound;
        let kind = match (was_low, is_low) {
            (false, true) => {
                tracing::warn!(free, reserve, "the disk is nearly full");
                NoticeKind::StorageLow
            }
            (true, false) => {
                tracing::info!(free, reserve, "the disk has enough free space again");
                NoticeKind::StorageRecovered
            }
            _ => return is_low,
        };
        self.raise(Notice::of_storage(kind, free, reserve, self.clock.now()));
        is_low
    }
}
