//! Rotation of signing secrets: the new one and those before it sign side by side until a grace is over.

use std::sync::Arc;

use crate::model::id::SubscriptionId;
use crate::model::problem::Problem;
use crate::model::secret::{Secret, SecretKind, SigningSecret};
use crate::model::subscription::Subscription;
use crate::model::time::Interval;
pub use crate::rules::rotation::GRACE;
use crate::rules::rotation::{ACTIVE_SECRETS_MAX, active, rotated};
use crate::store::StoreError;

use crate::flow::change::audit::{Action, Actor};
use crate::flow::change::conflict::Conflict;
use crate::flow::change::entry::Entry;
use crate::flow::change::error::ChangeError;
use crate::flow::change::version::Expected;
use crate::flow::inner::Flow;
use crate::flow::manage::subscriptions::MILLISECOND;

/// The longest that they may.
pub const GRACE_MAX: Interval = Interval::from_secs(30 * 86_400);

/// A change of a subscription's secret.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// For how long those before it go on signing; zero ends them at once.
    pub grace: Interval,
    /// The new secret; if none is given, one of the same kind is made.
    pub secret: Option<Secret>,
}

impl Flow {
    /// Gives a subscription a new secret; it is the first of the entry that comes back.
    ///
    /// # Errors
    /// Also when too many would sign side by side, or when it is the present one.
    pub async fn rotate_secret(
        &self,
        actor: Actor,
        id: SubscriptionId,
        expected: Expected,
        rotation: Rotation,
    ) -> Result<Entry, ChangeError> {
        let change = |flow: Self| async move {
            let grace = rotation.grace;
            let entry = flow.rotate(id, &expected, rotation).await?;
            actor.note(Action::SecretRotated, id, format_args!("grace {grace}"));
            Ok(entry)
        };
        self.complete(change).await
    }

    async fn rotate(
        &self,
        id: SubscriptionId,
        expected: &Expected,
        rotation: Rotation,
    ) -> Result<Entry, ChangeError> {
        self.owned_by_api(id)?;
        let mut index = self.changes.lock().await;
        let lane = self.lanes.get(id).ok_or_else(|| ChangeError::no_subscription(id))?;
        let present = lane.entry();
        expected.check(&present)?;
        let mut subscription = Subscription::clone(&present.subscription);
        let kind =
            subscription.secrets.first().map_or(SecretKind::HmacSha256, |signing| signing.secret.kind());
        let secret = rotation.secret.unwrap_or_else(|| self.new_secret(kind));
        if subscription.secrets.first().is_some_and(|signing| signing.secret == secret) {
            let detail = "is the present secret already: leave it out, and one is made";
            return Err(ChangeError::Invalid(vec![Problem::new("/secret", detail)]));
        }
        // Never the same twice, so that two changes in a millisecond are two versions.
        let now = self.clock.now().max(subscription.updated_at.after(MILLISECOND));
        let secrets = rotated(&subscription.secrets, secret, now, rotation.grace.get());
        if secrets.len() > ACTIVE_SECRETS_MAX {
            return Err(too_many(&secrets));
        }
        (subscription.secrets, subscription.updated_at) = (secrets, now);
        let entry = self.replace(&mut index, &lane, subscription).await?;
        tracing::debug!(subscription = %id, grace = %rotation.grace, "rotated a secret");
        Ok(entry)
    }

    /// A secret by chance.
    pub(in crate::flow) fn new_secret(&self, kind: SecretKind) -> Secret {
        Secret::of_kind(kind, self.with_rng(rand::RngExt::random))
    }

    /// Removes secrets that sign no more, from the log too.
    pub(in crate::flow) async fn drop_expired_secrets(&self) -> Result<(), StoreError> {
        for lane in self.lanes.all() {
            let has_expired = |subscription: &Subscription| {
                let now = self.clock.now();
                subscription.secrets.iter().any(|signing| !signing.is_active(now))
            };
            if !has_expired(&lane.lock().subscription) {
                continue;
            }
            let mut index = self.changes.lock().await;
            let Some(lane) = self.lanes.get(lane.id) else { continue };
            let present = Arc::clone(&lane.lock().subscription);
            let secrets = active(&present.secrets, self.clock.now()).cloned().collect();
            let subscription = Subscription { secrets, ..Subscription::clone(&present) };
            self.replace(&mut index, &lane, subscription).await?;
            tracing::debug!(subscription = %lane.id, "dropped secrets whose grace is over");
        }
        Ok(())
    }
}

fn too_many(secrets: &[SigningSecret]) -> ChangeError {
    let ends = secrets.iter().filter_map(|signing| signing.expires_at);
    Conflict::Secrets { count: secrets.len(), first_end: ends.min() }.into()
}

/// The bounds of a grace, for an error.
pub fn check_grace(grace: Interval) -> Result<Interval, String> {
    if grace.get() <= GRACE_MAX.get() {
        return Ok(grace);
    }
    Err(format!("'{grace}' is longer than {GRACE_MAX}"))
}
