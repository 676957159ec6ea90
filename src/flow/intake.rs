//! The bounds of what is taken in: events and bytes that wait to be made durable, and room on the disk.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::lane::Way;

/// From how many on that wait for it the rows of further events are written with them.
const ROWLESS_MAX: usize = 8192;

/// For how long an answer to how much room the disk has is believed: to ask costs more than all else that is checked.
const DISK_ASKED_EVERY: Duration = Duration::from_millis(100);

/// The bounds of what is taken in: events that wait to be made durable, and room on the disk.
#[derive(Debug)]
pub(super) struct Intake {
    places: Arc<Semaphore>,
    room: Room,
    events_max: usize,
    /// How many deliveries are being given their rows.
    pub(super) rowless: AtomicUsize,
    /// How many bytes the disk had left, and when.
    disk: Mutex<Option<(Instant, u64)>>,
}

impl Intake {
    pub(super) fn new(events_max: usize, bytes_max: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(events_max)),
            room: Room::new(bytes_max),
            events_max,
            rowless: AtomicUsize::new(0),
            disk: Mutex::new(None),
        }
    }

    /// How many bytes the disk has left, as `ask` says or said within the last [`DISK_ASKED_EVERY`].
    pub(super) fn disk_free<E>(&self, now: Instant, ask: impl FnOnce() -> Result<u64, E>) -> Result<u64, E> {
        // A panic while it was held is one of `ask`, which leaves the answer before it.
        let mut known = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        match *known {
            Some((asked, free)) if now.duration_since(asked) < DISK_ASKED_EVERY => Ok(free),
            _ => {
                let free = ask()?;
                *known = Some((now, free));
                Ok(free)
            }
        }
    }

    /// How many events wait, and how many may.
    pub(super) fn queued(&self) -> (usize, usize) {
        (self.events_max.saturating_sub(self.places.available_permits()), self.events_max)
    }

    /// The way that a delivery takes of which its lane says `way`: where many are to get their rows already, those
    /// of more events are written with them, so that no flood of them is kept in memory.
    pub(super) fn way(&self, way: Way) -> Way {
        let is_behind = self.rowless.load(Ordering::Relaxed) >= ROWLESS_MAX;
        if is_behind && way == Way::Later { Way::Queued } else { way }
    }

    /// Places for so many events, whose bodies take `held`, until what is returned is dropped. A list of more events
    /// than there are places takes all of them.
    pub(super) fn try_enter(&self, events: usize, held: Held) -> Option<Places> {
        let places = u32::try_from(events.min(self.events_max)).ok()?;
        let events = Arc::clone(&self.places).try_acquire_many_owned(places).ok()?;
        Some(Places { _events: events, _held: held })
    }

    /// Room for the bodies of requests.
    pub(super) const fn room(&self) -> &Room {
        &self.room
    }
}

/// Places in the queue of events, and the room that their bodies take; given back when dropped.
#[derive(Debug)]
pub(super) struct Places {
    _events: OwnedSemaphorePermit,
    _held: Held,
}

/// Room in memory for the bodies of requests.
#[derive(Debug)]
pub struct Room {
    left: Arc<Semaphore>,
    bytes_max: usize,
}

/// Room that is taken; given back when dropped.
#[derive(Debug, Default)]
pub struct Held(Option<OwnedSemaphorePermit>);

impl Room {
    /// For so many bytes.
    pub fn new(bytes_max: usize) -> Self {
        let bytes_max = bytes_max.min(Semaphore::MAX_PERMITS);
        Self { left: Arc::new(Semaphore::new(bytes_max)), bytes_max }
    }

    /// Adds so many bytes to what is held; false if there is not so much room.
    #[must_use]
    pub fn take(&self, held: &mut Held, bytes: usize) -> bool {
        let more = u32::try_from(bytes).ok();
        let more = more.and_then(|more| Arc::clone(&self.left).try_acquire_many_owned(more).ok());
        let Some(more) = more else { return false };
        match &mut held.0 {
            Some(permit) => permit.merge(more),
            None => held.0 = Some(more),
        }
        true
    }

    /// How many bytes are held, and how many may be.
    pub fn held(&self) -> (usize, usize) {
        (self.bytes_max.saturating_sub(self.left.available_permits()), self.bytes_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Clock;

    #[test]
    fn rows_come_with_their_events_where_many_are_owed() {
        let intake = Intake::new(1, 1);
        intake.rowless.store(ROWLESS_MAX - 1, Ordering::Relaxed);
        assert_eq!(intake.way(Way::Later), Way::Later);
        intake.rowless.store(ROWLESS_MAX, Ordering::Relaxed);
        assert_eq!(intake.way(Way::Later), Way::Queued);
        assert_eq!(intake.way(Way::Fresh), Way::Fresh);
    }

    #[test]
    fn the_disk_is_asked_again_after_a_while_and_after_a_failure() {
        let (intake, start) = (Intake::new(1, 1), Clock::system().instant());
        let at = |ms, answer: Result<u64, ()>| intake.disk_free(start + Duration::from_millis(ms), || answer);
        assert_eq!(at(0, Err(())), Err(()));
        assert_eq!(at(0, Ok(7)), Ok(7));
        assert_eq!(at(99, Ok(8)), Ok(7));
        assert_eq!(at(100, Ok(9)), Ok(9));
        assert_eq!(at(199, Err(())), Ok(9));
        assert_eq!(at(200, Err(())), Err(()));
        assert_eq!(at(201, Ok(1)), Ok(1));
    }

    #[test]
    fn what_is_held_is_given_back_at_the_end_and_only_then() {
        let room = Room::new(10);
        let mut held = Held::default();
        assert!(room.take(&mut held, 4) && room.take(&mut held, 6) && room.held() == (10, 10));
        assert!(!room.take(&mut held, 1));
        drop(held);
        assert_eq!(room.held(), (0, 10));
        let mut other = Held::default();
        assert!(!room.take(&mut other, 11) && room.take(&mut other, 10));
        let intake = Intake::new(1, 1);
        let places = intake.try_enter(1, other).unwrap();
        assert!(intake.try_enter(1, Held::default()).is_none() && room.held().0 == 10);
        drop(places);
        assert!(intake.try_enter(1, Held::default()).is_some() && room.held().0 == 0);
    }
}
