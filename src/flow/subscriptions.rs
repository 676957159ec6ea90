//! Changes of subscriptions: decided, made durable, then published to matching and dispatch, one at a time.
//!
//! A change is in force for every event accepted after its answer.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::{Map, Value};

use crate::config::Config;
use crate::model::attempt::Attempt;
use crate::model::id::SubscriptionId;
use crate::model::input::SubscriptionInput;
use crate::model::problem::Problem;
use crate::model::secret::{Secret, SigningSecret};
use crate::model::subscription::{
    Disabled, DisabledReason, ManagedBy, Standing, Subscription, SubscriptionSpec,
};
use crate::model::time::Timestamp;
use crate::rules::filter::Filter;
use crate::rules::matcher::{IndexWriter, Presence};
use crate::store::StoreError;

use super::Flow;
use super::lane::{Lane, Limits, Line};

/// How many rows of a deleted subscription's waiting line are dropped in one durable step.
const CLEAR_ROWS_MAX: usize = 256;

/// A subscription and how it stands.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What people set.
    pub subscription: Arc<Subscription>,
    /// What its receiver's answers made of it.
    pub standing: Standing,
}

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
    /// Something else is happening to it just now.
    #[error("{0}")]
    Conflict(String),
    /// The daemon is stopping.
    #[error("the daemon is stopping: try again when it has started")]
    Stopping,
    /// The log failed.
    #[error("the change could not be made durable: {0}")]
    Store(#[from] StoreError),
}

impl ChangeError {
    pub(super) fn no_subscription(id: SubscriptionId) -> Self {
        Self::NotFound { what: "subscription", id: id.to_string() }
    }
}

/// Subscriptions that were deleted while the log still speaks of them: their names, and when.
#[derive(Debug, Default)]
pub(super) struct Deleted(RwLock<BTreeMap<SubscriptionId, (String, Timestamp)>>);

impl Deleted {
    pub(super) fn insert(&self, subscription: &Subscription, at: Timestamp) {
        let entry = (subscription.spec.name.clone(), at);
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(subscription.id, entry);
    }

    pub(super) fn get(&self, id: SubscriptionId) -> Option<(String, Timestamp)> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }
}

/// The bounds of a subscription's lane.
pub(super) fn limits(config: &Config, spec: &SubscriptionSpec) -> Limits {
    let own = spec.max_in_flight.map(NonZeroU32::get).and_then(|count| usize::try_from(count).ok());
    Limits {
        max_in_flight: own.unwrap_or(config.delivery.max_in_flight_per_subscription),
        page: config.delivery.lane_page,
    }
}

/// The standing of a subscription that a person switched off.
pub(super) fn manually_disabled(standing: &Standing, at: Timestamp) -> Standing {
    let disabled = Disabled { reason: DisabledReason::Manual, at, detail: String::new() };
    Standing { disabled: Some(disabled), ..standing.clone() }
}

impl Flow {
    /// Every subscription, oldest first.
    pub fn subscriptions(&self) -> Vec<Entry> {
        self.lanes.all().iter().map(|lane| entry(lane)).collect()
    }

    /// The subscription of that id.
    pub fn subscription(&self, id: SubscriptionId) -> Option<Entry> {
        self.lanes.get(id).map(|lane| entry(&lane))
    }

    /// Makes a subscription; without a secret of its own it gets a random one.
    pub async fn create(&self, input: SubscriptionInput) -> Result<Entry, ChangeError> {
        self.create_managed(input, ManagedBy::Api).await
    }

    pub(super) async fn create_managed(
        &self,
        input: SubscriptionInput,
        managed_by: ManagedBy,
    ) -> Result<Entry, ChangeError> {
        self.check(&input.spec).await?;
        let mut index = self.changes.lock().await;
        let now = self.clock.now();
        let secret = input.secret.unwrap_or_else(|| Secret::from_random(self.with_rng(rand::RngExt::random)));
        let standing = match input.enabled {
            Some(false) => manually_disabled(&Standing::default(), now),
            _ => Standing::default(),
        };
        let subscription = Subscription {
            id: SubscriptionId::from_bits(self.new_bits(now)),
            spec: input.spec,
            managed_by,
            secrets: vec![SigningSecret { secret, expires_at: None }],
            created_at: now,
            updated_at: now,
            deleted_at: None,
        };
        self.put(&subscription, Some(&standing)).await?;
        let subscription = Arc::new(subscription);
        let bounds = limits(&self.config.load(), &subscription.spec);
        self.lanes.insert(Lane::new(Arc::clone(&subscription), standing.clone(), bounds, Line::Empty));
        index.put(subscription.id, &subscription.spec, Presence::of(&standing));
        index.commit();
        tracing::debug!(subscription = %subscription.id, name = subscription.spec.name, %managed_by, "created a subscription");
        Ok(Entry { subscription, standing })
    }

    /// Changes the settings that `change` names; `null` sets one back to its default.
    pub async fn change(
        &self,
        id: SubscriptionId,
        change: &Map<String, Value>,
    ) -> Result<Entry, ChangeError> {
        let present = self.owned_by_api(id)?;
        let input = SubscriptionInput::read_change(&present.subscription.spec, change)
            .map_err(ChangeError::Invalid)?;
        if input.secret.is_some() {
            let detail = "cannot be changed so: rotate the secret, or make a new subscription";
            return Err(ChangeError::Invalid(vec![Problem::new("/secret", detail)]));
        }
        self.change_spec(id, input.spec, None).await?;
        match input.enabled {
            Some(true) => Ok(self.enable(id).await?.entry),
            Some(false) => self.disable(id).await,
            None => self.subscription(id).ok_or_else(|| ChangeError::no_subscription(id)),
        }
    }

    /// Gives a subscription these settings, and this secret if one is given.
    pub(super) async fn change_spec(
        &self,
        id: SubscriptionId,
        spec: SubscriptionSpec,
        secret: Option<Secret>,
    ) -> Result<(), ChangeError> {
        self.check(&spec).await?;
        let mut index = self.changes.lock().await;
        let lane = self.lanes.get(id).ok_or_else(|| ChangeError::no_subscription(id))?;
        let mut subscription = Subscription::clone(&entry(&lane).subscription);
        let before = std::mem::replace(&mut subscription.spec, spec).tls;
        subscription.updated_at = self.clock.now();
        if let Some(secret) = secret {
            subscription.secrets = vec![SigningSecret { secret, expires_at: None }];
        }
        self.put(&subscription, None).await?;
        let subscription = Arc::new(subscription);
        let bounds = limits(&self.config.load(), &subscription.spec);
        let standing = {
            let mut state = lane.lock();
            state.update(Arc::clone(&subscription), bounds);
            state.standing.clone()
        };
        if before.id() != subscription.spec.tls.id() {
            self.client.forget(&before);
        }
        index.put(id, &subscription.spec, Presence::of(&standing));
        index.commit();
        self.pump(&lane);
        tracing::debug!(subscription = %id, name = subscription.spec.name, "changed a subscription");
        Ok(())
    }

    /// Deletes a subscription. What it has not finished is cancelled; what it has stays in the log.
    pub async fn delete(&self, id: SubscriptionId) -> Result<(), ChangeError> {
        self.owned_by_api(id)?;
        self.delete_managed(id).await
    }

    pub(super) async fn delete_managed(&self, id: SubscriptionId) -> Result<(), ChangeError> {
        let mut index = self.changes.lock().await;
        let lane = self.lanes.get(id).ok_or_else(|| ChangeError::no_subscription(id))?;
        let now = self.clock.now();
        let mut subscription = Subscription::clone(&entry(&lane).subscription);
        subscription.deleted_at = Some(now);
        self.put(&subscription, None).await?;
        self.unpublish(&mut index, &subscription, now);
        self.client.forget(&subscription.spec.tls);
        let fresh = lane.lock().delete();
        self.park_by_id(&lane, fresh);
        self.spawn(self.clone().clear_line(id));
        tracing::debug!(subscription = %id, name = subscription.spec.name, "deleted a subscription");
        Ok(())
    }

    fn unpublish(&self, index: &mut IndexWriter, subscription: &Subscription, at: Timestamp) {
        self.deleted.insert(subscription, at);
        self.lanes.remove(subscription.id);
        index.remove(subscription.id);
        index.commit();
    }

    /// Drops the waiting line of a deleted subscription, in small steps.
    pub(super) async fn clear_line(self, id: SubscriptionId) {
        loop {
            match self.commit(|place, done| place.clear_lane(id, CLEAR_ROWS_MAX, done)).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    return tracing::error!(subscription = %id, %error, "failed to clear what a deleted one left");
                }
            }
        }
    }

    pub(super) async fn put(
        &self,
        subscription: &Subscription,
        standing: Option<&Standing>,
    ) -> Result<(), StoreError> {
        let (subscription, standing) = (subscription.clone(), standing.cloned());
        self.commit(|place, done| place.put_subscription(subscription, standing, done)).await
    }

    /// Checks what only shows from outside: that the filter compiles, and that the address may be called.
    pub(super) async fn check(&self, spec: &SubscriptionSpec) -> Result<(), ChangeError> {
        let mut problems = Vec::new();
        if let Some(Err(error)) = spec.filter.as_deref().map(Filter::compile) {
            problems.push(Problem::new("/filter", error));
        }
        if let Err(error) = self.client.vet(&spec.url).await {
            problems.push(Problem::new("/url", error));
        }
        if problems.is_empty() { Ok(()) } else { Err(ChangeError::Invalid(problems)) }
    }

    fn owned_by_api(&self, id: SubscriptionId) -> Result<Entry, ChangeError> {
        let entry = self.subscription(id).ok_or_else(|| ChangeError::no_subscription(id))?;
        match entry.subscription.managed_by {
            ManagedBy::Api => Ok(entry),
            ManagedBy::Config => {
                Err(ChangeError::ManagedByConfig { name: entry.subscription.spec.name.clone() })
            }
        }
    }
}

pub(super) fn entry(lane: &Lane) -> Entry {
    let state = lane.lock();
    Entry { subscription: Arc::clone(&state.subscription), standing: state.standing.clone() }
}
