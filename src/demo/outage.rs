//! Chapter 2: a receiver breaks, and the others are not affected.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::time::{sleep, timeout};

use super::api::{Delivery, Subscription};
use super::page::{BAD, FAINT, STRONG, WAITING, count, ms, paint};
use super::receiver::{Arrival, TIMEOUT};
use super::story::{PAUSE, Story, Submitted, head};

/// The number of attempts of a delivery in the demo's config.
const ATTEMPTS: u32 = 5;
/// The time between two of the events that continue during the outage.
const STREAM_PACE: Duration = Duration::from_millis(50);
/// The events that occur while the subscription is disabled.
const WHILE_DISABLED: [&str; 6] = [
    "COMMENT_CREATED",
    "TODO_MOVED",
    "TODO_CHECKLIST_ITEM_DONE_STATUS_UPDATED",
    "COMMENT_UPDATED",
    "TAG_CREATED",
    "TODO_CHECKLIST_DELETED",
];
/// The time between two requests for a state that only the API shows.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// The state at the end of the outage.
pub(super) struct Outage {
    /// The subscription that is disabled.
    pub(super) subscription: String,
    /// The delivery that is exhausted.
    pub(super) exhausted: Delivery,
    /// The events whose deliveries are held, oldest first.
    pub(super) held: Vec<Submitted>,
}

/// The deliveries to the other receivers between two attempts of the failing one.
#[derive(Default)]
struct Meanwhile {
    events: usize,
    deliveries: usize,
    slowest: Duration,
}

impl Story {
    /// Shows chapter 2: chat answers 503 until it is disabled. The others continue, and deliveries to chat are held.
    pub(super) async fn show_outage(&mut self) -> anyhow::Result<Outage> {
        self.page.chapter("2. A receiver breaks: chat answers 503 to everything");
        self.receivers.chat.break_down();
        let since = self.submitted.len();
        let first = self.show_attempts().await?;
        let subscription = self.wait_and_show_disabled().await?;
        self.page
            .say("  More events arrive. The other receivers get theirs; the deliveries to chat are held:\n");
        self.show_events_while_disabled().await?;
        let outage = self.check_what_is_held(subscription, &first, since).await?;
        sleep(PAUSE).await;
        Ok(outage)
    }

    /// Shows the attempts of a first event for chat, and other events between them.
    async fn show_attempts(&mut self) -> anyhow::Result<Submitted> {
        let event = self.next_event().of_type("COMMENT_CREATED");
        let first = self.submit(event).await?;
        let second = self.next_event().of_type("COMMENT_UPDATED");
        let second = self.submit(second).await?;
        self.follow_the_others(&first).await?;
        self.follow_the_others(&second).await?;
        let mut meanwhile = Meanwhile::default();
        for told in 0.. {
            let arrival = self.refused(&first, told, &mut meanwhile).await?;
            let is_first = arrival.event == first.id;
            self.page.say(self.attempt_line(&arrival, &first, &std::mem::take(&mut meanwhile))?);
            if !is_first {
                let asks = paint(STRONG, event.event_type);
                self.page.say(format_args!(
                    "             two failures in a row: only {asks} is retried, the others wait until it succeeds"
                ));
            }
            if is_first && arrival.attempt == ATTEMPTS {
                break;
            }
        }
        Ok(first)
    }

    /// Returns the next request that chat refused after `told` others. Other events continue until it arrives.
    async fn refused(
        &mut self,
        first: &Submitted,
        told: usize,
        meanwhile: &mut Meanwhile,
    ) -> anyhow::Result<Arrival> {
        let patience = self.clock.instant() + TIMEOUT;
        let ledger = self.ledger.clone();
        let is_it = |arrival: &Arrival| arrival.receiver == "chat" && !arrival.is_taken();
        while self.clock.instant() < patience {
            if let Ok(arrivals) = timeout(STREAM_PACE, ledger.wait(told + 1, "an attempt", is_it)).await {
                return arrivals?.pop().context("no attempt arrived");
            }
            let event = self.next_event();
            let one = self.submit(event).await?;
            meanwhile.add(&self.follow_the_others(&one).await?);
        }
        anyhow::bail!(
            "{} was attempted {told} times, and then not again within {} s",
            first.event.event_type,
            TIMEOUT.as_secs()
        )
    }

    /// Waits until every matching receiver except chat has the event.
    async fn follow_the_others(&mut self, one: &Submitted) -> anyhow::Result<Meanwhile> {
        let mut seen = Meanwhile { events: 1, ..Meanwhile::default() };
        for receiver in one.event.wanted_by().into_iter().filter(|receiver| *receiver != "chat") {
            let took = self.delivered(one, receiver).await?;
            seen.deliveries += 1;
            seen.slowest = seen.slowest.max(took);
        }
        Ok(seen)
    }

    fn attempt_line(
        &self,
        arrival: &Arrival,
        first: &Submitted,
        meanwhile: &Meanwhile,
    ) -> anyhow::Result<String> {
        let one = self.submitted.iter().find(|one| one.id == arrival.event);
        let event = one.context("chat got an event that nobody submitted")?.event;
        let after = (arrival.at - first.sent_at).as_secs_f64();
        let status = paint(BAD, arrival.status.as_u16());
        let attempt = arrival.attempt;
        let line =
            format!("  {after:>6.2} s   {:<18} attempt {attempt} of {ATTEMPTS}   {status}", event.event_type);
        Ok(format!("{line}{}", paint(FAINT, meanwhile.in_words())))
    }

    async fn wait_and_show_disabled(&self) -> anyhow::Result<Subscription> {
        let subscription = self.wait_until_disabled().await?;
        let reason = subscription.disabled_reason.as_deref().unwrap_or("nothing");
        ensure!(reason == "exhausted", "chat is disabled because of {reason}, expected exhausted");
        self.page.say(format_args!(
            "\n  After {ATTEMPTS} attempts {} (disabled_reason: {reason}).",
            paint(BAD, "chat is disabled")
        ));
        Ok(subscription)
    }

    /// Waits until the subscription of chat is disabled, which follows its last response.
    async fn wait_until_disabled(&self) -> anyhow::Result<Subscription> {
        let patience = self.clock.instant() + TIMEOUT;
        loop {
            let subscription = self.api.subscription("chat").await?;
            if !subscription.enabled {
                return Ok(subscription);
            }
            ensure!(self.clock.instant() < patience, "chat is not disabled after {ATTEMPTS} attempts");
            sleep(POLL_INTERVAL).await;
        }
    }

    async fn show_events_while_disabled(&mut self) -> anyhow::Result<()> {
        self.page.say(paint(FAINT, head()));
        for event_type in WHILE_DISABLED {
            let event = self.next_event().of_type(event_type);
            self.show_delivery(event, Some("chat")).await?;
        }
        Ok(())
    }

    /// Checks that exactly one delivery is exhausted, and that every later one is held after at most one attempt.
    async fn check_what_is_held(
        &self,
        subscription: Subscription,
        first: &Submitted,
        since: usize,
    ) -> anyhow::Result<Outage> {
        let mut exhausted = self.api.deliveries(&subscription.id, "exhausted").await?;
        let only = exhausted.pop().context("no delivery is exhausted")?;
        ensure!(
            exhausted.is_empty() && only.event == first.id && only.attempts.len() == ATTEMPTS as usize,
            "expected one exhausted delivery, of {} after {ATTEMPTS} attempts: found {only:?} and {exhausted:?}",
            first.id
        );
        let held = self.api.deliveries(&subscription.id, "held").await?;
        let waits = |one: &&Submitted| one.event.is_for("chat") && one.id != first.id;
        let expected: Vec<_> = self.submitted.iter().skip(since).filter(waits).cloned().collect();
        check_held(&held, &expected)?;
        let spent: usize = held.iter().map(|delivery| delivery.attempts.len()).sum();
        self.page.say(format_args!(
            "\n  {} for chat, after {}, in the order of their events. 1 is exhausted, none is lost.",
            paint(WAITING, format_args!("{} held", held.len())),
            count(spent, "attempt"),
        ));
        Ok(Outage { subscription: subscription.id, exhausted: only, held: expected })
    }
}

fn check_held(held: &[Delivery], expected: &[Submitted]) -> anyhow::Result<()> {
    let found: BTreeSet<_> = held.iter().map(|delivery| delivery.event.as_str()).collect();
    let wanted: BTreeSet<_> = expected.iter().map(|one| one.id.as_str()).collect();
    ensure!(
        found == wanted && held.len() == expected.len(),
        "{} deliveries are held, expected {}: found {found:?}, expected {wanted:?}",
        held.len(),
        expected.len()
    );
    let spent = held.iter().find(|delivery| delivery.attempts.len() > 1);
    spent.map_or(Ok(()), |delivery| {
        Err(anyhow::anyhow!("a held delivery has more than one attempt: {delivery:?}"))
    })
}

impl Meanwhile {
    fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.deliveries += other.deliveries;
        self.slowest = self.slowest.max(other.slowest);
    }

    fn in_words(&self) -> String {
        if self.deliveries == 0 {
            return String::new();
        }
        let (events, deliveries) = (count(self.events, "event"), self.deliveries);
        format!("   meanwhile {events}: {deliveries} to the others, within {}", ms(self.slowest))
    }
}
