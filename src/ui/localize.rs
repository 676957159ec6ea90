//! Localized errors. A message has the English words of the API, and its own words in every other language.

use fluent_bundle::FluentArgs;

use super::language::Language;
use crate::flow::ChangeError;
use crate::model::problem::{Localized as _, Message, MessageValue, Problem};

/// Formats a message in a language.
pub(super) fn localize(language: Language, message: &Message) -> String {
    let mut args = FluentArgs::new();
    for (name, value) in &message.values {
        let text = match value {
            MessageValue::Text(text) => text.clone(),
            MessageValue::Phrase(words) => phrase(language, words),
        };
        args.set(*name, text);
    }
    language.format(message.id, Some(&args))
}

/// Returns the text of a problem with an input, without its location.
pub(super) fn detail(language: Language, problem: &Problem) -> String {
    problem.message.as_ref().map_or_else(|| problem.detail.clone(), |message| localize(language, message))
}

/// Translates an English phrase. Returns it unchanged if the language has no translation.
fn phrase(language: Language, words: &str) -> String {
    let id = phrase_id(words);
    let text = language.format(&id, None);
    if text == id { words.to_owned() } else { text }
}

/// Returns the message ID of a phrase: `a project id` becomes `phrase-a-project-id`.
fn phrase_id(words: &str) -> String {
    let mut id = "phrase".to_owned();
    for word in words.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
        id.push('-');
        id.push_str(&word.to_ascii_lowercase());
    }
    id
}

/// Returns the message that something does not exist.
pub(super) fn not_found(what: &str, id: impl std::fmt::Display) -> Message {
    Message::new("problem-not-found").with_phrase("what", what).with("id", id)
}

/// Returns why a change was refused. Internal errors and invalid inputs have no message; the problems of an
/// input have one each.
pub(super) fn of_change(error: &ChangeError) -> Option<Message> {
    Some(match error {
        ChangeError::NotFound { what, id } => not_found(what, id),
        ChangeError::ManagedByConfig { name } => Message::new("problem-managed-by-config").with("name", name),
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

/// Returns why a change was refused, in a language.
pub(super) fn change_error(language: Language, error: &ChangeError) -> String {
    if let ChangeError::Invalid(problems) = error {
        return problems.iter().map(|problem| detail(language, problem)).collect::<Vec<_>>().join("; ");
    }
    of_change(error).map_or_else(|| error.to_string(), |message| localize(language, &message))
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

    /// The API's text of an error, and its message.
    type ErrorText = (String, Message);

    fn text_of<E: Localized>(error: &E) -> ErrorText {
        (error.to_string(), error.message())
    }

    fn parse_error<T: std::str::FromStr<Err: Localized>>(text: &str) -> ErrorText {
        text_of(&text.parse::<T>().err().unwrap())
    }

    /// Returns all problems that the members of a subscription can have.
    fn of_members() -> Vec<ErrorText> {
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

    fn of_addresses() -> Vec<ErrorText> {
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
        addresses.map(|address| text_of(&networks.check(address.parse().unwrap()).unwrap_err())).into()
    }

    fn of_changes() -> Vec<ErrorText> {
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
        let text = |error| {
            let message = of_change(&error).unwrap();
            (ApiError::from(error).detail(), message)
        };
        changes.map(text).collect()
    }

    fn everything() -> Vec<ErrorText> {
        let mut all = of_members();
        all.extend(of_addresses());
        all.extend(of_changes());
        all.extend([
            text_of(&Filter::compile("event.data.n >").unwrap_err()),
            text_of(&Filter::compile("(event.data.n > 1").unwrap_err()),
            text_of(&Filter::compile("event.data.n = 1").unwrap_err()),
            text_of(&Filter::compile("event.data.n > * 1").unwrap_err()),
            text_of(&EmptySpan),
            parse_error::<Timestamp>("soon"),
            parse_error::<EventId>("x"),
            parse_error::<SubscriptionId>("x"),
            parse_error::<DeliveryId>("x"),
            parse_error::<ReplayId>("x"),
            parse_error::<SenderId>("a b"),
            parse_error::<DeliveryState>("lost"),
        ]);
        all
    }

    #[test]
    fn every_language_has_every_error_text() {
        let texts = everything();
        let english = |message: &Message| localize(Language::English, message);
        let differs = |(text, message): &&ErrorText| english(message) != *text;
        let different: Vec<_> =
            texts.iter().filter(differs).map(|(text, message)| (message.id, text)).collect();
        assert!(different.is_empty(), "src/ui/text/en.ftl differs from the API: {different:#?}");
        for (text, message) in texts {
            let swedish = localize(Language::Swedish, &message);
            assert!(swedish != text && !swedish.contains("{$"), "{swedish}");
            for (name, value) in &message.values {
                let MessageValue::Phrase(words) = value else { continue };
                let text = phrase(Language::Swedish, words);
                let is_kept =
                    ["multicast", "broadcast"].contains(&words.as_str()) || words.starts_with("A-Z");
                assert!(text != *words || is_kept, "{}: {name}: {words}", message.id);
                assert!(swedish.contains(&text), "{}: {name}", message.id);
            }
        }
    }

    #[test]
    fn no_language_has_unused_error_texts() {
        // The page has its own text for these, because the API's text has another parameter or does not fit a
        // form.
        let own = ["problem-ambiguous-name", "problem-role", "problem-replays-many"];
        let mut used: BTreeSet<String> = own.map(str::to_owned).into();
        for (_, message) in everything() {
            used.insert(message.id.to_owned());
            let phrases = message.values.iter().filter_map(|(_, value)| match value {
                MessageValue::Phrase(words) if !words.starts_with("A-Z") => Some(phrase_id(words)),
                _ => None,
            });
            used.extend(phrases);
        }
        let ids = include_str!("text/en.ftl").lines().filter_map(|line| Some(line.split_once(" =")?.0));
        let known = ids.filter(|id| id.starts_with("problem-") || id.starts_with("phrase-"));
        let known: BTreeSet<String> = known.map(str::to_owned).collect();
        assert_eq!(used, known);
    }
}
