//! Begins and ends a backup, between two transactions.

use std::sync::{Arc, Weak};

use super::writer::Applier;
use crate::store::error::StoreError;
use crate::store::read::backup::Tee;
use crate::store::rows::record;

impl Applier {
    /// From now on the tee gets a copy of each transaction; false if another one does already.
    pub(in crate::store) fn begin_backup(&mut self, tee: &Arc<Tee>) -> Result<bool, StoreError> {
        self.cut()?;
        if self.tee.strong_count() > 0 {
            return Ok(false);
        }
        self.tee = Arc::downgrade(tee);
        Ok(true)
    }

    /// The tee gets no more; the meta row of the log as it then is.
    pub(in crate::store) fn end_backup(&mut self) -> Result<Vec<u8>, StoreError> {
        self.cut()?;
        self.tee = Weak::new();
        Ok(record::meta(&self.meta))
    }
}
