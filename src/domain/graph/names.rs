//! The names of all paths in one text, and the way back from a name to its node.

use std::hash::{BuildHasher, RandomState};

use super::NONE;

/// Names one after the other.
#[derive(Debug, Default)]
pub(super) struct Names {
    text: String,
    ends: Vec<u32>,
}

impl Names {
    /// Adds a name; `None` when there is no room for it.
    pub(super) fn push(&mut self, name: &str) -> Option<()> {
        let end = u32::try_from(self.text.len().checked_add(name.len())?).ok()?;
        self.text.push_str(name);
        self.ends.push(end);
        Some(())
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    #[inline]
    pub(super) fn get(&self, node: u32) -> Option<&str> {
        let end = *self.ends.get(node as usize)?;
        let start = match node.checked_sub(1) {
            Some(before) => *self.ends.get(before as usize)?,
            None => 0,
        };
        self.text.get(start as usize..end as usize)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        (0u32..).map_while(|node| self.get(node))
    }

    pub(super) fn shrink(&mut self) {
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
    }
}

/// A hash table of nodes; the names stay where they are. Its hash is seeded, for whoever may add paths to a store
/// chooses their names.
#[derive(Debug, Default)]
pub(super) struct Lookup {
    slots: Vec<u32>,
    hasher: RandomState,
}

impl Lookup {
    /// Enters all names.
    ///
    /// # Errors
    /// Gives a name that is there twice.
    pub(super) fn build(names: &Names) -> Result<Self, &str> {
        // At least half of the slots stay empty: every search meets one soon.
        let mut lookup = Self {
            slots: vec![NONE; (names.len() * 2).next_power_of_two()],
            hasher: RandomState::new(),
        };
        for (node, name) in (0u32..).zip(names.iter()) {
            let start = lookup.start(name);
            let (before, from) = lookup.slots.split_at_mut(start);
            for slot in from.iter_mut().chain(before) {
                if *slot == NONE {
                    *slot = node;
                    break;
                }
                if names.get(*slot) == Some(name) {
                    return Err(name);
                }
            }
        }
        Ok(lookup)
    }

    pub(super) fn find(&self, names: &Names, name: &str) -> Option<u32> {
        let (before, from) = self.slots.split_at_checked(self.start(name))?;
        from.iter()
            .chain(before)
            .copied()
            .take_while(|&node| node != NONE)
            .find(|&node| names.get(node) == Some(name))
    }

    fn start(&self, name: &str) -> usize {
        let mask = self.slots.len().saturating_sub(1);
        // Only the low bits count: a truncated hash is as good as the whole.
        #[expect(clippy::cast_possible_truncation, reason = "the mask drops more")]
        let hash = self.hasher.hash_one(name) as usize;
        hash & mask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn every_name_is_found_and_no_other(entered: std::collections::BTreeSet<String>, other: Vec<String>) {
            let mut names = Names::default();
            for name in &entered {
                names.push(name).unwrap();
            }
            let lookup = Lookup::build(&names).unwrap();
            for (node, name) in (0u32..).zip(&entered) {
                proptest::prop_assert_eq!(lookup.find(&names, name), Some(node));
                proptest::prop_assert_eq!(names.get(node), Some(name.as_str()));
            }
            for name in &other {
                proptest::prop_assert_eq!(lookup.find(&names, name).is_some(), entered.contains(name));
            }
        }
    }

    #[test]
    fn a_name_twice_is_refused() {
        let mut names = Names::default();
        for name in ["a", "b", "a"] {
            names.push(name).unwrap();
        }
        assert_eq!(Lookup::build(&names).unwrap_err(), "a");
    }

    #[test]
    fn an_empty_table_finds_nothing() {
        let names = Names::default();
        assert_eq!(Lookup::default().find(&names, "a"), None);
        assert_eq!(Lookup::build(&names).unwrap().find(&names, "a"), None);
    }
}
