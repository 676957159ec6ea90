//! Compiles selectors to the form that is posted.
//!
//! The result has no pattern that another one covers, and none that is excluded. It keeps only those
//! exclusions that a posted pattern can still meet.

use super::block::Certainty;
use crate::model::name::{CompanyId, EventType, ProjectId};
use crate::model::selector::{EventPattern, EventSelector, ProjectPattern, ProjectSelector};

/// Event types as prefixes and exact types that do not overlap, except that exact types may be repeated.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct TypeSet<'a> {
    pub(super) prefixes: Vec<&'a str>,
    pub(super) exact: Vec<&'a EventType>,
    is_all: bool,
}

impl<'a> TypeSet<'a> {
    fn of(patterns: impl Iterator<Item = &'a EventPattern>) -> Self {
        let mut set = Self::default();
        for pattern in patterns {
            match pattern {
                EventPattern::All => set.is_all = true,
                EventPattern::Prefix(prefix) => set.prefixes.push(&**prefix),
                EventPattern::Exact(name) => set.exact.push(name),
            }
        }
        set.prefixes.sort_unstable();
        set.prefixes.dedup_by(|longer, shorter| longer.starts_with(*shorter));
        if !set.prefixes.is_empty() {
            let prefixes = &set.prefixes;
            set.exact.retain(|name| covering(prefixes, name.as_str()).is_none());
        }
        set
    }

    /// Sorts the exact types and removes repeated ones.
    fn in_order(mut self) -> Self {
        self.exact.sort_unstable();
        self.exact.dedup();
        self
    }

    fn is_empty(&self) -> bool {
        self.prefixes.is_empty() && self.exact.is_empty() && !self.is_all
    }
}

/// Returns the index of the prefix that `name` starts with, if any.
///
/// The prefixes must be sorted, and none may be a prefix of another.
fn covering(prefixes: &[&str], name: &str) -> Option<usize> {
    let at = prefixes.partition_point(|prefix| *prefix <= name).checked_sub(1)?;
    prefixes.get(at).filter(|prefix| name.starts_with(**prefix)).map(|_| at)
}

/// The event types that a selector wants.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Types<'a> {
    /// The prefixes to post. Empty if `all` is set.
    pub(super) prefixes: Vec<(&'a str, Certainty)>,
    pub(super) exact: Vec<&'a EventType>,
    pub(super) all: Option<Certainty>,
    /// The exclusions that a posted pattern can meet.
    pub(super) excluded: TypeSet<'a>,
}

impl<'a> Types<'a> {
    pub(super) fn of(selector: &'a EventSelector) -> Self {
        let mut wanted = TypeSet::of(selector.includes());
        let mut excluded = TypeSet::of(selector.excludes()).in_order();
        if wanted.is_all || wanted.is_empty() {
            let all = Some(Certainty::unless(!excluded.is_empty()));
            return Self { prefixes: Vec::new(), exact: Vec::new(), all, excluded };
        }
        if excluded.is_empty() {
            let prefixes = wanted.prefixes.into_iter().map(|prefix| (prefix, Certainty::Certain)).collect();
            return Self { prefixes, exact: wanted.exact, all: None, excluded };
        }
        wanted.exact.retain(|name| {
            excluded.exact.binary_search(name).is_err()
                && covering(&excluded.prefixes, name.as_str()).is_none()
        });
        wanted.prefixes.retain(|prefix| covering(&excluded.prefixes, prefix).is_none());
        let mut is_doubtful = vec![false; wanted.prefixes.len()];
        let mut meets = |name: &str| {
            let flag = covering(&wanted.prefixes, name).and_then(|at| is_doubtful.get_mut(at));
            flag.map(|flag| *flag = true).is_some()
        };
        excluded.prefixes.retain(|prefix| meets(prefix));
        excluded.exact.retain(|name| meets(name.as_str()));
        let prefixes =
            wanted.prefixes.into_iter().zip(is_doubtful.into_iter().map(Certainty::unless)).collect();
        Self { prefixes, exact: wanted.exact, all: None, excluded }
    }
}

/// Projects, companies and pairs.
///
/// An event can match both a project and a company of the set, but no other two entries. Projects and
/// companies may be repeated.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ProjectSet<'a> {
    pub(super) projects: Vec<&'a ProjectId>,
    pub(super) companies: Vec<&'a CompanyId>,
    pub(super) pairs: Vec<(&'a CompanyId, &'a ProjectId)>,
    is_all: bool,
}

impl<'a> ProjectSet<'a> {
    fn of(patterns: impl Iterator<Item = &'a ProjectPattern>) -> Self {
        let mut set = Self::default();
        for pattern in patterns {
            match pattern {
                ProjectPattern::All => set.is_all = true,
                ProjectPattern::AnyCompany(project) => set.projects.push(project),
                ProjectPattern::Exact(company, project) => set.pairs.push((company, project)),
                ProjectPattern::Company(company) => set.companies.push(company),
            }
        }
        if set.pairs.is_empty() { set } else { set.in_order() }
    }

    /// Sorts all entries, and removes repeated ones and the pairs that a project or a company covers.
    fn in_order(mut self) -> Self {
        self.projects.sort_unstable();
        self.projects.dedup();
        self.companies.sort_unstable();
        self.companies.dedup();
        self.pairs.sort_unstable();
        self.pairs.dedup();
        let pairs = std::mem::take(&mut self.pairs);
        self.pairs = pairs.into_iter().filter(|pair| !self.has_part_of(*pair)).collect();
        self
    }

    fn is_empty(&self) -> bool {
        self.projects.is_empty() && self.companies.is_empty() && self.pairs.is_empty() && !self.is_all
    }

    /// Returns whether the set contains the project or the company of the pair. The set must be sorted.
    fn has_part_of(&self, (company, project): (&CompanyId, &ProjectId)) -> bool {
        self.projects.binary_search(&project).is_ok() || self.companies.binary_search(&company).is_ok()
    }
}

/// The projects that a selector wants.
#[derive(Debug, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "a set of projects, some of them by project")]
pub(super) struct Projects<'a> {
    /// The projects to post. Empty if `all` is set.
    pub(super) projects: Vec<(&'a ProjectId, Certainty)>,
    pub(super) companies: Vec<(&'a CompanyId, Certainty)>,
    pub(super) pairs: Vec<(&'a CompanyId, &'a ProjectId)>,
    pub(super) all: Option<Certainty>,
    /// The exclusions that a posting can meet.
    pub(super) excluded: ProjectSet<'a>,
}

impl<'a> Projects<'a> {
    pub(super) fn of(selector: &'a ProjectSelector) -> Self {
        let mut wanted = ProjectSet::of(selector.includes());
        let mut excluded = ProjectSet::of(selector.excludes()).in_order();
        let (mut projects, mut companies) = (Vec::new(), Vec::new());
        if wanted.is_all || wanted.is_empty() {
            let all = Some(Certainty::unless(!excluded.is_empty()));
            return Self { projects, companies, pairs: Vec::new(), all, excluded };
        }
        if !excluded.is_empty() {
            wanted = wanted.in_order();
        }
        wanted.projects.retain(|project| excluded.projects.binary_search(project).is_err());
        wanted.companies.retain(|company| excluded.companies.binary_search(company).is_err());
        wanted
            .pairs
            .retain(|pair| !excluded.has_part_of(*pair) && excluded.pairs.binary_search(pair).is_err());
        let excepted_projects: Vec<_> = sorted(excluded.pairs.iter().map(|(_, project)| *project));
        projects.extend(wanted.projects.iter().map(|project| {
            let is_met = !excluded.companies.is_empty() || excepted_projects.binary_search(project).is_ok();
            (*project, Certainty::unless(is_met))
        }));
        let excepted_companies: Vec<_> = sorted(excluded.pairs.iter().map(|(company, _)| *company));
        companies.extend(wanted.companies.iter().map(|company| {
            let is_met = !excluded.projects.is_empty() || excepted_companies.binary_search(company).is_ok();
            // For an event with both, the posting under the project counts instead of the one under the
            // company.
            (*company, Certainty::unless(is_met || !wanted.projects.is_empty()))
        }));
        excluded.pairs.retain(|pair| wanted.has_part_of(*pair));
        if wanted.projects.is_empty() {
            excluded.companies.clear();
        }
        if wanted.companies.is_empty() {
            excluded.projects.clear();
        }
        Self { projects, companies, pairs: wanted.pairs, all: None, excluded }
    }
}

fn sorted<T: Ord>(names: impl Iterator<Item = T>) -> Vec<T> {
    let mut names: Vec<T> = names.collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts<'a>(names: impl IntoIterator<Item = &'a EventType>) -> Vec<&'a str> {
        names.into_iter().map(EventType::as_str).collect()
    }

    #[test]
    fn covered_types_are_dropped() {
        let selector =
            EventSelector::parse(&["a.b.c", "a.*", "a.b.*", "ab", "a.*", "b", "a.", "!x"]).unwrap();
        let types = Types::of(&selector);
        assert_eq!((types.all, types.prefixes), (None, vec![("a.", Certainty::Certain)]));
        assert_eq!(texts(types.exact), ["ab", "b"]);
        assert_eq!(types.excluded, TypeSet::default());
        for (all, certainty) in [(&["!a"][..], Certainty::NeedsCheck), (&["a", "*"], Certainty::Certain)] {
            assert_eq!(Types::of(&EventSelector::parse(all).unwrap()).all, Some(certainty));
        }
    }

    #[test]
    fn excluded_types_are_not_posted_and_only_overlapping_prefixes_need_a_check() {
        let selector = EventSelector::parse(&[
            "a", "b", "c.*", "d.*", "e.x*", "!b", "!d.x*", "!d.xy", "!e*", "!z", "!c",
        ]);
        let selector = selector.unwrap();
        let types = Types::of(&selector);
        assert_eq!(texts(types.exact), ["a"]);
        assert_eq!(types.prefixes, [("c.", Certainty::Certain), ("d.", Certainty::NeedsCheck)]);
        assert_eq!((types.excluded.prefixes, types.excluded.exact), (vec!["d.x"], vec![]));
    }

    #[test]
    fn covered_projects_are_dropped() {
        let selector = ProjectSelector::parse(&["p", "acme/p", "acme/*", "acme/q", "globex/q", "p"]).unwrap();
        let found = Projects::of(&selector);
        let projects: Vec<_> =
            found.projects.iter().map(|(name, certainty)| (name.as_str(), *certainty)).collect();
        assert_eq!(projects, [("p", Certainty::Certain)]);
        let companies: Vec<_> =
            found.companies.iter().map(|(name, certainty)| (name.as_str(), *certainty)).collect();
        assert_eq!(companies, [("acme", Certainty::NeedsCheck)]);
        assert_eq!(found.pairs.iter().map(|(c, p)| format!("{c}/{p}")).collect::<Vec<_>>(), ["globex/q"]);
    }

    #[test]
    fn excluded_projects_are_not_posted_and_only_overlapping_terms_need_a_check() {
        let parse = |texts: &[&str]| ProjectSelector::parse(texts).unwrap();
        let certain = parse(&["p", "q", "!q", "!acme/r"]);
        let found = Projects::of(&certain);
        assert_eq!(found.projects.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["p"]);
        assert_eq!((found.projects[0].1, found.excluded), (Certainty::Certain, ProjectSet::default()));
        let met = parse(&["p", "q", "globex/r", "globex/s", "!acme/p", "!acme/x", "!globex/s", "!t"]);
        let found = Projects::of(&met);
        let projects: Vec<_> =
            found.projects.iter().map(|(name, certainty)| (name.as_str(), *certainty)).collect();
        assert_eq!(projects, [("p", Certainty::NeedsCheck), ("q", Certainty::Certain)]);
        assert_eq!(found.pairs.iter().map(|(c, p)| format!("{c}/{p}")).collect::<Vec<_>>(), ["globex/r"]);
        assert_eq!(
            found.excluded.pairs.iter().map(|(c, p)| format!("{c}/{p}")).collect::<Vec<_>>(),
            ["acme/p"]
        );
        assert!(found.excluded.projects.is_empty());
        let company = parse(&["acme/*", "!p", "!globex/*"]);
        let found = Projects::of(&company);
        assert_eq!((found.companies[0].1, found.excluded.companies.len()), (Certainty::NeedsCheck, 0));
        assert_eq!(found.excluded.projects.len(), 1);
        assert_eq!(Projects::of(&parse(&["acme/*", "!acme/*"])).companies, []);
    }
}
