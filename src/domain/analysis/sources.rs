//! Source trees in groups of one name and size, which are mostly copies of one project.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::usage::{Sets, UsageRow};
use super::{NodeIdx, NodeSet, StoreAnalysis};
use crate::domain::graph::Weight;

impl StoreAnalysis {
    /// The source trees by name and size, those that take most first, and how many groups there are.
    pub(super) fn sources(&self, top: usize, sets: Sets) -> (Vec<UsageRow>, usize) {
        let dead = self.dead();
        let mut groups: BTreeMap<_, Vec<NodeIdx>> = BTreeMap::new();
        for node in self.source_trees().iter() {
            let key = (self.graph.source_name(node), self.graph.nar_size_of(node));
            groups.entry(key).or_default().push(node);
        }
        let row = |((name, _), nodes): ((&str, _), Vec<NodeIdx>)| {
            let all = self.graph.weight(&self.graph.set_of(nodes.iter().copied()));
            let dead = nodes.iter().copied().filter(|node| dead.contains(*node));
            UsageRow {
                name: name.to_string(),
                paths: all.paths,
                versions: None,
                own: Some(all.nar_bytes),
                closure: None,
                exclusive: None,
                dead: Some(self.graph.weight(&self.graph.set_of(dead))),
                set: match sets {
                    Sets::Listed => nodes,
                    Sets::Left => Vec::new(),
                },
            }
        };
        let mut rows: Vec<UsageRow> = groups.into_iter().map(row).collect();
        let count = rows.len();
        rows.sort_by_key(|row| Reverse(row.own));
        rows.truncate(top);
        (rows, count)
    }

    /// Every source tree.
    pub(super) fn source_trees(&self) -> NodeSet {
        let nodes = self.graph.nodes();
        self.graph
            .set_of(nodes.filter(|node| self.graph.is_source(*node)))
    }

    /// The part of a set that is dead.
    pub(super) fn dead_of(&self, set: &NodeSet) -> Weight {
        self.graph.weight(&set.without(&self.dead().complement()))
    }
}
