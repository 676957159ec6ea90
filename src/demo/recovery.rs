//! The third chapter: the receiver is mended, and everything held goes out, oldest first.

use anyhow::{Context as _, bail, ensure};
use tokio::time::sleep;

use super::api::Enabling;
use super::outage::Outage;
use super::page::{BAD, FAINT, GOOD, STRONG, count, paint};
use super::receiver::Arrival;
use super::story::{PAUSE, Story, Submitted};

/// How many of the held deliveries are told of one by one before the last.
const TOLD_MAX: usize = 6;

impl Story {
    /// Chapter 3: switching it on needs a health check; then all that was held arrives, in order.
    pub(super) async fn tell_of_the_recovery(&mut self, outage: &Outage) -> anyhow::Result<()> {
        self.page.chapter("3. It is mended and switched on: what was held goes out, oldest first");
        self.try_too_early(outage).await?;
        sleep(PAUSE).await;
        let before = self.ledger.all(is_taken_by_chat).len();
        self.switch_on(outage).await?;
        let arrivals = self.held_arrivals(outage, before).await?;
        self.tell_of_what_was_held(&outage.held, &arrivals);
        self.retry_the_exhausted(outage).await?;
        sleep(PAUSE).await;
        Ok(())
    }

    async fn try_too_early(&self, outage: &Outage) -> anyhow::Result<()> {
        match self.api.enable(&outage.subscription).await? {
            Enabling::Refused(why) => {
                self.page.say(format_args!("  switched on too early:  {}, {why}", paint(BAD, "refused")));
                Ok(())
            }
            Enabling::Enabled(status) => bail!("chat was switched on although it is broken: {status}"),
        }
    }

    async fn switch_on(&self, outage: &Outage) -> anyhow::Result<()> {
        self.receivers.chat.mend();
        match self.api.enable(&outage.subscription).await? {
            Enabling::Enabled(status) => {
                let on = paint(GOOD, "switched on");
                self.page
                    .say(format_args!("  chat is mended:         health check answered {status}, {on}\n"));
                Ok(())
            }
            Enabling::Refused(why) => bail!("chat is mended and was not switched on: {why}"),
        }
    }

    /// What chat took after `before` others, once it is all; it has to be exactly what was held, in order.
    async fn held_arrivals(&self, outage: &Outage, before: usize) -> anyhow::Result<Vec<Arrival>> {
        let most = before + outage.held.len();
        let mut arrivals = self.ledger.wait(most, "what was held for chat", is_taken_by_chat).await?;
        arrivals.drain(..before);
        let found: Vec<_> = arrivals.iter().map(|arrival| arrival.event.as_str()).collect();
        let expected: Vec<_> = outage.held.iter().map(|one| one.id.as_str()).collect();
        ensure!(
            found == expected,
            "what was held did not arrive oldest first: {found:?}, expected {expected:?}"
        );
        Ok(arrivals)
    }

    fn tell_of_what_was_held(&self, held: &[Submitted], arrivals: &[Arrival]) {
        self.page.say(paint(FAINT, format!("  {:<42}{:<19}{:<14}{}", "event", "of", "attempt", "held for")));
        let last = held.len().saturating_sub(1);
        for (index, (one, arrival)) in held.iter().zip(arrivals).enumerate() {
            if index == TOLD_MAX && index < last {
                self.page.say(paint(FAINT, format_args!("  … {} more …", last - index)));
            }
            if index < TOLD_MAX || index == last {
                let waited = (arrival.at - one.sent_at).as_secs_f64();
                let (what, place) = (one.event.event_type, one.event.place());
                let waited = paint(GOOD, format_args!("{waited:.2} s"));
                self.page.say(format_args!("  {what:<42}{place:<19}{:<14}{waited}", arrival.attempt));
            }
        }
        let told = count(arrivals.len(), "held event");
        self.page
            .say(format_args!("\n  {} arrived in the order in which they happened.", paint(STRONG, told)));
    }

    /// A person tries again the delivery whose attempts were used up.
    async fn retry_the_exhausted(&self, outage: &Outage) -> anyhow::Result<()> {
        let delivery = &outage.exhausted;
        self.api.retry(&delivery.id).await?;
        let is_it = |arrival: &Arrival| {
            arrival.receiver == "chat" && arrival.event == delivery.event && arrival.is_taken()
        };
        let arrivals = self.ledger.wait(1, "the delivery that was tried again", is_it).await?;
        let arrival = arrivals.first().context("nothing arrived")?;
        self.page.say(format_args!(
            "  The exhausted one is tried again by hand (POST /v1/deliveries/…/retry): attempt {}, {}.",
            arrival.attempt,
            paint(GOOD, arrival.status.as_u16())
        ));
        Ok(())
    }
}

fn is_taken_by_chat(arrival: &Arrival) -> bool {
    arrival.receiver == "chat" && arrival.is_delivery && arrival.is_taken()
}
