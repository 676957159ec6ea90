//! Subscriptions: a URL plus the exact combination of event types and projects that it wants.
//!
//! A [`Subscription`] is what people set; its [`HealthState`] is what its receiver's answers made of it. The two
//! are changed and stored apart, so that a settled attempt never undoes an edit.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use url::Url;

use super::email::EmailAddress;
use super::id::{DeliveryId, SubscriptionId};
use super::problem::{Explain, Message};
use super::secret::SigningSecret;
use super::selector::{EventSelector, ProjectSelector};
use super::time::{Interval, Timestamp};
use super::tls::Tls;
use super::word::words;

words!(
    /// The shape of the body that a receiver gets.
    #[derive(Default)]
    Format {
        /// Standard Webhooks' payload shape.
        #[default]
        Standard = "standard",
        /// What existing Blue receivers read.
        Blue = "blue",
        /// `data` alone.
        Raw = "raw",
        /// CloudEvents 1.0, structured JSON.
        CloudEvents = "cloudevents",
    }
);
words!(
    /// Whether deliveries wait for those before them.
    #[derive(Default)]
    Ordering {
        /// No order is promised.
        #[default]
        None = "none",
        /// One at a time, in the order of the events; the head waits for its retries.
        Fifo = "fifo",
    }
);
words!(
    /// Who changes a subscription.
    ManagedBy {
        /// The API and the page.
        Api = "api",
        /// The config file; the API may not change it.
        Config = "config",
    }
);
words!(
    /// Why a subscription is switched off.
    DisabledReason {
        /// A delivery used up its attempts.
        Exhausted = "exhausted",
        /// The receiver answered 410 Gone.
        Gone = "gone",
        /// A person switched it off.
        Manual = "manual",
    }
);
words!(
    /// When a delivery that used up its attempts switches its subscription off.
    #[derive(Default)]
    DisablePolicy {
        /// Unless its receiver took another delivery meanwhile.
        #[default]
        Exhausted = "exhausted",
        /// Whatever became of other deliveries.
        Always = "always",
        /// Not at all: only 410 Gone and people switch it off.
        Never = "never",
    }
);
words!(
    /// How a subscription's receiver is doing.
    Health {
        /// The newest attempt succeeded, or there was none.
        Healthy = "healthy",
        /// The newest attempt failed.
        Failing = "failing",
        /// It is switched off.
        Disabled = "disabled",
    }
);

/// At most so many attempts in so much time, written `"50/s"`, `"100/m"` or `"1000/h"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// How many.
    pub count: NonZeroU32,
    /// In how much time: a second, a minute or an hour.
    pub per: Duration,
}

const RATE_UNITS: [(&str, u64); 3] = [("s", 1), ("m", 60), ("h", 3600)];

/// A text that is not a rate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a rate such as \"50/s\", \"100/m\" or \"1000/h\"")]
pub struct RateLimitError(String);

impl Explain for RateLimitError {
    fn message(&self) -> Message {
        Message::new("problem-rate").with("text", &self.0)
    }
}

impl FromStr for RateLimit {
    type Err = RateLimitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = text.split_once('/').and_then(|(count, unit)| {
            let count = count.parse().ok()?;
            let (_, secs) = RATE_UNITS.into_iter().find(|(name, _)| *name == unit)?;
            Some(Self { count, per: Duration::from_secs(secs) })
        });
        parsed.ok_or_else(|| RateLimitError(text.to_owned()))
    }
}

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit =
            RATE_UNITS.iter().find(|(_, secs)| *secs == self.per.as_secs()).map_or("s", |(name, _)| name);
        write!(f, "{}/{unit}", self.count)
    }
}

/// What a person sets: everything but identity, secrets and health.
#[derive(Clone, Debug, PartialEq)]
pub struct SubscriptionSpec {
    /// A name for people; unique among those of the config file.
    pub name: String,
    /// Where deliveries go.
    pub url: Url,
    /// Which event types.
    pub events: EventSelector,
    /// Which projects.
    pub projects: ProjectSelector,
    /// A CEL expression that must also be true.
    pub filter: Option<String>,
    /// The shape of the body.
    pub format: Format,
    /// Headers added to each request, by lower-case name.
    pub headers: BTreeMap<String, String>,
    /// The deadline of a whole exchange; else `delivery.timeout`.
    pub timeout: Option<Interval>,
    /// Waits before attempts 2, 3, …; else `delivery.retry_schedule`.
    pub retry_schedule: Option<Vec<Interval>>,
    /// Requests out at once; else `delivery.max_in_flight_per_subscription`.
    pub max_in_flight: Option<NonZeroU32>,
    /// Attempts in a span of time; else unlimited.
    pub rate_limit: Option<RateLimit>,
    /// Whether deliveries wait for those before them.
    pub ordering: Ordering,
    /// Whom the receiver has to be vouched for by, and who the daemon says it is; else as everybody's.
    pub tls: Tls,
    /// Who gets mail about its health.
    pub notify_email: Option<EmailAddress>,
}

/// A subscription as the store has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscription {
    /// Its id.
    pub id: SubscriptionId,
    /// What a person set.
    pub spec: SubscriptionSpec,
    /// Who may change it.
    pub managed_by: ManagedBy,
    /// What signs its deliveries: the current secret first, then those that a rotation left.
    pub secrets: Vec<SigningSecret>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its settings last changed.
    pub updated_at: Timestamp,
    /// When it was deleted. What was unfinished then is cancelled; the row stays until the log has forgotten it.
    pub deleted_at: Option<Timestamp>,
}

/// That and why a subscription is switched off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disabled {
    /// The reason.
    pub reason: DisabledReason,
    /// Since when.
    pub at: Timestamp,
    /// The answer that led to it, in a few words; empty if a person did it.
    pub detail: String,
}

/// What a subscription's receiver has shown so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HealthState {
    /// Set while it is switched off.
    pub disabled: Option<Disabled>,
    /// Set while the newest attempt failed: when the row of failures began.
    pub failing_since: Option<Timestamp>,
    /// When a receiver last answered 2xx, as far as it has been written down: exact whenever a failure has
    /// followed it, or it followed a failure.
    pub last_success_at: Option<Timestamp>,
    /// When an attempt last failed.
    pub last_failure_at: Option<Timestamp>,
    /// While attempts fail: the delivery that asks whether the receiver answers again; the others wait.
    pub probe: Option<DeliveryId>,
}

impl HealthState {
    /// The health that shows.
    pub const fn summary(&self) -> Health {
        match (&self.disabled, self.failing_since) {
            (Some(_), _) => Health::Disabled,
            (None, Some(_)) => Health::Failing,
            (None, None) => Health::Healthy,
        }
    }

    /// Whether it takes part in matching: always, unless a person switched it off.
    pub fn matches(&self) -> bool {
        self.disabled.as_ref().is_none_or(|disabled| disabled.reason != DisabledReason::Manual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_come_back_as_written() {
        for text in ["50/s", "1/m", "1000/h"] {
            assert_eq!(text.parse::<RateLimit>().unwrap().to_string(), text);
        }
        for bad in ["", "0/s", "50", "50/d", "-1/s", "1.5/s"] {
            assert!(bad.parse::<RateLimit>().is_err(), "{bad}");
        }
    }

    #[test]
    fn only_a_person_takes_a_subscription_out_of_matching() {
        let disabled = |reason| HealthState {
            disabled: Some(Disabled { reason, at: Timestamp::default(), detail: String::new() }),
            ..HealthState::default()
        };
        assert!(HealthState::default().matches());
        assert!(disabled(DisabledReason::Exhausted).matches() && disabled(DisabledReason::Gone).matches());
        assert!(!disabled(DisabledReason::Manual).matches());
    }

    #[test]
    fn an_unknown_word_is_answered_with_the_known_ones() {
        let message = "xml".parse::<Format>().unwrap_err();
        assert_eq!(message.to_string(), "'xml' is none of \"standard\", \"blue\", \"raw\", \"cloudevents\"");
    }
}
