//! Paths by the set of root groups that keep them.

use std::collections::HashMap;

use super::{KeepFlags, NodeIdx, StoreGraph, Weight};

/// Paths that the same groups of roots keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptPart {
    /// The groups, in ascending order of their positions.
    pub keepers: Vec<usize>,
    /// The paths.
    pub weight: Weight,
}

impl StoreGraph {
    /// The valid paths, divided by the set of groups that keep them. The first part is of the paths that no group keeps; it may
    /// be empty, and no other part is.
    pub fn by_keepers<G: AsRef<[NodeIdx]>>(&self, groups: &[G], flags: KeepFlags) -> Vec<KeptPart> {
        // A path has the number of its set, because many paths have the same one.
        let mut set_of = vec![0_usize; self.len()];
        let mut known: Vec<Vec<usize>> = vec![Vec::new()];
        for (group, roots) in groups.iter().enumerate() {
            let mut with_group: HashMap<usize, usize> = HashMap::new();
            for node in self.live(roots.as_ref(), flags).iter() {
                let Some(set) = set_of.get_mut(node.0 as usize) else {
                    continue;
                };
                *set = *with_group.entry(*set).or_insert_with(|| {
                    let mut keepers = known.get(*set).cloned().unwrap_or_default();
                    keepers.push(group);
                    known.push(keepers);
                    known.len() - 1
                });
            }
        }
        let part = |keepers| KeptPart {
            keepers,
            weight: Weight::default(),
        };
        let mut parts: Vec<KeptPart> = known.into_iter().map(part).collect();
        for (node, set) in (0u32..).zip(set_of) {
            if let Some(part) = parts.get_mut(set) {
                part.weight.add(self.weight_of(node));
            }
        }
        parts.retain(|part| part.keepers.is_empty() || part.weight.paths > 0);
        parts
    }
}
