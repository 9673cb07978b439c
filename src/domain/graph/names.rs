//! Names of all paths in one string, and lookup of a node by name.

use std::hash::{BuildHasher, RandomState};
use std::hint::black_box;

use super::NONE;

/// How many names are looked for together.
pub(super) const TOGETHER: usize = 32;

/// Names one after the other.
#[derive(Debug, Default)]
pub(super) struct Names {
    text: String,
    ends: Vec<u32>,
}

impl Names {
    /// Adds a name; `None` when it does not fit.
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

    /// Asks memory for some names at once, so that who reads them then does not wait for each by itself.
    pub(super) fn fetch(&self, nodes: impl Iterator<Item = u32>) {
        let first = |node| self.get(node)?.bytes().next();
        nodes.filter_map(first).for_each(|byte| _ = black_box(byte));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        (0u32..).map_while(|node| self.get(node))
    }

    pub(super) fn shrink(&mut self) {
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
    }
}

/// A hash table of nodes; the names are not moved. The hash is seeded, because anyone who may add paths to a store
/// chooses their names.
#[derive(Debug, Default)]
pub(super) struct Lookup {
    slots: Vec<Slot>,
    seed: u64,
}

/// A node and a part of its name's hash, so that nearly every other name is ruled out without reading it.
#[derive(Debug, Clone, Copy)]
struct Slot {
    tag: u32,
    node: u32,
}

impl Lookup {
    /// Enters all names.
    ///
    /// # Errors
    /// Gives a name that is there twice.
    pub(super) fn build(names: &Names) -> Result<Self, &str> {
        let empty = Slot { tag: 0, node: NONE };
        // At least half of the slots are empty: every search meets one soon.
        let mut lookup = Self {
            slots: vec![empty; (names.len() * 2).next_power_of_two()],
            seed: RandomState::new().hash_one(0),
        };
        let mut all = (0u32..).zip(names.iter());
        let mut some: Vec<(u32, &str, u32, usize)> = Vec::with_capacity(TOGETHER);
        loop {
            let places = all.by_ref().take(TOGETHER).map(|(node, name)| {
                let (tag, start) = lookup.place(name);
                (node, name, tag, start)
            });
            some.extend(places);
            if some.is_empty() {
                return Ok(lookup);
            }
            // They wait for memory together, as in `find_each`.
            let slots = some.iter().map(|&(_, _, _, start)| lookup.slots.get(start));
            slots.flatten().for_each(|slot| _ = black_box(slot.node));
            for (node, name, tag, start) in some.drain(..) {
                if !lookup.enter(names, Slot { tag, node }, name, start) {
                    return Err(name);
                }
            }
        }
    }

    /// Enters a name; returns whether it was new.
    fn enter(&mut self, names: &Names, new: Slot, name: &str, start: usize) -> bool {
        let (before, from) = self.slots.split_at_mut(start);
        for slot in from.iter_mut().chain(before) {
            if slot.node == NONE {
                *slot = new;
                return true;
            }
            if slot.tag == new.tag && names.get(slot.node) == Some(name) {
                return false;
            }
        }
        // At least half of the slots are empty.
        false
    }

    pub(super) fn find(&self, names: &Names, name: &str) -> Option<u32> {
        let (tag, start) = self.place(name);
        let (before, from) = self.slots.split_at_checked(start)?;
        from.iter()
            .chain(before)
            .take_while(|slot| slot.node != NONE)
            .find(|slot| slot.tag == tag && names.get(slot.node) == Some(name))
            .map(|slot| slot.node)
    }

    /// Looks for many names, some at a time: first all that memory is asked for which they need, so that they wait for it
    /// together, and not each for itself.
    pub(super) fn find_each<'n>(
        &self,
        names: &Names,
        wanted: impl Iterator<Item = &'n str>,
        mut found: impl FnMut(&'n str, Option<u32>),
    ) {
        let mut wanted = wanted.fuse();
        let mut some: Vec<&str> = Vec::with_capacity(TOGETHER);
        loop {
            some.extend(wanted.by_ref().take(TOGETHER));
            if some.is_empty() {
                return;
            }
            let slots = some.iter().map(|name| self.slots.get(self.place(name).1));
            let nodes: Vec<u32> = slots.map(|slot| slot.map_or(NONE, |s| s.node)).collect();
            names.fetch(nodes.into_iter());
            for name in some.drain(..) {
                found(name, self.find(names, name));
            }
        }
    }

    /// The tag of a name, and the slot where a search for it begins.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "two halves of a hash, of which the mask drops more"
    )]
    fn place(&self, name: &str) -> (u32, usize) {
        let hash = hash(self.seed, name.as_bytes());
        let mask = self.slots.len().saturating_sub(1);
        ((hash >> 32) as u32, hash as usize & mask)
    }
}

/// Multiplies eight bytes after eight into the hash and folds the product: a few nanoseconds for a path.
fn hash(seed: u64, bytes: &[u8]) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let fold = |hash: u64, word: u64| {
        let product = u128::from(hash ^ word) * u128::from(ODD);
        u64::try_from((product ^ product >> 64) & u128::from(u64::MAX)).unwrap_or_default()
    };
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    let whole = words
        .iter()
        .fold(seed, |hash, word| fold(hash, u64::from_le_bytes(*word)));
    // The length distinguishes a short rest from one that ends in zeros.
    let ended = fold(whole, u64::from_le_bytes(last));
    fold(ended, bytes.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of the letters that store paths have, many of them alike.
    const NAME: &str = "[ab]{0,9}|[0-9a-z+._?=-]{0,40}";

    proptest::proptest! {
        #[test]
        fn every_name_is_found_and_no_other(
            entered in proptest::collection::btree_set(NAME, 0..40),
            other in proptest::collection::vec(NAME, 0..20),
        ) {
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
            let wanted = || entered.iter().chain(&other).map(String::as_str);
            let mut each = Vec::new();
            lookup.find_each(&names, wanted(), |name, node| each.push((name, node)));
            let one_by_one: Vec<_> = wanted().map(|name| (name, lookup.find(&names, name))).collect();
            proptest::prop_assert_eq!(each, one_by_one);
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
    fn a_hash_alone_finds_nothing() {
        let mut names = Names::default();
        names.push("a").unwrap();
        let mut lookup = Lookup::build(&names).unwrap();
        let (tag, start) = lookup.place("b");
        lookup.slots[start] = Slot { tag, node: 0 };
        assert_eq!(lookup.find(&names, "b"), None);
    }

    #[test]
    fn an_empty_table_finds_nothing() {
        let names = Names::default();
        assert_eq!(Lookup::default().find(&names, "a"), None);
        assert_eq!(Lookup::build(&names).unwrap().find(&names, "a"), None);
    }

    #[test]
    fn a_hash_alone_is_no_name_that_is_there() {
        let mut names = Names::default();
        names.push("a").unwrap();
        let mut lookup = Lookup::build(&names).unwrap();
        let (tag, start) = lookup.place("a");
        names.push("b").unwrap();
        assert!(!lookup.enter(&names, Slot { tag, node: 1 }, "a", start));
        assert!(lookup.enter(&names, Slot { tag, node: 1 }, "b", start));
    }

    /// Every search is short: names that differ little begin at places, and have tags, that do not.
    #[test]
    fn names_that_are_nearly_alike_are_spread_over_the_table() {
        use std::collections::BTreeSet;
        for seed in 0..8 {
            let lookup = Lookup {
                slots: vec![Slot { tag: 0, node: NONE }; 2048],
                seed,
            };
            let places = (0..1000).map(|n| lookup.place(&format!("{n:032}-source")));
            let (tags, starts): (BTreeSet<_>, BTreeSet<_>) = places.unzip();
            // Chance alone gives some 790 places.
            assert!(
                tags.len() > 990 && starts.len() > 740,
                "{} {}",
                tags.len(),
                starts.len()
            );
        }
    }
}
