//! The queue of notices that have yet to become events.

use tokio::sync::mpsc;

use crate::model::notice::Notice;

/// The most notices that may wait to become events.
const NOTICES_MAX: usize = 1024;

/// The sending half of the queue.
#[derive(Debug)]
pub(in crate::flow) struct Notices(mpsc::Sender<Notice>);

/// The receiving half of the queue.
#[derive(Debug)]
pub(in crate::flow) struct NoticeReceiver(mpsc::Receiver<Notice>);

impl Notices {
    /// Returns both halves of an empty queue.
    pub(in crate::flow) fn new() -> (Self, NoticeReceiver) {
        let (sender, receiver) = mpsc::channel(NOTICES_MAX);
        (Self(sender), NoticeReceiver(receiver))
    }

    /// Adds a notice. Returns the notice if the queue is full or closed.
    pub(super) fn push(&self, notice: Notice) -> Result<(), Notice> {
        self.0.try_send(notice).map_err(mpsc::error::TrySendError::into_inner)
    }
}

impl NoticeReceiver {
    /// Waits for the next notice. Returns none once the queue is closed and empty. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<Notice> {
        self.0.recv().await
    }
}
