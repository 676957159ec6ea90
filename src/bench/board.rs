//! The score board: what the senders sent and the receivers got, and how long that took.
//!
//! An event carries its number and the time at which it was sent, so that the receivers need not look it up.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use super::figures::Latencies;
use crate::model::time::Clock;

const NOT_YET: u64 = u64::MAX;

/// Shared by the senders and the receivers of a run.
#[derive(Debug)]
pub(super) struct Board {
    clock: Clock,
    start: Instant,
    /// Which run an event is of: what comes from an earlier one does not count.
    run: u64,
    /// How many receivers each event goes to.
    copies: u64,
    sent: AtomicU64,
    accepted: AtomicU64,
    arrived: AtomicU64,
    repeated: AtomicU64,
    measured_from_ns: AtomicU64,
    answers: Mutex<Latencies>,
    arrivals: Mutex<Arrivals>,
    /// Places for events on their way.
    pub(super) window: Semaphore,
    /// Told of each arrival that counts.
    arrival: Notify,
}

#[derive(Debug, Default)]
struct Arrivals {
    latencies: Latencies,
    /// For each event, a bit for each receiver that got it.
    seen: Vec<u64>,
}

/// How far things are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Score {
    /// When this was.
    pub(super) at: Instant,
    /// Events that were answered with 202.
    pub(super) accepted: u64,
    /// First copies that reached their receiver.
    pub(super) arrived: u64,
    /// Further ones.
    pub(super) repeated: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Figures after a panic are of no use, but it ends the run anyway.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Board {
    /// An empty board for events that go to `copies` receivers each, at most `window` of them on their way.
    pub(super) fn new(copies: u64, window: usize) -> Self {
        let clock = Clock::system();
        Self {
            start: clock.instant(),
            clock,
            // As many digits as JSON readers keep.
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

    /// The `data` of the next event, about `bytes` long, and when it is sent: now.
    pub(super) fn next_data(&self, bytes: usize, data: &mut String) -> u64 {
        use std::fmt::Write as _;
        const PAD: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        let (seq, at) = (self.sent.fetch_add(1, Ordering::Relaxed), self.now_ns());
        let (run, start) = (self.run, data.len());
        // Writing to a string does not fail.
        let _ = write!(data, "{{\"run\":{run},\"seq\":{seq},\"at\":{at},\"pad\":\"");
        let mut left = bytes.saturating_sub(data.len() - start + 2);
        while let Some(pad) = PAD.get(..left.min(PAD.len())).filter(|pad| !pad.is_empty()) {
            data.push_str(pad);
            left -= pad.len();
        }
        data.push_str("\"}");
        at
    }

    /// Takes note of an answer of 202 to `events` that were sent at `at_ns`.
    pub(super) fn note_accepted(&self, events: u64, at_ns: u64) {
        self.accepted.fetch_add(events, Ordering::Relaxed);
        if at_ns >= self.measured_from_ns.load(Ordering::Relaxed) {
            lock(&self.answers).add(Duration::from_nanos(self.now_ns().saturating_sub(at_ns)));
        }
    }

    /// Takes note of a request that came to the receiver of that number, 0 to 63.
    pub(super) fn note_arrived(&self, receiver: u32, body: &[u8]) {
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

    /// What is sent from now on is measured.
    pub(super) fn begin_measuring(&self) -> Score {
        self.measured_from_ns.store(self.now_ns(), Ordering::Relaxed);
        self.score()
    }

    /// How far things are.
    pub(super) fn score(&self) -> Score {
        Score {
            at: self.clock.instant(),
            accepted: self.accepted.load(Ordering::Relaxed),
            arrived: self.arrived.load(Ordering::Relaxed),
            repeated: self.repeated.load(Ordering::Relaxed),
        }
    }

    /// Waits until all that was accepted has arrived, or for `patience`; answers how many copies are missing.
    pub(super) async fn drained(&self, patience: Duration) -> u64 {
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
        // Time-out or not, what counts is what is missing then.
        let _ = tokio::time::timeout(patience, all).await;
        missing()
    }

    /// From sending to the answer.
    pub(super) fn take_answers(&self) -> Latencies {
        std::mem::take(&mut *lock(&self.answers))
    }

    /// From sending to the receiver.
    pub(super) fn take_arrivals(&self) -> Latencies {
        std::mem::take(&mut lock(&self.arrivals).latencies)
    }
}

/// The digits after the first place where `name` stands.
fn number_after(body: &[u8], name: &str) -> Option<u64> {
    let at = body.windows(name.len()).position(|window| window == name.as_bytes())? + name.len();
    let digits = body.get(at..)?.iter().take_while(|byte| byte.is_ascii_digit());
    digits.map(|digit| u64::from(digit - b'0')).reduce(|number, digit| number.wrapping_mul(10) + digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn copies_and_repetitions_are_told_apart() {
        let board = Board::new(2, 1);
        board.window.acquire().await.unwrap().forget();
        let mut data = String::new();
        let at = board.next_data(200, &mut data);
        assert_eq!(data.len(), 200);
        assert!(serde_json::from_str::<serde_json::Value>(&data).is_ok(), "{data}");
        board.note_accepted(1, at);
        let body = format!("{{\"type\":\"T\",\"data\":{data}}}");
        board.note_arrived(0, body.as_bytes());
        board.note_arrived(0, body.as_bytes());
        board.note_arrived(1, body.replace("\"run\":", "\"run\":9").as_bytes());
        assert_eq!(board.drained(Duration::ZERO).await, 1);
        assert_eq!(board.window.available_permits(), 0);
        board.note_arrived(1, body.as_bytes());
        assert_eq!(board.drained(Duration::from_mins(1)).await, 0);
        assert_eq!(board.window.available_permits(), 1);
        let score = board.score();
        assert_eq!((score.accepted, score.arrived, score.repeated), (1, 2, 1));
    }

    #[test]
    fn only_what_is_sent_after_the_warm_up_is_measured() {
        let board = Board::new(1, 1);
        let mut data = String::new();
        let before = board.next_data(0, &mut data);
        let score = board.begin_measuring();
        board.note_accepted(1, before);
        assert!(score.accepted == 0 && board.score().accepted == 1);
        let mut figures = super::super::figures::Figures::default();
        figures.add_latency("before", &board.take_answers());
        board.note_accepted(1, board.next_data(0, &mut data));
        figures.add_latency("after", &board.take_answers());
        assert!(figures.get("before p50").unwrap().is_nan());
        assert!(figures.get("after p50").unwrap() >= 0.0);
    }
}
