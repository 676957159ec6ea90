//! Secret rotation: how a new secret changes the secrets of a subscription.

use std::time::Duration;

use crate::model::secret::{Secret, SigningSecret};
use crate::model::time::{Interval, Timestamp};

/// The most secrets that can be active at the same time. Each of them adds a signature to every request.
pub const ACTIVE_SECRETS_MAX: usize = 4;

/// The default grace period: how long earlier secrets sign after a rotation.
pub const GRACE: Interval = Interval::from_secs(86_400);

/// Returns the secrets of a subscription after a rotation to `secret`.
///
/// `secret` comes first. Secrets that are active at `now` follow, newest first, and expire after `grace` at
/// the latest. A `secret` that the subscription already has moves to the first place.
pub fn rotated(
    present: &[SigningSecret],
    secret: Secret,
    now: Timestamp,
    grace: Duration,
) -> Vec<SigningSecret> {
    let end = now.after(grace);
    let former = active(present, now).filter(|signing| signing.secret != secret).map(|signing| {
        let expires_at = Some(signing.expires_at.map_or(end, |own_end| own_end.min(end)));
        SigningSecret { expires_at, ..signing.clone() }
    });
    let former: Vec<_> = former.filter(|signing| signing.is_active(now)).collect();
    let mut secrets = vec![SigningSecret { secret, created_at: now, expires_at: None }];
    secrets.extend(former);
    secrets
}

/// Returns the secrets of a subscription after its secret in the config file has changed.
///
/// A reload cannot wait until earlier secrets expire. So the oldest secrets are dropped if more than
/// [`ACTIVE_SECRETS_MAX`] would be active.
pub fn rotated_by_config(present: &[SigningSecret], secret: Secret, now: Timestamp) -> Vec<SigningSecret> {
    let mut secrets = rotated(present, secret, now, GRACE.get());
    secrets.truncate(ACTIVE_SECRETS_MAX);
    secrets
}

/// Returns the secrets that are active at `now`.
pub fn active(secrets: &[SigningSecret], now: Timestamp) -> impl Iterator<Item = &SigningSecret> {
    secrets.iter().filter(move |signing| signing.is_active(now))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn secret(number: u8) -> Secret {
        Secret::from_random([number; 32])
    }

    fn signing(number: u8, expires_in: Option<u64>) -> SigningSecret {
        let expires_at = expires_in.map(|secs| NOW.after(Duration::from_secs(secs)));
        SigningSecret { secret: secret(number), created_at: Timestamp::default(), expires_at }
    }

    #[test]
    fn old_secrets_sign_until_the_grace_period_ends() {
        let present = [signing(1, None), signing(2, Some(100)), signing(3, Some(10)), signing(4, Some(0))];
        #[rustfmt::skip]
        let table = [
            (9, 60, vec![(9, None), (1, Some(60)), (2, Some(60)), (3, Some(10))]),
            (9, 0, vec![(9, None)]),
            (9, 1000, vec![(9, None), (1, Some(1000)), (2, Some(100)), (3, Some(10))]),
            (1, 60, vec![(1, None), (2, Some(60)), (3, Some(10))]),
            (2, 60, vec![(2, None), (1, Some(60)), (3, Some(10))]),
        ];
        for (new, grace, expected) in table {
            let mut expected: Vec<_> = expected.iter().map(|(number, end)| signing(*number, *end)).collect();
            expected[0].created_at = NOW;
            assert_eq!(
                rotated(&present, secret(new), NOW, Duration::from_secs(grace)),
                expected,
                "{new} {grace}"
            );
        }
    }

    proptest! {
        #[test]
        fn rotation_leaves_one_current_secret_and_extends_no_other(
            rotations in proptest::collection::vec((0u8..6, 0u64..100, 0u64..100), 1..20)
        ) {
            let (mut secrets, mut now) = (vec![signing(0, None)], NOW);
            for (new, wait, grace) in rotations {
                now = now.after(Duration::from_secs(wait));
                let grace = Duration::from_secs(grace);
                let before = std::mem::take(&mut secrets);
                secrets = rotated(&before, secret(new), now, grace);
                prop_assert_eq!(&secrets[0].secret, &secret(new));
                prop_assert_eq!(secrets.iter().filter(|one| one.expires_at.is_none()).count(), 1);
                for one in &secrets[1..] {
                    let was = before.iter().find(|was| was.secret == one.secret).unwrap();
                    prop_assert!(one.is_active(now) && !one.is_active(now.after(grace)));
                    prop_assert!(was.expires_at.is_none_or(|end| one.expires_at.unwrap() <= end));
                    prop_assert_eq!(was.created_at, one.created_at);
                }
                // Active secrets stay active, unless the grace period is zero or the secret has become the
                // current one.
                for was in before.iter().filter(|was| was.is_active(now) && !grace.is_zero()) {
                    prop_assert!(secrets.iter().any(|one| one.secret == was.secret));
                }
            }
        }
    }
}
