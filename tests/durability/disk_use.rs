//! The size of the log's files under steady load, with events kept for a few seconds: it must stay flat.
//!
//! Ignored by default. `SECS=300 cargo test --release --test durability disk_use:: -- --ignored --nocapture`
//! prints the curve. `KEPT_SECS` sets the retention (default 10). `SIZE_MIB` bounds the log by size instead.

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::path::Path;
    use std::time::Duration;

    use bytes::Bytes;
    use postrider::model::delivery::{Delivery, Progress};
    use postrider::model::event::EventContent;
    use postrider::model::id::SubscriptionId;
    use postrider::model::subscription::{Subscription, SubscriptionSpec};
    use postrider::model::time::Clock;
    use postrider::store::{
        Append, Appended, Reader, Settlement, Store, StoreOptions, Sweep, SweepResult, Target, open,
    };
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;
    use tempfile::TempDir;
    use tokio::sync::mpsc;
    use tokio::task::JoinSet;

    use crate::support::variable;

    const OF: SubscriptionId = SubscriptionId::from_bits(1);
    const WAITING: usize = 256;
    const BATCH: usize = 16;
    const DATA_BYTES: usize = 1024;
    /// The percentage of the size after the first deletions that the files may have at the end.
    const GROWTH_MAX_PERCENT: u64 = 150;

    fn options(path: &Path) -> StoreOptions {
        StoreOptions {
            path: path.to_owned(),
            key_file: None,
            cache_bytes: 64 << 20,
            dedup_window: Duration::from_secs(1),
            queue_steps_max: 1024,
        }
    }

    fn append() -> Append {
        let content = EventContent {
            event_type: "TODO_CREATED".parse().unwrap(),
            project: "website".parse().unwrap(),
            company: None,
            sender_id: None,
            occurred_at: None,
            data: Some(Bytes::from(vec![b'7'; DATA_BYTES])),
            trace: None,
        };
        Append { content, targets: vec![Target { subscription: OF, queued: false }] }
    }

    fn subscription(clock: &Clock) -> Subscription {
        let members = serde_json::json!({ "name": "one", "url": "https://example.com/hook" });
        Subscription::new(OF, SubscriptionSpec::read(&members).unwrap(), clock.now())
    }

    /// The result of a step.
    enum Done {
        Appended(Vec<Appended>),
        Settled,
        SweepResult(SweepResult),
    }

    /// Keeps the committer busy: events are appended, delivered, and deleted by age or by size.
    struct Load {
        store: Store,
        reader: Reader,
        clock: Clock,
        sender: mpsc::Sender<Done>,
        answers: mpsc::Receiver<Done>,
        fresh: VecDeque<Appended>,
        waiting: usize,
        is_sweeping: bool,
        events: u64,
        swept: u64,
    }

    impl Load {
        async fn hand_in(&mut self, kept: Duration, bytes_max: u64) {
            let place = self.store.reserve().await.unwrap();
            let sender = self.sender.clone();
            self.waiting += 1;
            if !self.is_sweeping {
                self.is_sweeping = true;
                let before = self.clock.now().before(kept);
                let sweep = Sweep { events_before: before, held_before: before, bytes_max, limit: 256 };
                place.sweep(sweep, move |swept| sender.try_send(Done::SweepResult(swept.unwrap())).unwrap());
            } else if let Some(appended) = self.fresh.pop_front() {
                let mut delivery = Delivery::new(appended.deliveries[0], appended.event.id, OF);
                delivery.progress = Progress::Succeeded;
                let settlement = Settlement { delivery, due_was: None, health: None };
                place.settle(settlement, move |done| {
                    done.unwrap();
                    sender.try_send(Done::Settled).unwrap();
                });
            } else {
                let list = (0..BATCH).map(|_| append()).collect();
                place.append(list, move |done| sender.try_send(Done::Appended(done.unwrap())).unwrap());
            }
        }

        async fn take(&mut self) {
            self.waiting -= 1;
            match self.answers.recv().await.unwrap() {
                Done::Appended(list) => {
                    self.events += list.len() as u64;
                    self.fresh.extend(list);
                }
                Done::Settled => {}
                Done::SweepResult(swept) => {
                    self.swept += swept.events;
                    self.is_sweeping = false;
                }
            }
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "takes minutes, and only its figures tell something"]
    async fn disk_use_stays_bounded_under_steady_load() {
        let (secs, kept): (u64, u64) = (variable("SECS", 60), variable("KEPT_SECS", 10));
        let size: u64 = variable("SIZE_MIB", 0);
        let (kept, bytes_max) = if size == 0 {
            (Duration::from_secs(kept), u64::MAX)
        } else {
            (Duration::from_hours(1), size << 20)
        };
        let (dir, clock) = (TempDir::new().unwrap(), Clock::system());
        let opened =
            open(&options(dir.path()), clock.clone(), StdRng::seed_from_u64(1), &mut |_| {}).unwrap();
        let mut running = JoinSet::new();
        running.spawn(opened.committer.run());
        let (sender, answers) = mpsc::channel(4 * WAITING);
        let mut load = Load {
            store: opened.store,
            reader: opened.reader,
            clock: clock.clone(),
            sender,
            answers,
            fresh: VecDeque::new(),
            waiting: 0,
            is_sweeping: false,
            events: 0,
            swept: 0,
        };
        let (made, answer) = tokio::sync::oneshot::channel();
        let place = load.store.reserve().await.unwrap();
        place.put_subscription(subscription(&clock), None, move |done| made.send(done).unwrap());
        answer.await.unwrap().unwrap();
        println!("secs  events/s  rows MiB  files MiB");
        let (begun, mut told, mut before) = (clock.instant(), Duration::ZERO, 0);
        let mut curve = Vec::new();
        while told < Duration::from_secs(secs) {
            while load.waiting < WAITING {
                load.hand_in(kept, bytes_max).await;
            }
            load.take().await;
            let passed = clock.instant() - begun;
            if passed >= told + Duration::from_secs(5) {
                let mib = |bytes: u64| bytes / (1 << 20);
                let files = load.reader.size_on_disk().unwrap();
                let millis = u64::try_from((passed.saturating_sub(told)).as_millis()).unwrap();
                let rate = (load.events - before) * 1000 / millis;
                println!(
                    "{:4}  {rate:8}  {:8}  {:9}",
                    passed.as_secs(),
                    mib(load.reader.bytes()),
                    mib(files)
                );
                curve.push(files);
                (told, before) = (passed, load.events);
            }
        }
        println!("{} events came, {} went", load.events, load.swept);
        let settled = curve[curve.len() / 3];
        let last = *curve.last().unwrap();
        assert!(last < settled * GROWTH_MAX_PERCENT / 100, "the files grew from {settled} to {last} bytes");
    }
}
