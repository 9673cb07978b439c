//! What was left out of lists, so that a place in what is left can be told as the place in the text.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::Pointer;

/// The items that are gone of each list, as they were counted in the text.
#[derive(Debug, Default)]
pub(super) struct Gone(BTreeMap<Pointer, BTreeSet<usize>>);

impl Gone {
    /// Notes that the item which has this index now is gone.
    pub(super) fn leave_out(&mut self, list: &Pointer, now: usize) {
        self.note(list, self.nth_left(list, now));
    }

    /// Notes that the item which had this index in the whole list is gone.
    pub(super) fn note(&mut self, list: &Pointer, index: usize) {
        self.0.entry(list.clone()).or_default().insert(index);
    }

    /// The index, in the whole list, of the item that has this index among those that are left.
    pub(super) fn nth_left(&self, list: &Pointer, now: usize) -> usize {
        let mut index = now;
        for &before in self.0.get(list).into_iter().flatten() {
            if before <= index {
                index += 1;
            }
        }
        index
    }

    /// The place in the text of what is at a place now.
    pub(super) fn restore(&self, now: &Pointer) -> Pointer {
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
