//! The audit log: a line for each change that somebody asked for, all of one form.
//!
//! A line has the target [`TARGET`], the message `audit`, and the fields `by` (the name of the API key; `local`
//! where none are configured; `config` for what a reload of the config file changed), `from` (the caller's
//! address, or `unix`), `action` (one of [`Action`]), `id` (of what was changed) and `detail` (what about it; empty
//! where the action says all). It is written once the change is durable. Refused calls have no line.

use std::fmt::Display;

use crate::model::string_enum::string_enum;

/// What a directive of `log.level` calls these lines.
pub const TARGET: &str = "postrider::audit";

/// Who makes a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// A name for the log.
    pub by: String,
    /// Where the call came from.
    pub from: String,
}

impl Actor {
    /// The config file, whose reload changed something.
    pub fn config() -> Self {
        Self { by: "config".to_owned(), from: String::new() }
    }

    /// Writes a line of the audit log.
    pub fn note(&self, action: Action, id: impl Display, detail: impl Display) {
        let (by, from, action) = (self.by.as_str(), self.from.as_str(), action.as_str());
        tracing::info!(target: TARGET, by, from, action, %id, %detail, "audit");
    }
}

string_enum!(
    /// What was done.
    Action {
        /// A subscription was made.
        SubscriptionCreated = "subscription.created",
        /// Settings of a subscription were changed; `detail` names the members.
        SubscriptionChanged = "subscription.changed",
        /// A subscription was deleted.
        SubscriptionDeleted = "subscription.deleted",
        /// A subscription was switched on.
        SubscriptionEnabled = "subscription.enabled",
        /// A subscription was switched off.
        SubscriptionDisabled = "subscription.disabled",
        /// A subscription got another secret; `detail` has the grace of those before it.
        SecretRotated = "subscription.secret_rotated",
        /// A sample was sent to a subscription; `detail` is what came of it.
        SubscriptionTested = "subscription.tested",
        /// A delivery was made due at once.
        DeliveryRetried = "delivery.retried",
        /// A delivery was given up on.
        DeliveryCancelled = "delivery.cancelled",
        /// A backup of the log was begun.
        BackupBegun = "backup.begun",
        /// An event was delivered again; `detail` says how many deliveries were made.
        EventReplayed = "event.replayed",
        /// A replay was started; `detail` names the subscription.
        ReplayStarted = "replay.started",
        /// A replay was stopped; `detail` says how many deliveries it had made.
        ReplayCancelled = "replay.cancelled",
    }
);
