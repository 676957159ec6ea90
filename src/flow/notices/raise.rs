//! Notices become events, durable and delivered as any other.
//!
//! A subscription asks for notices by name or prefix (`postrider.*`). A subscription to everything gets only what
//! clients submit. A notice that nobody asks for is not written.
//!
//! Notices cannot cause a loop. A notice is not delivered to the subscription that it is about. An attempt to deliver a
//! notice causes no notice of failing or recovering, so there are at most as many of those as attempts of other events.
//! Disabling is reported at most as often as people enable subscriptions.
//!
//! The notice of a disabled subscription is raised again after a restart: the process may have ended between the
//! change and its notice. Both notices have the same sender's id, so they are one event within `events.dedup_window`.

use std::time::Duration;

use super::queue::NoticeReceiver;
use crate::flow::accept::Sender;
use crate::flow::acceptance::AcceptError;
use crate::flow::inner::Flow;
use crate::flow::intake::BodyPermit;
use crate::flow::lane::LaneState;
use crate::model::attempt::Attempt;
use crate::model::event::{Event, EventContent};
use crate::model::notice::{Notice, NoticeKind, is_daemon_event};
use crate::model::subscription::{Disabled, DisabledReason, HealthState};
use crate::model::time::Timestamp;
use crate::rules::matcher::{Candidate, Matches};

/// The time to wait before submitting a notice again if the queue of events is full.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The sender of the event that an attempt was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::flow) enum Source {
    /// A client of the API.
    Client,
    /// The daemon itself.
    Daemon,
}

impl Source {
    /// Returns who submitted the event.
    pub(in crate::flow) fn of(event: &Event) -> Self {
        if is_daemon_event(&event.content.event_type) { Self::Daemon } else { Self::Client }
    }
}

impl Flow {
    /// Queues a notice that will become an event. Logs a warning and drops the notice if the queue is full.
    pub(in crate::flow) fn raise(&self, notice: Notice) {
        if let Err(notice) = self.notices.push(notice) {
            tracing::warn!(kind = %notice.kind, about = ?notice.about, "dropped a notice: too many are waiting");
        }
    }

    /// Makes events of the queued notices. Returns only if the log fails or the queue is closed.
    pub(in crate::flow) async fn run_notices(self, mut queue: NoticeReceiver) {
        while let Some(notice) = queue.next().await {
            if let Err(error) = self.publish(&notice).await {
                return tracing::error!(%error, kind = %notice.kind, "failed to write a notice");
            }
            self.mail_wake.notify_one();
        }
    }

    async fn publish(&self, notice: &Notice) -> Result<(), AcceptError> {
        let Some(content) = notice.content() else {
            tracing::error!(kind = %notice.kind, "dropped a notice whose names are invalid");
            return Ok(());
        };
        let sender = Sender::Daemon { except: notice.about };
        if !self.is_wanted(sender, &content) {
            return Ok(());
        }
        loop {
            match self.accept_from(sender, vec![content.clone()], BodyPermit::default()).await {
                Ok(_) => return Ok(()),
                Err(AcceptError::QueueFull { .. }) => tokio::time::sleep(RETRY_AFTER).await,
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns whether a notice is to be mailed or a subscription asks for it.
    fn is_wanted(&self, sender: Sender, content: &EventContent) -> bool {
        let snapshot = self.index.snapshot();
        let mut matches = Matches::default();
        let candidate = Candidate { content, arrived_at: self.clock.now() };
        let mut lanes =
            snapshot.match_into(&candidate, &mut matches).iter().filter_map(|id| self.lanes.get(id));
        self.config.load().mail.smtp.is_some() || lanes.any(|lane| sender.delivers_to(&lane, content))
    }

    /// Raises the notices that the last run may not have written.
    pub(in crate::flow) fn raise_again(&self) {
        let since = self.clock.now().before(self.config.load().events.dedup_window.get());
        for lane in self.lanes.all() {
            let state = lane.lock();
            let disabled = state.health.disabled.as_ref();
            if let Some(disabled) = disabled.filter(|disabled| is_news(disabled) && disabled.at > since) {
                let notice = notice(&state, NoticeKind::SubscriptionDisabled, disabled.at);
                drop(state);
                self.raise(notice);
            }
        }
    }
}

/// Returns whether the subscription was disabled by the daemon. People know what they disable themselves.
fn is_news(disabled: &Disabled) -> bool {
    disabled.reason != DisabledReason::Manual
}

fn notice(state: &LaneState, kind: NoticeKind, at: Timestamp) -> Notice {
    Notice::of_subscription(kind, &state.subscription, &state.health, at)
}

/// Returns the notice that an attempt causes, if any. `before` is the health before the attempt.
pub(in crate::flow) fn after_attempt(
    state: &mut LaneState,
    before: &HealthState,
    source: Source,
    attempt: &Attempt,
) -> Option<Notice> {
    let disabled = state.health.disabled.as_ref().filter(|now| before.disabled.is_none() && is_news(now));
    let is_reported = state.is_reported_failing;
    let (kind, at) = match disabled {
        Some(disabled) => (NoticeKind::SubscriptionDisabled, disabled.at),
        None if source == Source::Daemon || state.health.disabled.is_some() => return None,
        None if attempt.outcome.is_success() && is_reported => {
            (NoticeKind::SubscriptionRecovered, attempt.ended_at())
        }
        None if state.is_probing() && !is_reported => (NoticeKind::SubscriptionFailing, attempt.ended_at()),
        None => return None,
    };
    state.is_reported_failing = kind != NoticeKind::SubscriptionRecovered;
    Some(notice(state, kind, at))
}

/// Returns the notice that enabling a subscription causes, if a notice said that the subscription failed.
pub(in crate::flow) fn after_enabling(state: &mut LaneState, at: Timestamp) -> Option<Notice> {
    let was_reported = std::mem::take(&mut state.is_reported_failing);
    was_reported.then(|| notice(state, NoticeKind::SubscriptionRecovered, at))
}
