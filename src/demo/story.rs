//! The story and its first chapter: every event goes to exactly those who want it.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::time::{Instant, sleep};

use super::api::Api;
use super::page::{FAINT, GOOD, Page, STRONG, WAITING, ms, paint, wrap};
use super::receiver::{Arrival, Ledger, Receivers, header};
use super::script::{self, Happening, RECEIVERS, TYPES};
use crate::model::time::Clock;

/// Between two events, so that they can be read.
const PACE: Duration = Duration::from_millis(130);
/// Between two thoughts.
pub(super) const PAUSE: Duration = Duration::from_millis(700);

const BODY_COLUMNS: usize = 104;

const LEGEND: &str = "  In each column: how long after its submission the event was there, or the first reason why it is not wanted
  there (POST /v1/match): the subscription's `events` or its `projects` do not include it.";

/// An event that was accepted.
#[derive(Clone, Debug)]
pub(super) struct Submitted {
    /// The id that the daemon gave it.
    pub(super) id: String,
    /// What was submitted.
    pub(super) event: Happening,
    /// The moment before it was.
    pub(super) sent_at: Instant,
}

/// What became of an event for one receiver, in its column.
enum Cell {
    /// It was there after so long.
    After(Duration),
    /// It is not wanted there, because of its `events` or its `projects`.
    Unwanted(String),
    /// It is kept until the receiver is back.
    Held,
}

/// The story being told.
pub(super) struct Story {
    pub(super) page: Page,
    pub(super) clock: Clock,
    pub(super) api: Api,
    pub(super) receivers: Receivers,
    pub(super) ledger: Ledger,
    /// Everything accepted, oldest first.
    pub(super) submitted: Vec<Submitted>,
    /// How long deliveries took that did not have to wait for their receiver.
    pub(super) straight: Vec<Duration>,
    begun: Instant,
    next: usize,
}

impl Story {
    /// A story of which nothing has been told.
    pub(super) fn new(page: Page, clock: Clock, api: Api, receivers: Receivers, ledger: Ledger) -> Self {
        let begun = clock.instant();
        Self {
            page,
            clock,
            api,
            receivers,
            ledger,
            submitted: Vec::new(),
            straight: Vec::new(),
            begun,
            next: 0,
        }
    }

    /// How long it has been going on.
    pub(super) fn elapsed(&self) -> Duration {
        self.clock.instant() - self.begun
    }

    /// The receivers, once it is over.
    pub(super) fn into_receivers(self) -> Receivers {
        self.receivers
    }

    /// Shows who wants what.
    pub(super) async fn introduce(&self) -> anyhow::Result<()> {
        let subscriptions = self.api.subscriptions().await?;
        let names: Vec<_> = subscriptions.iter().map(|one| one.name.as_str()).collect();
        ensure!(
            names == RECEIVERS,
            "the subscriptions are {names:?}, not those of the config, {RECEIVERS:?}"
        );
        let page = self.page;
        page.say(format_args!(
            "Postrider {}: a fresh daemon, and three subscriptions from its config file.\n",
            env!("CARGO_PKG_VERSION")
        ));
        let head = format!("  {:<11}{:<34}{:<42}{}", "name", "events", "projects", "format");
        page.say(paint(FAINT, head));
        for one in &subscriptions {
            let (events, projects) = (one.events.join("  "), one.projects.join("  "));
            let name = paint(STRONG, format_args!("{:<11}", one.name));
            page.say(format_args!("  {name}{events:<34}{projects:<42}{}", one.format));
        }
        sleep(PAUSE).await;
        Ok(())
    }

    /// Chapter 1: one event of each type; who got it, how soon, and why the others did not.
    pub(super) async fn tell_of_matching(&mut self) -> anyhow::Result<()> {
        self.page.chapter("1. Every event goes to exactly those who want it");
        self.page.say(format_args!("{LEGEND}\n\n{}", paint(FAINT, head())));
        for _ in TYPES {
            let event = self.next_event();
            self.tell_of(event, None).await?;
        }
        self.show_a_request()?;
        self.repeat_the_first().await?;
        sleep(PAUSE).await;
        Ok(())
    }

    /// What happens next.
    pub(super) fn next_event(&mut self) -> Happening {
        self.next += 1;
        script::event(self.next - 1)
    }

    /// Submits an event, and checks that it is on its way to as many as want it.
    pub(super) async fn submit(&mut self, event: Happening) -> anyhow::Result<Submitted> {
        let sent_at = self.clock.instant();
        let accepted = self.api.submit(&event.to_json()).await?;
        let (wanted, place) = (event.wanted_by().len(), event.place());
        ensure!(
            accepted.matched == wanted && !accepted.duplicate,
            "{} of {place} was accepted as {accepted:?}: expected a new event that {wanted} want",
            event.event_type
        );
        let submitted = Submitted { id: accepted.id, event, sent_at };
        self.submitted.push(submitted.clone());
        Ok(submitted)
    }

    /// How long the event took to the receiver, once it is there.
    pub(super) async fn delivered(&mut self, one: &Submitted, receiver: &str) -> anyhow::Result<Duration> {
        let what = format!("{} ({}) for {receiver}", one.event.event_type, one.id);
        let is_it = |arrival: &Arrival| arrival.receiver == receiver && arrival.event == one.id;
        let arrivals = self.ledger.wait(1, &what, is_it).await?;
        let arrival = arrivals.first().context("nothing arrived")?;
        ensure!(arrival.is_taken(), "{what} was answered with {}", arrival.status);
        let took = arrival.at - one.sent_at;
        self.straight.push(took);
        Ok(took)
    }

    /// Submits an event and follows it to everyone who wants it but `away`, for whom it is held; tells why the
    /// others do not get it.
    pub(super) async fn tell_of(&mut self, event: Happening, away: Option<&str>) -> anyhow::Result<()> {
        let reasons = self.reasons(event).await?;
        let one = self.submit(event).await?;
        let mut cells = Vec::new();
        for (receiver, reason) in RECEIVERS.into_iter().zip(reasons) {
            cells.push(match reason {
                Some(reason) => Cell::Unwanted(reason),
                None if away == Some(receiver) => Cell::Held,
                None => Cell::After(self.delivered(&one, receiver).await?),
            });
        }
        self.page.say(row(event, &cells));
        sleep(PACE).await;
        Ok(())
    }

    /// Why each receiver will not get the event, by `POST /v1/match`; none for those that will.
    async fn reasons(&self, event: Happening) -> anyhow::Result<Vec<Option<String>>> {
        let explained = self.api.explain(&event.to_json()).await?;
        let mut reasons = Vec::new();
        for receiver in RECEIVERS {
            let one = explained.iter().find(|one| one.name == receiver);
            let one = one.with_context(|| format!("/v1/match does not speak of {receiver}"))?;
            ensure!(
                one.matches == event.is_for(receiver) && one.matches == one.reason.is_none(),
                "/v1/match is wrong about {} of {} for {receiver}: {one:?}",
                event.event_type,
                event.place()
            );
            reasons.push(one.reason.clone());
        }
        Ok(reasons)
    }

    /// Shows the first request to crm as it came.
    fn show_a_request(&self) -> anyhow::Result<()> {
        let to_crm = self.ledger.all(|arrival| arrival.receiver == "crm");
        let first = to_crm.first().context("nothing has arrived at crm")?;
        self.page.say("\n  The first of these requests, as crm got it and verified its signature:\n");
        for name in ["webhook-id", "webhook-timestamp", "webhook-signature", "postrider-delivery-id"] {
            let value = header(&first.headers, name);
            self.page.say(format_args!("    {} {value}", paint(FAINT, format_args!("{name}:"))));
        }
        for line in wrap(&String::from_utf8_lossy(&first.body), BODY_COLUMNS) {
            self.page.say(format_args!("    {line}"));
        }
        Ok(())
    }

    /// Submits the first event again: the same id within the dedup window is the same event.
    async fn repeat_the_first(&self) -> anyhow::Result<()> {
        let first = self.submitted.first().context("nothing was submitted")?;
        let again = self.api.submit(&first.event.to_json()).await?;
        ensure!(
            again.duplicate && again.id == first.id,
            "the same event again was accepted as {again:?}, not as a duplicate of {}",
            first.id
        );
        self.page.say(format_args!(
            "\n  The first event once more, with the same id of its sender: {}, delivered nothing again.",
            paint(STRONG, "a duplicate")
        ));
        Ok(())
    }
}

/// The columns of [`row`].
pub(super) fn head() -> String {
    format!("  {:<42}{:<19}{:<12}{:<12}{}", "event", "of", "crm", "warehouse", "chat")
}

/// An event and what became of it for each receiver.
fn row(event: Happening, cells: &[Cell]) -> String {
    const WIDTHS: [usize; RECEIVERS.len()] = [12, 12, 0];
    let cells: Vec<_> = cells.iter().zip(WIDTHS).map(|(cell, width)| cell.to_column(width)).collect();
    format!("  {:<42}{:<19}{}", event.event_type, event.place(), cells.concat())
}

impl Cell {
    fn to_column(&self, width: usize) -> String {
        let (style, text) = match self {
            Self::After(took) => (GOOD, ms(*took)),
            Self::Unwanted(reason) => (FAINT, format!("- {reason}")),
            Self::Held => (WAITING, "held".to_owned()),
        };
        paint(style, format_args!("{text:<width$}"))
    }
}
