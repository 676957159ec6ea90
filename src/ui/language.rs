//! The languages of the page: their choice for a request, and their messages.

use std::fmt;
use std::sync::LazyLock;

use axum::extract::Request;
use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use http::{HeaderMap, Uri, header};

/// A language of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    English,
    Swedish,
}

type Bundle = FluentBundle<FluentResource>;

static ENGLISH: LazyLock<Bundle> = LazyLock::new(|| {
    let mut bundle = bundle("en", include_str!("text/en.ftl"));
    bundle.set_formatter(Some(|value, _| number(Language::English, value)));
    bundle
});
static SWEDISH: LazyLock<Bundle> = LazyLock::new(|| {
    let mut bundle = bundle("sv", include_str!("text/sv.ftl"));
    bundle.set_formatter(Some(|value, _| number(Language::Swedish, value)));
    bundle
});

/// Formats a number in a message as the language writes it.
fn number(language: Language, value: &FluentValue<'_>) -> Option<String> {
    match value {
        FluentValue::Number(number) => Some(language.grouped(&number.as_string())),
        _ => None,
    }
}

/// Parses the messages of a language. A message with a syntax error is omitted; a test finds such errors.
fn bundle(code: &str, text: &str) -> Bundle {
    let mut bundle = FluentBundle::new_concurrent(vec![code.parse().unwrap_or_default()]);
    bundle.set_use_isolating(false);
    let resource = FluentResource::try_new(text.to_owned()).unwrap_or_else(|(resource, _)| resource);
    bundle.add_resource_overriding(resource);
    bundle
}

impl Language {
    /// All languages. The first is the default.
    pub(super) const ALL: [Self; 2] = [Self::English, Self::Swedish];

    /// Returns the language code, which is used in paths and in `lang`.
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Swedish => "sv",
        }
    }

    /// Returns the name of the language in the language itself.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::Swedish => "Svenska",
        }
    }

    /// Groups the digits of a whole number by thousands. Returns any other text unchanged.
    pub(super) fn grouped(self, digits: &str) -> String {
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return digits.to_owned();
        }
        let mark = if self == Self::Swedish { '\u{a0}' } else { ',' };
        let mut text = String::new();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                text.push(mark);
            }
            text.push(digit);
        }
        text
    }

    fn of_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.code() == code)
    }

    /// Returns the language that `Accept-Language` prefers.
    pub(super) fn of_headers(headers: &HeaderMap) -> Self {
        let text = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        let liked = text.unwrap_or_default().split(',').filter_map(|part| {
            let (tag, weight) = part.split_once(";q=").unwrap_or((part, "1"));
            let language = Self::of_code(tag.trim().split('-').next()?)?;
            Some((language, weight.trim().parse::<f32>().unwrap_or(0.0)))
        });
        // The first of equal weights wins. `max_by` would return the last.
        let best = liked.reduce(|best, next| if next.1 > best.1 { next } else { best });
        best.map_or(Self::ALL[0], |(language, _)| language)
    }

    fn bundle(self) -> &'static Bundle {
        match self {
            Self::English => &ENGLISH,
            Self::Swedish => &SWEDISH,
        }
    }

    /// Formats a message. Returns the ID if there is no such message.
    pub(super) fn format(self, id: &str, args: Option<&FluentArgs<'_>>) -> String {
        let bundle = self.bundle();
        let Some(pattern) = bundle.get_message(id).and_then(|message| message.value()) else {
            return id.to_owned();
        };
        // A value that is missing shows as its name in braces.
        let mut problems = Vec::new();
        bundle.format_pattern(pattern, args, &mut problems).into_owned()
    }

    /// Formats a message with one value.
    pub(super) fn format_with<'a>(
        self,
        id: &str,
        name: &'a str,
        value: impl Into<FluentValue<'a>>,
    ) -> String {
        let mut args = FluentArgs::new();
        args.set(name, value);
        self.format(id, Some(&args))
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// The language at the start of the path. It is in the extensions of the request.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChosenLanguage(pub(super) Language);

/// Removes `/sv` or `/en` from the path. Paths of the API have no language.
pub(super) async fn take_from_path<B>(mut request: http::Request<B>) -> http::Request<B> {
    if let Some((language, rest)) = split(request.uri()) {
        *request.uri_mut() = rest;
        request.extensions_mut().insert(ChosenLanguage(language));
    }
    request
}

fn split(uri: &Uri) -> Option<(Language, Uri)> {
    let path = uri.path().strip_prefix('/')?;
    let (code, rest) = path.split_once('/').unwrap_or((path, ""));
    let language = Language::of_code(code)?;
    if rest == "v1" || rest.starts_with("v1/") {
        return None;
    }
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("/{rest}{query}").parse().ok()?);
    Some((language, Uri::from_parts(parts).ok()?))
}

/// Returns the language of the path, or else of the browser, and whether it is part of the path.
pub(super) fn of(request: &Request) -> (Language, bool) {
    match request.extensions().get::<ChosenLanguage>() {
        Some(ChosenLanguage(language)) => (*language, true),
        None => (Language::of_headers(request.headers()), false),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::super::draft::Mode;
    use super::*;
    use crate::flow::replay::request::REPLAYED_STATES;
    use crate::model::attempt::ErrorClass;
    use crate::model::delivery::DeliveryState;
    use crate::model::replay::JobState;
    use crate::model::setting::SETTINGS;
    use crate::model::subscription::{Format, Health, Ordering};

    const TEXTS: [(Language, &str); 2] =
        [(Language::English, include_str!("text/en.ftl")), (Language::Swedish, include_str!("text/sv.ftl"))];

    fn ids(text: &str) -> BTreeSet<String> {
        let line = |line: &str| {
            let (id, _) = line.split_once(" =")?;
            id.starts_with(|c: char| c.is_ascii_lowercase()).then(|| id.to_owned())
        };
        text.lines().filter_map(line).collect()
    }

    /// Returns every `{ $name }` with the message that contains it.
    fn variables(text: &str) -> BTreeSet<(String, String)> {
        let mut found = BTreeSet::new();
        let mut id = String::new();
        for line in text.lines() {
            if let Some((name, _)) = line.split_once(" =").filter(|_| !line.starts_with([' ', '#'])) {
                name.clone_into(&mut id);
            }
            for part in line.split('$').skip(1) {
                let name = part.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                found.insert((id.clone(), name));
            }
        }
        found
    }

    #[test]
    fn both_languages_have_every_message_with_the_same_values() {
        let [(_, english), (_, swedish)] = TEXTS;
        assert_eq!(ids(english), ids(swedish));
        assert!(ids(english).len() > 100);
        assert_eq!(variables(english), variables(swedish));
        for (language, text) in TEXTS {
            let problems = FluentResource::try_new(text.to_owned()).err().map(|(_, problems)| problems);
            assert!(problems.is_none(), "{language}: {problems:?}");
        }
    }

    /// Returns every message ID that a template or the code names.
    fn used_ids() -> BTreeSet<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ui");
        let mut found = BTreeSet::new();
        for folder in [folder.clone(), folder.join("templates")] {
            for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                let Ok(text) = std::fs::read_to_string(&path) else { continue };
                for call in ["v.t(\"", "v.t1(\"", "v.t2(\"", "format(\"", "format_with(\""] {
                    for part in text.split(call).skip(1) {
                        found.insert(part.split('"').next().unwrap().to_owned());
                    }
                }
            }
        }
        found
    }

    #[test]
    fn every_used_message_exists() {
        let known = ids(TEXTS[0].1);
        let used = used_ids();
        assert!(used.len() > 80, "{used:?}");
        let missing: Vec<_> = used.difference(&known).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    /// The code builds these message IDs from a family and the API's words.
    #[test]
    fn every_api_word_has_a_label() {
        let modes = Mode::ALL.map(Mode::word).to_vec();
        let healths = Health::ALL.iter().map(|health| health.as_str()).chain(["off"]).collect();
        let replayed = REPLAYED_STATES.map(DeliveryState::as_str);
        let known = ids(TEXTS[0].1);
        for (family, words) in [
            ("state", DeliveryState::ALL.map(DeliveryState::as_str).to_vec()),
            ("health", healths),
            ("format", Format::ALL.iter().map(|format| format.as_str()).collect()),
            ("ordering", Ordering::ALL.iter().map(|ordering| ordering.as_str()).collect()),
            ("job", JobState::ALL.iter().map(|state| state.as_str()).collect()),
            ("error", ErrorClass::ALL.map(ErrorClass::as_str).to_vec()),
            ("replay-state", replayed.into_iter().chain(["any"]).collect()),
            ("events-mode", modes.clone()),
            ("projects-mode", modes),
        ] {
            let of_family: Vec<String> =
                words.iter().map(|word| format!("{family}-{}", word.replace('_', "-"))).collect();
            let missing: Vec<_> = of_family.iter().filter(|id| !known.contains(*id)).collect();
            assert!(!words.is_empty() && missing.is_empty(), "{missing:?}");
        }
    }

    #[test]
    fn every_setting_has_a_label_and_a_help_text() {
        let known = ids(TEXTS[0].1);
        for setting in &SETTINGS {
            let label = format!("setting-{}", setting.name.replace('_', "-"));
            assert!(known.contains(&label) && known.contains(&format!("{label}-help")), "{label}");
        }
    }

    #[test]
    fn the_path_and_accept_language_choose_the_language() {
        for (accepts, expected) in [
            ("sv-SE,sv;q=0.9,en;q=0.8", Language::Swedish),
            ("en-GB,sv;q=0.5", Language::English),
            ("de,sv;q=0.2", Language::Swedish),
            ("de", Language::English),
            ("", Language::English),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_LANGUAGE, accepts.parse().unwrap());
            assert_eq!(Language::of_headers(&headers), expected, "{accepts}");
        }
        for (uri, expected) in [
            ("/sv", Some((Language::Swedish, "/"))),
            ("/en/events?type=A", Some((Language::English, "/events?type=A"))),
            ("/sv/v1/events", None),
            ("/svx", None),
            ("/events", None),
        ] {
            let found = split(&uri.parse().unwrap());
            let found = found.as_ref().map(|(language, uri)| (*language, uri.to_string()));
            assert_eq!(found, expected.map(|(language, uri)| (language, uri.to_owned())), "{uri}");
        }
    }

    #[test]
    fn numbers_select_the_plural_form() {
        assert_eq!(Language::English.format_with("ago-minutes", "n", 1), "1 minute ago");
        assert_eq!(Language::Swedish.format_with("ago-minutes", "n", 2), "för 2 minuter sedan");
        assert_eq!(
            Language::English.format_with("replay-created", "n", 12_345),
            "12,345 deliveries created."
        );
        assert_eq!(
            Language::Swedish.format_with("replay-created", "n", 12_345),
            "12\u{a0}345 leveranser har skapats."
        );
        let unknown = "no-such-message";
        assert_eq!(Language::English.format(unknown, None), unknown);
    }
}
