//! What was left out of lists, so that a place in what is left can be told as the place in the text.

use std::collections::BTreeMap;

use super::finding::Pointer;

/// The items that are gone of each list, as they were counted in the text, in their order and each once.
#[derive(Debug, Default)]
pub(super) struct Gone(BTreeMap<Pointer, Vec<usize>>);

impl Gone {
    /// Notes that the item which has this index now is gone.
    pub(super) fn leave_out(&mut self, list: &Pointer, now: usize) {
        self.note(list, self.nth_left(list, now));
    }

    /// Notes that the item which had this index in the whole list is gone.
    pub(super) fn note(&mut self, list: &Pointer, index: usize) {
        let gone = self.0.entry(list.clone()).or_default();
        if let Err(place) = gone.binary_search(&index) {
            gone.insert(place, index);
        }
    }

    /// The index, in the whole list, of the item that has this index among those that are left.
    pub(super) fn nth_left(&self, list: &Pointer, now: usize) -> usize {
        let gone = self.0.get(list).map_or(&[][..], Vec::as_slice);
        // Those that are gone stand before it as long as no more items are left before them than before it.
        let (mut before, mut end) = (0, gone.len());
        while before < end {
            let middle = before.midpoint(end);
            match gone.get(middle) {
                Some(index) if index.saturating_sub(middle) <= now => before = middle + 1,
                _ => end = middle,
            }
        }
        now + before
    }

    /// The place in the text of what is at a place now.
    pub(super) fn restore(&self, now: &Pointer) -> Pointer {
        if self.0.is_empty() {
            return now.clone();
        }
        let mut at = Pointer::root();
        for segment in now.segments() {
            // Only lists lose items here, so that a name of digits is not taken for an index.
            let index = segment.parse::<usize>().ok();
            at = match index.filter(|_| self.0.contains_key(&at)) {
                Some(index) => at.index(self.nth_left(&at, index)),
                None => at.key(&segment),
            };
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_left_is_found_again(gone in prop::collection::vec(any::<bool>(), 0..40)) {
            let list = Pointer::root().key("list");
            let mut found = Gone::default();
            // From behind, as they are found in any order.
            for index in (0..gone.len()).rev().filter(|&index| gone[index]) {
                found.note(&list, index);
            }
            let left = (0..gone.len() + 3).filter(|&index| !gone.get(index).unwrap_or(&false));
            for (now, index) in left.enumerate() {
                prop_assert_eq!(found.nth_left(&list, now), index);
                prop_assert_eq!(found.restore(&list.index(now).key("x")), list.index(index).key("x"));
            }
        }
    }
}
