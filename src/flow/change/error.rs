//! The error of a change that was refused or has failed.

use crate::flow::change::conflict::Conflict;
use crate::model::attempt::Attempt;
use crate::model::id::SubscriptionId;
use crate::model::problem::Problem;
use crate::store::StoreError;

/// The reason why a change was not made. Except for [`Panicked`](Self::Panicked), no part of the change is in force.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The thing to change does not exist.
    #[error("there is no {what} {id}")]
    NotFound {
        /// The kind of thing, such as "subscription".
        what: &'static str,
        /// The id that was given.
        id: String,
    },
    /// The subscription is managed by the config file.
    #[error("subscription '{name}' is managed by the config file: change it there and reload (SIGHUP)")]
    ManagedByConfig {
        /// The name of the subscription.
        name: String,
    },
    /// The input is invalid.
    #[error("invalid input: {} problems", .0.len())]
    Invalid(Vec<Problem>),
    /// The receiver failed the health check, so the subscription stays disabled.
    #[error("the receiver failed the health check ({}): the subscription stays disabled", .attempt.outcome)]
    CheckFailed {
        /// The attempt that was the health check.
        attempt: Box<Attempt>,
    },
    /// The subscription is no longer at the version that the change was made for.
    #[error("the subscription {id} has changed since you read it: read it again, then repeat the change")]
    Outdated {
        /// The id of the subscription.
        id: SubscriptionId,
    },
    /// The change does not fit the present state.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// A limit is reached.
    #[error("{detail}")]
    TooMany {
        /// The limit, and what to do.
        detail: &'static str,
    },
    /// The idempotency key was used with another request.
    #[error("this idempotency key was used with another body: use a new key for a new request")]
    KeyReused,
    /// The change panicked. Part of it may be in force.
    #[error("a bug: the change panicked and may be in force in part: {cause}")]
    Panicked {
        /// The message of the panic.
        cause: String,
    },
    /// The daemon is stopping.
    #[error("the daemon is stopping: try again after it has restarted")]
    Stopping,
    /// The log failed.
    #[error("failed to make the change durable: {0}")]
    Store(#[from] StoreError),
}

impl ChangeError {
    /// There is no subscription of that id.
    pub fn no_subscription(id: SubscriptionId) -> Self {
        Self::NotFound { what: "subscription", id: id.to_string() }
    }
}
