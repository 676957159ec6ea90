//! Dispatch: which lane goes next.
//!
//! No loop passes over the lanes. Each change of a lane (a commit, an answer, a timer, a request by a person) is
//! followed by [`Flow::pump`]. It adds the lane to the [scheduler](super::schedule::slots), then gives turns to the
//! waiting lanes while slots are free. In a turn a lane starts one attempt, or one read of its queue. A lane that waits
//! for its receiver holds nothing that another lane needs.

use std::sync::Arc;
use std::time::Duration;

use super::inner::Flow;
use super::lane::{Lane, LaneDelivery, Next, Page, ReadNumber};
use super::schedule::slots::Slot;
use super::schedule::timers::READ_RETRY_AFTER;
use crate::model::id::DeliveryId;
use crate::store::StoreError;

/// The longest sleep of the timer loop. Due times are wall clock times: the clock may be set, or the machine suspended,
/// during a sleep.
const SLEEP_MAX: Duration = Duration::from_secs(30);
/// The smallest step back of the clock that makes all lanes check their due times again.
const CLOCK_STEP_BACK_MIN: Duration = Duration::from_secs(1);

impl Flow {
    /// Lets the lane, and all lanes that wait, do what they can do now.
    pub(super) fn pump(&self, lane: &Arc<Lane>) {
        self.scheduler.enter(lane);
        while let Some((lane, slot)) = self.scheduler.next_turn() {
            self.take_turn(&lane, slot);
        }
    }

    fn take_turn(&self, lane: &Arc<Lane>, slot: Slot) {
        let now = self.clock.now();
        let next = lane.lock().next(now, self.clock.instant());
        match next {
            Next::Start(delivery) => {
                self.spawn(self.clone().attempt_in_slot(Arc::clone(lane), delivery, slot));
            }
            Next::ReadPage(page) => self.spawn(self.clone().read_page(Arc::clone(lane), page)),
            Next::ReadProbe(number, probe) => {
                self.spawn(self.clone().read_probe(Arc::clone(lane), number, probe));
            }
            Next::Wait(until) => return self.timers.set(lane.id, until),
            Next::Nothing => return,
        }
        self.scheduler.enter(lane);
    }

    async fn attempt_in_slot(self, lane: Arc<Lane>, delivery: LaneDelivery, slot: Slot) {
        self.attempt(&lane, delivery).await;
        drop(slot);
        self.pump(&lane);
    }

    /// Reads the next page of a lane's queue.
    async fn read_page(self, lane: Arc<Lane>, page: Page) {
        let id = lane.id;
        let rows =
            self.read_in_turn(move |reader| reader.due_page(id, Some(page.after), page.rows_max)).await;
        match rows {
            Ok(rows) => lane.lock().page_read(page, &rows),
            Err(error) => return self.read_again(&lane, page.read, &error),
        }
        self.pump(&lane);
    }

    /// Reads when a lane's probe is due: after a start, or when the probe is not in the buffer.
    async fn read_probe(self, lane: Arc<Lane>, number: ReadNumber, probe: DeliveryId) {
        let delivery = self.read_in_turn(move |reader| reader.delivery(probe)).await;
        let due = match delivery {
            Ok(delivery) => delivery.and_then(|delivery| delivery.progress.due()),
            Err(error) => return self.read_again(&lane, number, &error),
        };
        lane.lock().probe_read(number, probe, due);
        self.pump(&lane);
    }

    fn read_again(&self, lane: &Lane, number: ReadNumber, error: &StoreError) {
        tracing::error!(subscription = %lane.id, %error, "failed to read the queue of a subscription, trying again");
        lane.lock().read_failed(number);
        self.timers.set(lane.id, self.clock.now().after(READ_RETRY_AFTER));
    }

    /// Pumps lanes when their timers are due. Never returns.
    pub(super) async fn run_timers(self) {
        let mut before = self.clock.now();
        loop {
            let now = self.clock.now();
            if now.after(CLOCK_STEP_BACK_MIN) < before {
                tracing::warn!(from = %before, to = %now, "the clock was set back, checking all due times again");
                self.lanes.all().iter().for_each(|lane| self.pump(lane));
            }
            before = now;
            let (due, next) = self.timers.due(now);
            for lane in due.into_iter().filter_map(|id| self.lanes.get(id)) {
                self.pump(&lane);
            }
            self.timers.end_round();
            match next {
                Some(at) => {
                    let wait = at.since(self.clock.now()).min(SLEEP_MAX);
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        () = self.timers.earlier() => {}
                    }
                }
                None => self.timers.earlier().await,
            }
        }
    }
}
