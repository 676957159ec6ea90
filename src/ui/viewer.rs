//! The viewer of a page, and the formatting of values in the viewer's language.

use std::borrow::Borrow;
use std::time::Duration;

use fluent_bundle::{FluentArgs, FluentValue};
use http::StatusCode;

use super::language::Language;
use super::page_error::PageError;
use crate::config::Role;
use crate::flow::audit::Actor;
use crate::model::attempt::Outcome;
use crate::model::time::{Timestamp, millis};

/// The person who views a page: language, role, and the parts of the request that every page needs. The guard
/// adds it to the extensions of each request.
#[derive(Clone, Debug)]
pub(super) struct Viewer {
    pub(super) language: Language,
    /// Whether the language is part of the path, and so of every link.
    pub(super) is_language_in_path: bool,
    /// The path and query of this request, without the language.
    pub(super) path: String,
    /// The name of the key, or `local` without keys.
    pub(super) name: String,
    pub(super) role: Role,
    /// The client's address, or `unix`.
    pub(super) from: String,
    /// Whether the viewer has logged in and can log out.
    pub(super) has_session: bool,
    /// The token that every form must contain.
    pub(super) token: String,
    /// The scheme, host and port that the browser uses.
    pub(super) origin: String,
    pub(super) now: Timestamp,
}

impl Viewer {
    /// Returns a message.
    pub(super) fn t(&self, id: &str) -> String {
        self.language.format(id, None)
    }

    /// Returns a message with one value.
    pub(super) fn t1<'a>(&self, id: &str, name: &'a str, value: impl Into<FluentValue<'a>>) -> String {
        self.language.format_with(id, name, value)
    }

    /// Returns a message with two values.
    pub(super) fn t2<'a>(
        &self,
        id: &str,
        name: &'a str,
        value: impl Into<FluentValue<'a>>,
        other_name: &'a str,
        other: impl Into<FluentValue<'a>>,
    ) -> String {
        let mut args = FluentArgs::new();
        args.set(name, value);
        args.set(other_name, other);
        self.language.format(id, Some(&args))
    }

    /// Returns the label of an API word: `held` in the family `state` is the message `state-held`.
    pub(super) fn label(&self, family: &str, word: &str) -> String {
        self.t(&format!("{family}-{}", word.replace('_', "-")))
    }

    /// Returns a link to a path of the page. Keeps the language of the path.
    pub(super) fn link(&self, path: &str) -> String {
        if self.is_language_in_path { format!("/{}{path}", self.language) } else { path.to_owned() }
    }

    /// Returns the link to this page in another language.
    pub(super) fn this_page_in(&self, language: impl Borrow<Language>) -> String {
        format!("/{}{}", language.borrow(), self.path)
    }

    /// Returns whether the page belongs to a part of the navigation.
    pub(super) fn is_in(&self, part: &str) -> bool {
        let path = self.path.split('?').next().unwrap_or_default();
        if part == "/" { path == "/" } else { path.starts_with(part) }
    }

    /// Returns who makes a change, for the audit log.
    pub(super) fn actor(&self) -> Actor {
        Actor { by: self.name.clone(), from: self.from.clone() }
    }

    /// Returns whether the viewer's role allows changes.
    pub(super) fn may_change(&self) -> bool {
        self.role == Role::Admin
    }

    /// Returns an error if the viewer's role does not allow changes.
    pub(super) fn require_change(&self) -> Result<(), PageError> {
        if self.may_change() { Ok(()) } else { Err(PageError::forbidden(self.t("page-error-read-only"))) }
    }

    /// Formats the time between `at` and now, such as `3 hours ago`.
    pub(super) fn ago(&self, at: impl Borrow<Timestamp>) -> String {
        let at = *at.borrow();
        let secs = self.now.since(at).as_secs();
        if at > self.now {
            return self.t1("in-time", "time", self.duration(at.since(self.now)));
        }
        match secs {
            0..5 => self.t("ago-now"),
            5..60 => self.t1("ago-seconds", "n", secs),
            60..3600 => self.t1("ago-minutes", "n", secs / 60),
            3600..86_400 => self.t1("ago-hours", "n", secs / 3600),
            _ => self.t1("ago-days", "n", secs / 86_400),
        }
    }

    /// Formats a duration briefly, such as `12 ms`, `3.4 s` or `2 min`.
    pub(super) fn duration(&self, length: impl Borrow<Duration>) -> String {
        let ms = millis(*length.borrow());
        match ms {
            0 => "< 1 ms".to_owned(),
            1..1000 => format!("{ms} ms"),
            1000..60_000 => {
                let text = format!("{}.{}", ms / 1000, ms % 1000 / 100);
                let text = text.trim_end_matches(".0").to_owned();
                let mark = if self.language == Language::Swedish { text.replace('.', ",") } else { text };
                format!("{mark} s")
            }
            60_000..3_600_000 => format!("{} min", ms / 60_000),
            3_600_000..86_400_000 => format!("{} h", ms / 3_600_000),
            _ => self.t1("duration-days", "n", ms / 86_400_000),
        }
    }

    /// Formats the outcome of an attempt: the status with its reason phrase, or why there was no response.
    pub(super) fn answer(&self, outcome: &Outcome) -> String {
        match outcome {
            Outcome::Success { .. } => outcome.to_string(),
            Outcome::Rejected { status, .. } => {
                let reason = StatusCode::from_u16(*status).ok().and_then(|status| status.canonical_reason());
                reason.map_or_else(|| status.to_string(), |reason| format!("{status} {reason}"))
            }
            Outcome::Failed { class, detail } => format!("{}: {detail}", self.label("error", class.as_str())),
        }
    }

    /// Formats the date and time in UTC, to the second.
    #[expect(clippy::unused_self, reason = "the viewer formats all times, as in `ago`")]
    pub(super) fn date_time(&self, at: impl Borrow<Timestamp>) -> String {
        let text = at.borrow().to_string();
        text.get(..19).unwrap_or(&text).replace('T', " ")
    }

    /// Formats a number with one decimal.
    pub(super) fn decimal(&self, number: f64) -> String {
        let text = format!("{number:.1}");
        if self.language == Language::Swedish { text.replace('.', ",") } else { text }
    }

    /// Formats a count with its thousands grouped.
    pub(super) fn count(&self, count: impl Borrow<u64>) -> String {
        self.language.grouped(&count.borrow().to_string())
    }
}

#[cfg(test)]
impl Viewer {
    /// Returns the viewer that tests use: a local administrator.
    pub(super) fn example(language: Language) -> Self {
        Self {
            language,
            is_language_in_path: false,
            path: "/subscriptions?q=a".to_owned(),
            name: "local".to_owned(),
            from: String::new(),
            role: Role::Admin,
            has_session: false,
            token: String::new(),
            origin: "http://127.0.0.1:8740".to_owned(),
            now: Timestamp::from_millis(1_767_600_000_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::attempt::ErrorClass;

    #[test]
    fn times_and_counts_follow_the_language() {
        let (english, swedish) = (Viewer::example(Language::English), Viewer::example(Language::Swedish));
        let ago = |secs| english.now.before(Duration::from_secs(secs));
        assert_eq!(english.ago(ago(0)), "just now");
        assert_eq!(english.ago(ago(3 * 3600)), "3 hours ago");
        assert_eq!(swedish.ago(ago(90_000)), "för 1 dag sedan");
        assert_eq!(english.ago(english.now.after(Duration::from_secs(30))), "in 30 s");
        assert_eq!(english.duration(Duration::from_micros(400)), "< 1 ms");
        assert_eq!(english.duration(Duration::from_millis(3400)), "3.4 s");
        assert_eq!(swedish.duration(Duration::from_millis(3400)), "3,4 s");
        assert_eq!(english.duration(Duration::from_secs(7)), "7 s");
        assert_eq!((english.count(1_234_567), english.count(12)), ("1,234,567".to_owned(), "12".to_owned()));
        assert_eq!(swedish.count(1000), "1\u{a0}000");
        assert_eq!(english.date_time(english.now), "2026-01-05 08:00:00");
    }

    #[test]
    fn outcomes_are_described_in_words() {
        let (english, swedish) = (Viewer::example(Language::English), Viewer::example(Language::Swedish));
        let rejected = |status| Outcome::Rejected { status, retry_after: None };
        assert_eq!(english.answer(&Outcome::Success { status: 204 }), "204");
        assert_eq!(english.answer(&rejected(503)), "503 Service Unavailable");
        assert_eq!(english.answer(&rejected(599)), "599");
        for class in ErrorClass::ALL {
            let failed = Outcome::Failed { class, detail: "refused".to_owned() };
            for viewer in [&english, &swedish] {
                let text = viewer.answer(&failed);
                assert!(text.ends_with(": refused") && !text.starts_with("error-"), "{text}");
            }
        }
    }

    #[test]
    fn links_keep_the_language_of_the_path() {
        let mut viewer = Viewer::example(Language::Swedish);
        assert_eq!(viewer.link("/events"), "/events");
        viewer.is_language_in_path = true;
        assert_eq!(viewer.link("/events"), "/sv/events");
        assert_eq!(viewer.this_page_in(Language::English), "/en/subscriptions?q=a");
        assert!(viewer.is_in("/subscriptions") && !viewer.is_in("/") && !viewer.is_in("/events"));
    }
}
