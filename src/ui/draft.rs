//! A subscription as a form has it: every field as it was typed, and how that reads as the API's members.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::catalog::Catalog;
use super::explain::detail;
use super::form::Form;
use super::language::Language;
use super::once;
use crate::model::problem::Problem;
use crate::model::subscription::{Format, Ordering, SubscriptionSpec};

/// Which of the things to pick are meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    /// All, also those that are still to come.
    #[default]
    All,
    /// Those that are picked.
    Only,
    /// All but those that are picked.
    Except,
    /// What the terms say, written by hand.
    Terms,
}

impl Mode {
    pub(super) const ALL: [Self; 4] = [Self::All, Self::Only, Self::Except, Self::Terms];

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Only => "only",
            Self::Except => "except",
            Self::Terms => "terms",
        }
    }
}

/// One of the two lists of a subscription.
#[derive(Clone, Debug, Default)]
pub(super) struct Choice {
    pub(super) mode: Mode,
    pub(super) picked: BTreeSet<String>,
    /// The terms as they were written, one a line.
    pub(super) terms: String,
}

impl Choice {
    fn of_form(form: &Form, name: &str) -> Self {
        let word = form.get(&format!("{name}_mode"));
        Self {
            mode: Mode::ALL.into_iter().find(|mode| mode.word() == word).unwrap_or_default(),
            picked: form.all(name).map(str::to_owned).collect(),
            terms: form.get(&format!("{name}_terms")).to_owned(),
        }
    }

    /// Terms as a choice: picked where every one of them can be picked, else by hand.
    fn of_terms(texts: &[String], known: &BTreeSet<String>) -> Self {
        let terms = texts.join("\n");
        let (taken_out, put_in): (Vec<_>, Vec<_>) = texts.iter().partition(|text| text.starts_with('!'));
        let is_all = put_in.is_empty() || put_in == ["*"];
        let names: BTreeSet<String> = if is_all { taken_out } else { put_in.clone() }
            .into_iter()
            .map(|text| text.trim_start_matches('!').to_owned())
            .collect();
        let mode = match (is_all, names.is_empty(), names.is_subset(known)) {
            (true, true, _) => Mode::All,
            (true, false, true) => Mode::Except,
            (false, _, true) if put_in.len() == texts.len() => Mode::Only,
            _ => Mode::Terms,
        };
        let picked = if mode == Mode::Terms { BTreeSet::new() } else { names };
        Self { mode, picked, terms }
    }

    /// The choice as the terms of a selector.
    pub(super) fn to_terms(&self) -> Vec<String> {
        match self.mode {
            Mode::All => vec!["*".to_owned()],
            Mode::Only => self.picked.iter().cloned().collect(),
            Mode::Except => {
                let taken_out = self.picked.iter().map(|term| format!("!{term}"));
                std::iter::once("*".to_owned()).chain(taken_out).collect()
            }
            Mode::Terms => words(&self.terms),
        }
    }

    pub(super) fn has(&self, term: &str) -> bool {
        self.picked.contains(term)
    }

    /// Takes the picks over as terms, to go on by hand from there.
    pub(super) fn terms_shown(&self) -> String {
        if self.mode == Mode::Terms { self.terms.clone() } else { self.to_terms().join("\n") }
    }
}

/// The words of a text, which commas and spaces keep apart.
fn words(text: &str) -> Vec<String> {
    let parts = text.split(|c: char| c.is_whitespace() || c == ',');
    parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// Headers as a form has them: `name: value`, one a line.
fn header_lines(headers: &BTreeMap<String, String>) -> Vec<String> {
    headers.iter().map(|(name, value)| format!("{name}: {value}")).collect()
}

/// Every field of the editor.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    /// What keeps the form of a new subscription from making two.
    pub(super) once: String,
    pub(super) name: String,
    pub(super) url: String,
    pub(super) events: Choice,
    pub(super) projects: Choice,
    pub(super) filter: String,
    pub(super) format: String,
    pub(super) ordering: String,
    pub(super) timeout: String,
    pub(super) retry_schedule: String,
    pub(super) max_in_flight: String,
    pub(super) rate_limit: String,
    /// `name: value`, one a line.
    pub(super) headers: String,
}

impl Draft {
    /// An empty form: everything, in the default format.
    pub(super) fn new() -> Self {
        Self {
            once: once::fresh(),
            format: Format::default().as_str().to_owned(),
            ordering: Ordering::default().as_str().to_owned(),
            ..Self::default()
        }
    }

    /// What was typed.
    pub(super) fn of_form(form: &Form, catalog: &Catalog) -> Self {
        let text = |name| form.get(name).to_owned();
        let mut draft = Self {
            once: text("once"),
            name: text("name"),
            url: text("url"),
            events: Choice::of_form(form, "events"),
            projects: Choice::of_form(form, "projects"),
            filter: text("filter"),
            format: text("format"),
            ordering: text("ordering"),
            timeout: text("timeout"),
            retry_schedule: text("retry_schedule"),
            max_in_flight: text("max_in_flight"),
            rate_limit: text("rate_limit"),
            headers: text("headers"),
        };
        draft.pick_group(form.get("act"), catalog);
        draft
    }

    /// `all:Tags` picks every type of a group, `none:Tags` none of it.
    fn pick_group(&mut self, act: &str, catalog: &Catalog) {
        let Some((verb, name)) = act.split_once(':') else { return };
        let group = catalog.groups.iter().filter(|group| group.name == name);
        for item in group.flat_map(|group| &group.items) {
            if verb == "all" {
                self.events.picked.insert(item.term.clone());
            } else {
                self.events.picked.remove(&item.term);
            }
        }
    }

    /// A subscription's present settings.
    pub(super) fn of_spec(spec: &SubscriptionSpec, catalog: &Catalog) -> Self {
        let types = catalog.types().map(str::to_owned).collect();
        let waits = spec.retry_schedule.as_deref().map(|waits| waits.iter().map(ToString::to_string));
        Self {
            once: String::new(),
            name: spec.name.clone(),
            url: spec.url.to_string(),
            events: Choice::of_terms(&spec.events.to_texts(), &types),
            projects: Choice::of_terms(&spec.projects.to_texts(), &catalog.project_terms()),
            filter: spec.filter.clone().unwrap_or_default(),
            format: spec.format.to_string(),
            ordering: spec.ordering.to_string(),
            timeout: spec.timeout.map(|timeout| timeout.to_string()).unwrap_or_default(),
            retry_schedule: waits.map(|waits| waits.collect::<Vec<_>>().join(", ")).unwrap_or_default(),
            max_in_flight: spec.max_in_flight.map(|most| most.to_string()).unwrap_or_default(),
            rate_limit: spec.rate_limit.map(|rate| rate.to_string()).unwrap_or_default(),
            headers: header_lines(&spec.headers).join("\n"),
        }
    }

    /// The form as the API's members; a field left empty is the default.
    pub(super) fn to_members(&self) -> Map<String, Value> {
        let text = |text: &str| if text.is_empty() { Value::Null } else { json!(text) };
        let number = |given: &str| given.parse::<u64>().map_or_else(|_| text(given), |number| json!(number));
        let waits = words(&self.retry_schedule);
        let header = |line: &str| {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            (!name.trim().is_empty()).then(|| (name.trim().to_owned(), json!(value.trim())))
        };
        let headers: Map<String, Value> = self.headers.lines().filter_map(header).collect();
        let members = [
            ("name", text(&self.name)),
            ("url", text(&self.url)),
            ("events", json!(self.events.to_terms())),
            ("projects", json!(self.projects.to_terms())),
            ("filter", text(&self.filter)),
            ("format", text(&self.format)),
            ("ordering", text(&self.ordering)),
            ("timeout", text(&self.timeout)),
            ("retry_schedule", if waits.is_empty() { Value::Null } else { json!(waits) }),
            ("max_in_flight", number(&self.max_in_flight)),
            ("rate_limit", text(&self.rate_limit)),
            ("headers", json!(headers)),
        ];
        members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// What is wrong with a draft, by field.
#[derive(Debug, Default)]
pub(super) struct Problems(BTreeMap<String, Vec<String>>);

impl Problems {
    /// Puts each problem to the field that its pointer begins with; what an element of a list says names it.
    pub(super) fn of(language: Language, problems: &[Problem]) -> Self {
        let mut fields = BTreeMap::<String, Vec<String>>::new();
        for problem in problems {
            let pointer = problem.pointer.trim_start_matches('/');
            let (field, rest) = pointer.split_once('/').unwrap_or((pointer, ""));
            // What the API says of an empty list is about lists; here nothing is picked.
            let is_empty =
                problem.message.as_ref().is_some_and(|message| message.id == "problem-terms-empty");
            let detail =
                if is_empty { language.say("picker-nothing", None) } else { detail(language, problem) };
            let detail =
                if field == "headers" && !rest.is_empty() { format!("{rest}: {detail}") } else { detail };
            fields.entry(field.to_owned()).or_default().push(detail);
        }
        Self(fields)
    }

    /// What is wrong with a field.
    pub(super) fn get(&self, field: &str) -> &[String] {
        self.0.get(field).map_or(&[], Vec::as_slice)
    }

    /// How many fields have problems.
    pub(super) fn count(&self) -> usize {
        self.0.keys().filter(|field| *field != "all").count()
    }
}

#[cfg(test)]
mod tests {
    use super::super::catalog::tests::catalog;
    use super::*;
    use crate::model::input::SubscriptionInput;

    fn draft(fields: &[(&str, &str)]) -> Draft {
        Draft::of_form(&Form::of(fields), &catalog())
    }

    #[test]
    fn picks_become_terms() {
        for (mode, expected) in [
            ("all", &["*"][..]),
            ("only", &["TAG_CREATED", "TODO_MOVED"]),
            ("except", &["*", "!TAG_CREATED", "!TODO_MOVED"]),
            ("terms", &["TODO_*", "!TODO_DELETED"]),
        ] {
            let draft = draft(&[
                ("events_mode", mode),
                ("events", "TODO_MOVED"),
                ("events", "TAG_CREATED"),
                ("events_terms", "TODO_*,\n !TODO_DELETED"),
            ]);
            assert_eq!(draft.events.to_terms(), expected, "{mode}");
        }
        assert_ne!(Draft::new().once, Draft::new().once);
        let group = draft(&[("events_mode", "only"), ("act", "all:Records")]);
        assert_eq!(group.events.picked.len(), 3);
        let none = draft(&[("events", "TODO_MOVED"), ("events", "TAG_CREATED"), ("act", "none:Records")]);
        assert_eq!(none.events.picked.len(), 1);
    }

    #[test]
    fn settings_come_back_from_the_form_as_they_were() {
        for (events, projects, mode) in [
            (&["*"][..], &["acme/*"][..], (Mode::All, Mode::Only)),
            (&["TAG_CREATED", "TODO_CREATED"], &["*", "!home"], (Mode::Only, Mode::Except)),
            (&["TODO_*", "!TODO_DELETED"], &["acme/*", "!acme/shop"], (Mode::Terms, Mode::Terms)),
            (&["elsewhere"], &["globex/website"], (Mode::Terms, Mode::Terms)),
        ] {
            let members = json!({
                "name": "crm", "url": "https://crm.internal/hooks", "events": events, "projects": projects,
                "filter": "event.data.n > 1", "format": "blue", "headers": {"x-team": "sales: north"},
                "timeout": "9s", "retry_schedule": ["5s", "2m"], "max_in_flight": 3, "rate_limit": "5/s",
                "ordering": "fifo",
            });
            let spec = SubscriptionInput::read(members.as_object().unwrap()).unwrap().spec;
            let draft = Draft::of_spec(&spec, &catalog());
            assert_eq!((draft.events.mode, draft.projects.mode), mode, "{events:?} {projects:?}");
            assert_eq!(SubscriptionInput::read(&draft.to_members()).unwrap().spec, spec);
        }
    }

    #[test]
    fn problems_stand_at_their_fields() {
        let draft = draft(&[
            ("url", "ftp://x"),
            ("events_mode", "terms"),
            ("events_terms", "T*DO ok a/b"),
            ("projects_mode", "only"),
            ("max_in_flight", "many"),
            ("retry_schedule", "5s, soon"),
        ]);
        let problems =
            Problems::of(Language::English, &SubscriptionInput::read(&draft.to_members()).unwrap_err());
        assert!(problems.get("url")[0].contains("ftp"), "{problems:?}");
        assert_eq!(problems.get("events").len(), 2);
        for field in ["projects", "max_in_flight", "retry_schedule"] {
            assert_eq!(problems.get(field).len(), 1, "{field}");
        }
        assert_eq!((problems.count(), problems.get("name").len()), (5, 0));
    }
}
