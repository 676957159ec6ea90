//! The values of the editor's form as they were typed, and their conversion to the API's members.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::catalog::Catalog;
use super::form::Form;
use super::form_key;
use super::language::Language;
use super::localize::detail;
use super::setting_field::{member, plain_settings, text, words};
use crate::model::problem::Problem;
use crate::model::setting::{Setting, SubscriptionSpec};

/// The meaning of the items that are picked in a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    /// All items, including those that appear later.
    #[default]
    All,
    /// Only the picked items.
    Only,
    /// All items except the picked ones.
    Except,
    /// The terms that the person wrote.
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

/// The choice of events or of projects.
#[derive(Clone, Debug, Default)]
pub(super) struct Choice {
    pub(super) mode: Mode,
    pub(super) picked: BTreeSet<String>,
    /// The terms that the person wrote, one per line.
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

    /// Converts the terms of a selector to a choice. The mode is [`Mode::Terms`] if a term is not in the list
    /// of `known` items.
    fn of_terms(texts: &[String], known: &BTreeSet<String>) -> Self {
        let terms = texts.join("\n");
        let (excluded, included): (Vec<_>, Vec<_>) = texts.iter().partition(|text| text.starts_with('!'));
        let is_all = included.is_empty() || included == ["*"];
        let names: BTreeSet<String> = if is_all { excluded } else { included.clone() }
            .into_iter()
            .map(|text| text.trim_start_matches('!').to_owned())
            .collect();
        let mode = match (is_all, names.is_empty(), names.is_subset(known)) {
            (true, true, _) => Mode::All,
            (true, false, true) => Mode::Except,
            (false, _, true) if included.len() == texts.len() => Mode::Only,
            _ => Mode::Terms,
        };
        let picked = if mode == Mode::Terms { BTreeSet::new() } else { names };
        Self { mode, picked, terms }
    }

    /// Converts the choice to the terms of a selector.
    pub(super) fn to_terms(&self) -> Vec<String> {
        match self.mode {
            Mode::All => vec!["*".to_owned()],
            Mode::Only => self.picked.iter().cloned().collect(),
            Mode::Except => {
                let excluded = self.picked.iter().map(|term| format!("!{term}"));
                std::iter::once("*".to_owned()).chain(excluded).collect()
            }
            Mode::Terms => words(&self.terms),
        }
    }

    pub(super) fn has(&self, term: &str) -> bool {
        self.picked.contains(term)
    }

    /// Returns the terms to show in the text field. The picks become terms, so that a person can continue
    /// from there.
    pub(super) fn terms_shown(&self) -> String {
        if self.mode == Mode::Terms { self.terms.clone() } else { self.to_terms().join("\n") }
    }
}

/// The values of the editor's form, as they were typed.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    /// The idempotency key of the form: a form that is sent twice creates one subscription.
    pub(super) form_key: String,
    pub(super) events: Choice,
    pub(super) projects: Choice,
    /// The text of every other setting that the form contains, by name.
    texts: BTreeMap<&'static str, String>,
}

impl Draft {
    /// Returns the form for a new subscription. Every setting has its default.
    pub(super) fn new() -> Self {
        let default = SubscriptionSpec::example();
        let choices = plain_settings().filter(|setting| !setting.kind.words().is_empty());
        let texts = choices.map(|setting| (setting.name, text(&(setting.get)(&default))));
        Self { form_key: form_key::generate(), texts: texts.collect(), ..Self::default() }
    }

    /// Returns the values that were typed into the form.
    pub(super) fn of_form(form: &Form, catalog: &Catalog) -> Self {
        let typed = |setting: &Setting| form.has(setting.name).then(|| form.get(setting.name).to_owned());
        let mut draft = Self {
            form_key: form.get("once").to_owned(),
            events: Choice::of_form(form, "events"),
            projects: Choice::of_form(form, "projects"),
            texts: plain_settings().filter_map(|setting| Some((setting.name, typed(setting)?))).collect(),
        };
        draft.pick_group(form.get("act"), catalog);
        draft
    }

    /// Picks all types of a group (`all:Tags`) or none (`none:Tags`).
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

    /// Returns the form for an existing subscription, without its secrets.
    pub(super) fn of_spec(spec: &SubscriptionSpec, catalog: &Catalog) -> Self {
        let types = catalog.types().map(str::to_owned).collect();
        let shown = plain_settings().filter(|setting| !setting.is_secret());
        Self {
            form_key: String::new(),
            events: Choice::of_terms(&spec.events.to_texts(), &types),
            projects: Choice::of_terms(&spec.projects.to_texts(), &catalog.project_terms()),
            texts: shown.map(|setting| (setting.name, text(&(setting.get)(spec)))).collect(),
        }
    }

    /// Returns the text of a setting; empty if the form does not contain it.
    pub(super) fn text(&self, name: &str) -> &str {
        self.texts.get(name).map_or("", String::as_str)
    }

    /// Converts the form to the API's members.
    ///
    /// An empty field means the default, except for a secret, which then stays as it is. Settings that the
    /// form does not contain are omitted.
    pub(super) fn to_members(&self) -> Map<String, Value> {
        let mut members = Map::new();
        members.insert("events".to_owned(), json!(self.events.to_terms()));
        members.insert("projects".to_owned(), json!(self.projects.to_terms()));
        for setting in plain_settings() {
            let Some(typed) = self.texts.get(setting.name) else { continue };
            if !(setting.is_secret() && typed.is_empty()) {
                members.insert(setting.name.to_owned(), member(setting.kind, typed));
            }
        }
        members
    }
}

/// The problems of a draft, by field.
#[derive(Debug, Default)]
pub(super) struct Problems(BTreeMap<String, Vec<String>>);

impl Problems {
    /// Assigns each problem to the field that its pointer begins with.
    pub(super) fn of(language: Language, problems: &[Problem]) -> Self {
        let mut fields = BTreeMap::<String, Vec<String>>::new();
        for problem in problems {
            let pointer = problem.pointer.trim_start_matches('/');
            let (field, rest) = pointer.split_once('/').unwrap_or((pointer, ""));
            // The API's message about an empty list explains how to write it. In the form, it means that
            // nothing is picked.
            let is_empty =
                problem.message.as_ref().is_some_and(|message| message.id == "problem-terms-empty");
            let detail =
                if is_empty { language.format("picker-nothing", None) } else { detail(language, problem) };
            let detail =
                if field == "headers" && !rest.is_empty() { format!("{rest}: {detail}") } else { detail };
            fields.entry(field.to_owned()).or_default().push(detail);
        }
        Self(fields)
    }

    /// Returns the problems of a field.
    pub(super) fn get(&self, field: &str) -> &[String] {
        self.0.get(field).map_or(&[], Vec::as_slice)
    }

    /// Returns the number of fields that have problems.
    pub(super) fn count(&self) -> usize {
        self.0.keys().filter(|field| *field != "all").count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::input::SubscriptionInput;

    fn draft(fields: &[(&str, &str)]) -> Draft {
        Draft::of_form(&Form::of(fields), &Catalog::example())
    }

    #[test]
    fn picked_items_become_terms() {
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
        assert_ne!(Draft::new().form_key, Draft::new().form_key);
        let group = draft(&[("events_mode", "only"), ("act", "all:Records")]);
        assert_eq!(group.events.picked.len(), 3);
        let none = draft(&[("events", "TODO_MOVED"), ("events", "TAG_CREATED"), ("act", "none:Records")]);
        assert_eq!(none.events.picked.len(), 1);
    }

    #[test]
    fn settings_survive_a_round_trip_through_the_form() {
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
                "ordering": "fifo", "notify_email": "ops@acme.example",
            });
            let spec = SubscriptionInput::read(members.as_object().unwrap()).unwrap().spec;
            let draft = Draft::of_spec(&spec, &Catalog::example());
            assert_eq!((draft.events.mode, draft.projects.mode), mode, "{events:?} {projects:?}");
            assert_eq!(SubscriptionInput::read(&draft.to_members()).unwrap().spec, spec);
        }
    }

    #[test]
    fn problems_are_assigned_to_their_fields() {
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
