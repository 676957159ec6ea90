//! Describes in a sentence which events a subscription matches.

use super::catalog::Catalog;
use super::viewer::Viewer;
use crate::model::name::EventType;
use crate::model::selector::{EventPattern, EventSelector, ProjectPattern, ProjectSelector};

/// A group is described by its exclusions if at least this many times more of its types are included than
/// excluded.
const GROUP_SHARE_MIN: usize = 2;
/// The maximum number of names in a list. The rest is a count.
const NAMES_MAX: usize = 4;

/// Returns a sentence such as "All 3 Records events, in all projects of acme."
pub(super) fn sentence(
    v: &Viewer,
    catalog: &Catalog,
    events: &EventSelector,
    projects: &ProjectSelector,
) -> String {
    let (what, place) = (what(v, catalog, events), place(v, projects));
    // A sentence that begins with a name keeps the case of the name.
    let is_name = |pattern: &EventPattern| match pattern {
        EventPattern::Exact(name) => {
            let rest = what.strip_prefix(name.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([',', ' ']))
        }
        _ => false,
    };
    let begins_with_name = events.includes().any(is_name);
    let text = v.t2("sentence", "what", what.clone(), "place", place);
    if begins_with_name {
        return text;
    }
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn what(v: &Viewer, catalog: &Catalog, events: &EventSelector) -> String {
    let everything = v.t("sentence-everything");
    let includes: Vec<_> = events.includes().collect();
    let excludes: Vec<_> = events.excludes().collect();
    if includes.is_empty() || includes.contains(&&EventPattern::All) {
        return without(v, everything, &patterns(v, catalog, &excludes));
    }
    let mut parts = Vec::new();
    let mut mentioned = vec![false; excludes.len()];
    for pattern in &includes {
        // An exclusion is mentioned with the first pattern that it excludes from.
        let from: Vec<_> = excludes
            .iter()
            .zip(&mut mentioned)
            .filter(|(excluded, mentioned)| !**mentioned && overlaps(pattern, excluded))
            .map(|(excluded, mentioned)| {
                *mentioned = true;
                *excluded
            })
            .collect();
        if !from.is_empty() {
            let part = patterns(v, catalog, &[*pattern]);
            parts.push(without(v, list(v, &part), &patterns(v, catalog, &from)));
        }
    }
    let plain: Vec<_> = includes
        .iter()
        .filter(|pattern| !excludes.iter().any(|excluded| overlaps(pattern, excluded)))
        .copied()
        .collect();
    let mut all = patterns(v, catalog, &plain);
    all.extend(parts);
    list(v, &all)
}

fn overlaps(pattern: &EventPattern, excluded: &EventPattern) -> bool {
    match (pattern, excluded) {
        (EventPattern::Prefix(a), EventPattern::Prefix(b)) => a.starts_with(&**b) || b.starts_with(&**a),
        (_, EventPattern::Exact(name)) => pattern.contains(name),
        (EventPattern::Exact(name), _) => excluded.contains(name),
        (EventPattern::All, _) | (_, EventPattern::All) => true,
    }
}

/// Describes patterns in words: complete groups by their name, other types by themselves.
fn patterns(v: &Viewer, catalog: &Catalog, patterns: &[&EventPattern]) -> Vec<String> {
    let mut exact: Vec<&EventType> = Vec::new();
    let mut words = Vec::new();
    for pattern in patterns {
        match pattern {
            EventPattern::Exact(name) => exact.push(name),
            EventPattern::Prefix(prefix) => {
                let known = catalog.types().filter(|name| name.starts_with(&**prefix)).count();
                words.push(v.t2("sentence-prefix", "prefix", prefix.to_string(), "known", known));
            }
            EventPattern::All => words.push(v.t("sentence-everything")),
        }
    }
    let is_wanted = |term: &str| exact.iter().any(|name| name.as_str() == term);
    let (mut in_groups, mut groups, mut most) = (Vec::new(), Vec::new(), Vec::new());
    for group in catalog.groups.iter().filter(|group| !group.name.is_empty() && group.items.len() > 1) {
        let (wanted, missing): (Vec<&str>, Vec<&str>) =
            group.items.iter().map(|item| item.term.as_str()).partition(|term| is_wanted(term));
        let n = wanted.len();
        if missing.is_empty() {
            groups.push(v.t2("sentence-group", "group", group.name.clone(), "n", n));
        } else if n >= GROUP_SHARE_MIN * missing.len() {
            let base = v.t2("sentence-group-part", "group", group.name.clone(), "n", n);
            let missing: Vec<String> = missing.into_iter().map(str::to_owned).collect();
            most.push(without(v, base, &missing));
        } else {
            continue;
        }
        in_groups.extend(wanted);
    }
    let rest: Vec<&str> =
        exact.iter().map(|name| name.as_str()).filter(|name| !in_groups.contains(name)).collect();
    words.extend(rest.iter().take(NAMES_MAX).map(|name| (*name).to_owned()));
    if rest.len() > NAMES_MAX {
        words.push(v.t1("sentence-more-types", "n", rest.len() - NAMES_MAX));
    }
    words.extend(groups);
    // A group with exclusions comes last. The exclusions cannot be mistaken for a part of what follows.
    words.extend(most);
    words
}

fn place(v: &Viewer, projects: &ProjectSelector) -> String {
    let word = |pattern: &ProjectPattern| match pattern {
        ProjectPattern::All => v.t("sentence-every-project"),
        ProjectPattern::AnyCompany(project) => project.to_string(),
        ProjectPattern::Exact(company, project) => format!("{company}/{project}"),
        ProjectPattern::Company(company) => v.t1("sentence-company", "company", company.to_string()),
    };
    let few = |mut words: Vec<String>| {
        let more = words.len().saturating_sub(NAMES_MAX + 1);
        if more > 0 {
            words.truncate(NAMES_MAX);
            words.push(v.t1("sentence-more-projects", "n", more + 1));
        }
        words
    };
    let includes: Vec<String> = projects.includes().map(word).collect();
    let excludes = few(projects.excludes().map(word).collect());
    let is_all = includes.is_empty() || projects.includes().any(|pattern| *pattern == ProjectPattern::All);
    let base = if is_all { v.t("sentence-every-project") } else { list(v, &few(includes)) };
    v.t1("sentence-in", "places", without(v, base, &excludes))
}

fn without(v: &Viewer, base: String, excluded: &[String]) -> String {
    if excluded.is_empty() {
        return base;
    }
    v.t2("sentence-except", "base", base, "excluded", list(v, excluded))
}

/// Returns a list such as `a, b and c`.
fn list(v: &Viewer, words: &[String]) -> String {
    match words {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => v.t2("sentence-list", "first", first.join(", "), "last", last.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::language::Language;
    use super::*;

    fn say(language: Language, events: &[&str], projects: &[&str]) -> String {
        let events = EventSelector::parse(events).unwrap();
        let projects = ProjectSelector::parse(projects).unwrap();
        sentence(&Viewer::example(language), &Catalog::example(), &events, &projects)
    }

    #[test]
    fn selectors_are_described_in_words() {
        let records = ["TODO_CREATED", "TODO_DELETED", "TODO_MOVED"];
        for (events, projects, expected) in [
            (&["*"][..], &["*"][..], "All events, in all projects."),
            (&["!TODO_DELETED"], &["acme/*"], "All events except TODO_DELETED, in all projects of acme."),
            (&records, &["home"], "All 3 Records events, in home."),
            (
                &["TODO_*", "!TODO_DELETED", "TAG_CREATED"],
                &["acme/*", "globex/website", "!acme/secret"],
                "TAG_CREATED and event types that begin with TODO_ (3 known) except TODO_DELETED, \
                 in all projects of acme and globex/website except acme/secret.",
            ),
            (
                &["TODO_CREATED", "TODO_MOVED", "x"],
                &["*"],
                "x and 2 Records events except TODO_DELETED, in all projects.",
            ),
            (&["TODO_CREATED"], &["*"], "TODO_CREATED, in all projects."),
            (&["a", "b", "c", "d", "e", "f"], &["*"], "a, b, c, d and 2 more event types, in all projects."),
        ] {
            assert_eq!(say(Language::English, events, projects), expected);
        }
        assert_eq!(say(Language::Swedish, &["*"], &["*"]), "Alla händelser, i alla projekt.");
    }
}
