//! Creating, changing and deleting subscriptions.
//!
//! Changes are made one at a time. A change is decided, made durable, and then put in force for matching and
//! dispatch. It applies to every event that is accepted after the change has returned.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::flow::change::audit::{Action, Actor};
use crate::flow::change::conflict::Conflict;
use crate::flow::change::entry::Entry;
use crate::flow::change::error::ChangeError;
use crate::flow::change::version::Expected;
use crate::flow::inner::Flow;
use crate::flow::lane::{InitialQueue, Lane, Limits};
use crate::flow::manage::enable::manually_disabled;
use crate::flow::stream::Change;
use crate::model::id::SubscriptionId;
use crate::model::input::SubscriptionInput;
use crate::model::problem::Problem;
use crate::model::secret::{Secret, SecretKind, SigningSecret};
use crate::model::subscription::{HealthState, ManagedBy, Subscription, SubscriptionSpec};
use crate::model::time::Timestamp;
use crate::rules::filter::Filter;
use crate::rules::matcher::{IndexWriter, Presence};
use crate::rules::rotation::rotated_by_config;
use crate::store::{Idempotent, IdempotentRequest, RecordedResult, StoreError};

/// The most rows of a deleted subscription's queue that one durable step removes.
const CLEAR_ROWS_MAX: usize = 256;
pub(in crate::flow) const MILLISECOND: Duration = Duration::from_millis(1);

impl Flow {
    /// Returns all subscriptions, oldest first.
    pub fn subscriptions(&self) -> Vec<Entry> {
        self.lanes.all().iter().map(|lane| lane.entry()).collect()
    }

    /// Returns the oldest subscriptions, at most `most`.
    pub fn oldest_subscriptions(&self, most: usize) -> Vec<Entry> {
        self.lanes.all().iter().take(most).map(|lane| lane.entry()).collect()
    }

    /// Returns the subscriptions with this name, oldest first.
    pub fn subscriptions_named(&self, name: &str) -> Vec<Entry> {
        let all = self.lanes.all();
        let named = all.iter().filter(|lane| lane.lock().subscription.spec.name == name);
        named.map(|lane| lane.entry()).collect()
    }

    /// Returns a subscription.
    pub fn subscription(&self, id: SubscriptionId) -> Option<Entry> {
        self.lanes.get(id).map(|lane| lane.entry())
    }

    /// Creates a subscription. If the input has no secret, a random one is generated.
    ///
    /// With an idempotency key, repeated calls return the subscription that the first call created, and true.
    pub async fn create(
        &self,
        actor: Actor,
        input: SubscriptionInput,
        once: Option<IdempotentRequest>,
    ) -> Result<(Entry, bool), ChangeError> {
        let change = |flow: Self| async move {
            let (entry, is_repeat) = flow.create_managed(input, ManagedBy::Api, once).await?;
            if !is_repeat {
                let Subscription { id, spec, .. } = &*entry.subscription;
                actor.record(Action::SubscriptionCreated, id, &spec.name);
            }
            Ok((entry, is_repeat))
        };
        self.complete(change).await
    }

    pub(in crate::flow) async fn create_managed(
        &self,
        input: SubscriptionInput,
        managed_by: ManagedBy,
        once: Option<IdempotentRequest>,
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
                    place.put_subscription_idempotent(once, subscription, health, done);
                });
                match put.await? {
                    Idempotent::Made(()) => {}
                    Idempotent::Repeated(RecordedResult::Subscription(id)) => {
                        return Ok((self.made_earlier(id)?, true));
                    }
                    Idempotent::Repeated(_) | Idempotent::Mismatch => return Err(ChangeError::KeyReused),
                }
            }
        }
        let subscription = Arc::new(subscription);
        let bounds = Limits::new(&self.config.load(), &subscription.spec);
        self.lanes.insert(Lane::new(Arc::clone(&subscription), health.clone(), bounds, InitialQueue::Empty));
        index.put(subscription.id, &subscription.spec, Presence::of(&health));
        index.commit();
        tracing::debug!(subscription = %subscription.id, name = subscription.spec.name, %managed_by, "created a subscription");
        let entry = Entry { subscription, health };
        self.publish_change(&entry, Change::Created);
        Ok((entry, false))
    }

    /// Returns the subscription that an earlier call with the same idempotency key created.
    fn made_earlier(&self, id: SubscriptionId) -> Result<Entry, ChangeError> {
        self.subscription(id).ok_or_else(|| Conflict::CreatedThenDeleted(id).into())
    }

    /// Changes the settings that `members` names. `null` resets a setting to its default.
    ///
    /// `enabled` enables or disables the subscription after the other settings have changed.
    pub async fn change(
        &self,
        actor: Actor,
        id: SubscriptionId,
        expected: Expected,
        members: Map<String, Value>,
    ) -> Result<Entry, ChangeError> {
        self.complete(|flow| async move { flow.change_members(&actor, id, expected, members).await }).await
    }

    async fn change_members(
        &self,
        actor: &Actor,
        id: SubscriptionId,
        mut expected: Expected,
        mut members: Map<String, Value>,
    ) -> Result<Entry, ChangeError> {
        let mut entry = self.subscription(id).ok_or_else(|| ChangeError::no_subscription(id))?;
        SubscriptionInput::read_change(&entry.subscription.spec, &members).map_err(ChangeError::Invalid)?;
        let enabled = members.remove("enabled").and_then(|value| value.as_bool());
        if !members.is_empty() {
            entry = self.change_settings(id, &expected, &members).await?;
            actor.record(Action::SubscriptionChanged, id, names(&members));
            expected = Expected::OneOf(vec![entry.version()]);
        }
        match (enabled, entry.health.disabled.is_none()) {
            (Some(true), false) => Ok(self.enable_audited(actor, id, &expected).await?.entry),
            (Some(false), true) => self.disable_audited(actor, id, &expected).await,
            _ => expected.check(&entry).map(|()| entry),
        }
    }

    async fn change_settings(
        &self,
        id: SubscriptionId,
        expected: &Expected,
        members: &Map<String, Value>,
    ) -> Result<Entry, ChangeError> {
        let present = self.owned_by_api(id)?;
        let input = SubscriptionInput::read_change(&present.subscription.spec, members)
            .map_err(ChangeError::Invalid)?;
        if input.secret.is_some() {
            let detail = "cannot be changed here: use POST /v1/subscriptions/{id}/rotate-secret";
            return Err(ChangeError::Invalid(vec![Problem::new("/secret", detail)]));
        }
        self.change_spec(id, expected, input.spec, None).await
    }

    /// Replaces the settings of a subscription, and its secret if one is given.
    pub(in crate::flow) async fn change_spec(
        &self,
        id: SubscriptionId,
        expected: &Expected,
        spec: SubscriptionSpec,
        secret: Option<Secret>,
    ) -> Result<Entry, ChangeError> {
        self.check(&spec).await?;
        let mut index = self.changes.lock().await;
        let lane = self.lanes.get(id).ok_or_else(|| ChangeError::no_subscription(id))?;
        let present = lane.entry();
        expected.check(&present)?;
        let mut subscription = Subscription::clone(&present.subscription);
        subscription.spec = spec;
        // Versions include this time: two changes within a millisecond must differ.
        subscription.updated_at = self.clock.now().max(subscription.updated_at.after(MILLISECOND));
        if let Some(secret) = secret {
            subscription.secrets = rotated_by_config(&subscription.secrets, secret, subscription.updated_at);
        }
        let entry = self.replace(&mut index, &lane, subscription).await?;
        tracing::debug!(subscription = %id, "changed a subscription");
        Ok(entry)
    }

    /// Makes a changed subscription durable and puts it in force.
    pub(in crate::flow) async fn replace(
        &self,
        index: &mut IndexWriter,
        lane: &Arc<Lane>,
        subscription: Subscription,
    ) -> Result<Entry, StoreError> {
        self.put(&subscription, None).await?;
        let before = Arc::clone(&lane.lock().subscription);
        let subscription = Arc::new(subscription);
        let bounds = Limits::new(&self.config.load(), &subscription.spec);
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
        self.publish_change(&entry, Change::Settings);
        Ok(entry)
    }

    /// Deletes a subscription. Its unfinished deliveries are cancelled; its finished ones stay in the log.
    pub async fn delete(
        &self,
        actor: Actor,
        id: SubscriptionId,
        expected: Expected,
    ) -> Result<(), ChangeError> {
        let change = |flow: Self| async move {
            flow.owned_by_api(id)?;
            flow.delete_managed(id, &expected).await?;
            actor.record(Action::SubscriptionDeleted, id, "");
            Ok(())
        };
        self.complete(change).await
    }

    pub(in crate::flow) async fn delete_managed(
        &self,
        id: SubscriptionId,
        expected: &Expected,
    ) -> Result<(), ChangeError> {
        let mut index = self.changes.lock().await;
        let lane = self.lanes.get(id).ok_or_else(|| ChangeError::no_subscription(id))?;
        let present = lane.entry();
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
        self.persist_fresh(&lane, fresh);
        self.spawn(self.clone().clear_queue(id));
        self.publish_change(&present, Change::Deleted);
        self.replays.wake(id);
        tracing::debug!(subscription = %id, name = subscription.spec.name, "deleted a subscription");
        Ok(())
    }

    fn unpublish(&self, index: &mut IndexWriter, subscription: &Subscription, at: Timestamp) {
        self.deleted.insert(subscription, at);
        self.lanes.remove(subscription.id);
        index.remove(subscription.id);
        index.commit();
    }

    /// Removes the queue of a deleted subscription from the disk, in small steps.
    pub(in crate::flow) async fn clear_queue(self, id: SubscriptionId) {
        loop {
            match self.commit(|place, done| place.clear_lane(id, CLEAR_ROWS_MAX, done)).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    return tracing::error!(subscription = %id, %error, "failed to clear the queue of a deleted subscription");
                }
            }
        }
    }

    pub(in crate::flow) async fn put(
        &self,
        subscription: &Subscription,
        health: Option<&HealthState>,
    ) -> Result<(), StoreError> {
        let (subscription, health) = (subscription.clone(), health.cloned());
        self.commit(|place, done| place.put_subscription(subscription, health, done)).await
    }

    /// Checks what the settings refer to: the filter has to compile, and the address has to be allowed.
    ///
    /// # Errors
    /// [`ChangeError::Invalid`] with every problem that was found.
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

    pub(in crate::flow) fn owned_by_api(&self, id: SubscriptionId) -> Result<Entry, ChangeError> {
        let entry = self.subscription(id).ok_or_else(|| ChangeError::no_subscription(id))?;
        match entry.subscription.managed_by {
            ManagedBy::Api => Ok(entry),
            ManagedBy::Config => {
                Err(ChangeError::ManagedByConfig { name: entry.subscription.spec.name.clone() })
            }
        }
    }
}

fn names(members: &Map<String, Value>) -> String {
    members.keys().map(String::as_str).collect::<Vec<_>>().join(",")
}
