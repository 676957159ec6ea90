//! Why a change was refused or failed.

use crate::flow::change::conflict::Conflict;
use crate::model::attempt::Attempt;
use crate::model::id::SubscriptionId;
use crate::model::problem::Problem;
use crate::store::StoreError;

/// Why a change was not made. Nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// There is no such thing.
    #[error("there is no {what} {id}")]
    NotFound {
        /// What was asked for.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// The config file owns the subscription.
    #[error("subscription '{name}' comes from the config file: change it there and reload (SIGHUP)")]
    ManagedByConfig {
        /// Its name.
        name: String,
    },
    /// The input has these problems.
    #[error("{} of the input cannot be used", .0.len())]
    Invalid(Vec<Problem>),
    /// The receiver did not pass the health check, so the subscription stays switched off.
    #[error("the receiver did not pass the health check ({}): the subscription stays disabled", .attempt.outcome)]
    CheckFailed {
        /// The check.
        attempt: Box<Attempt>,
    },
    /// It is no longer the version that the change was meant for.
    #[error("the subscription {id} has been changed meanwhile: get it again")]
    Outdated {
        /// Its id.
        id: SubscriptionId,
    },
    /// Something else is happening to it just now.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// A bound is reached.
    #[error("{detail}")]
    TooMany {
        /// Which, and what to do.
        detail: &'static str,
    },
    /// Its idempotency key was used for something else.
    #[error("this idempotency key was used with another body: take a new key for a new request")]
    KeyReused,
    /// The change panicked. Part of it may be in force.
    #[error("a bug: the change panicked and may be in force in part: {cause}")]
    Panicked {
        /// The message of the panic.
        cause: String,
    },
    /// The daemon is stopping.
    #[error("the daemon is stopping: try again when it has started")]
    Stopping,
    /// The log failed.
    #[error("the change could not be made durable: {0}")]
    Store(#[from] StoreError),
}

impl ChangeError {
    /// There is no subscription of that id.
    pub fn no_subscription(id: SubscriptionId) -> Self {
        Self::NotFound { what: "subscription", id: id.to_string() }
    }
}
