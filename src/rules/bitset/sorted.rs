//! Operations on sorted lists, without branches that depend on the elements.

use std::cell::Cell;

/// One change of a set: a member to add or to remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The member of the set.
    pub member: u32,
    /// Whether the set contains the member after the edit.
    pub present: bool,
}

/// Removes the elements of `list` from `start` on for which `keep` returns false.
pub fn retain_from(list: &mut Vec<u32>, start: usize, keep: impl FnMut(u32) -> bool) {
    let kept = list.get_mut(start..).map_or(0, |tail| retain_slice(tail, keep));
    list.truncate(start + kept);
}

/// Moves the elements for which `keep` returns true to the front, and returns their number.
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

/// A list is searched for each element of the other one if it is more than this many times longer.
const FAR: usize = 8;

/// Moves the elements of `members` that are not in `ours` to the front, and returns their number.
///
/// Both lists must be sorted. `form` maps a member to the form of the elements of `ours`.
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

/// Does the same as [`remove_sorted`] if `few` is much shorter than `members`.
///
/// Each element of `few` is found by binary search, and the members between two of them move as a block.
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

/// Appends `form(member)` of the members for which `wanted` returns true.
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

/// Appends `form(element)` of the elements that both sorted lists contain.
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

/// Applies edits to sorted members and appends the result. The edits must be sorted by member, with one edit
/// for each.
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
