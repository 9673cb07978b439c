//! Shortest chains from roots to a path.

use std::collections::VecDeque;

use super::{KeepFlags, NONE, NodeIdx, NodeSet, StoreGraph, at, change};

/// How a step of a chain is kept by the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Via {
    /// It is a root.
    Root,
    /// The path before refers to it.
    Reference,
    /// It made the path before, and `keep-derivations` is set.
    Deriver,
    /// It is an output of the derivation before, and `keep-outputs` is set.
    Output,
}

/// One path of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The path.
    pub node: NodeIdx,
    /// What keeps it.
    pub via: Via,
}

/// A way from a root to a path, both included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// The steps, the root first.
    pub steps: Vec<Step>,
}

impl StoreGraph {
    /// The shortest chain from each root that keeps `target` to it, nearest roots first, at most `most` of them. Roots
    /// at the same distance come in the order of the graph.
    pub fn why(
        &self,
        roots: &[NodeIdx],
        target: NodeIdx,
        flags: KeepFlags,
        most: usize,
    ) -> Vec<Chain> {
        let roots = self.set_of(roots.iter().copied());
        let mut search = Search::new(self, target);
        let mut nearest: Vec<NodeIdx> = Vec::new();
        // A level at a time, so that the order within it does not hang on the order of the edges.
        while nearest.len() < most && !search.level.is_empty() {
            let mut level: Vec<NodeIdx> = search.level.iter().copied().map(NodeIdx).collect();
            level.retain(|&node| roots.contains(node));
            level.sort_unstable();
            nearest.extend(level);
            search.step(flags);
        }
        nearest.truncate(most);
        nearest.into_iter().map(|root| search.chain(root)).collect()
    }
}

/// A breadth-first walk from the target back to what keeps it.
struct Search<'g> {
    graph: &'g StoreGraph,
    target: NodeIdx,
    seen: NodeSet,
    /// The next node on the way to the target, and how it is kept.
    towards: Vec<u32>,
    via: Vec<Via>,
    level: VecDeque<u32>,
}

impl<'g> Search<'g> {
    fn new(graph: &'g StoreGraph, target: NodeIdx) -> Self {
        let mut seen = NodeSet::empty(graph.len());
        let known = seen.insert(target);
        Self {
            graph,
            target,
            seen,
            towards: vec![NONE; graph.len()],
            via: vec![Via::Root; graph.len()],
            level: known.then_some(target.0).into_iter().collect(),
        }
    }

    /// Proceeds level by level; a reference is preferred to the other kinds where both lead as near.
    fn step(&mut self, flags: KeepFlags) {
        let backward = self.graph.backward();
        let kinds = [
            (Via::Reference, Some(&backward.referrers)),
            (Via::Deriver, flags.derivations.then_some(&backward.derived)),
            (Via::Output, flags.outputs.then_some(&backward.producers)),
        ];
        for node in std::mem::take(&mut self.level) {
            for (via, edges) in kinds {
                for &keeper in edges.map_or(&[][..], |edges| edges.row(node)) {
                    self.note(keeper, node, via);
                }
            }
        }
    }

    fn note(&mut self, keeper: u32, node: u32, via: Via) {
        if !self.seen.add(keeper) {
            return;
        }
        change(&mut self.towards, keeper, |_| node);
        change(&mut self.via, keeper, |_| via);
        self.level.push_back(keeper);
    }

    fn chain(&self, root: NodeIdx) -> Chain {
        let mut steps = vec![Step {
            node: root,
            via: Via::Root,
        }];
        let mut node = root;
        while node != self.target
            && let Some(next) = at(&self.towards, node.0)
            && let Some(via) = at(&self.via, node.0)
        {
            node = NodeIdx(next);
            steps.push(Step { node, via });
        }
        Chain { steps }
    }
}
