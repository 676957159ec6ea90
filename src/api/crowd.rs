//! The places for connections, and who makes room when all of them are taken.
//!
//! A connection that waits for its peer, for a request's head or the rest of its body, can be given up without harm:
//! nothing of what it began has been taken. So when every place is taken and somebody knocks, those that have kept
//! the daemon waiting longest leave, and first of all those that never asked anything. However many connections are
//! held open by whoever means no good, another one comes through. One whose request is being answered always stays.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use rustc_hash::FxHashMap;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};

use crate::model::time::{Clock, millis};

/// Who has been silent for no longer than this stays: what it sent may be on its way from the kernel.
const GRACE: Duration = Duration::from_millis(50);
/// One in so many places is cleared at once, since to find out who has to leave costs a look at each.
const SHARE_THAT_LEAVES: usize = 128;

/// The places of all listeners together.
#[derive(Debug)]
pub(super) struct Crowd {
    places: Arc<Semaphore>,
    places_max: usize,
    state: Mutex<State>,
    /// What silences are measured from.
    began: Instant,
}

#[derive(Debug, Default)]
struct State {
    seats: FxHashMap<u64, Arc<Seat>>,
    taken: u64,
    /// How many of them were asked to leave and have not left yet.
    leaving: usize,
}

/// What is known of one connection.
#[derive(Debug)]
pub(super) struct Seat {
    crowd: Arc<Crowd>,
    /// How many of its requests are being answered, less those whose body it keeps us waiting for.
    at_work: AtomicUsize,
    has_asked: AtomicBool,
    silent_since_ms: AtomicU64,
    is_leaving: AtomicBool,
    leave: Notify,
}

/// A place in the crowd, given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    seat: Arc<Seat>,
    number: u64,
    _permit: OwnedSemaphorePermit,
}

impl Crowd {
    pub(super) fn new(places_max: usize) -> Arc<Self> {
        Arc::new(Self {
            places: Arc::new(Semaphore::new(places_max)),
            places_max,
            state: Mutex::default(),
            began: Clock::system().instant(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection that has been taken; if there is none, as soon as one has been made.
    ///
    /// Cancel safe. None once the semaphore is closed, which it never is.
    pub(super) async fn enter(self: &Arc<Self>) -> Option<Place> {
        if let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() {
            return Some(self.seat(permit));
        }
        loop {
            self.make_room();
            tokio::select! {
                permit = Arc::clone(&self.places).acquire_owned() => return Some(self.seat(permit.ok()?)),
                () = sleep(GRACE) => {}
            }
        }
    }

    fn seat(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Place {
        let seat = Arc::new(Seat {
            crowd: Arc::clone(self),
            at_work: AtomicUsize::new(0),
            has_asked: AtomicBool::new(false),
            silent_since_ms: AtomicU64::new(self.now_ms()),
            is_leaving: AtomicBool::new(false),
            leave: Notify::new(),
        });
        let mut state = self.state();
        state.taken += 1;
        let number = state.taken;
        state.seats.insert(number, Arc::clone(&seat));
        Place { seat, number, _permit: permit }
    }

    fn now_ms(&self) -> u64 {
        millis(self.began.elapsed())
    }

    /// Asks those that have been silent longest to leave, unless some were asked already.
    fn make_room(&self) {
        let before_ms = self.now_ms().saturating_sub(millis(GRACE));
        let mut state = self.state();
        if state.leaving > 0 {
            return;
        }
        let silent = state.seats.iter().filter_map(|(number, seat)| {
            let (has_asked, since_ms) = seat.silence().filter(|(_, since_ms)| *since_ms <= before_ms)?;
            Some(((has_asked, since_ms, *number), Arc::clone(seat)))
        });
        let mut silent: Vec<_> = silent.collect();
        silent.sort_unstable_by_key(|(silence, _)| *silence);
        for (_, seat) in silent.into_iter().take((self.places_max / SHARE_THAT_LEAVES).max(1)) {
            seat.is_leaving.store(true, Ordering::Relaxed);
            seat.leave.notify_one();
            state.leaving += 1;
        }
    }
}

impl Place {
    pub(super) fn seat(&self) -> &Arc<Seat> {
        &self.seat
    }

    /// Waits until the connection has to leave: it was asked to, and is still silent. Cancel safe.
    pub(super) async fn must_leave(&self) {
        loop {
            self.seat.leave.notified().await;
            if self.seat.silence().is_some() {
                return;
            }
            self.seat.stay();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.seat.crowd.state();
        state.seats.remove(&self.number);
        // In the same step: once it is not seated any more, nobody asks it to leave.
        self.seat.stay_in(&mut state);
    }
}

impl Seat {
    /// Whether it has ever asked anything and since when it is silent; none if it is not.
    fn silence(&self) -> Option<(bool, u64)> {
        let is_silent = self.at_work.load(Ordering::Relaxed) == 0;
        is_silent.then(|| (self.has_asked(), self.silent_since_ms.load(Ordering::Relaxed)))
    }

    /// Whether it has ever sent a request's head.
    pub(super) fn has_asked(&self) -> bool {
        self.has_asked.load(Ordering::Relaxed)
    }

    /// A request's head has come: the connection is at work until what is returned is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Turn {
        self.has_asked.store(true, Ordering::Relaxed);
        self.fall_silent();
        self.work();
        Turn(Arc::clone(self))
    }

    fn fall_silent(&self) {
        self.silent_since_ms.store(self.crowd.now_ms(), Ordering::Relaxed);
    }

    fn work(&self) {
        self.at_work.fetch_add(1, Ordering::Relaxed);
    }

    fn rest(&self) {
        self.at_work.fetch_sub(1, Ordering::Relaxed);
    }

    /// It does not leave, or has left.
    fn stay(&self) {
        self.stay_in(&mut self.crowd.state());
    }

    fn stay_in(&self, state: &mut State) {
        if self.is_leaving.swap(false, Ordering::Relaxed) {
            state.leaving -= 1;
        }
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Turn(Arc<Seat>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.fall_silent();
        self.0.rest();
    }
}

/// A request's body: while more of it is waited for, the connection is silent, since its head came.
#[derive(Debug)]
pub(super) struct Awaited {
    body: Incoming,
    seat: Arc<Seat>,
    is_pending: bool,
}

impl Awaited {
    pub(super) fn new(body: Incoming, seat: Arc<Seat>) -> Self {
        Self { body, seat, is_pending: false }
    }

    fn note(&mut self, is_pending: bool) {
        if self.is_pending == is_pending {
            return;
        }
        self.is_pending = is_pending;
        if is_pending {
            self.seat.rest();
        } else {
            self.seat.work();
        }
    }
}

impl HttpBody for Awaited {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.body).poll_frame(context);
        this.note(polled.is_pending());
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        self.note(false);
    }
}

/// An answer's body, during which the request is at work.
#[derive(Debug)]
pub(super) struct Answering {
    body: Body,
    _turn: Turn,
}

impl Answering {
    pub(super) fn new(body: Body, turn: Turn) -> Self {
        Self { body, _turn: turn }
    }
}

impl HttpBody for Answering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_goes_just_as_room_is_made_is_not_waited_for() {
        let (crowd, is_over) = (Crowd::new(1), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    crowd.make_room();
                }
            });
            for _ in 0..50_000 {
                let place = crowd.seat(Arc::clone(&crowd.places).try_acquire_owned().unwrap());
                place.seat.silent_since_ms.store(0, Ordering::Relaxed);
            }
            is_over.store(true, Ordering::Relaxed);
        });
        assert_eq!(crowd.state().leaving, 0);
    }
}
