//! The limits on accepting events: queued events, bytes of request bodies, and free space on the disk.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::lane::Route;

/// The number of deliveries without a row from which on new rows are written together with their events.
const ROWLESS_MAX: usize = 8192;

/// The time for which a reading of the free disk space is used. Asking the disk costs more than all other checks together.
const DISK_FREE_FOR: Duration = Duration::from_millis(100);

/// Enforces the limits on accepting events.
#[derive(Debug)]
pub(super) struct Intake {
    queue: Arc<Semaphore>,
    bodies: BodyBudget,
    events_max: usize,
    /// The number of deliveries that wait for their row on disk.
    rowless: AtomicUsize,
    /// When the free disk space was read, and what it was.
    disk: Mutex<Option<(Instant, u64)>>,
}

impl Intake {
    /// Returns the limits of `events_max` queued events and `bytes_max` bytes of request bodies.
    pub(super) fn new(events_max: usize, bytes_max: usize) -> Self {
        Self {
            queue: Arc::new(Semaphore::new(events_max)),
            bodies: BodyBudget::new(bytes_max),
            events_max,
            rowless: AtomicUsize::new(0),
            disk: Mutex::new(None),
        }
    }

    /// Returns the free bytes of the disk, read by `ask` now or within the last [`DISK_FREE_FOR`].
    pub(super) fn disk_free<E>(&self, now: Instant, ask: impl FnOnce() -> Result<u64, E>) -> Result<u64, E> {
        // Only `ask` can panic under the lock, which leaves the reading before it.
        let mut known = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        match *known {
            Some((asked, free)) if now.duration_since(asked) < DISK_FREE_FOR => Ok(free),
            _ => {
                let free = ask()?;
                *known = Some((now, free));
                Ok(free)
            }
        }
    }

    /// Returns how many events wait to be made durable, and how many may.
    pub(super) fn queued(&self) -> (usize, usize) {
        (self.events_max.saturating_sub(self.queue.available_permits()), self.events_max)
    }

    /// Returns the route of a delivery whose lane chose `route`.
    ///
    /// If too many deliveries wait for their row, the rows of new deliveries are written with their events. This bounds
    /// the memory that deliveries without a row take.
    pub(super) fn route(&self, route: Route) -> Route {
        let is_behind = self.rowless.load(Ordering::Relaxed) >= ROWLESS_MAX;
        if is_behind && route == Route::DiskLater { Route::Disk } else { route }
    }

    /// Counts deliveries that begin to wait for their row.
    pub(super) fn add_rowless(&self, count: usize) {
        self.rowless.fetch_add(count, Ordering::Relaxed);
    }

    /// Counts deliveries that have got their row.
    pub(super) fn remove_rowless(&self, count: usize) {
        self.rowless.fetch_sub(count, Ordering::Relaxed);
    }

    /// Takes places in the queue of events until the permit is dropped, or returns none if the queue is full.
    ///
    /// A list of more events than the queue has places takes all of them. The permit includes `body`, the memory of the
    /// events' bodies.
    pub(super) fn try_enter(&self, events: usize, body: BodyPermit) -> Option<QueuePermit> {
        let places = u32::try_from(events.min(self.events_max)).ok()?;
        let events = Arc::clone(&self.queue).try_acquire_many_owned(places).ok()?;
        Some(QueuePermit { _events: events, _body: body })
    }

    /// Returns the memory budget for the bodies of requests.
    pub(super) const fn bodies(&self) -> &BodyBudget {
        &self.bodies
    }
}

/// Places in the queue of events, and the memory of their bodies. Dropping it gives both back.
#[derive(Debug)]
pub(super) struct QueuePermit {
    _events: OwnedSemaphorePermit,
    _body: BodyPermit,
}

/// The memory budget for the bodies of requests.
#[derive(Debug)]
pub struct BodyBudget {
    left: Arc<Semaphore>,
    bytes_max: usize,
}

/// Memory reserved for the body of a request. Dropping it gives the memory back.
#[derive(Debug, Default)]
pub struct BodyPermit(Option<OwnedSemaphorePermit>);

impl BodyBudget {
    /// Returns a budget of `bytes_max` bytes.
    pub fn new(bytes_max: usize) -> Self {
        let bytes_max = bytes_max.min(Semaphore::MAX_PERMITS);
        Self { left: Arc::new(Semaphore::new(bytes_max)), bytes_max }
    }

    /// Adds `bytes` to `permit`. Returns false if the budget has not so much left.
    #[must_use]
    pub fn reserve(&self, permit: &mut BodyPermit, bytes: usize) -> bool {
        let more = u32::try_from(bytes).ok();
        let more = more.and_then(|more| Arc::clone(&self.left).try_acquire_many_owned(more).ok());
        let Some(more) = more else { return false };
        match &mut permit.0 {
            Some(permit) => permit.merge(more),
            None => permit.0 = Some(more),
        }
        true
    }

    /// Returns how many bytes are reserved, and how many may be.
    pub fn usage(&self) -> (usize, usize) {
        (self.bytes_max.saturating_sub(self.left.available_permits()), self.bytes_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Clock;

    #[test]
    fn rows_are_written_with_their_events_if_too_many_deliveries_lack_one() {
        let intake = Intake::new(1, 1);
        intake.add_rowless(ROWLESS_MAX - 1);
        assert_eq!(intake.route(Route::DiskLater), Route::DiskLater);
        intake.add_rowless(1);
        assert_eq!(intake.route(Route::DiskLater), Route::Disk);
        assert_eq!(intake.route(Route::Memory), Route::Memory);
    }

    #[test]
    fn the_disk_is_asked_again_after_100_ms_and_after_a_failure() {
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
    fn body_memory_is_given_back_when_the_permit_is_dropped() {
        let budget = BodyBudget::new(10);
        let mut permit = BodyPermit::default();
        assert!(budget.reserve(&mut permit, 4) && budget.reserve(&mut permit, 6));
        assert_eq!(budget.usage(), (10, 10));
        assert!(!budget.reserve(&mut permit, 1));
        drop(permit);
        assert_eq!(budget.usage(), (0, 10));
        let mut other = BodyPermit::default();
        assert!(!budget.reserve(&mut other, 11) && budget.reserve(&mut other, 10));
        let intake = Intake::new(1, 1);
        let queued = intake.try_enter(1, other).unwrap();
        assert!(intake.try_enter(1, BodyPermit::default()).is_none() && budget.usage().0 == 10);
        drop(queued);
        assert!(intake.try_enter(1, BodyPermit::default()).is_some() && budget.usage().0 == 0);
    }
}
