//! Interning of names: assigns numbers to names and counts their uses. Only the writer does this.

use super::block::{FIRST_PATTERN, FIRST_TERM, PatternId, TermId};
use super::names::{NameTable, pair_name};
use super::snapshot::Snapshot;
use crate::model::name::NAME_BYTES_MAX;

/// The kind of name that a number stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Type,
    Prefix,
    Project,
    Company,
    Pair,
}

impl Kind {
    /// Returns the snapshot's table for names of this kind.
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

/// The numbers of one number space, with the count of their uses. A number without uses is given to another
/// name.
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

    /// Adds a use of a name and returns its number. The flag is true if the number was assigned by this call.
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

    /// Removes a use of a number. Returns the kind and the name if it was the last use.
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

/// The names that subscriptions use.
pub(super) struct Interner {
    patterns: NumberPool,
    terms: NumberPool,
    /// The number of prefixes of each length in bytes.
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

    /// Adds a use of an event type or prefix.
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

    /// Adds a use of a project or company.
    pub(super) fn term(&mut self, kind: Kind, name: &str, snapshot: &mut Snapshot) -> TermId {
        self.terms.add_use(kind, name.as_bytes(), snapshot).0
    }

    /// Adds a use of the pair of a company and a project. The pair itself uses both.
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

    /// Removes a use of a pattern.
    pub(super) fn release_pattern(&mut self, pattern: PatternId, snapshot: &mut Snapshot) {
        let Some((Kind::Prefix, name)) = self.patterns.release(pattern, snapshot) else { return };
        let Some(count) = self.prefix_lengths.get_mut(name.len()) else { return };
        *count -= 1;
        if *count == 0 {
            snapshot.prefix_lengths &= !length_bit(name.len());
        }
    }

    /// Removes a use of a term.
    pub(super) fn release_term(&mut self, term: TermId, snapshot: &mut Snapshot) {
        let Some((Kind::Pair, name)) = self.terms.release(term, snapshot) else { return };
        for part in name.as_chunks::<4>().0 {
            self.release_term(u32::from_le_bytes(*part), snapshot);
        }
    }
}

/// Returns the bit that stands for prefixes of this length.
const fn length_bit(length: usize) -> u128 {
    match length {
        1..=NAME_BYTES_MAX => 1 << (length - 1),
        _ => 0,
    }
}
