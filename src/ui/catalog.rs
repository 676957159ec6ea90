//! What can be picked: event types by group, projects by company. From the config file, and from what came lately.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Config;
use crate::flow::Flow;
use crate::model::event::EventContent;
use crate::store::{EventQuery, StoreError};

/// How many of the newest events are asked for names that the config file does not have.
const RECENT_EVENTS: usize = 100;

/// Everything that can be picked.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    pub(super) groups: Vec<Group>,
    pub(super) companies: Vec<Company>,
}

/// Event types that belong together.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// Empty for those of no group.
    pub(super) name: String,
    pub(super) items: Vec<Item>,
}

/// Projects that belong together.
#[derive(Debug, Default)]
pub(super) struct Company {
    /// Empty for projects of no company.
    pub(super) name: String,
    pub(super) items: Vec<Item>,
}

/// One thing to pick.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// The term that means it.
    pub(super) term: String,
    /// What it is, for people; empty if nobody said.
    pub(super) label: String,
}

impl Catalog {
    /// The catalog as it is now. Blocks.
    pub(super) fn read(flow: &Flow) -> Result<Self, StoreError> {
        let recent = flow.reader().events(&EventQuery { limit: RECENT_EVENTS, ..EventQuery::default() })?;
        Ok(Self::of(&flow.config(), recent.items.iter().map(|head| &head.content)))
    }

    fn of<'a>(config: &Config, recent: impl Iterator<Item = &'a EventContent>) -> Self {
        let mut types = Named::default();
        let mut projects = Named::default();
        for entry in &config.event_types {
            let group = entry.group.as_deref().unwrap_or_default();
            types.add(group, entry.name.as_str(), entry.description.as_deref());
        }
        for entry in &config.projects {
            let company = entry.company.as_ref().map_or("", |company| company.as_str());
            projects.add(company, &project_term(company, entry.id.as_str()), entry.name.as_deref());
        }
        let mut seen: Vec<_> = recent.collect();
        seen.sort_by(|a, b| (&a.event_type, &a.project).cmp(&(&b.event_type, &b.project)));
        for content in seen {
            let company = content.company.as_ref().map_or("", |company| company.as_str());
            types.add("", content.event_type.as_str(), None);
            projects.add(company, &project_term(company, content.project.as_str()), None);
        }
        Self {
            groups: types.lists.into_iter().map(|(name, items)| Group { name, items }).collect(),
            companies: projects.lists.into_iter().map(|(name, items)| Company { name, items }).collect(),
        }
    }

    /// Every term of an event type.
    pub(super) fn types(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().flat_map(|group| &group.items).map(|item| item.term.as_str())
    }

    /// Every term of the projects' picker: projects, and companies as a whole.
    pub(super) fn project_terms(&self) -> BTreeSet<String> {
        let mut terms = BTreeSet::new();
        for company in &self.companies {
            terms.extend(company.items.iter().map(|item| item.term.clone()));
            terms.extend(company.whole());
        }
        terms
    }
}

impl Company {
    /// The term for every project of the company; none for projects of no company.
    pub(super) fn whole(&self) -> Option<String> {
        (!self.name.is_empty()).then(|| format!("{}/*", self.name))
    }
}

fn project_term(company: &str, project: &str) -> String {
    if company.is_empty() { project.to_owned() } else { format!("{company}/{project}") }
}

/// Lists by name, in the order in which the names came; each item once.
#[derive(Default)]
struct Named {
    places: BTreeMap<String, usize>,
    lists: Vec<(String, Vec<Item>)>,
    known: BTreeSet<String>,
}

impl Named {
    fn add(&mut self, list: &str, term: &str, label: Option<&str>) {
        if !self.known.insert(term.to_owned()) {
            return;
        }
        let place = *self.places.entry(list.to_owned()).or_insert_with(|| {
            self.lists.push((list.to_owned(), Vec::new()));
            self.lists.len() - 1
        });
        if let Some((_, items)) = self.lists.get_mut(place) {
            items.push(Item { term: term.to_owned(), label: label.unwrap_or_default().to_owned() });
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

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

    pub(crate) fn catalog() -> Catalog {
        let config = Config::parse(CONFIG, "test.toml", std::iter::empty()).unwrap();
        let content = |event_type: &str, project: &str| EventContent {
            event_type: event_type.parse().unwrap(),
            project: project.parse().unwrap(),
            company: Some("acme".parse().unwrap()),
            sender_id: None,
            occurred_at: None,
            data: None,
        };
        let seen = [content("TAG_CREATED", "website"), content("invoice.paid", "shop")];
        Catalog::of(&config, seen.iter())
    }

    #[test]
    fn the_config_comes_first_and_what_came_lately_is_added_once() {
        let catalog = catalog();
        let groups: Vec<_> =
            catalog.groups.iter().map(|group| (group.name.as_str(), group.items.len())).collect();
        assert_eq!(groups, [("Records", 3), ("Tags", 1), ("", 1)]);
        assert_eq!(catalog.groups[0].items[0].label, "A record was created.");
        let terms: Vec<_> = catalog.project_terms().into_iter().collect();
        assert_eq!(terms, ["acme/*", "acme/shop", "acme/website", "home"]);
        assert_eq!(catalog.types().count(), 5);
    }
}
