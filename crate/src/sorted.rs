//! A few items in order, such as the headers of a request.

use core::cmp::Ordering;

/// How many need no allocation.
pub(crate) const FEW: usize = 16;

/// What has an order. Equal need not be the same.
pub(crate) trait Ordered: Copy + Default {
    /// Which stands first.
    fn compare(&self, other: &Self) -> Ordering;

    /// Whether neither stands before the other.
    #[inline]
    fn is_same(&self, other: &Self) -> bool {
        self.compare(other).is_eq()
    }
}

/// Items sorted; of those that are equal, what came first stands first.
///
/// For a handful, kept sorted as they come: a tenth of the code of a `sort`.
pub(crate) struct Sorted<T> {
    few: [T; FEW],
    /// All of them, if they are more.
    many: Vec<T>,
    len: usize,
}

impl<T: Ordered> Sorted<T> {
    /// None yet. If more than `count` come, room is made for them.
    #[inline]
    pub(crate) fn new(count: usize) -> Self {
        let many = if count > FEW { vec![T::default(); count] } else { Vec::new() };
        Self { few: [T::default(); FEW], many, len: 0 }
    }

    /// Adds one. Gives the last of those that are equal to it.
    #[inline]
    pub(crate) fn insert(&mut self, item: T) -> Option<T> {
        if self.many.is_empty() && self.len == FEW {
            self.many.extend_from_slice(&self.few);
        }
        if !self.many.is_empty() && self.len == self.many.len() {
            self.many.push(T::default());
        }
        let room = if self.many.is_empty() { self.few.as_mut_slice() } else { &mut self.many };
        let there = room.get(..self.len).unwrap_or_default();
        // They often come in order.
        let at = if self.len <= FEW {
            there.iter().rposition(|other| other.compare(&item).is_le()).map_or(0, |i| i + 1)
        } else {
            there.partition_point(|other| other.compare(&item).is_le())
        };
        let before = at.checked_sub(1).and_then(|i| there.get(i)).copied();
        room.copy_within(at..self.len, at + 1);
        if let Some(to) = room.get_mut(at) {
            *to = item;
        }
        self.len += 1;
        before.filter(|before| before.is_same(&item))
    }

    /// All.
    #[inline]
    pub(crate) fn as_slice(&self) -> &[T] {
        let all = if self.many.is_empty() { self.few.as_slice() } else { &self.many };
        all.get(..self.len).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    impl Ordered for (u8, u8) {
        fn compare(&self, other: &Self) -> Ordering {
            self.0.cmp(&other.0)
        }
    }

    proptest! {
        #[test]
        fn they_are_sorted_and_equal_ones_stay_in_order(
            items in prop::collection::vec((0_u8..20, any::<u8>()), 0..50), count in 0_usize..50,
        ) {
            let mut sorted = Sorted::new(count);
            for (i, item) in items.iter().enumerate() {
                let equal = items[..i].iter().rfind(|other| other.0 == item.0);
                prop_assert_eq!(sorted.insert(*item), equal.copied());
            }
            let mut expected = items;
            expected.sort_by_key(|item| item.0);
            prop_assert_eq!(sorted.as_slice(), expected);
        }
    }
}
