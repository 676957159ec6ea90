//! What is wrong, in the viewer's language: the API's words, of which each language has its own.

use fluent_bundle::FluentArgs;

use super::language::Language;
use super::viewer::Viewer;
use crate::flow::ChangeError;
use crate::model::problem::{Localized as _, Message, MessageValue, Problem};

/// A message in that language.
pub(super) fn explain(language: Language, message: &Message) -> String {
    let mut args = FluentArgs::new();
    for (name, value) in &message.values {
        let said = match value {
            MessageValue::Text(text) => text.clone(),
            MessageValue::Phrase(words) => phrase(language, words),
        };
        args.set(*name, said);
    }
    language.say(message.id, Some(&args))
}

/// What is wrong with an input, without its place.
pub(super) fn detail(language: Language, problem: &Problem) -> String {
    problem.message.as_ref().map_or_else(|| problem.detail.clone(), |message| explain(language, message))
}

/// Words in English in that language; as they are if it has none of its own for them.
fn phrase(language: Language, words: &str) -> String {
    let id = phrase_id(words);
    let said = language.say(&id, None);
    if said == id { words.to_owned() } else { said }
}

/// The message of some words: `a project id` is `phrase-a-project-id`.
fn phrase_id(words: &str) -> String {
    let mut id = "phrase".to_owned();
    for word in words.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
        id.push('-');
        id.push_str(&word.to_ascii_lowercase());
    }
    id
}

/// There is no such thing.
pub(super) fn no_such(what: &str, id: impl std::fmt::Display) -> Message {
    Message::new("problem-no-such").with_phrase("what", what).with("id", id)
}

/// Why a change was not made; none for faults of ours and for inputs, whose problems tell it.
pub(super) fn of_change(error: &ChangeError) -> Option<Message> {
    Some(match error {
        ChangeError::NotFound { what, id } => no_such(what, id),
        ChangeError::ManagedByConfig { name } => Message::new("problem-of-config").with("name", name),
        ChangeError::Outdated { id } => Message::new("problem-outdated").with("id", id),
        ChangeError::Conflict(conflict) => conflict.message(),
        ChangeError::TooMany { .. } => Message::new("problem-replays-many"),
        ChangeError::KeyReused => Message::new("problem-key-reused"),
        ChangeError::Invalid(_)
        | ChangeError::CheckFailed { .. }
        | ChangeError::Panicked { .. }
        | ChangeError::Stopping
        | ChangeError::Store(_) => return None,
    })
}

/// Why a change was not made, to that viewer.
pub(super) fn said(v: &Viewer, error: &ChangeError) -> String {
    if let ChangeError::Invalid(problems) = error {
        return problems.iter().map(|problem| detail(v.language, problem)).collect::<Vec<_>>().join("; ");
    }
    of_change(error).map_or_else(|| error.to_string(), |message| explain(v.language, &message))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;
    use crate::api::error::ApiError;
    use crate::flow::Conflict;
    use crate::flow::replay::request::EmptySpan;
    use crate::model::delivery::DeliveryState;
    use crate::model::id::{DeliveryId, EventId, ReplayId, SubscriptionId};
    use crate::model::input::SubscriptionInput;
    use crate::model::name::SenderId;
    use crate::model::problem::Localized;
    use crate::model::time::Timestamp;
    use crate::rules::filter::Filter;
    use crate::rules::target::AllowedNetworks;

    /// What the API says, and the message of it.
    type Said = (String, Message);

    fn said_by<E: Localized>(error: &E) -> Said {
        (error.to_string(), error.message())
    }

    fn refused<T: std::str::FromStr<Err: Localized>>(text: &str) -> Said {
        said_by(&text.parse::<T>().err().unwrap())
    }

    /// Everything that is wrong with the members of a subscription.
    fn of_members() -> Vec<Said> {
        let url = |url: &str| json!({"url": url});
        let (long, waits) = ("n".repeat(5000), vec!["1s"; 31]);
        let headers: serde_json::Map<_, _> = (0..33).map(|n| (format!("h{n}"), json!("v"))).collect();
        let inputs = [
            json!({}),
            url("crm.internal/hooks"),
            url("ftp://crm"),
            url("http://crm/#part"),
            url(&format!("http://crm/{long}")),
            url("http://"),
            url("http://crm:99999/"),
            url("http://xn--/"),
            url("http://1.2.3.400/"),
            url("http://[::zz]/"),
            json!({"url": "http://crm/", "name": " ", "filter": long, "headers": {"a b": "v", "host": "v", "ok": "å"},
                "timeout": "1h", "retry_schedule": waits, "max_in_flight": 0, "rate_limit": "many", "notify_email": "ops", "ordering": "lifo",
                "events": [], "projects": vec!["p"; 10_001]}),
            json!({"url": "http://crm/", "headers": headers, "timeout": "soon", "retry_schedule": ["8d"],
                "events": ["", "a b", &long[..200], "T*DO", "!*"], "projects": ["a*b", "å/b", "c/å"]}),
        ];
        let problems = inputs
            .iter()
            .flat_map(|input| SubscriptionInput::read(input.as_object().unwrap()).unwrap_err().into_iter());
        problems.map(|problem| (problem.detail, problem.message.unwrap())).collect()
    }

    fn of_addresses() -> Vec<Said> {
        let addresses = [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "168.63.129.16",
            "169.254.0.1",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "64:ff9b:1::1",
            "100::1",
            "fc00::1",
            "fec0::1",
            "64:ff9b::a00:1",
        ];
        let networks = AllowedNetworks::default();
        addresses.map(|address| said_by(&networks.check(address.parse().unwrap()).unwrap_err())).into()
    }

    fn of_changes() -> Vec<Said> {
        let id = || SubscriptionId::from_bits(7);
        let ended = |state| Conflict::Ended { id: id().to_string(), state };
        let secrets = |first_end| Conflict::TooManySecrets { count: 9, first_end };
        let conflicts = [
            Conflict::NoSubscription(id()),
            Conflict::InFlight(DeliveryId::from_bits(7)),
            Conflict::NoEvent(EventId::from_bits(7)),
            ended("succeeded"),
            ended("exhausted"),
            ended("cancelled"),
            ended("done"),
            ended("failed"),
            Conflict::DisabledAgain(id()),
            Conflict::CreatedThenDeleted(id()),
            secrets(None),
            secrets(Some(Timestamp::from_millis(7))),
        ];
        let missing = ["subscription", "delivery", "event", "replay"];
        let missing = missing.map(|what| ChangeError::NotFound { what, id: "x".to_owned() });
        let others = [
            ChangeError::ManagedByConfig { name: "crm".to_owned() },
            ChangeError::Outdated { id: id() },
            ChangeError::KeyReused,
        ];
        let changes = conflicts.map(ChangeError::Conflict).into_iter().chain(missing).chain(others);
        let said = |error| {
            let message = of_change(&error).unwrap();
            (ApiError::from(error).detail(), message)
        };
        changes.map(said).collect()
    }

    fn everything() -> Vec<Said> {
        let mut all = of_members();
        all.extend(of_addresses());
        all.extend(of_changes());
        all.extend([
            said_by(&Filter::compile("event.data.n >").unwrap_err()),
            said_by(&Filter::compile("(event.data.n > 1").unwrap_err()),
            said_by(&Filter::compile("event.data.n = 1").unwrap_err()),
            said_by(&Filter::compile("event.data.n > * 1").unwrap_err()),
            said_by(&EmptySpan),
            refused::<Timestamp>("soon"),
            refused::<EventId>("x"),
            refused::<SubscriptionId>("x"),
            refused::<DeliveryId>("x"),
            refused::<ReplayId>("x"),
            refused::<SenderId>("a b"),
            refused::<DeliveryState>("lost"),
        ]);
        all
    }

    #[test]
    fn what_the_api_says_is_said_in_each_language() {
        for (text, message) in everything() {
            assert_eq!(explain(Language::English, &message), text);
            let swedish = explain(Language::Swedish, &message);
            assert!(swedish != text && !swedish.contains("{$"), "{swedish}");
            for (name, value) in &message.values {
                let MessageValue::Phrase(words) = value else { continue };
                let said = phrase(Language::Swedish, words);
                let is_kept =
                    ["multicast", "broadcast"].contains(&words.as_str()) || words.starts_with("A-Z");
                assert!(said != *words || is_kept, "{}: {name}: {words}", message.id);
                assert!(swedish.contains(&said), "{}: {name}", message.id);
            }
        }
    }

    #[test]
    fn no_language_has_words_for_what_is_never_said() {
        // These are the page's own, where the API has others or a parameter of its own.
        let own = ["problem-several", "problem-role", "problem-replays-many"];
        let mut said: BTreeSet<String> = own.map(str::to_owned).into();
        for (_, message) in everything() {
            said.insert(message.id.to_owned());
            let phrases = message.values.iter().filter_map(|(_, value)| match value {
                MessageValue::Phrase(words) if !words.starts_with("A-Z") => Some(phrase_id(words)),
                _ => None,
            });
            said.extend(phrases);
        }
        let ids = include_str!("text/en.ftl").lines().filter_map(|line| Some(line.split_once(" =")?.0));
        let known = ids.filter(|id| id.starts_with("problem-") || id.starts_with("phrase-"));
        let known: BTreeSet<String> = known.map(str::to_owned).collect();
        assert_eq!(said, known);
    }
}
