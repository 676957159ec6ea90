//! The waiting line as a lane sees it: places in it, pieces of it, and what is taken from it.

use std::sync::Arc;
use std::time::Duration;

use crate::flow::carry::Carried;
use crate::model::id::DeliveryId;
use crate::model::time::Timestamp;

/// A place in the waiting line: when it is due, and which delivery it is.
pub(in crate::flow) type Key = (Timestamp, DeliveryId);

pub(super) const KEY_MIN: Key = (Timestamp::from_millis(0), DeliveryId::from_bits(0));
pub(super) const KEY_MAX: Key = (Timestamp::from_millis(u64::MAX), DeliveryId::from_bits(u128::MAX));

/// Whether a delivery may go. One that is due when it was made may always: if the clock was set back since, its
/// id is of a time to come. So may one that is due later than `wait_max`, the longest wait there is, could have made
/// it: it would wait for as long as the clock was set back.
pub(super) fn is_due((due, id): Key, now: Timestamp, wait_max: Duration) -> bool {
    due <= now || due == id.time() || due > now.after(wait_max)
}

/// A delivery in hand.
#[derive(Clone, Debug)]
pub(in crate::flow) struct Item {
    /// Which.
    pub(in crate::flow) id: DeliveryId,
    /// When it is, or was, due.
    pub(in crate::flow) due: Timestamp,
    /// Whether it has a row in the waiting line on disk.
    pub(in crate::flow) has_row: bool,
    /// Its event, unless it has to be read back.
    pub(in crate::flow) carried: Option<Arc<Carried>>,
}

impl Item {
    /// A delivery that has its row in the waiting line.
    pub(in crate::flow) const fn queued(id: DeliveryId, due: Timestamp) -> Self {
        Self { id, due, has_row: true, carried: None }
    }

    /// A delivery that goes straight from its acceptance to its first attempt.
    pub(in crate::flow) fn fresh(id: DeliveryId, carried: Option<Arc<Carried>>) -> Self {
        Self { id, due: id.time(), has_row: false, carried }
    }

    pub(super) const fn key(&self) -> Key {
        (self.due, self.id)
    }
}

/// How a delivery of an event being accepted will reach its lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::flow) enum Way {
    /// Straight, in hand; a place is kept for it.
    Fresh,
    /// By a row in the waiting line, written with the event.
    Queued,
    /// By a row in the waiting line, written once the event is durable: nobody waits for it.
    Later,
}

/// What a lane wants done.
#[derive(Debug)]
pub(in crate::flow) enum Next {
    /// Make an attempt.
    Start(Item),
    /// Read the waiting line.
    Load(Page),
    /// Read where the probe stands.
    Fetch(Serial, DeliveryId),
    /// Ask again then.
    Wait(Timestamp),
    /// Nothing until something changes.
    Nothing,
}

/// Tells the answer to the latest question from that to one that has become pointless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::flow) struct Serial(pub(super) u64);

/// A piece of the waiting line to be read.
#[derive(Clone, Copy, Debug)]
pub(in crate::flow) struct Page {
    /// Which question this is.
    pub(in crate::flow) serial: Serial,
    /// Rows beyond this one.
    pub(in crate::flow) after: Key,
    /// At most so many.
    pub(in crate::flow) rows_max: usize,
}
