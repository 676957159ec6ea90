//! A subscription's selectors, brought to the form that is posted: no pattern that another one covers.

use crate::model::name::{CompanyId, EventType, ProjectId};
use crate::model::selector::{EventPattern, EventSelector, ProjectPattern, ProjectSelector};

/// The event types that a selector includes. No two members mean the same type.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Types<'a> {
    All,
    Some { prefixes: Vec<&'a str>, exact: Vec<&'a EventType> },
}

impl<'a> Types<'a> {
    pub(super) fn of(selector: &'a EventSelector) -> Self {
        let (mut prefixes, mut exact) = (Vec::new(), Vec::new());
        for pattern in selector.includes() {
            match pattern {
                EventPattern::All => return Self::All,
                EventPattern::Prefix(prefix) => prefixes.push(&**prefix),
                EventPattern::Exact(name) => exact.push(name),
            }
        }
        if prefixes.is_empty() && exact.is_empty() {
            return Self::All;
        }
        prefixes.sort_unstable();
        prefixes.dedup_by(|longer, shorter| longer.starts_with(*shorter));
        exact.sort_unstable();
        exact.dedup();
        exact.retain(|name| !is_covered(&prefixes, name.as_str()));
        Self::Some { prefixes, exact }
    }
}

/// Whether one of the sorted prefixes, none of which begins another, begins the name.
fn is_covered(prefixes: &[&str], name: &str) -> bool {
    let after = prefixes.partition_point(|prefix| *prefix <= name);
    after.checked_sub(1).and_then(|at| prefixes.get(at)).is_some_and(|prefix| name.starts_with(prefix))
}

/// The projects that a selector includes. Only a project and a company can both mean one event's project.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Projects<'a> {
    All,
    Some {
        projects: Vec<&'a ProjectId>,
        companies: Vec<&'a CompanyId>,
        pairs: Vec<(&'a CompanyId, &'a ProjectId)>,
    },
}

impl<'a> Projects<'a> {
    pub(super) fn of(selector: &'a ProjectSelector) -> Self {
        let (mut projects, mut companies, mut pairs) = (Vec::new(), Vec::new(), Vec::new());
        for pattern in selector.includes() {
            match pattern {
                ProjectPattern::All => return Self::All,
                ProjectPattern::AnyCompany(project) => projects.push(project),
                ProjectPattern::Exact(company, project) => pairs.push((company, project)),
                ProjectPattern::Company(company) => companies.push(company),
            }
        }
        if projects.is_empty() && companies.is_empty() && pairs.is_empty() {
            return Self::All;
        }
        projects.sort_unstable();
        projects.dedup();
        companies.sort_unstable();
        companies.dedup();
        pairs.sort_unstable();
        pairs.dedup();
        pairs.retain(|(company, project)| {
            projects.binary_search(project).is_err() && companies.binary_search(company).is_err()
        });
        Self::Some { projects, companies, pairs }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn covered_types_are_dropped() {
        let selector =
            EventSelector::parse(&["a.b.c", "a.*", "a.b.*", "ab", "a.*", "b", "b", "a.", "!x"]).unwrap();
        let Types::Some { prefixes, exact } = Types::of(&selector) else { panic!("not all") };
        assert_eq!(prefixes, ["a."]);
        assert_eq!(exact.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["ab", "b"]);
        for all in [&["!a"][..], &["a", "*"]] {
            assert_eq!(Types::of(&EventSelector::parse(all).unwrap()), Types::All);
        }
    }

    #[test]
    fn covered_projects_are_dropped() {
        let selector = ProjectSelector::parse(&["p", "acme/p", "acme/*", "acme/q", "globex/q", "p"]).unwrap();
        let Projects::Some { projects, companies, pairs } = Projects::of(&selector) else {
            panic!("not all")
        };
        assert_eq!(projects.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["p"]);
        assert_eq!(companies.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["acme"]);
        assert_eq!(pairs.iter().map(|(c, p)| format!("{c}/{p}")).collect::<Vec<_>>(), ["globex/q"]);
    }
}
