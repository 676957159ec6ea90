//! The audit log: one line for each change that somebody requested.
//!
//! Each line has the target [`TARGET`], the message `audit` and these fields:
//!
//! - `by`: the name of the API key, `local` if no keys are configured, or `config` for a reload of the config
//!   file.
//! - `from`: the caller's address, or `unix`.
//! - `action`: one of [`Action`].
//! - `id`: the id of what was changed.
//! - `detail`: more about the change; empty if the action says everything.
//!
//! A line is written once the change is durable. Refused changes have no line.

use std::fmt::Display;

use crate::model::string_enum::string_enum;

/// The target of audit lines, for directives of `log.level`.
pub const TARGET: &str = "postrider::audit";

/// The actor that requests a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The name of the caller.
    pub by: String,
    /// The address of the caller.
    pub from: String,
}

impl Actor {
    /// Returns the actor for a reload of the config file.
    pub fn config() -> Self {
        Self { by: "config".to_owned(), from: String::new() }
    }

    /// Writes a line of the audit log.
    pub fn record(&self, action: Action, id: impl Display, detail: impl Display) {
        let (by, from, action) = (self.by.as_str(), self.from.as_str(), action.as_str());
        tracing::info!(target: TARGET, by, from, action, %id, %detail, "audit");
    }
}

string_enum!(
    /// The kind of a change.
    Action {
        /// A subscription was created; `detail` is its name.
        SubscriptionCreated = "subscription.created",
        /// Settings of a subscription were changed; `detail` names them.
        SubscriptionChanged = "subscription.changed",
        /// A subscription was deleted.
        SubscriptionDeleted = "subscription.deleted",
        /// A subscription was enabled.
        SubscriptionEnabled = "subscription.enabled",
        /// A subscription was disabled.
        SubscriptionDisabled = "subscription.disabled",
        /// The secret of a subscription was rotated; `detail` has the grace period of the earlier secrets.
        SecretRotated = "subscription.secret_rotated",
        /// A sample was sent to a subscription; `detail` is the outcome.
        SubscriptionTested = "subscription.tested",
        /// A delivery was made due at once.
        DeliveryRetried = "delivery.retried",
        /// A delivery was cancelled.
        DeliveryCancelled = "delivery.cancelled",
        /// A backup of the log was begun.
        BackupBegun = "backup.begun",
        /// An event was replayed; `detail` is the number of new deliveries.
        EventReplayed = "event.replayed",
        /// A replay was started; `detail` names the subscription.
        ReplayStarted = "replay.started",
        /// A replay was cancelled; `detail` is the number of deliveries that it had made.
        ReplayCancelled = "replay.cancelled",
    }
);
