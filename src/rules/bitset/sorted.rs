//! Work on sorted lists, remove_sorted branches that depend on their members.

use std::cell::Cell;

/// One membership to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The member.
    pub member: u32,
    /// Whether it is in the set afterwards.
    pub present: bool,
}

/// Keeps, of the end of a list from `start` on, what `keep` says.
pub fn retain_from(list: &mut Vec<u32>, start: usize, keep: impl FnMut(u32) -> bool) {
    let kept = list.get_mut(start..).map_or(0, |tail| retain_slice(tail, keep));
    list.truncate(start + kept);
}

/// Moves what `keep` says to the front; says how many there are.
pub(super) fn retain_slice(list: &mut [u32], mut keep: impl FnMut(u32) -> bool) -> usize {
    let list = Cell::from_mut(list).as_slice_of_cells();
    let mut end = 0;
    for member in list.iter().map(Cell::get) {
        if let Some(place) = list.get(end) {
            place.set(member);
        }
        end += usize::from(keep(member));
    }
    end
}

/// How many times longer a list must be to be searched for each member of the other.
const FAR: usize = 8;

/// Moves the sorted members whose form is not among `ours`, sorted too, to the front; says how many there are.
pub(super) fn remove_sorted<T: Copy + Ord>(
    members: &mut [u32],
    ours: &[T],
    form: impl Fn(u32) -> T,
) -> usize {
    if ours.len() > FAR * members.len() {
        return retain_slice(members, |member| ours.binary_search(&form(member)).is_err());
    }
    if members.len() > FAR * ours.len() {
        return remove_few(members, ours, form);
    }
    let members = Cell::from_mut(members).as_slice_of_cells();
    let (mut at, mut end, mut other) = (0, 0, 0);
    while let (Some(member), Some(theirs)) = (members.get(at).map(Cell::get), ours.get(other)) {
        if let Some(place) = members.get(end) {
            place.set(member);
        }
        let member = form(member);
        end += usize::from(member < *theirs);
        at += usize::from(member <= *theirs);
        other += usize::from(*theirs <= member);
    }
    for member in members.iter().skip(at).map(Cell::get) {
        if let Some(place) = members.get(end) {
            place.set(member);
        }
        end += 1;
    }
    end
}

/// The same where there are few to take out: each is searched, and what is between them moves as a whole.
fn remove_few<T: Copy + Ord>(members: &mut [u32], few: &[T], form: impl Fn(u32) -> T) -> usize {
    let (mut from, mut end) = (0, 0);
    for other in few {
        let Some(rest) = members.get(from..) else { break };
        let before = rest.partition_point(|member| form(*member) < *other);
        let is_there = rest.get(before).is_some_and(|member| form(*member) == *other);
        if end < from {
            members.copy_within(from..from + before, end);
        }
        (from, end) = (from + before + usize::from(is_there), end + before);
    }
    if end < from {
        members.copy_within(from.., end);
    }
    end + members.len() - from
}

/// Appends those members that `wanted` says, in another form.
pub(super) fn append_filtered<T: Copy>(
    members: &[T],
    wanted: impl Fn(T) -> bool,
    form: impl Fn(T) -> u32,
    out: &mut Vec<u32>,
) {
    let start = out.len();
    out.resize(start + members.len(), 0);
    let mut end = start;
    for member in members {
        if let Some(place) = out.get_mut(end) {
            *place = form(*member);
        }
        end += usize::from(wanted(*member));
    }
    out.truncate(end);
}

/// Appends what two sorted lists have in common, in another form.
pub(super) fn append_intersection_of<T: Copy + Ord>(
    mut ours: &[T],
    mut theirs: &[T],
    form: impl Fn(T) -> u32,
    out: &mut Vec<u32>,
) {
    let mut end = out.len();
    out.resize(end + ours.len().min(theirs.len()), 0);
    while let (Some((a, our_rest)), Some((b, their_rest))) = (ours.split_first(), theirs.split_first()) {
        if let Some(place) = out.get_mut(end) {
            *place = form(*a);
        }
        end += usize::from(a == b);
        (ours, theirs) = (if a <= b { our_rest } else { ours }, if b <= a { their_rest } else { theirs });
    }
    out.truncate(end);
}

/// Merges sorted members with sorted edits of distinct members.
pub fn merge<T: Copy + Ord>(
    members: impl IntoIterator<Item = T>,
    edits: impl IntoIterator<Item = (T, bool)>,
    out: &mut Vec<T>,
) {
    let mut edits = edits.into_iter().peekable();
    for member in members {
        while let Some((added, present)) = edits.next_if(|(edited, _)| *edited < member) {
            out.extend(present.then_some(added));
        }
        match edits.next_if(|(edited, _)| *edited == member) {
            Some((_, false)) => {}
            _ => out.push(member),
        }
    }
    out.extend(edits.filter_map(|(added, present)| present.then_some(added)));
}
