//! The event types and projects that the editor offers, from the config file and from the log.
//!
//! Event types are listed by group, and projects by company.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Config;
use crate::flow::Flow;
use crate::model::name::EventType;
use crate::store::{Reader, Seen, SeenProject};

/// The maximum number of event types, and of projects, that are listed because the log has seen them.
const SEEN_MAX: usize = 500;

/// All event types and projects that the editor offers.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    pub(super) groups: Vec<Group>,
    pub(super) companies: Vec<Company>,
    /// Whether the log has seen more event types than are shown.
    pub(super) has_more_types: bool,
    /// Whether the log has seen more projects than are shown.
    pub(super) has_more_projects: bool,
}

/// A group of event types.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// The name of the group; empty for event types without a group.
    pub(super) name: String,
    pub(super) items: Vec<Item>,
}

/// A company with its projects.
#[derive(Debug, Default)]
pub(super) struct Company {
    /// The name of the company; empty for projects without a company.
    pub(super) name: String,
    pub(super) items: Vec<Item>,
}

/// A choice that the editor offers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// The term of a selector that matches this choice.
    pub(super) term: String,
    /// The description from the config file; empty if there is none.
    pub(super) label: String,
    /// The number of events in the log that match the term.
    pub(super) events: u64,
}

impl Catalog {
    /// Reads the catalog from the configuration and the log.
    pub(super) fn read(flow: &Flow) -> Self {
        let reader = flow.reader();
        // Reads one more than is shown, to find out whether there are more.
        let types = reader.seen_types(None, SEEN_MAX + 1).items;
        let projects = reader.seen_projects(None, SEEN_MAX + 1).items;
        Self::of(&flow.config(), types, projects, Some(reader))
    }

    fn of(
        config: &Config,
        mut seen_types: Vec<(EventType, Seen)>,
        mut seen_projects: Vec<(SeenProject, Seen)>,
        reader: Option<&Reader>,
    ) -> Self {
        let mut types = Grouped::default();
        let mut projects = Grouped::default();
        let (has_more_types, has_more_projects) =
            (seen_types.len() > SEEN_MAX, seen_projects.len() > SEEN_MAX);
        seen_types.truncate(SEEN_MAX);
        seen_projects.truncate(SEEN_MAX);
        for entry in &config.event_types {
            let group = entry.group.as_deref().unwrap_or_default();
            let seen = reader.and_then(|reader| reader.seen_type(&entry.name));
            types.add(group, entry.name.as_str(), entry.description.as_deref(), seen);
        }
        for entry in &config.projects {
            let key = (entry.company.clone(), entry.id.clone());
            let seen = reader.and_then(|reader| reader.seen_project(&key));
            projects.add(company(&key), &project_term(&key), entry.name.as_deref(), seen);
        }
        for (name, seen) in &seen_types {
            types.add("", name.as_str(), None, Some(*seen));
        }
        for (key, seen) in &seen_projects {
            projects.add(company(key), &project_term(key), None, Some(*seen));
        }
        Self {
            groups: types.lists.into_iter().map(|(name, items)| Group { name, items }).collect(),
            companies: projects.lists.into_iter().map(|(name, items)| Company { name, items }).collect(),
            has_more_types,
            has_more_projects,
        }
    }

    /// Returns the terms of all event types.
    pub(super) fn types(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().flat_map(|group| &group.items).map(|item| item.term.as_str())
    }

    /// Returns the terms of all projects, and of all companies as wildcards.
    pub(super) fn project_terms(&self) -> BTreeSet<String> {
        let mut terms = BTreeSet::new();
        for company in &self.companies {
            terms.extend(company.items.iter().map(|item| item.term.clone()));
            terms.extend(company.wildcard());
        }
        terms
    }
}

impl Company {
    /// Returns the term for all projects of the company; `None` for projects without a company.
    pub(super) fn wildcard(&self) -> Option<String> {
        (!self.name.is_empty()).then(|| format!("{}/*", self.name))
    }
}

fn company(key: &SeenProject) -> &str {
    key.0.as_ref().map_or("", |company| company.as_str())
}

fn project_term((company, project): &SeenProject) -> String {
    company.as_ref().map_or_else(|| project.to_string(), |company| format!("{company}/{project}"))
}

/// Named lists in order of insertion. An item is added only once.
#[derive(Default)]
struct Grouped {
    places: BTreeMap<String, usize>,
    lists: Vec<(String, Vec<Item>)>,
    known: BTreeSet<String>,
}

impl Grouped {
    fn add(&mut self, list: &str, term: &str, label: Option<&str>, seen: Option<Seen>) {
        if !self.known.insert(term.to_owned()) {
            return;
        }
        let place = *self.places.entry(list.to_owned()).or_insert_with(|| {
            self.lists.push((list.to_owned(), Vec::new()));
            self.lists.len() - 1
        });
        if let Some((_, items)) = self.lists.get_mut(place) {
            let label = label.unwrap_or_default().to_owned();
            items.push(Item { term: term.to_owned(), label, events: seen.map_or(0, |seen| seen.events) });
        }
    }
}

#[cfg(test)]
const CONFIG: &str = r#"
    [[event_types]]
    name = "TODO_CREATED"
    group = "Records"
    description = "A record was created."
    [[event_types]]
    name = "TODO_DELETED"
    group = "Records"
    [[event_types]]
    name = "TODO_MOVED"
    group = "Records"
    [[event_types]]
    name = "TAG_CREATED"
    group = "Tags"
    [[projects]]
    company = "acme"
    id = "website"
    name = "Website relaunch"
    [[projects]]
    id = "home"
"#;

#[cfg(test)]
impl Catalog {
    /// Returns the catalog that tests use.
    pub(super) fn example() -> Self {
        let config = Config::parse(CONFIG, "test.toml", std::iter::empty()).unwrap();
        let seen = |events| Seen { events, last_at: crate::model::time::Timestamp::from_millis(0) };
        let types = [("TAG_CREATED", 3), ("invoice.paid", 7)]
            .map(|(name, events)| (name.parse::<EventType>().unwrap(), seen(events)));
        let projects =
            ["website", "shop"].map(|name| ((Some("acme".parse().unwrap()), name.parse().unwrap()), seen(5)));
        Self::of(&config, types.into(), projects.into(), None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Timestamp;

    #[test]
    fn configured_names_come_first_and_seen_names_are_added_once() {
        let catalog = Catalog::example();
        let groups: Vec<_> =
            catalog.groups.iter().map(|group| (group.name.as_str(), group.items.len())).collect();
        assert_eq!(groups, [("Records", 3), ("Tags", 1), ("", 1)]);
        assert_eq!(catalog.groups[0].items[0].label, "A record was created.");
        let terms: Vec<_> = catalog.project_terms().into_iter().collect();
        assert_eq!(terms, ["acme/*", "acme/shop", "acme/website", "home"]);
        assert_eq!(catalog.types().count(), 5);
        assert_eq!(catalog.groups[2].items[0].events, 7);
        assert!(!catalog.has_more_types && !catalog.has_more_projects);
    }

    #[test]
    fn names_beyond_the_maximum_are_reported() {
        let config = Config::parse(CONFIG, "test.toml", std::iter::empty()).unwrap();
        let seen = Seen { events: 1, last_at: Timestamp::from_millis(0) };
        let types = |count: usize| {
            let types = (0..count).map(|n| (format!("T{n}").parse().unwrap(), seen));
            Catalog::of(&config, types.collect(), Vec::new(), None)
        };
        let (fits, more) = (types(SEEN_MAX), types(SEEN_MAX + 1));
        assert!(!fits.has_more_types && more.has_more_types && !more.has_more_projects);
        assert_eq!(fits.types().count(), more.types().count());
    }
}
