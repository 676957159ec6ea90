//! Notices: what the daemon tells of itself becomes events, durable and delivered as any other.
//!
//! A subscription asks for them by name or prefix (`postrider.*`); one that wants everything means what clients submit.
//! What nobody asks for is not written.
//!
//! Never a loop: a notice is not delivered to the subscription that it is about, and an attempt to deliver a notice
//! gives rise to none of failing and recovering. So there are no more notices of those than attempts of other events,
//! and of being switched off no more than people switch on.
//!
//! That a subscription was switched off is told again after a restart; it has the same sender's id, so that within
//! `events.dedup_window` it is one event, and a crash between the two cannot swallow it.

use std::time::Duration;

use tokio::sync::mpsc;

use crate::model::attempt::Attempt;
use crate::model::event::{Event, EventContent};
use crate::model::notice::{Notice, NoticeKind, is_daemon_event};
use crate::model::subscription::{Disabled, DisabledReason, HealthState};
use crate::model::time::Timestamp;
use crate::rules::matcher::{Candidate, Matches};
use crate::store::Reader;

use super::Flow;
use super::accept::{AcceptError, Sender};
use super::intake::Held;
use super::lane::LaneState;

/// How many notices may wait to become events.
const WAITING_MAX: usize = 1024;
/// How long to wait when there is no room for one.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How often the disk is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Where notices are handed in.
#[derive(Debug)]
pub(super) struct Notices(mpsc::Sender<Notice>);

/// The other end.
#[derive(Debug)]
pub(super) struct Raised(mpsc::Receiver<Notice>);

impl Notices {
    pub(super) fn new() -> (Self, Raised) {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        (Self(sender), Raised(receiver))
    }
}

/// Whose event an attempt was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A client's.
    Client,
    /// The daemon's own.
    Daemon,
}

impl Source {
    pub(super) fn of(event: &Event) -> Self {
        if is_daemon_event(&event.content.event_type) { Self::Daemon } else { Self::Client }
    }
}

impl Flow {
    /// Has a notice become an event, soon.
    pub(super) fn raise(&self, notice: Notice) {
        if let Err(error) = self.notices.0.try_send(notice) {
            let (mpsc::error::TrySendError::Full(notice) | mpsc::error::TrySendError::Closed(notice)) = error;
            tracing::warn!(kind = %notice.kind, about = ?notice.about, "a notice is left out: too many wait");
        }
    }

    /// Makes events of notices, for ever.
    pub(super) async fn run_notices(self, mut raised: Raised) {
        while let Some(notice) = raised.0.recv().await {
            if let Err(error) = self.publish(&notice).await {
                return tracing::error!(%error, kind = %notice.kind, "failed to write down a notice");
            }
            self.mail_wake.notify_one();
        }
    }

    async fn publish(&self, notice: &Notice) -> Result<(), AcceptError> {
        let Some(content) = notice.content() else {
            tracing::error!(kind = %notice.kind, "a notice whose names are none");
            return Ok(());
        };
        let sender = Sender::Daemon { except: notice.about };
        if !self.is_heard(sender, &content) {
            return Ok(());
        }
        loop {
            match self.accept_from(sender, vec![content.clone()], Held::default()).await {
                Ok(_) => return Ok(()),
                Err(AcceptError::QueueFull { .. }) => tokio::time::sleep(AGAIN_AFTER).await,
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether anybody wants to know: a notice that nobody does is no event.
    fn is_heard(&self, sender: Sender, content: &EventContent) -> bool {
        let snapshot = self.index.snapshot();
        let mut matches = Matches::default();
        let candidate = Candidate { content, arrived_at: self.clock.now() };
        let mut lanes =
            snapshot.match_into(&candidate, &mut matches).iter().filter_map(|id| self.lanes.get(id));
        self.config.load().mail.smtp.is_some() || lanes.any(|lane| sender.tells(&lane, content))
    }

    /// Tells again what may not have been written down before the last run ended.
    pub(super) fn raise_again(&self) {
        let since = self.clock.now().before(self.config.load().events.dedup_window.get());
        for lane in self.lanes.all() {
            let state = lane.lock();
            let told =
                state.health.disabled.as_ref().filter(|disabled| is_news(disabled) && disabled.at > since);
            if let Some(disabled) = told {
                let notice = of(&state, NoticeKind::SubscriptionDisabled, disabled.at);
                drop(state);
                self.raise(notice);
            }
        }
    }

    /// Watches how much room the disk has, for ever.
    pub(super) async fn run_storage_watch(self) {
        let mut is_low = false;
        loop {
            match self.read(Reader::disk_free).await {
                Ok(free) => is_low = self.judge_storage(is_low, free),
                Err(error) => tracing::warn!(%error, "failed to ask how much room the disk has"),
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Whether the disk is low now; tells of a change.
    fn judge_storage(&self, was_low: bool, free: u64) -> bool {
        let reserve = self.config.load().storage.disk_reserve;
        let bound = reserve.saturating_mul(if was_low { 3 } else { 2 });
        let is_low = free < bound;
        let kind = match (was_low, is_low) {
            (false, true) => {
                tracing::warn!(free, reserve, "the disk is nearly full");
                NoticeKind::StorageLow
            }
            (true, false) => {
                tracing::info!(free, reserve, "the disk has room again");
                NoticeKind::StorageRecovered
            }
            _ => return is_low,
        };
        self.raise(Notice::of_storage(kind, free, reserve, self.clock.now()));
        is_low
    }
}

/// Whether nobody did it by hand.
fn is_news(disabled: &Disabled) -> bool {
    disabled.reason != DisabledReason::Manual
}

fn of(state: &LaneState, kind: NoticeKind, at: Timestamp) -> Notice {
    Notice::of_subscription(kind, &state.subscription, &state.health, at)
}

/// The notice that an attempt gives rise to, if any; `before` is how its subscription stood.
pub(super) fn after_attempt(
    state: &mut LaneState,
    before: &HealthState,
    source: Source,
    attempt: &Attempt,
) -> Option<Notice> {
    let disabled = state.health.disabled.as_ref().filter(|now| before.disabled.is_none() && is_news(now));
    let (kind, at) = match disabled {
        Some(disabled) => (NoticeKind::SubscriptionDisabled, disabled.at),
        None if source == Source::Daemon || state.health.disabled.is_some() => return None,
        None if attempt.outcome.is_success() && state.is_told => {
            (NoticeKind::SubscriptionRecovered, attempt.ended_at())
        }
        None if state.in_trouble() && !state.is_told => (NoticeKind::SubscriptionFailing, attempt.ended_at()),
        None => return None,
    };
    state.is_told = kind != NoticeKind::SubscriptionRecovered;
    Some(of(state, kind, at))
}

/// The notice that a person's switching on gives rise to, if people were told that it was off.
pub(super) fn after_enabling(state: &mut LaneState, at: Timestamp) -> Option<Notice> {
    std::mem::take(&mut state.is_told).then(|| of(state, NoticeKind::SubscriptionRecovered, at))
}
