//! A persistent vector. Clones are cheap, and a change copies only the path to the changed element.

use std::marker::PhantomData;
use std::sync::Arc;

use super::footprint::shared_bytes;

const BITS: u32 = 5;
const WIDTH: usize = 1 << BITS;

/// A node of the tree. Its level is part of its type, so that a reader need not test what a node is.
trait Node<T>: Clone {
    /// The number of levels between this node and the leaves.
    const LEVEL: u32;

    fn empty() -> Self;
    fn get(&self, index: u32) -> Option<&T>;
    /// Returns the element for changes. Shared nodes on the path are copied.
    fn reach(this: &mut Arc<Self>, index: u32) -> &mut T;
    fn footprint(&self, each: &dyn Fn(&T) -> usize) -> usize;
}

#[derive(Clone)]
struct Leaf<T>([T; WIDTH]);

#[derive(Clone)]
struct Branch<C>([Option<Arc<C>>; WIDTH]);

type Level1<T> = Branch<Leaf<T>>;
type Level2<T> = Branch<Level1<T>>;
type Level3<T> = Branch<Level2<T>>;
type Level4<T> = Branch<Level3<T>>;
type Level5<T> = Branch<Level4<T>>;
type Level6<T> = Branch<Level5<T>>;

/// Returns the position of `index` in a node that is `level` levels above the leaves.
const fn digit(index: u32, level: u32) -> usize {
    (index >> (BITS * level)) as usize & (WIDTH - 1)
}

impl<T: Clone + Default> Node<T> for Leaf<T> {
    const LEVEL: u32 = 0;

    fn empty() -> Self {
        Self(std::array::from_fn(|_| T::default()))
    }

    fn get(&self, index: u32) -> Option<&T> {
        self.0.get(digit(index, 0))
    }

    #[expect(clippy::indexing_slicing, reason = "a digit is below the width of a node")]
    fn reach(this: &mut Arc<Self>, index: u32) -> &mut T {
        &mut Arc::make_mut(this).0[digit(index, 0)]
    }

    fn footprint(&self, each: &dyn Fn(&T) -> usize) -> usize {
        shared_bytes(size_of::<Self>()) + self.0.iter().map(each).sum::<usize>()
    }
}

impl<T, C: Node<T>> Node<T> for Branch<C> {
    const LEVEL: u32 = C::LEVEL + 1;

    fn empty() -> Self {
        Self([const { None }; WIDTH])
    }

    fn get(&self, index: u32) -> Option<&T> {
        self.0.get(digit(index, Self::LEVEL))?.as_deref()?.get(index)
    }

    #[expect(clippy::indexing_slicing, reason = "a digit is below the width of a node")]
    fn reach(this: &mut Arc<Self>, index: u32) -> &mut T {
        let child = &mut Arc::make_mut(this).0[digit(index, Self::LEVEL)];
        C::reach(child.get_or_insert_with(|| Arc::new(C::empty())), index)
    }

    fn footprint(&self, each: &dyn Fn(&T) -> usize) -> usize {
        let below: usize = self.0.iter().flatten().map(|child| child.footprint(each)).sum();
        below + shared_bytes(size_of::<Self>())
    }
}

/// Returns a node whose first child is `below`.
fn add_level<T, C: Node<T>>(below: &Arc<C>, _: PhantomData<T>) -> Arc<Branch<C>> {
    let mut branch = <Branch<C> as Node<T>>::empty();
    if let Some(first) = branch.0.first_mut() {
        *first = Some(Arc::clone(below));
    }
    Arc::new(branch)
}

/// The root node, by its level.
#[derive(Clone)]
enum Root<T> {
    Empty,
    Level0(Arc<Leaf<T>>),
    Level1(Arc<Level1<T>>),
    Level2(Arc<Level2<T>>),
    Level3(Arc<Level3<T>>),
    Level4(Arc<Level4<T>>),
    Level5(Arc<Level5<T>>),
    Level6(Arc<Level6<T>>),
}

/// A vector over all `u32` indices. Elements that were never changed are `T::default()`.
///
/// A clone shares all nodes. The first change below a shared node copies that node. Later changes happen in
/// place, until the node is shared again. A read takes one step for each factor of 32 in the largest index.
#[derive(Clone)]
pub(super) struct Radix<T>(Root<T>);

impl<T> Default for Radix<T> {
    fn default() -> Self {
        Self(Root::Empty)
    }
}

impl<T: Clone + Default> Radix<T> {
    /// Returns the element, or `None` if no element of its node was ever changed.
    pub(super) fn get(&self, index: u32) -> Option<&T> {
        if !self.reaches(index) {
            return None;
        }
        match &self.0 {
            Root::Empty => None,
            Root::Level0(root) => root.get(index),
            Root::Level1(root) => root.get(index),
            Root::Level2(root) => root.get(index),
            Root::Level3(root) => root.get(index),
            Root::Level4(root) => root.get(index),
            Root::Level5(root) => root.get(index),
            Root::Level6(root) => root.get(index),
        }
    }

    /// Returns the element for changes.
    pub(super) fn get_mut(&mut self, index: u32) -> &mut T {
        while !self.reaches(index) {
            self.grow();
        }
        match &mut self.0 {
            Root::Level1(root) => Node::reach(root, index),
            Root::Level2(root) => Node::reach(root, index),
            Root::Level3(root) => Node::reach(root, index),
            Root::Level4(root) => Node::reach(root, index),
            Root::Level5(root) => Node::reach(root, index),
            Root::Level6(root) => Node::reach(root, index),
            Root::Level0(root) => Node::reach(root, index),
            Root::Empty => unreachable!("an empty root reaches no index"),
        }
    }

    /// Returns the bytes that the vector takes. `each` gives the bytes that an element owns on the heap.
    pub(super) fn footprint(&self, each: impl Fn(&T) -> usize) -> usize {
        match &self.0 {
            Root::Empty => 0,
            Root::Level0(root) => root.footprint(&each),
            Root::Level1(root) => root.footprint(&each),
            Root::Level2(root) => root.footprint(&each),
            Root::Level3(root) => root.footprint(&each),
            Root::Level4(root) => root.footprint(&each),
            Root::Level5(root) => root.footprint(&each),
            Root::Level6(root) => root.footprint(&each),
        }
    }

    /// Returns whether the root is high enough for an index.
    const fn reaches(&self, index: u32) -> bool {
        let levels = match &self.0 {
            Root::Empty => return false,
            Root::Level0(_) => 1,
            Root::Level1(_) => 2,
            Root::Level2(_) => 3,
            Root::Level3(_) => 4,
            Root::Level4(_) => 5,
            Root::Level5(_) => 6,
            Root::Level6(_) => return true,
        };
        index >> (BITS * levels) == 0
    }

    /// Adds a level above the root.
    fn grow(&mut self) {
        self.0 = match &self.0 {
            Root::Empty => Root::Level0(Arc::new(Leaf::empty())),
            Root::Level0(root) => Root::Level1(add_level(root, PhantomData::<T>)),
            Root::Level1(root) => Root::Level2(add_level(root, PhantomData::<T>)),
            Root::Level2(root) => Root::Level3(add_level(root, PhantomData::<T>)),
            Root::Level3(root) => Root::Level4(add_level(root, PhantomData::<T>)),
            Root::Level4(root) => Root::Level5(add_level(root, PhantomData::<T>)),
            Root::Level5(root) => Root::Level6(add_level(root, PhantomData::<T>)),
            Root::Level6(_) => return,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_only_at_their_index() {
        let mut radix = Radix::<u64>::default();
        assert_eq!(radix.get(0), None);
        let indices = [0, 1, 31, 32, 1023, 1024, 70_000, u32::MAX];
        for (value, index) in (1..).zip(indices) {
            *radix.get_mut(index) = value;
        }
        for (value, index) in (1..).zip(indices) {
            assert_eq!(radix.get(index), Some(&value), "{index}");
        }
        assert_eq!(radix.get(2), Some(&0));
        assert_eq!(radix.get(5_000_000), None);
    }

    #[test]
    fn a_copy_does_not_see_later_changes() {
        let mut radix = Radix::<u64>::default();
        for index in 0..100 {
            *radix.get_mut(index) = 1;
        }
        let before = radix.clone();
        *radix.get_mut(40) = 2;
        *radix.get_mut(100_000) = 3;
        assert_eq!((before.get(40), before.get(100_000)), (Some(&1), None));
        assert_eq!((radix.get(40), radix.get(99), radix.get(100_000)), (Some(&2), Some(&1), Some(&3)));
    }
}
