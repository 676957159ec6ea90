//! A persistent vector: cheap to copy, and a change copies only the path to what it touches.

use std::sync::Arc;

use super::footprint::shared_bytes;

const BITS: u32 = 5;
const WIDTH: usize = 1 << BITS;

#[derive(Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "a node is always shared, and a leaf is as big for the usual elements"
)]
enum Node<T> {
    Branch([Option<Arc<Node<T>>>; WIDTH]),
    Leaf([T; WIDTH]),
}

/// A vector over all `u32` indices whose untouched elements are `T::default()`.
///
/// A clone shares everything; afterwards the first change below a node copies that node and later ones, while it
/// is not shared again, happen in place. Reading takes one step for each factor of 32 in the largest index.
#[derive(Clone)]
pub(super) struct Radix<T> {
    root: Option<Arc<Node<T>>>,
    height: u32,
}

impl<T> Default for Radix<T> {
    fn default() -> Self {
        Self { root: None, height: 0 }
    }
}

/// The position of `index` in a node `level` levels above the leaves.
const fn digit(index: u32, level: u32) -> usize {
    (index >> (BITS * level)) as usize & (WIDTH - 1)
}

impl<T> Radix<T> {
    /// The element, if its neighbourhood was ever touched.
    pub(super) fn get(&self, index: u32) -> Option<&T> {
        let mut node = self.root.as_deref()?;
        if u64::from(index) >> (BITS * self.height) != 0 {
            return None;
        }
        let mut level = self.height;
        loop {
            level = level.saturating_sub(1);
            match node {
                Node::Branch(children) => node = children.get(digit(index, level))?.as_deref()?,
                Node::Leaf(elements) => return elements.get(digit(index, 0)),
            }
        }
    }
}

impl<T> Radix<T> {
    /// The bytes it takes, with what `each` says of its elements.
    pub(super) fn footprint(&self, each: impl Fn(&T) -> usize) -> usize {
        self.root.as_deref().map_or(0, |root| root.footprint(&each))
    }
}

impl<T> Node<T> {
    fn footprint(&self, each: &impl Fn(&T) -> usize) -> usize {
        let below: usize = match self {
            Self::Branch(children) => children.iter().flatten().map(|child| child.footprint(each)).sum(),
            Self::Leaf(elements) => elements.iter().map(each).sum(),
        };
        below + shared_bytes(size_of::<Self>())
    }
}

impl<T: Clone + Default> Radix<T> {
    /// The element, to be changed in place.
    pub(super) fn get_mut(&mut self, index: u32) -> &mut T {
        while self.root.is_none() || u64::from(index) >> (BITS * self.height) != 0 {
            self.grow();
        }
        let root = self.root.get_or_insert_with(|| Arc::new(Node::leaf()));
        Node::reach(root, index, self.height.saturating_sub(1))
    }

    /// Puts a level above the root.
    fn grow(&mut self) {
        self.height += 1;
        self.root = Some(Arc::new(match self.root.take() {
            None => Node::leaf(),
            below => {
                let mut children = [const { None }; WIDTH];
                if let Some(first) = children.first_mut() {
                    *first = below;
                }
                Node::Branch(children)
            }
        }));
    }
}

impl<T: Clone + Default> Node<T> {
    fn leaf() -> Self {
        Self::Leaf(std::array::from_fn(|_| T::default()))
    }

    fn empty(level: u32) -> Self {
        if level == 0 { Self::leaf() } else { Self::Branch([const { None }; WIDTH]) }
    }

    #[expect(clippy::indexing_slicing, reason = "a digit is below the width of a node")]
    fn reach(this: &mut Arc<Self>, index: u32, level: u32) -> &mut T {
        match Arc::make_mut(this) {
            Self::Leaf(elements) => &mut elements[digit(index, 0)],
            Self::Branch(children) => {
                let below = level.saturating_sub(1);
                let child = &mut children[digit(index, level)];
                Self::reach(child.get_or_insert_with(|| Arc::new(Self::empty(below))), index, below)
            }
        }
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
