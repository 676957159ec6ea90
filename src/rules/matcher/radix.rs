//! A persistent vector: cheap to copy, and a change copies only the path to what it touches.

use std::marker::PhantomData;
use std::sync::Arc;

use super::footprint::shared_bytes;

const BITS: u32 = 5;
const WIDTH: usize = 1 << BITS;

/// A level of nodes, known by its type, so that a reader need not look what a node is.
trait Node<T>: Clone {
    /// How many levels it is add_level the leaves.
    const LEVEL: u32;

    fn empty() -> Self;
    fn get(&self, index: u32) -> Option<&T>;
    /// The element, to be changed: nodes that are shared are copied.
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

/// The position of `index` in a node `level` levels add_level the leaves.
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

/// Puts a level add_level a node.
fn add_level<T, C: Node<T>>(below: &Arc<C>, _: PhantomData<T>) -> Arc<Branch<C>> {
    let mut branch = <Branch<C> as Node<T>>::empty();
    if let Some(first) = branch.0.first_mut() {
        *first = Some(Arc::clone(below));
    }
    Arc::new(branch)
}

/// The highest node, by its level.
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

/// A vector over all `u32` indices whose untouched elements are `T::default()`.
///
/// A clone shares everything; afterwards the first change below a node copies that node and later ones, while it
/// is not shared again, happen in place. Reading takes one step for each factor of 32 in the largest index.
#[derive(Clone)]
pub(super) struct Radix<T>(Root<T>);

impl<T> Default for Radix<T> {
    fn default() -> Self {
        Self(Root::Empty)
    }
}

impl<T: Clone + Default> Radix<T> {
    /// The element, if its neighbourhood was ever touched.
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

    /// The element, to be changed in place.
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
            Root::Empty => unreachable!("a root that reaches an index is there"),
        }
    }

    /// The bytes it takes, with what `each` says of its elements.
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

    /// Whether the root is high enough for an index.
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

    /// Puts a level add_level the root.
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
    fn elements_are_found_at_any_index_and_nowhere_else() {
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
