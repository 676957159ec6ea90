//! Receiver health: how each attempt changes the health of its subscription.
//!
//! ```text
//! healthy ──failed attempt──► failing ──attempts used up──► disabled (exhausted)
//!    ▲                          │ │
//!    └────────── 2xx ───────────┘ └──────── 410 ──────────► disabled (gone)
//! ```
//! A disabled subscription is enabled only by a person, or by a successful health check that a person
//! requested.

use crate::model::attempt::Attempt;
use crate::model::subscription::{DisablePolicy, Disabled, DisabledReason, HealthState};
use crate::model::time::Timestamp;

/// The health of a subscription after an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthChange {
    /// The new health.
    pub health: HealthState,
    /// Whether the new health must be written to the store. This is false only after a success that changed
    /// nothing but `last_success_at`.
    pub must_persist: bool,
}

/// Returns the health of a subscription after a finished `attempt`.
///
/// `exhausted` says whether this was the last attempt of its delivery. `first_attempt_started_at` is when the
/// first attempt of the delivery's current retry schedule began. A subscription that is already disabled
/// keeps its reason, whatever the results of late attempts.
pub fn after_attempt(
    health: &HealthState,
    policy: DisablePolicy,
    attempt: &Attempt,
    exhausted: bool,
    first_attempt_started_at: Timestamp,
) -> HealthChange {
    if attempt.outcome.is_success() {
        return after_success(health, attempt.ended_at());
    }
    let ended_at = attempt.ended_at();
    let reason = if attempt.outcome.is_gone() {
        Some(DisabledReason::Gone)
    } else if exhausted && disables_subscription(health, policy, first_attempt_started_at) {
        Some(DisabledReason::Exhausted)
    } else {
        None
    };
    let disable = |reason| Disabled { reason, at: ended_at, detail: attempt.outcome.to_string() };
    let health = HealthState {
        disabled: health.disabled.clone().or_else(|| reason.map(disable)),
        failing_since: health.failing_since.or(Some(ended_at)),
        last_success_at: health.last_success_at,
        last_failure_at: Some(ended_at),
        probe: health.probe,
    };
    HealthChange { health, must_persist: true }
}

/// Returns the health after a 2xx response that ended at `ended_at`.
fn after_success(health: &HealthState, ended_at: Timestamp) -> HealthChange {
    let must_persist = health.failing_since.is_some();
    HealthChange {
        health: HealthState {
            failing_since: None,
            probe: None,
            last_success_at: Some(ended_at),
            ..health.clone()
        },
        must_persist,
    }
}

/// Returns whether a delivery that used up its attempts disables its subscription.
fn disables_subscription(
    health: &HealthState,
    policy: DisablePolicy,
    first_attempt_started_at: Timestamp,
) -> bool {
    match policy {
        DisablePolicy::Always => true,
        DisablePolicy::Never => false,
        DisablePolicy::Exhausted => health.last_success_at.is_none_or(|at| at < first_attempt_started_at),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::attempt::{ErrorClass, Outcome};
    use crate::model::subscription::Health;

    const fn ms(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    /// Returns an attempt that ran from 1000 to 1250 ms.
    fn attempt(outcome: Outcome) -> Attempt {
        let duration = Duration::from_millis(250);
        Attempt { number: 1, started_at: ms(1000), duration, outcome, excerpt: Vec::new() }
    }

    fn answered(status: u16) -> Attempt {
        attempt(match status {
            200..300 => Outcome::Success { status },
            _ => Outcome::Rejected { status, retry_after: None },
        })
    }

    fn disabled(reason: DisabledReason) -> HealthState {
        let disabled = Disabled { reason, at: ms(7), detail: "as it was".to_owned() };
        HealthState { disabled: Some(disabled), failing_since: Some(ms(5)), ..HealthState::default() }
    }

    #[test]
    fn failure_keeps_the_start_of_the_failing_period() {
        let first =
            after_attempt(&HealthState::default(), DisablePolicy::Exhausted, &answered(500), false, ms(1000));
        assert!(first.must_persist);
        assert_eq!(first.health.summary(), Health::Failing);
        assert_eq!(
            (first.health.failing_since, first.health.last_failure_at),
            (Some(ms(1250)), Some(ms(1250)))
        );
        let earlier = HealthState {
            failing_since: Some(ms(9)),
            last_failure_at: Some(ms(2000)),
            ..HealthState::default()
        };
        let next = after_attempt(&earlier, DisablePolicy::Exhausted, &answered(301), false, ms(1000)).health;
        // The newest attempt wins, even if the clock was set back in between.
        assert_eq!((next.failing_since, next.last_failure_at), (Some(ms(9)), Some(ms(1250))));
    }

    #[test]
    fn success_is_persisted_only_after_failures() {
        let failing = HealthState {
            failing_since: Some(ms(9)),
            last_failure_at: Some(ms(9)),
            ..HealthState::default()
        };
        for (before, must_persist) in [(HealthState::default(), false), (failing, true)] {
            let verdict = after_attempt(&before, DisablePolicy::Always, &answered(204), false, ms(1000));
            let after = HealthState { failing_since: None, last_success_at: Some(ms(1250)), ..before };
            assert_eq!(verdict, HealthChange { health: after, must_persist });
        }
    }

    #[test]
    fn exhausted_delivery_disables_according_to_policy() {
        use DisablePolicy::{Always, Exhausted, Never};
        // Columns: policy, last success, exhausted, expected to be disabled. The first attempt began at 100
        // ms.
        let table = [
            (Exhausted, None, true, true),
            (Exhausted, Some(99), true, true),
            (Exhausted, Some(100), true, false),
            (Exhausted, Some(101), true, false),
            (Exhausted, None, false, false),
            (Always, None, true, true),
            (Always, Some(101), true, true),
            (Always, None, false, false),
            (Never, None, true, false),
            (Never, Some(99), true, false),
            (Never, None, false, false),
        ];
        for (policy, last_success, exhausted, expected) in table {
            let before = HealthState { last_success_at: last_success.map(ms), ..HealthState::default() };
            let verdict = after_attempt(&before, policy, &answered(500), exhausted, ms(100));
            let detail = "500".to_owned();
            let disabled = Disabled { reason: DisabledReason::Exhausted, at: ms(1250), detail };
            let row = format!("{policy}, {last_success:?}, {exhausted}");
            assert_eq!(verdict.health.disabled, expected.then_some(disabled), "{row}");
            assert_eq!(verdict.health.last_success_at, before.last_success_at, "{row}");
            assert!(verdict.must_persist, "{row}");
        }
    }

    #[test]
    fn gone_disables_under_every_policy() {
        for &policy in DisablePolicy::ALL {
            for exhausted in [false, true] {
                let before = HealthState { last_success_at: Some(ms(1100)), ..HealthState::default() };
                let after = after_attempt(&before, policy, &answered(410), exhausted, ms(1000)).health;
                let disabled = after.disabled.unwrap();
                assert_eq!((disabled.reason, disabled.detail.as_str()), (DisabledReason::Gone, "410"));
            }
        }
    }

    #[test]
    fn late_attempts_keep_the_first_disabled_reason() {
        let timeout =
            Outcome::Failed { class: ErrorClass::Timeout, detail: "no answer within 7s".to_owned() };
        for &reason in DisabledReason::ALL {
            let before = disabled(reason);
            for late in [answered(200), answered(410), answered(500), attempt(timeout.clone())] {
                let after = after_attempt(&before, DisablePolicy::Always, &late, true, ms(0)).health;
                assert_eq!(after.disabled, before.disabled, "{reason}, {}", late.outcome);
                assert_eq!(after.failing_since.is_none(), late.outcome.is_success());
            }
        }
    }

    #[test]
    fn disabled_detail_shows_the_outcome() {
        let timeout =
            Outcome::Failed { class: ErrorClass::Timeout, detail: "no answer within 7s".to_owned() };
        let after =
            after_attempt(&HealthState::default(), DisablePolicy::Always, &attempt(timeout), true, ms(1000))
                .health;
        assert_eq!(after.disabled.unwrap().detail, "timeout: no answer within 7s");
    }
}
