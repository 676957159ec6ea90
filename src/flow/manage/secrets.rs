//! Rotation of signing secrets. The new secret and the earlier ones sign side by side until a grace period
//! ends.

use std::sync::Arc;

use crate::flow::change::audit::{Action, Actor};
use crate::flow::change::conflict::Conflict;
use crate::flow::change::entry::Entry;
use crate::flow::change::error::ChangeError;
use crate::flow::change::version::Expected;
use crate::flow::inner::Flow;
use crate::flow::manage::subscriptions::MILLISECOND;
use crate::model::id::SubscriptionId;
use crate::model::problem::Problem;
use crate::model::secret::{Secret, SecretKind, SigningSecret};
use crate::model::subscription::Subscription;
use crate::model::time::Interval;
pub use crate::rules::rotation::GRACE;
use crate::rules::rotation::{ACTIVE_SECRETS_MAX, active, rotated};
use crate::store::StoreError;

/// The longest grace period.
pub const GRACE_MAX: Interval = Interval::from_secs(30 * 86_400);

/// A rotation of a subscription's secret.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// The time for which the earlier secrets go on signing. Zero revokes them immediately.
    pub grace: Interval,
    /// The new secret. If none is given, one of the same kind is generated.
    pub secret: Option<Secret>,
}

impl Flow {
    /// Gives a subscription a new secret. It is the first secret of the returned entry.
    ///
    /// # Errors
    /// [`ChangeError::Invalid`] if the secret is the present one, [`Conflict::TooManySecrets`] if too many
    /// secrets would sign side by side; and the errors of every change.
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
            actor.record(Action::SecretRotated, id, format_args!("grace {grace}"));
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
            let detail = "is already the present secret: leave it out to have one generated";
            return Err(ChangeError::Invalid(vec![Problem::new("/secret", detail)]));
        }
        // Versions include this time: two changes within a millisecond must differ.
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

    /// Generates a random secret.
    pub(in crate::flow) fn new_secret(&self, kind: SecretKind) -> Secret {
        Secret::of_kind(kind, self.with_rng(rand::RngExt::random))
    }

    /// Removes secrets whose grace period is over, also from the log.
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
            tracing::debug!(subscription = %lane.id, "removed secrets whose grace period is over");
        }
        Ok(())
    }
}

fn too_many(secrets: &[SigningSecret]) -> ChangeError {
    let ends = secrets.iter().filter_map(|signing| signing.expires_at);
    Conflict::TooManySecrets { count: secrets.len(), first_end: ends.min() }.into()
}

/// Checks the length of a grace period.
///
/// # Errors
/// A description of the problem, if the period is longer than [`GRACE_MAX`].
pub fn check_grace(grace: Interval) -> Result<Interval, String> {
    if grace.get() <= GRACE_MAX.get() {
        return Ok(grace);
    }
    Err(format!("'{grace}' is longer than {GRACE_MAX}"))
}
