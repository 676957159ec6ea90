//! Selectors: the event types and projects that a subscription wants.
//!
//! A selector is a set: everything that its terms include, minus everything that they exclude. A selector
//! with only exclusions contains everything else. The order of terms does not matter.
//! [`contains`](EventSelector::contains) is the definition that the matching index is tested against.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::name::{CompanyId, EventType, NameError, ProjectId};
use super::problem::{Localized, Message, Problem};

/// The most terms in one selector.
pub const SELECTOR_TERMS_MAX: usize = 10_000;

/// A text that is not a term of a selector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// A `*` is not the last character, or is not allowed at this position.
    #[error("'{0}' has a '*' in the wrong place: {1}")]
    Star(String, &'static str),
    /// The term `!*` would exclude everything.
    #[error("'!*' excludes everything: to receive nothing, disable the subscription")]
    ExcludesAll,
    /// A part of the term is not a valid name.
    #[error("{0}")]
    Name(#[from] NameError),
    /// The list has no terms.
    #[error(
        "is an empty list, which could mean none or all: for all, omit it or use \"*\"; for none, disable the \
         subscription"
    )]
    Empty,
    /// The list has too many terms.
    #[error("has {0} terms: expected at most {SELECTOR_TERMS_MAX}")]
    TooMany(usize),
}

impl Localized for SelectorError {
    fn message(&self) -> Message {
        match self {
            Self::Star(text, place) => {
                Message::new("problem-term-star").with("text", text).with_phrase("place", place)
            }
            Self::ExcludesAll => Message::new("problem-term-excludes-all"),
            Self::Name(error) => error.message(),
            Self::Empty => Message::new("problem-terms-empty"),
            Self::TooMany(count) => {
                Message::new("problem-terms-many").with("count", count).with("most", SELECTOR_TERMS_MAX)
            }
        }
    }
}

/// The event types that one term matches.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum EventPattern {
    /// Matches every type (`*`).
    All,
    /// `TODO_*`: every type with this prefix, which is never empty.
    Prefix(Arc<str>),
    /// `TODO_CREATED`: exactly this type.
    Exact(EventType),
}

impl EventPattern {
    /// Returns whether the pattern contains the event type.
    pub fn contains(&self, event_type: &EventType) -> bool {
        match self {
            Self::All => true,
            Self::Prefix(prefix) => event_type.as_str().starts_with(&**prefix),
            Self::Exact(exact) => exact == event_type,
        }
    }
}

impl FromStr for EventPattern {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const PLACE: &str = "it may only be the last character, as in TODO_* or *";
        match text.strip_suffix('*') {
            Some("") => Ok(Self::All),
            Some(prefix) if prefix.contains('*') => Err(SelectorError::Star(text.to_owned(), PLACE)),
            Some(prefix) => Ok(Self::Prefix(prefix.parse::<EventType>()?.as_str().into())),
            None if text.contains('*') => Err(SelectorError::Star(text.to_owned(), PLACE)),
            None => Ok(Self::Exact(text.parse()?)),
        }
    }
}

impl fmt::Display for EventPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
            Self::Exact(exact) => write!(f, "{exact}"),
        }
    }
}

/// The projects that one term matches.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ProjectPattern {
    /// Matches every project (`*`).
    All,
    /// `website`: the project with this id in any company, or in none.
    AnyCompany(ProjectId),
    /// `acme/website`: exactly this project of this company.
    Exact(CompanyId, ProjectId),
    /// `acme/*`: every project of the company.
    Company(CompanyId),
}

impl ProjectPattern {
    /// Returns whether the pattern contains the project of `company`, or of no company.
    pub fn contains(&self, project: &ProjectId, company: Option<&CompanyId>) -> bool {
        match self {
            Self::All => true,
            Self::AnyCompany(id) => id == project,
            Self::Exact(of, id) => id == project && Some(of) == company,
            Self::Company(of) => Some(of) == company,
        }
    }
}

impl FromStr for ProjectPattern {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const PLACE: &str = "a project is written website, acme/website, acme/* or *";
        match text.split_once('/') {
            None if text == "*" => Ok(Self::All),
            Some((company, "*")) if !company.contains('*') => Ok(Self::Company(company.parse()?)),
            _ if text.contains('*') => Err(SelectorError::Star(text.to_owned(), PLACE)),
            Some((company, project)) => Ok(Self::Exact(company.parse()?, project.parse()?)),
            None => Ok(Self::AnyCompany(text.parse()?)),
        }
    }
}

impl fmt::Display for ProjectPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::AnyCompany(project) => write!(f, "{project}"),
            Self::Exact(company, project) => write!(f, "{company}/{project}"),
            Self::Company(company) => write!(f, "{company}/*"),
        }
    }
}

/// An entry of a selector: a pattern to include or to exclude.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Term<P> {
    /// The set contains the pattern's names, unless they are excluded.
    Include(P),
    /// The set does not contain the pattern's names, even if they are included elsewhere.
    Exclude(P),
}

impl<P: FromStr<Err = SelectorError> + PartialEq> Term<P> {
    fn parse(text: &str, all: &P) -> Result<Self, SelectorError> {
        match text.strip_prefix('!') {
            None => Ok(Self::Include(text.parse()?)),
            Some(rest) => match rest.parse()? {
                pattern if pattern == *all => Err(SelectorError::ExcludesAll),
                pattern => Ok(Self::Exclude(pattern)),
            },
        }
    }
}

impl<P: fmt::Display> fmt::Display for Term<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Include(pattern) => write!(f, "{pattern}"),
            Self::Exclude(pattern) => write!(f, "!{pattern}"),
        }
    }
}

macro_rules! selector {
    ($(#[$doc:meta])* $name:ident, $pattern:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name(Arc<[Term<$pattern>]>);

        impl $name {
            /// Returns the selector that contains everything, which is also the default.
            pub fn all() -> Self {
                Self([Term::Include($pattern::All)].into())
            }

            /// Parses a list of terms.
            ///
            /// # Errors
            /// Returns a problem for each invalid term, with its index. An empty list is an error, because it
            /// could mean none or all.
            pub fn parse<S: AsRef<str>>(texts: &[S]) -> Result<Self, Vec<Problem>> {
                if texts.is_empty() {
                    return Err(vec![Problem::from_error("", &SelectorError::Empty)]);
                }
                if texts.len() > SELECTOR_TERMS_MAX {
                    return Err(vec![Problem::from_error("", &SelectorError::TooMany(texts.len()))]);
                }
                let mut problems = Vec::new();
                let mut terms = Vec::with_capacity(texts.len());
                for (index, text) in texts.iter().enumerate() {
                    match Term::parse(text.as_ref(), &$pattern::All) {
                        Ok(term) => terms.push(term),
                        Err(error) => problems.push(Problem::from_error(format!("/{index}"), &error)),
                    }
                }
                if problems.is_empty() { Ok(Self(terms.into())) } else { Err(problems) }
            }

            /// Returns the terms as they were written.
            pub fn terms(&self) -> &[Term<$pattern>] {
                &self.0
            }

            /// Returns the included patterns. If there are none, everything is included.
            pub fn includes(&self) -> impl Iterator<Item = &$pattern> {
                self.0.iter().filter_map(|term| match term { Term::Include(p) => Some(p), Term::Exclude(_) => None })
            }

            /// Returns the excluded patterns.
            pub fn excludes(&self) -> impl Iterator<Item = &$pattern> {
                self.0.iter().filter_map(|term| match term { Term::Exclude(p) => Some(p), Term::Include(_) => None })
            }

            fn decide(&self, means: impl Fn(&$pattern) -> bool) -> bool {
                let mut includes = self.includes().peekable();
                (includes.peek().is_none() || includes.any(&means)) && !self.excludes().any(&means)
            }

            /// Returns the terms as text, in the order in which they were written.
            pub fn to_texts(&self) -> Vec<String> {
                self.0.iter().map(ToString::to_string).collect()
            }
        }
    };
}

selector!(
    /// A set of event types.
    EventSelector, EventPattern
);
selector!(
    /// A set of projects.
    ProjectSelector, ProjectPattern
);

impl EventSelector {
    /// Returns whether the set contains the event type.
    pub fn contains(&self, event_type: &EventType) -> bool {
        self.decide(|pattern| pattern.contains(event_type))
    }

    /// Returns whether the set contains the event type because a term names it or a prefix of it, and not
    /// because of `*`.
    pub fn names(&self, event_type: &EventType) -> bool {
        let mut named = self.includes().filter(|pattern| **pattern != EventPattern::All);
        named.any(|pattern| pattern.contains(event_type)) && self.contains(event_type)
    }
}

impl ProjectSelector {
    /// Returns whether the set contains the project of `company`, or of no company.
    pub fn contains(&self, project: &ProjectId, company: Option<&CompanyId>) -> bool {
        self.decide(|pattern| pattern.contains(project, company))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_matches_exact_types_and_prefixes_but_not_the_star() {
        let names = |terms: &[&str]| EventSelector::parse(terms).unwrap().names(&"a.b.c".parse().unwrap());
        for named in [&["a.b.c"][..], &["a.*"], &["*", "a.*"], &["x", "a.b.c", "!a.b.d"]] {
            assert!(names(named), "{named:?}");
        }
        for other in [&["*"][..], &["!x"], &["a.b"], &["a.*", "!a.b.*"], &["b.*"]] {
            assert!(!names(other), "{other:?}");
        }
    }

    fn events(terms: &[&str], event_type: &str) -> bool {
        EventSelector::parse(terms).unwrap().contains(&event_type.parse().unwrap())
    }

    fn projects(terms: &[&str], project: &str, company: Option<&str>) -> bool {
        let company: Option<CompanyId> = company.map(|c| c.parse().unwrap());
        ProjectSelector::parse(terms).unwrap().contains(&project.parse().unwrap(), company.as_ref())
    }

    #[test]
    fn event_selectors_contain_the_described_types() {
        for (terms, inside, outside) in [
            (&["TODO_CREATED"][..], "TODO_CREATED", "TODO_CREATED_2"),
            (&["TODO_*"], "TODO_", "TODO"),
            (&["*", "!TODO_DELETED"], "TODO_CREATED", "TODO_DELETED"),
            (&["!TODO_DELETED", "*"], "TODO_CREATED", "TODO_DELETED"),
            (&["!TODO_CHECKLIST_*"], "COMMENT_CREATED", "TODO_CHECKLIST_CREATED"),
            (&["TODO_*", "!TODO_TAG_*", "TODO_TAG_ADDED"], "TODO_MOVED", "TODO_TAG_ADDED"),
        ] {
            assert!(events(terms, inside), "{terms:?} {inside}");
            assert!(!events(terms, outside), "{terms:?} {outside}");
        }
    }

    #[test]
    fn project_selectors_contain_the_described_projects() {
        assert!(projects(&["website"], "website", None) && projects(&["website"], "website", Some("acme")));
        assert!(projects(&["acme/website"], "website", Some("acme")));
        assert!(
            !projects(&["acme/website"], "website", Some("globex"))
                && !projects(&["acme/website"], "website", None)
        );
        assert!(projects(&["acme/*", "!acme/secret"], "site", Some("acme")));
        assert!(!projects(&["acme/*", "!acme/secret"], "secret", Some("acme")));
        assert!(!projects(&["acme/*"], "site", Some("globex")) && !projects(&["acme/*"], "site", None));
        assert!(projects(&["!acme/*"], "site", None) && !projects(&["!acme/*"], "site", Some("acme")));
    }

    #[test]
    fn every_invalid_term_is_reported() {
        let problems = EventSelector::parse(&["ok", "T*DO", "", "!*", "a b"]).unwrap_err();
        let pointers: Vec<_> = problems.iter().map(|p| p.pointer.as_str()).collect();
        assert_eq!(pointers, ["/1", "/2", "/3", "/4"]);
        for bad in ["acme/web*", "*/website", "a/b/c", "/website", "acme/", "**", "!*"] {
            assert!(ProjectSelector::parse(&[bad]).is_err(), "{bad}");
        }
        assert!(EventSelector::parse::<&str>(&[]).unwrap_err()[0].detail.contains("none or all"));
    }

    #[test]
    fn terms_format_as_they_were_written() {
        let terms = ["acme/*", "website", "!acme/secret", "*"];
        assert_eq!(ProjectSelector::parse(&terms).unwrap().to_texts(), terms);
    }
}
