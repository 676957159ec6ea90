//! Changes of subscriptions: decided, made durable, then published to matching and dispatch, one at a time.
//!
//! A change is in force for every event accepted after its answer.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use serde_json::{Map, Value};

use crate::config::Config;
use crate::model::attempt::Attempt;
use crate::model::id::SubscriptionId;
use crate::model::input::SubscriptionInput;
use crate::model::problem::Problem;
use crate::model::secret::{Secret, SecretKind, SigningSecret};
use crate::model::subscription::{
    Disabled, DisabledReason, HealthState, ManagedBy, Subscription, SubscriptionSpec,
};
use crate::model::time::Timestamp;
use crate::rules::filter::Filter;
use crate::rules::matcher::{IndexWriter, Presence};
use crate::rules::retry::RETRY_AFTER_MAX;
use crate::store::{Earlier, Once, OnceKey, StoreError};

use super::Flow;
use super::conflict::Conflict;
use super::lane::{Lane, LaneState, Limits, Line};
use super::secrets::rotated_by_config;
use super::stream::Change;
use super::version::Expected;

/// How many rows of a deleted subscription's waiting line are dropped in one durable step.
const CLEAR_ROWS_MAX: usize = 256;
pub(super) const MILLISECOND: Duration = Duration::from_millis(1);

/// A subscription and how it stands.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What people set.
    pub subscription: Arc<Subscription>,
    /// What its receiver's answers made of it.
    pub health: HealthState,
}

impl Entry {
    /// Whether its settings and its secret are those that it was made with.
    pub fn is_as_made(&self) -> bool {
        self.subscription.updated_at == self.subscription.created_at
    }
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
        wait_max: wait_max(config, spec),
    }
}

/// The longest that a delivery may wait for its next attempt, with a little for a clock that is set.
fn wait_max(config: &Config, spec: &SubscriptionSpec) -> Duration {
    const CLOCK_MAY_STEP: Duration = Duration::from_mins(1);
    let waits = spec.retry_schedule.as_deref().unwrap_or(&config.delivery.retry_schedule);
    let longest = waits.iter().map(|wait| wait.get()).max().unwrap_or_default();
    let longest = longest.mul_f64(1.0 + config.delivery.jitter.clamp(0.0, 1.0));
    longest.max(RETRY_AFTER_MAX).saturating_add(CLOCK_MAY_STEP)
}

/// The health of a subscription that a person switched off.
pub(super) fn manually_disabled(health: &HealthState, at: Timestamp) -> HealthState {
    let disabled = Disabled { reason: DisabledReason::Manual, at, detail: String::new() };
    HealthState { disabled: Some(disabled), ..health.clone() }
}

impl Flow {
    /// Every subscription, oldest first.
    pub fn subscriptions(&self) -> Vec<Entry> {
        self.lanes.all().iter().map(|lane| entry(lane)).collect()
    }

    /// The oldest subscriptions, so many.
    pub fn some_subscriptions(&self, most: usize) -> Vec<Entry> {
        self.lanes.all().iter().take(most).map(|lane| entry(lane)).collect()
    }

    /// The subscriptions of that name, oldest first.
    pub fn subscriptions_named(&self, name: &str) -> Vec<Entry> {
        let all = self.lanes.all();
        let named = all.iter().filter(|lane| lane.lock().subscription.spec.name == name);
        named.map(|lane| entry(lane)).collect()
    }

    /// The subscription of that id.
    pub fn subscription(&self, id: SubscriptionId) -> Option<Entry> {
        self.lanes.get(id).map(|lane| entry(&lane))
    }

    /// Makes a subscription; without a secret of its own it gets a random one.
    ///
    /// With a key it is made once; later calls get what became of it, and true.
    pub async fn create(
        &self,
        input: SubscriptionInput,
        once: Option<OnceKey>,
    ) -> Result<(Entry, bool), ChangeError> {
        self.create_managed(input, ManagedBy::Api, once).await
    }

    pub(super) async fn create_managed(
        &self,
        input: SubscriptionInput,
        managed_by: ManagedBy,
        once: Option<OnceKey>,
    ) -> Result<(Entry, bool), ChangeError> {
        self.check(&input.spec).await?;
        let mut index = self.changes.lock().await;
        let now = self.clock.now();
        let secret = input.secret.unwrap_or_else(|| self.new_secret(SecretKind::HmacSha256));
        let health = match input.enabled {
            Some(false) => manually_disabled(&HealthState::default(), now),
            _ => HealthState::default(),
        };
        let subscription = Subscription {
            id: SubscriptionId::from_bits(self.new_bits(now)),
            spec: input.spec,
            managed_by,
            secrets: vec![SigningSecret { secret, created_at: now, expires_at: None }],
            created_at: now,
            updated_at: now,
            deleted_at: None,
        };
        match once {
            None => self.put(&subscription, Some(&health)).await?,
            Some(once) => {
                let (subscription, health) = (subscription.clone(), Some(health.clone()));
                let put = self.commit(|place, done| {
                    place.put_subscription_once(once, subscription, health, done);
                });
                match put.await? {
                    Once::Made(()) => {}
                    Once::Repeated(Earlier::Subscription(id)) => return Ok((self.made_earlier(id)?, true)),
                    Once::Repeated(_) | Once::Mismatch => return Err(ChangeError::KeyReused),
                }
            }
        }
        let subscription = Arc::new(subscription);
        let bounds = limits(&self.config.load(), &subscription.spec);
        self.lanes.insert(Lane::new(Arc::clone(&subscription), health.clone(), bounds, Line::Empty));
        index.put(subscription.id, &subscription.spec, Presence::of(&health));
        index.commit();
        tracing::debug!(subscription = %subscription.id, name = subscription.spec.name, %managed_by, "created a subscription");
        let entry = Entry { subscription, health };
        self.tell_changed(&entry, Change::Created);
        Ok((entry, false))
    }

    /// What became of a subscription that was made with an idempotency key.
    fn made_earlier(&self, id: SubscriptionId) -> Result<Entry, ChangeError> {
        self.subscription(id).ok_or_else(|| Conflict::MadeAndDeleted(id).into())
    }

    /// Changes the settings that `change` names; `null` sets one back to its default.
    pub async fn change(
        &self,
        id: SubscriptionId,
        expected: &Expected,
        change: &Map<String, Value>,
    ) -> Result<Entry, ChangeError> {
        let present = self.owned_by_api(id)?;
        let input = SubscriptionInput::read_change(&present.subscription.spec, change)
            .map_err(ChangeError::Invalid)?;
        if input.secret.is_some() {
            let detail = "cannot be changed so: POST to rotate-secret";
            return Err(ChangeError::Invalid(vec![Problem::new("/secret", detail)]));
        }
        let entry = self.change_spec(id, expected, input.spec, None).await?;
        let expected = Expected::OneOf(vec![entry.version()]);
        match input.enabled {
            Some(true) => Ok(self.enable(id, &expected).await?.entry),
            Some(false) => self.disable(id, &expected).await,
            None => Ok(entry),
        }
    }

    /// Gives a subscription these settings, and this secret if one is given.
    pub(super) async fn change_spec(
        &self,
        id: SubscriptionId,
        expected: &Expected,
        spec: SubscriptionSpec,
        secret: Option<Secret>,
    ) -> Result<Entry, ChangeError> {
        self.check(&spec).await?;
        let mut index = self.changes.lock().await;
        let lane = self.lanes.get(id).ok_or_else(|| ChangeError::no_subscription(id))?;
        let present = entry(&lane);
        expected.check(&present)?;
        let mut subscription = Subscription::clone(&present.subscription);
        subscription.spec = spec;
        // Never the same twice, so that two changes in a millisecond are two versions.
        subscription.updated_at = self.clock.now().max(subscription.updated_at.after(MILLISECOND));
        if let Some(secret) = secret {
            subscription.secrets = rotated_by_config(&subscription, secret);
        }
        let entry = self.replace(&mut index, &lane, subscription).await?;
        tracing::debug!(subscription = %id, "changed a subscription");
        Ok(entry)
    }

    /// Makes a changed subscription durable and puts it in force.
    pub(super) async fn replace(
        &self,
        index: &mut IndexWriter,
        lane: &Arc<Lane>,
        subscription: Subscription,
    ) -> Result<Entry, StoreError> {
        self.put(&subscription, None).await?;
        let before = Arc::clone(&lane.lock().subscription);
        let subscription = Arc::new(subscription);
        let bounds = limits(&self.config.load(), &subscription.spec);
        let health = {
            let mut state = lane.lock();
            state.update(Arc::clone(&subscription), bounds);
            state.health.clone()
        };
        if before.spec.tls.id() != subscription.spec.tls.id() {
            self.client.forget(&before.spec.tls);
        }
        index.put(subscription.id, &subscription.spec, Presence::of(&health));
        index.commit();
        self.pump(lane);
        let entry = Entry { subscription, health };
        self.tell_changed(&entry, Change::Settings);
        Ok(entry)
    }

    /// Deletes a subscription. What it has not finished is cancelled; what it has stays in the log.
    pub async fn delete(&self, id: SubscriptionId, expected: &Expected) -> Result<(), ChangeError> {
        self.owned_by_api(id)?;
        self.delete_managed(id, expected).await
    }

    pub(super) async fn delete_managed(
        &self,
        id: SubscriptionId,
        expected: &Expected,
    ) -> Result<(), ChangeError> {
        let mut index = self.changes.lock().await;
        let lane = self.lanes.get(id).ok_or_else(|| ChangeError::no_subscription(id))?;
        let present = entry(&lane);
        expected.check(&present)?;
        let now = self.clock.now();
        let mut subscription = Subscription::clone(&present.subscription);
        subscription.deleted_at = Some(now);
        subscription.secrets.clear();
        let tls = std::mem::take(&mut subscription.spec.tls);
        self.put(&subscription, None).await?;
        self.unpublish(&mut index, &subscription, now);
        self.client.forget(&tls);
        let fresh = lane.lock().delete();
        self.park_by_id(&lane, fresh);
        self.spawn(self.clone().clear_line(id));
        self.tell_changed(&present, Change::Deleted);
        self.replays.nudge(id);
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
        health: Option<&HealthState>,
    ) -> Result<(), StoreError> {
        let (subscription, health) = (subscription.clone(), health.cloned());
        self.commit(|place, done| place.put_subscription(subscription, health, done)).await
    }

    /// Checks what only shows from outside: that the filter compiles, and that the address may be called.
    pub async fn check(&self, spec: &SubscriptionSpec) -> Result<(), ChangeError> {
        let mut problems = Vec::new();
        if let Some(Err(error)) = spec.filter.as_deref().map(Filter::compile) {
            problems.push(Problem::from_error("/filter", &error));
        }
        if let Err(error) = self.client.check_target(&spec.url).await {
            problems.push(Problem::from_error("/url", &error));
        }
        if problems.is_empty() { Ok(()) } else { Err(ChangeError::Invalid(problems)) }
    }

    pub(super) fn owned_by_api(&self, id: SubscriptionId) -> Result<Entry, ChangeError> {
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
    lane.lock().entry()
}

impl LaneState {
    /// The subscription as it stands.
    pub(super) fn entry(&self) -> Entry {
        Entry { subscription: Arc::clone(&self.subscription), health: self.health.clone() }
    }
}
