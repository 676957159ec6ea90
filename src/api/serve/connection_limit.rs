//! The limit on open connections, and the choice of connections to evict when it is reached.
//!
//! A client could open all connections that the limit permits and send nothing on them. A plain limit would then lock
//! out everybody else. This limit therefore evicts idle connections in favour of new ones.
//!
//! A connection is *idle* while the daemon waits for its peer: for the head of a request, or for more of a request's
//! body. Evicting it does no harm, because the daemon has accepted nothing of what the peer began. While a request is
//! being answered the connection is not idle and cannot be evicted.
//!
//! ```text
//! acquire()  a permit is free             -> the connection is served
//!            all permits are in use       -> evict_idle(): picks the idle connections that wait longest,
//!                                            first those that never sent a request, and notifies them
//! evicted()  notified and still idle      -> the connection's task closes it and drops the permit
//!            notified, but busy meanwhile -> the connection stays, and another one is picked
//! ```

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};

use crate::model::time::{Clock, millis};

/// A connection that is idle for no longer than this is not evicted: its bytes may still be in the kernel.
const IDLE_MIN: Duration = Duration::from_millis(50);
/// The share of the limit to evict at once: 1/128. Each choice looks at every connection, so one choice evicts several.
const SHARE_EVICTED: usize = 128;

/// The limit on open connections, over all listeners.
#[derive(Debug)]
pub(super) struct ConnectionLimit {
    permits: Arc<Semaphore>,
    connections_max: usize,
    open: Mutex<OpenConnections>,
    /// The moment that idle times are measured from.
    created: Instant,
}

#[derive(Debug, Default)]
struct OpenConnections {
    by_number: FxHashMap<u64, Arc<ConnectionState>>,
    last_number: u64,
    /// The number of connections that were notified to close and have not closed yet.
    evicting: usize,
}

/// The state of one connection, as far as the limit needs it.
#[derive(Debug)]
pub(super) struct ConnectionState {
    limit: Arc<ConnectionLimit>,
    /// The number of requests being answered, without those whose body the daemon waits for.
    active_requests: AtomicUsize,
    has_sent_request: AtomicBool,
    idle_since_ms: AtomicU64,
    is_evicting: AtomicBool,
    evict: Notify,
}

/// The permission to keep one connection open, returned when dropped.
#[derive(Debug)]
pub(super) struct ConnectionPermit {
    state: Arc<ConnectionState>,
    number: u64,
    _permit: OwnedSemaphorePermit,
}

impl ConnectionLimit {
    /// Creates a limit of `connections_max` open connections.
    pub(super) fn new(connections_max: usize) -> Arc<Self> {
        Arc::new(Self {
            permits: Arc::new(Semaphore::new(connections_max)),
            connections_max,
            open: Mutex::default(),
            created: Clock::system().instant(),
        })
    }

    fn open(&self) -> MutexGuard<'_, OpenConnections> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a permit for a new connection. If none is free, evicts idle connections until one is. Cancel safe.
    ///
    /// Returns `None` if the semaphore is closed, which never happens.
    pub(super) async fn acquire(self: &Arc<Self>) -> Option<ConnectionPermit> {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Some(self.register(permit));
        }
        loop {
            self.evict_idle();
            tokio::select! {
                permit = Arc::clone(&self.permits).acquire_owned() => return Some(self.register(permit.ok()?)),
                () = sleep(IDLE_MIN) => {}
            }
        }
    }

    fn register(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> ConnectionPermit {
        let state = Arc::new(ConnectionState {
            limit: Arc::clone(self),
            active_requests: AtomicUsize::new(0),
            has_sent_request: AtomicBool::new(false),
            idle_since_ms: AtomicU64::new(self.now_ms()),
            is_evicting: AtomicBool::new(false),
            evict: Notify::new(),
        });
        let mut open = self.open();
        open.last_number += 1;
        let number = open.last_number;
        open.by_number.insert(number, Arc::clone(&state));
        ConnectionPermit { state, number, _permit: permit }
    }

    fn now_ms(&self) -> u64 {
        millis(self.created.elapsed())
    }

    /// Notifies the connections that are idle for longest to close, unless earlier ones have yet to close.
    fn evict_idle(&self) {
        let idle_before_ms = self.now_ms().saturating_sub(millis(IDLE_MIN));
        let mut open = self.open();
        if open.evicting > 0 {
            return;
        }
        let idle = open.by_number.iter().filter_map(|(number, state)| {
            let since_ms = state.idle_since_ms().filter(|since_ms| *since_ms <= idle_before_ms)?;
            Some(((state.has_sent_request(), since_ms, *number), Arc::clone(state)))
        });
        let mut idle: Vec<_> = idle.collect();
        idle.sort_unstable_by_key(|(order, _)| *order);
        for (_, state) in idle.into_iter().take((self.connections_max / SHARE_EVICTED).max(1)) {
            state.is_evicting.store(true, Ordering::Relaxed);
            state.evict.notify_one();
            open.evicting += 1;
        }
    }
}

impl ConnectionPermit {
    /// Returns the state of the connection.
    pub(super) fn state(&self) -> &Arc<ConnectionState> {
        &self.state
    }

    /// Waits until the connection has to close: it was notified, and it is still idle. Cancel safe.
    pub(super) async fn evicted(&self) {
        loop {
            self.state.evict.notified().await;
            if self.state.idle_since_ms().is_some() {
                return;
            }
            self.state.end_eviction(&mut self.state.limit.open());
        }
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut open = self.state.limit.open();
        open.by_number.remove(&self.number);
        // Under the same lock: nothing can begin to evict a connection that is no longer registered.
        self.state.end_eviction(&mut open);
    }
}

impl ConnectionState {
    /// Returns when the connection became idle; `None` while it answers a request.
    fn idle_since_ms(&self) -> Option<u64> {
        let is_idle = self.active_requests.load(Ordering::Relaxed) == 0;
        is_idle.then(|| self.idle_since_ms.load(Ordering::Relaxed))
    }

    /// Returns whether the connection has ever sent the head of a request.
    pub(super) fn has_sent_request(&self) -> bool {
        self.has_sent_request.load(Ordering::Relaxed)
    }

    /// Records the head of a request. The request is active until the returned value is dropped.
    pub(super) fn begin_request(self: &Arc<Self>) -> ActiveRequest {
        self.has_sent_request.store(true, Ordering::Relaxed);
        self.reset_idle_time();
        self.resume_request();
        ActiveRequest(Arc::clone(self))
    }

    fn reset_idle_time(&self) {
        self.idle_since_ms.store(self.limit.now_ms(), Ordering::Relaxed);
    }

    /// Records that the daemon waits for more of a request's body. The idle time is not reset.
    pub(super) fn pause_request(&self) {
        self.active_requests.fetch_sub(1, Ordering::Relaxed);
    }

    /// Records that the daemon works on a request again.
    pub(super) fn resume_request(&self) {
        self.active_requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes the connection from the count of those that have yet to close: it has closed, or it stays.
    fn end_eviction(&self, open: &mut OpenConnections) {
        if self.is_evicting.swap(false, Ordering::Relaxed) {
            open.evicting -= 1;
        }
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct ActiveRequest(Arc<ConnectionState>);

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        self.0.reset_idle_time();
        self.0.pause_request();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eviction_does_not_wait_for_a_connection_that_closes_itself() {
        let (limit, is_over) = (ConnectionLimit::new(1), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    limit.evict_idle();
                }
            });
            for _ in 0..50_000 {
                let permit = limit.register(Arc::clone(&limit.permits).try_acquire_owned().unwrap());
                permit.state.idle_since_ms.store(0, Ordering::Relaxed);
            }
            is_over.store(true, Ordering::Relaxed);
        });
        assert_eq!(limit.open().evicting, 0);
    }
}
