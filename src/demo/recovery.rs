//! Chapter 3: the receiver is repaired, and all held deliveries are sent, oldest first.

use anyhow::{Context as _, bail, ensure};
use tokio::time::sleep;

use super::api::EnableResult;
use super::outage::Outage;
use super::page::{BAD, FAINT, GOOD, STRONG, count, paint};
use super::receiver::Arrival;
use super::story::{PAUSE, Story, Submitted};

/// The number of held deliveries that are shown before the last.
const SHOWN_MAX: usize = 6;

impl Story {
    /// Shows chapter 3: enabling needs a successful health check. Then all held deliveries arrive in order.
    pub(super) async fn show_recovery(&mut self, outage: &Outage) -> anyhow::Result<()> {
        self.page.chapter("3. The receiver is repaired and enabled: held deliveries are sent, oldest first");
        self.enable_too_early(outage).await?;
        sleep(PAUSE).await;
        let before = self.ledger.all(is_taken_by_chat).len();
        self.enable(outage).await?;
        let arrivals = self.held_arrivals(outage, before).await?;
        self.show_released(&outage.held, &arrivals);
        self.retry_the_exhausted(outage).await?;
        sleep(PAUSE).await;
        Ok(())
    }

    async fn enable_too_early(&self, outage: &Outage) -> anyhow::Result<()> {
        match self.api.enable(&outage.subscription).await? {
            EnableResult::Refused(why) => {
                self.page.say(format_args!("  enabled too early:      {}\n    {why}", paint(BAD, "refused")));
                Ok(())
            }
            EnableResult::Enabled(status) => bail!("chat was enabled although it is broken: {status}"),
        }
    }

    async fn enable(&self, outage: &Outage) -> anyhow::Result<()> {
        self.receivers.chat.repair();
        match self.api.enable(&outage.subscription).await? {
            EnableResult::Enabled(status) => {
                let on = paint(GOOD, "enabled");
                self.page
                    .say(format_args!("  chat is repaired:       health check answered {status}, {on}\n"));
                Ok(())
            }
            EnableResult::Refused(why) => bail!("chat is repaired but was not enabled: {why}"),
        }
    }

    /// Waits for all held deliveries, after `before` others, and checks that they arrive in order.
    async fn held_arrivals(&self, outage: &Outage, before: usize) -> anyhow::Result<Vec<Arrival>> {
        let most = before + outage.held.len();
        let mut arrivals = self.ledger.wait(most, "the held deliveries to chat", is_taken_by_chat).await?;
        arrivals.drain(..before);
        let found: Vec<_> = arrivals.iter().map(|arrival| arrival.event.as_str()).collect();
        let expected: Vec<_> = outage.held.iter().map(|one| one.id.as_str()).collect();
        ensure!(
            found == expected,
            "the held deliveries did not arrive oldest first: {found:?}, expected {expected:?}"
        );
        Ok(arrivals)
    }

    fn show_released(&self, held: &[Submitted], arrivals: &[Arrival]) {
        self.page.say(paint(FAINT, format!("  {:<42}{:<19}{:<14}{}", "event", "of", "attempt", "held for")));
        let last = held.len().saturating_sub(1);
        for (index, (one, arrival)) in held.iter().zip(arrivals).enumerate() {
            if index == SHOWN_MAX && index < last {
                self.page.say(paint(FAINT, format_args!("  … {} more …", last - index)));
            }
            if index < SHOWN_MAX || index == last {
                let waited = (arrival.at - one.sent_at).as_secs_f64();
                let (what, place) = (one.event.event_type, one.event.place());
                let waited = paint(GOOD, format_args!("{waited:.2} s"));
                self.page.say(format_args!("  {what:<42}{place:<19}{:<14}{waited}", arrival.attempt));
            }
        }
        let released = count(arrivals.len(), "held event");
        self.page.say(format_args!(
            "\n  {} arrived in the order in which they occurred.",
            paint(STRONG, released)
        ));
    }

    /// Retries the exhausted delivery, as a person does.
    async fn retry_the_exhausted(&self, outage: &Outage) -> anyhow::Result<()> {
        let delivery = &outage.exhausted;
        self.api.retry(&delivery.id).await?;
        let is_it = |arrival: &Arrival| {
            arrival.receiver == "chat" && arrival.event == delivery.event && arrival.is_taken()
        };
        let arrivals = self.ledger.wait(1, "the retried delivery", is_it).await?;
        let arrival = arrivals.first().context("nothing arrived")?;
        self.page.say(format_args!(
            "  The exhausted delivery is retried manually (POST /v1/deliveries/…/retry): attempt {}, {}.",
            arrival.attempt,
            paint(GOOD, arrival.status.as_u16())
        ));
        Ok(())
    }
}

fn is_taken_by_chat(arrival: &Arrival) -> bool {
    arrival.receiver == "chat" && arrival.is_delivery && arrival.is_taken()
}
