//! The scoreboard: counts what the senders sent and the receivers got, and measures the latencies.
//!
//! Each event contains its number and its time of sending, so that the receivers need no lookup.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use super::figures::Latencies;
use crate::model::time::Clock;

const NOT_YET: u64 = u64::MAX;

/// The counters that the senders and receivers of a run share.
#[derive(Debug)]
pub(super) struct Scoreboard {
    clock: Clock,
    start: Instant,
    /// The id of the run. Events of earlier runs do not count.
    run: u64,
    /// The number of receivers of each event.
    copies: u64,
    sent: AtomicU64,
    accepted: AtomicU64,
    arrived: AtomicU64,
    repeated: AtomicU64,
    measured_from_ns: AtomicU64,
    answers: Mutex<Latencies>,
    arrivals: Mutex<Arrivals>,
    /// Limits the events that are submitted but not delivered.
    pub(super) window: Semaphore,
    /// Notified of each arrival that counts.
    arrival: Notify,
}

#[derive(Debug, Default)]
struct Arrivals {
    latencies: Latencies,
    /// A bit set per event, with a bit for each receiver that got it.
    seen: Vec<u64>,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Score {
    /// The time of the reading.
    pub(super) at: Instant,
    /// The events that were answered with 202.
    pub(super) accepted: u64,
    /// The first copies that reached their receiver.
    pub(super) arrived: u64,
    /// The further copies that reached a receiver.
    pub(super) repeated: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic ends the run, so wrong figures after it do not matter.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Scoreboard {
    /// Returns an empty scoreboard for events with `copies` receivers each, of which at most `window` are in flight.
    pub(super) fn new(copies: u64, window: usize) -> Self {
        let clock = Clock::system();
        Self {
            start: clock.instant(),
            clock,
            // 52 bits, which every JSON reader keeps exactly.
            run: rand::random::<u64>() >> 12,
            copies,
            sent: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            arrived: AtomicU64::new(0),
            repeated: AtomicU64::new(0),
            measured_from_ns: AtomicU64::new(NOT_YET),
            answers: Mutex::default(),
            arrivals: Mutex::default(),
            window: Semaphore::new(window),
            arrival: Notify::new(),
        }
    }

    fn now_ns(&self) -> u64 {
        u64::try_from((self.clock.instant() - self.start).as_nanos()).unwrap_or(u64::MAX)
    }

    /// Appends the `data` of the next event, about `bytes` long, and returns the time of sending.
    pub(super) fn next_data(&self, bytes: usize, data: &mut String) -> u64 {
        use std::fmt::Write as _;
        const PAD: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        let (seq, at) = (self.sent.fetch_add(1, Ordering::Relaxed), self.now_ns());
        let (run, start) = (self.run, data.len());
        // Writing to a string cannot fail.
        let _ = write!(data, "{{\"run\":{run},\"seq\":{seq},\"at\":{at},\"pad\":\"");
        let mut left = bytes.saturating_sub(data.len() - start + 2);
        while let Some(pad) = PAD.get(..left.min(PAD.len())).filter(|pad| !pad.is_empty()) {
            data.push_str(pad);
            left -= pad.len();
        }
        data.push_str("\"}");
        at
    }

    /// Records a 202 for `events` that were sent at `at_ns`.
    pub(super) fn record_accepted(&self, events: u64, at_ns: u64) {
        self.accepted.fetch_add(events, Ordering::Relaxed);
        if at_ns >= self.measured_from_ns.load(Ordering::Relaxed) {
            lock(&self.answers).add(Duration::from_nanos(self.now_ns().saturating_sub(at_ns)));
        }
    }

    /// Records a request to the receiver with this number, 0 to 63.
    pub(super) fn record_arrival(&self, receiver: u32, body: &[u8]) {
        let now = self.now_ns();
        let number = |name| number_after(body, name);
        let (Some(run), Some(seq), Some(at)) = (number("\"run\":"), number("\"seq\":"), number("\"at\":"))
        else {
            return;
        };
        let Ok(index) = usize::try_from(seq) else { return };
        if run != self.run {
            return;
        }
        let mut arrivals = lock(&self.arrivals);
        if arrivals.seen.len() <= index {
            arrivals.seen.resize((index + 1).next_power_of_two(), 0);
        }
        let Some(seen) = arrivals.seen.get_mut(index) else { return };
        let bit = 1_u64 << (receiver % u64::BITS);
        if *seen & bit != 0 {
            self.repeated.fetch_add(1, Ordering::Relaxed);
            return;
        }
        *seen |= bit;
        let is_complete = u64::from(seen.count_ones()) == self.copies;
        if at >= self.measured_from_ns.load(Ordering::Relaxed) {
            arrivals.latencies.add(Duration::from_nanos(now.saturating_sub(at)));
        }
        drop(arrivals);
        self.arrived.fetch_add(1, Ordering::Relaxed);
        self.arrival.notify_waiters();
        if is_complete {
            self.window.add_permits(1);
        }
    }

    /// Starts the measurement: the latencies of events sent from now on count.
    pub(super) fn begin_measuring(&self) -> Score {
        self.measured_from_ns.store(self.now_ns(), Ordering::Relaxed);
        self.score()
    }

    /// Returns the counters.
    pub(super) fn score(&self) -> Score {
        Score {
            at: self.clock.instant(),
            accepted: self.accepted.load(Ordering::Relaxed),
            arrived: self.arrived.load(Ordering::Relaxed),
            repeated: self.repeated.load(Ordering::Relaxed),
        }
    }

    /// Waits until every accepted event has arrived, or until the timeout. Returns how many copies are missing.
    pub(super) async fn drained(&self, timeout: Duration) -> u64 {
        let missing = || {
            let Score { accepted, arrived, .. } = self.score();
            (accepted * self.copies).saturating_sub(arrived)
        };
        let all = async {
            loop {
                let next = self.arrival.notified();
                if missing() == 0 {
                    return;
                }
                next.await;
            }
        };
        // The number of missing copies says whether the wait timed out.
        let _ = tokio::time::timeout(timeout, all).await;
        missing()
    }

    /// Returns and resets the latencies from sending to the response.
    pub(super) fn take_answers(&self) -> Latencies {
        std::mem::take(&mut *lock(&self.answers))
    }

    /// Returns and resets the latencies from sending to the arrival.
    pub(super) fn take_arrivals(&self) -> Latencies {
        std::mem::take(&mut lock(&self.arrivals).latencies)
    }
}

/// Returns the number after the first occurrence of `name`.
fn number_after(body: &[u8], name: &str) -> Option<u64> {
    let at = body.windows(name.len()).position(|window| window == name.as_bytes())? + name.len();
    let digits = body.get(at..)?.iter().take_while(|byte| byte.is_ascii_digit());
    digits.map(|digit| u64::from(digit - b'0')).reduce(|number, digit| number.wrapping_mul(10) + digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_repeated_copy_does_not_count_as_an_arrival() {
        let board = Scoreboard::new(2, 1);
        board.window.acquire().await.unwrap().forget();
        let mut data = String::new();
        let at = board.next_data(200, &mut data);
        assert_eq!(data.len(), 200);
        assert!(serde_json::from_str::<serde_json::Value>(&data).is_ok(), "{data}");
        board.record_accepted(1, at);
        let body = format!("{{\"type\":\"T\",\"data\":{data}}}");
        board.record_arrival(0, body.as_bytes());
        board.record_arrival(0, body.as_bytes());
        board.record_arrival(1, body.replace("\"run\":", "\"run\":9").as_bytes());
        assert_eq!(board.drained(Duration::ZERO).await, 1);
        assert_eq!(board.window.available_permits(), 0);
        board.record_arrival(1, body.as_bytes());
        assert_eq!(board.drained(Duration::from_mins(1)).await, 0);
        assert_eq!(board.window.available_permits(), 1);
        let score = board.score();
        assert_eq!((score.accepted, score.arrived, score.repeated), (1, 2, 1));
    }

    #[test]
    fn only_what_is_sent_after_the_warm_up_is_measured() {
        let board = Scoreboard::new(1, 1);
        let mut data = String::new();
        let before = board.next_data(0, &mut data);
        let score = board.begin_measuring();
        board.record_accepted(1, before);
        assert!(score.accepted == 0 && board.score().accepted == 1);
        let mut figures = super::super::figures::Figures::default();
        figures.add_latency("before", &board.take_answers());
        board.record_accepted(1, board.next_data(0, &mut data));
        figures.add_latency("after", &board.take_answers());
        assert!(figures.get("before p50").unwrap().is_nan());
        assert!(figures.get("after p50").unwrap() >= 0.0);
    }
}
