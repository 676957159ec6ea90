//! The writer's side of names: which are in use, how often, and under which number.

use super::block::{FIRST_PATTERN, FIRST_TERM, PatternId, TermId};
use super::names::{NameTable, pair_name};
use super::snapshot::Snapshot;
use crate::model::name::NAME_BYTES_MAX;

/// What a number names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Type,
    Prefix,
    Project,
    Company,
    Pair,
}

impl Kind {
    /// The table that a kind of names is looked up in.
    fn table(self, snapshot: &mut Snapshot) -> &mut NameTable {
        match self {
            Self::Type => &mut snapshot.types,
            Self::Prefix => &mut snapshot.prefixes,
            Self::Project => &mut snapshot.projects,
            Self::Company => &mut snapshot.companies,
            Self::Pair => &mut snapshot.pairs,
        }
    }
}

#[derive(Clone, Copy)]
struct NameUse {
    hash: u64,
    count: u32,
    kind: Kind,
}

/// The numbers of one space, with their uses counted: a number whose last use goes is free for another name.
struct NumberPool {
    first: u32,
    uses: Vec<NameUse>,
    free: Vec<u32>,
}

impl NumberPool {
    const fn from(first: u32) -> Self {
        Self { first, uses: Vec::new(), free: Vec::new() }
    }

    fn at(&mut self, number: u32) -> Option<&mut NameUse> {
        self.uses.get_mut(number.checked_sub(self.first)? as usize)
    }

    /// One more use of a name; a name not yet known gets a number, and `true`.
    fn add_use(&mut self, kind: Kind, name: &[u8], snapshot: &mut Snapshot) -> (u32, bool) {
        let table = kind.table(snapshot);
        if let Some(number) = table.find(name) {
            if let Some(known) = self.at(number) {
                known.count += 1;
            }
            return (number, false);
        }
        let number = self.free.pop().unwrap_or_else(|| self.grow());
        let hash = table.insert(name, number);
        if let Some(place) = self.at(number) {
            *place = NameUse { hash, count: 1, kind };
        }
        (number, true)
    }

    fn grow(&mut self) -> u32 {
        let number = self.first + u32::try_from(self.uses.len()).unwrap_or(u32::MAX);
        self.uses.push(NameUse { hash: 0, count: 0, kind: Kind::Type });
        number
    }

    /// One use less; answers with kind and name if it was the last.
    fn release(&mut self, number: u32, snapshot: &mut Snapshot) -> Option<(Kind, Vec<u8>)> {
        let known = self.at(number)?;
        known.count -= 1;
        if known.count > 0 {
            return None;
        }
        let NameUse { hash, kind, .. } = *known;
        self.free.push(number);
        kind.table(snapshot).remove(hash, number).map(|name| (kind, name))
    }
}

/// Every name that some subscription uses.
pub(super) struct Interner {
    patterns: NumberPool,
    terms: NumberPool,
    /// How many prefixes there are of each length in bytes.
    prefix_lengths: [u32; NAME_BYTES_MAX + 1],
}

impl Interner {
    pub(super) const fn new() -> Self {
        Self {
            patterns: NumberPool::from(FIRST_PATTERN),
            terms: NumberPool::from(FIRST_TERM),
            prefix_lengths: [0; NAME_BYTES_MAX + 1],
        }
    }

    /// One more use of a type or prefix.
    pub(super) fn pattern(&mut self, kind: Kind, name: &str, snapshot: &mut Snapshot) -> PatternId {
        let (number, is_new) = self.patterns.add_use(kind, name.as_bytes(), snapshot);
        if is_new && kind == Kind::Prefix {
            if let Some(count) = self.prefix_lengths.get_mut(name.len()) {
                *count += 1;
            }
            snapshot.prefix_lengths |= length_bit(name.len());
        }
        number
    }

    /// One more use of a project or company.
    pub(super) fn term(&mut self, kind: Kind, name: &str, snapshot: &mut Snapshot) -> TermId {
        self.terms.add_use(kind, name.as_bytes(), snapshot).0
    }

    /// One more use of a project of a company.
    pub(super) fn pair(&mut self, company: &str, project: &str, snapshot: &mut Snapshot) -> TermId {
        let company = self.term(Kind::Company, company, snapshot);
        let project = self.term(Kind::Project, project, snapshot);
        let (number, is_new) = self.terms.add_use(Kind::Pair, &pair_name(company, project), snapshot);
        if !is_new {
            self.release_term(company, snapshot);
            self.release_term(project, snapshot);
        }
        number
    }

    /// One use of a pattern less.
    pub(super) fn release_pattern(&mut self, pattern: PatternId, snapshot: &mut Snapshot) {
        let Some((Kind::Prefix, name)) = self.patterns.release(pattern, snapshot) else { return };
        let Some(count) = self.prefix_lengths.get_mut(name.len()) else { return };
        *count -= 1;
        if *count == 0 {
            snapshot.prefix_lengths &= !length_bit(name.len());
        }
    }

    /// One use of a term less.
    pub(super) fn release_term(&mut self, term: TermId, snapshot: &mut Snapshot) {
        let Some((Kind::Pair, name)) = self.terms.release(term, snapshot) else { return };
        for part in name.as_chunks::<4>().0 {
            self.release_term(u32::from_le_bytes(*part), snapshot);
        }
    }
}

/// The bit of a prefix's length.
const fn length_bit(length: usize) -> u128 {
    match length {
        1..=NAME_BYTES_MAX => 1 << (length - 1),
        _ => 0,
    }
}
