//! Sets of nodes, as bit sets.

use super::NodeIdx;

/// A set of paths of one graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSet {
    words: Vec<u64>,
    nodes: usize,
}

impl NodeSet {
    /// The empty set, for a graph of so many nodes.
    pub(super) fn empty(nodes: usize) -> Self {
        Self {
            words: vec![0; nodes.div_ceil(64)],
            nodes,
        }
    }

    /// Adds a path and returns whether it is new.
    pub fn insert(&mut self, node: NodeIdx) -> bool {
        self.add(node.0)
    }

    /// Whether a path is in the set.
    pub fn contains(&self, node: NodeIdx) -> bool {
        self.has(node.0)
    }

    /// How many paths are in the set.
    pub fn count(&self) -> u64 {
        self.words.iter().map(|w| u64::from(w.count_ones())).sum()
    }

    /// Whether no path is in the set.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|&word| word == 0)
    }

    /// The paths, in the order of the graph.
    pub fn iter(&self) -> impl Iterator<Item = NodeIdx> + '_ {
        (0u32..)
            .step_by(64)
            .zip(&self.words)
            .flat_map(|(first, &word)| {
                std::iter::successors(Some(word), |rest| Some(rest & rest.wrapping_sub(1)))
                    .take_while(|&rest| rest != 0)
                    .map(move |rest| NodeIdx(first + rest.trailing_zeros()))
            })
    }

    /// The valid paths that are not in the set.
    #[must_use]
    pub fn complement(&self) -> Self {
        let mut words: Vec<u64> = self.words.iter().map(|word| !word).collect();
        let spare = self.nodes % 64;
        if spare != 0
            && let Some(last) = words.last_mut()
        {
            *last &= (1 << spare) - 1;
        }
        Self {
            words,
            nodes: self.nodes,
        }
    }

    /// The paths that are in this set and not in `other`, which is of the same graph.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        let words = self.words.iter().zip(&other.words).map(|(a, b)| a & !b);
        Self {
            words: words.collect(),
            nodes: self.nodes,
        }
    }

    /// Adds a node and returns whether it is new; one beyond the graph is not.
    pub(super) fn add(&mut self, node: u32) -> bool {
        debug_assert!((node as usize) < self.nodes, "the node is of another graph");
        let bit = 1 << (node % 64);
        match self.words.get_mut(node as usize / 64) {
            Some(word) if *word & bit == 0 => {
                *word |= bit;
                true
            }
            _ => false,
        }
    }

    pub(super) fn has(&self, node: u32) -> bool {
        let word = self.words.get(node as usize / 64).copied().unwrap_or(0);
        word & 1 << (node % 64) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    proptest::proptest! {
        #[test]
        fn a_set_is_a_set(nodes in 0usize..300, picked: Vec<u32>) {
            let picked: Vec<u32> = picked.iter().filter_map(|n| n.checked_rem(u32::try_from(nodes).unwrap())).collect();
            let mut set = NodeSet::empty(nodes);
            let mut naive = BTreeSet::new();
            for &node in &picked {
                proptest::prop_assert_eq!(set.insert(NodeIdx(node)), naive.insert(node));
            }
            let all = 0..u32::try_from(nodes).unwrap();
            proptest::prop_assert_eq!(set.count(), naive.len() as u64);
            proptest::prop_assert_eq!(set.is_empty(), naive.is_empty());
            proptest::prop_assert!(set.iter().map(|n| n.0).eq(naive.iter().copied()));
            let rest = set.complement();
            proptest::prop_assert!(rest.iter().map(|n| n.0).eq(all.clone().filter(|n| !naive.contains(n))));
            proptest::prop_assert!(all.clone().all(|n| set.contains(NodeIdx(n)) == naive.contains(&n)));
            proptest::prop_assert!(set.without(&set).is_empty());
            proptest::prop_assert_eq!(rest.without(&set), rest);
        }
    }
}
