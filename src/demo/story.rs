//! The story and its first chapter: every event goes to exactly those who want it.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::time::{Instant, sleep};

use super::api::Api;
use super::page::{FAINT, GOOD, Page, STRONG, WAITING, ms, paint, wrap};
use super::receiver::{Arrival, Ledger, Receivers, header};
use super::script::{self, RECEIVERS, SampleEvent, TYPES};
use crate::model::time::Clock;

/// The time between two events, so that a person can read them.
const EVENT_INTERVAL: Duration = Duration::from_millis(130);
/// The time between two parts.
pub(super) const PAUSE: Duration = Duration::from_millis(700);

const BODY_COLUMNS: usize = 104;

const LEGEND: &str = "  Each column shows the time from the submission to the arrival, or the first reason why the subscription does
  not match (POST /v1/match): its `events` or its `projects` do not include the event.";

/// An accepted event.
#[derive(Clone, Debug)]
pub(super) struct Submitted {
    /// The id from the daemon.
    pub(super) id: String,
    /// The submitted event.
    pub(super) event: SampleEvent,
    /// The time just before the submission.
    pub(super) sent_at: Instant,
}

/// The result of an event for one receiver, shown in its column.
enum Cell {
    /// The event arrived after this time.
    After(Duration),
    /// The subscription does not match the event, for this reason.
    Unwanted(String),
    /// The delivery is held until the subscription is enabled.
    Held,
}

/// The state of the running demo.
pub(super) struct Story {
    pub(super) page: Page,
    pub(super) clock: Clock,
    pub(super) api: Api,
    pub(super) receivers: Receivers,
    pub(super) ledger: Ledger,
    /// All accepted events, oldest first.
    pub(super) submitted: Vec<Submitted>,
    /// The latencies of the deliveries that did not have to wait for their receiver.
    pub(super) undelayed: Vec<Duration>,
    begun: Instant,
    next: usize,
}

impl Story {
    /// Returns the state at the start of the demo.
    pub(super) fn new(page: Page, clock: Clock, api: Api, receivers: Receivers, ledger: Ledger) -> Self {
        let begun = clock.instant();
        Self {
            page,
            clock,
            api,
            receivers,
            ledger,
            submitted: Vec::new(),
            undelayed: Vec::new(),
            begun,
            next: 0,
        }
    }

    /// Returns the time since the start.
    pub(super) fn elapsed(&self) -> Duration {
        self.clock.instant() - self.begun
    }

    /// Returns the receivers at the end.
    pub(super) fn into_receivers(self) -> Receivers {
        self.receivers
    }

    /// Shows the subscriptions.
    pub(super) async fn introduce(&self) -> anyhow::Result<()> {
        let subscriptions = self.api.subscriptions().await?;
        let names: Vec<_> = subscriptions.iter().map(|one| one.name.as_str()).collect();
        ensure!(names == RECEIVERS, "the subscriptions are {names:?}, expected {RECEIVERS:?}");
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

    /// Shows chapter 1: an event of each type, the latency to each receiver, and why the others do not match.
    pub(super) async fn show_matching(&mut self) -> anyhow::Result<()> {
        self.page.chapter("1. Every event goes to exactly the matching subscriptions");
        self.page.say(format_args!("{LEGEND}\n\n{}", paint(FAINT, head())));
        for _ in TYPES {
            let event = self.next_event();
            self.show_delivery(event, None).await?;
        }
        self.show_a_request()?;
        self.repeat_the_first().await?;
        sleep(PAUSE).await;
        Ok(())
    }

    /// Returns the next sample event.
    pub(super) fn next_event(&mut self) -> SampleEvent {
        self.next += 1;
        script::event(self.next - 1)
    }

    /// Submits an event and checks the number of matching subscriptions.
    pub(super) async fn submit(&mut self, event: SampleEvent) -> anyhow::Result<Submitted> {
        let sent_at = self.clock.instant();
        let accepted = self.api.submit(&event.to_json()).await?;
        let (wanted, place) = (event.wanted_by().len(), event.place());
        ensure!(
            accepted.matched == wanted && !accepted.duplicate,
            "{} of {place} was accepted as {accepted:?}: expected a new event that matches {wanted} subscriptions",
            event.event_type
        );
        let submitted = Submitted { id: accepted.id, event, sent_at };
        self.submitted.push(submitted.clone());
        Ok(submitted)
    }

    /// Waits until the event arrives at the receiver, and returns the latency.
    pub(super) async fn delivered(&mut self, one: &Submitted, receiver: &str) -> anyhow::Result<Duration> {
        let what = format!("{} ({}) for {receiver}", one.event.event_type, one.id);
        let is_it = |arrival: &Arrival| arrival.receiver == receiver && arrival.event == one.id;
        let arrivals = self.ledger.wait(1, &what, is_it).await?;
        let arrival = arrivals.first().context("nothing arrived")?;
        ensure!(arrival.is_taken(), "{what} was answered with {}", arrival.status);
        let took = arrival.at - one.sent_at;
        self.undelayed.push(took);
        Ok(took)
    }

    /// Submits an event, waits until every matching receiver except `away` has it, and shows the result.
    pub(super) async fn show_delivery(
        &mut self,
        event: SampleEvent,
        away: Option<&str>,
    ) -> anyhow::Result<()> {
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
        sleep(EVENT_INTERVAL).await;
        Ok(())
    }

    /// Returns for each receiver why it does not match the event, from `POST /v1/match`; none if it matches.
    async fn reasons(&self, event: SampleEvent) -> anyhow::Result<Vec<Option<String>>> {
        let explained = self.api.explain(&event.to_json()).await?;
        let mut reasons = Vec::new();
        for receiver in RECEIVERS {
            let one = explained.iter().find(|one| one.name == receiver);
            let one = one.with_context(|| format!("/v1/match does not contain {receiver}"))?;
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

    /// Shows the first request to crm.
    fn show_a_request(&self) -> anyhow::Result<()> {
        let to_crm = self.ledger.all(|arrival| arrival.receiver == "crm");
        let first = to_crm.first().context("nothing has arrived at crm")?;
        self.page.say("\n  The first request to crm, with a verified signature:\n");
        for name in ["webhook-id", "webhook-timestamp", "webhook-signature", "postrider-delivery-id"] {
            let value = header(&first.headers, name);
            self.page.say(format_args!("    {} {value}", paint(FAINT, format_args!("{name}:"))));
        }
        for line in wrap(&String::from_utf8_lossy(&first.body), BODY_COLUMNS) {
            self.page.say(format_args!("    {line}"));
        }
        Ok(())
    }

    /// Submits the first event again and checks that it is a duplicate.
    async fn repeat_the_first(&self) -> anyhow::Result<()> {
        let first = self.submitted.first().context("nothing was submitted")?;
        let again = self.api.submit(&first.event.to_json()).await?;
        ensure!(
            again.duplicate && again.id == first.id,
            "the same event again was accepted as {again:?}, not as a duplicate of {}",
            first.id
        );
        self.page.say(format_args!(
            "\n  The first event, submitted again with the same id: {}, not delivered again.",
            paint(STRONG, "a duplicate")
        ));
        Ok(())
    }
}

/// Returns the headings of the columns of [`row`].
pub(super) fn head() -> String {
    format!("  {:<42}{:<19}{:<12}{:<12}{}", "event", "of", "crm", "warehouse", "chat")
}

/// Returns the line of an event with its result for each receiver.
fn row(event: SampleEvent, cells: &[Cell]) -> String {
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
