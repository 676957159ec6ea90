//! Reconciliation: the subscriptions of the config file are created, changed and deleted to match the file.
//!
//! A subscription of the file is identified by its name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::config::{Config, ConfigSubscription};
use crate::flow::change::audit::{Action, Actor};
use crate::flow::change::entry::Entry;
use crate::flow::change::error::ChangeError;
use crate::flow::change::version::Expected;
use crate::flow::inner::Flow;
use crate::flow::lane::Limits;
use crate::model::id::SubscriptionId;
use crate::model::subscription::{DisabledReason, ManagedBy};

/// The result of applying new settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// The number of subscriptions that were created.
    pub added: usize,
    /// The number of subscriptions whose settings were changed. They keep their ids and their unfinished
    /// deliveries.
    pub changed: usize,
    /// The number of subscriptions that were deleted. Their unfinished deliveries are cancelled.
    pub removed: usize,
}

/// The subscriptions of the config file that could not be applied: their names and the errors.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(|(name, error)| format!("subscription '{name}' of the config file: {}", describe(error))).collect::<Vec<_>>().join("\n"))]
pub struct ReconcileError(pub Vec<(String, ChangeError)>);

impl ReconcileError {
    fn one(name: &str, error: ChangeError) -> Self {
        Self(vec![(name.to_owned(), error)])
    }
}

fn describe(error: &ChangeError) -> String {
    match error {
        ChangeError::Invalid(problems) => {
            problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        }
        other => other.to_string(),
    }
}

impl Flow {
    /// Applies new settings: the subscriptions of the file, limits, retry schedules and the health policy.
    ///
    /// # Errors
    /// Every subscription of the file that is invalid. Nothing has changed then. If the log fails, the
    /// settings may be applied in part.
    pub async fn apply(&self, config: Arc<Config>) -> Result<Reconciled, ReconcileError> {
        let mut present = self.managed_by_config();
        self.check_all(&config, &present).await?;
        let before = self.config.swap(Arc::clone(&config));
        if before.auth != config.auth {
            self.stream.disconnect_listeners();
        }
        self.replays.wake_all();
        self.mail_wake.notify_one();
        for lane in self.lanes.all() {
            let mut state = lane.lock();
            let subscription = Arc::clone(&state.subscription);
            let bounds = Limits::new(&config, &subscription.spec);
            state.update(subscription, bounds);
        }
        let mut reconciled = Reconciled::default();
        let wanted: BTreeSet<&str> =
            config.subscriptions.iter().map(|one| one.input.spec.name.as_str()).collect();
        for (name, entry) in present.extract_if(.., |name, _| !wanted.contains(name.as_str())) {
            let id = entry.subscription.id;
            let deleted = self.delete_managed(id, &Expected::Any).await;
            deleted.map_err(|error| ReconcileError::one(&name, error))?;
            note(Action::SubscriptionDeleted, id, &name);
            reconciled.removed += 1;
        }
        for one in &config.subscriptions {
            let name = &one.input.spec.name;
            let entry = present.remove(name);
            let applied = self.apply_one(one, entry, &mut reconciled).await;
            applied.map_err(|error| ReconcileError::one(name, error))?;
        }
        Ok(reconciled)
    }

    fn managed_by_config(&self) -> BTreeMap<String, Entry> {
        let all = self.subscriptions().into_iter();
        all.filter(|entry| entry.subscription.managed_by == ManagedBy::Config)
            .map(|entry| (entry.subscription.spec.name.clone(), entry))
            .collect()
    }

    /// Checks every subscription that the file adds or changes. Changes nothing.
    async fn check_all(
        &self,
        config: &Config,
        present: &BTreeMap<String, Entry>,
    ) -> Result<(), ReconcileError> {
        let mut refused = Vec::new();
        for one in &config.subscriptions {
            let spec = &one.input.spec;
            let is_new = present.get(&spec.name).is_none_or(|entry| entry.subscription.spec != *spec);
            if is_new && let Err(error) = self.check(spec).await {
                refused.push((spec.name.clone(), error));
            }
        }
        if refused.is_empty() { Ok(()) } else { Err(ReconcileError(refused)) }
    }

    async fn apply_one(
        &self,
        wanted: &ConfigSubscription,
        present: Option<Entry>,
        reconciled: &mut Reconciled,
    ) -> Result<(), ChangeError> {
        let Some(Entry { subscription, health }) = present else {
            let mut input = wanted.input.clone();
            input.secret = Some(wanted.secret.clone());
            let (made, _) = self.create_managed(input, ManagedBy::Config, None).await?;
            note(Action::SubscriptionCreated, made.subscription.id, &made.subscription.spec.name);
            reconciled.added += 1;
            return Ok(());
        };
        let (id, name) = (subscription.id, &wanted.input.spec.name);
        let has_secret = subscription.secrets.first().is_some_and(|signing| signing.secret == wanted.secret);
        if subscription.spec != wanted.input.spec || !has_secret {
            let secret = (!has_secret).then(|| wanted.secret.clone());
            self.change_spec(id, &Expected::Any, wanted.input.spec.clone(), secret).await?;
            note(Action::SubscriptionChanged, id, name);
            reconciled.changed += 1;
        }
        let is_manually_off =
            health.disabled.is_some_and(|disabled| disabled.reason == DisabledReason::Manual);
        match wanted.input.enabled {
            Some(false) if !is_manually_off => {
                self.disable_managed(id, &Expected::Any).await?;
                note(Action::SubscriptionDisabled, id, name);
            }
            Some(true) if is_manually_off => {
                self.enable_managed(id, &Expected::Any).await?;
                note(Action::SubscriptionEnabled, id, name);
            }
            _ => {}
        }
        Ok(())
    }
}

fn note(action: Action, id: SubscriptionId, name: &str) {
    Actor::config().record(action, id, name);
}
