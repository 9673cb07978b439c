//! How much becomes dead when roots are removed one after the other, and how many must be removed.

use std::collections::HashMap;

use camino::{Utf8Path, Utf8PathBuf};

use super::{StoreAnalysis, StoreRoot, nodes_of};
use crate::domain::budget::Quantity;
use crate::domain::graph::{NodeIdx, NodeSet, Weight};
use crate::domain::measure::Bytes;

/// Links that may be removed, in this order, while every other root is kept.
#[derive(Debug)]
pub struct RemovalSequence<'a> {
    inspection: &'a StoreAnalysis,
    kept_nodes: Vec<NodeIdx>,
    candidates: Vec<Candidate>,
}

#[derive(Debug)]
struct Candidate {
    link: Utf8PathBuf,
    nodes: Vec<NodeIdx>,
}

/// The first links of a sequence, and what removing them frees.
#[derive(Debug)]
pub struct CumulativeFreed {
    /// How many links are removed.
    candidates: usize,
    /// What is dead then.
    pub dead: NodeSet,
    /// How much that is, as it was weighed.
    pub freed: Quantity,
}

impl StoreAnalysis {
    /// The links `gone` and those of `candidates` may be removed, nothing else. Paths that were registered at or after
    /// `recent`, in seconds since 1970, are kept with their dependencies.
    ///
    /// A link that is no root here, or whose path is kept by something else, is no candidate: removing it frees nothing.
    pub fn removal_sequence<'a>(
        &'a self,
        gone: &[&Utf8Path],
        candidates: &[&Utf8Path],
        recent: Option<i64>,
    ) -> RemovalSequence<'a> {
        let mut by_link: HashMap<&Utf8Path, Vec<NodeIdx>> = HashMap::new();
        for link in gone.iter().chain(candidates) {
            by_link.insert(link, Vec::new());
        }
        let mut kept_nodes = Vec::new();
        for StoreRoot { root, node } in &self.roots {
            match by_link.get_mut(root.link.as_path()) {
                Some(nodes) => nodes.push(*node),
                None => kept_nodes.push(*node),
            }
        }
        if let Some(recent) = recent {
            let young = |node: &NodeIdx| self.graph.registered(*node) >= recent;
            kept_nodes.extend(self.graph.nodes().filter(young));
        }
        let live = self.graph.live(&kept_nodes, self.flags);
        let mut kept = Vec::new();
        for &link in candidates {
            let nodes = by_link.remove(link).unwrap_or_default();
            if nodes.iter().any(|&node| !live.contains(node)) {
                let link = link.to_path_buf();
                kept.push(Candidate { link, nodes });
            }
        }
        RemovalSequence {
            inspection: self,
            kept_nodes,
            candidates: kept,
        }
    }

    /// The links that alone keep the most, `gone` left out, at most `most` of them.
    pub fn largest_without(&self, gone: &[&Utf8Path], most: usize) -> Vec<(String, Bytes)> {
        let links: Vec<_> = self
            .by_link()
            .into_iter()
            .filter(|roots| roots.iter().all(|r| !gone.contains(&r.root.link.as_path())))
            .collect();
        let weights = self.graph.exclusive(&nodes_of(&links), self.flags);
        let named = links.iter().zip(weights).filter_map(|(roots, weight)| {
            let root = roots.first().filter(|_| weight.nar_bytes > Bytes(0))?;
            Some((super::usage::root_name(root, self), weight.nar_bytes))
        });
        let mut named: Vec<(String, Bytes)> = named.collect();
        named.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        named.truncate(most);
        named
    }
}

impl RemovalSequence<'_> {
    /// The links that are removed, in their order. It leaves out a link whose path another kept link keeps:
    /// removing it frees nothing yet.
    pub fn links_of(&self, reached: &CumulativeFreed) -> impl Iterator<Item = &Utf8Path> {
        let taken = self.candidates.iter().take(reached.candidates);
        let frees = |candidate: &&Candidate| {
            candidate
                .nodes
                .iter()
                .any(|&node| reached.dead.contains(node))
        };
        taken
            .filter(frees)
            .map(|candidate| candidate.link.as_path())
    }

    /// The same without links that free nothing according to `weigh`: snapshots may keep the blocks.
    ///
    /// # Errors
    /// When something cannot be weighed.
    pub fn links_that_free<E>(
        &self,
        reached: &CumulativeFreed,
        mut weigh: impl FnMut(&NodeSet) -> Result<Quantity, E>,
    ) -> Result<Vec<&Utf8Path>, E> {
        let (graph, flags) = (&self.inspection.graph, self.inspection.flags);
        let nothing = weigh(&graph.set_of([]))?;
        let other = reached.dead.without(&self.dead_after(0)).complement();
        let mut links = Vec::new();
        for candidate in self.candidates.iter().take(reached.candidates) {
            let kept = graph.live(&candidate.nodes, flags).without(&other);
            if weigh(&kept)? > nothing {
                links.push(candidate.link.as_path());
            }
        }
        Ok(links)
    }

    /// The links that can free something, in their order.
    pub fn links(&self) -> impl Iterator<Item = &Utf8Path> {
        self.candidates
            .iter()
            .map(|candidate| candidate.link.as_path())
    }

    /// What is dead when the first so many links are gone.
    pub fn dead_after(&self, candidates: usize) -> NodeSet {
        let not_removed = self.candidates.iter().skip(candidates);
        let not_removed = not_removed.flat_map(|candidate| candidate.nodes.iter().copied());
        let roots: Vec<NodeIdx> = self.kept_nodes.iter().copied().chain(not_removed).collect();
        self.inspection.graph.dead(&roots, self.inspection.flags)
    }

    /// What each link frees after those before it, by the store's own sizes.
    pub fn freed_by_each(&self) -> Vec<Weight> {
        let groups: Vec<&[NodeIdx]> = self.candidates.iter().map(|r| r.nodes.as_slice()).collect();
        let (graph, flags) = (&self.inspection.graph, self.inspection.flags);
        graph.freed_by_order(&self.kept_nodes, &groups, flags)
    }

    /// The fewest links, from the first, after which `enough` is dead, or as much as all of them free. A larger set must
    /// not weigh less.
    ///
    /// # Errors
    /// When something cannot be weighed.
    pub fn fewest_to_free<E>(
        &self,
        enough: Quantity,
        mut weigh: impl FnMut(&NodeSet) -> Result<Quantity, E>,
    ) -> Result<CumulativeFreed, E> {
        let mut at = |candidates: usize| -> Result<CumulativeFreed, E> {
            let dead = self.dead_after(candidates);
            let freed = weigh(&dead)?;
            Ok(CumulativeFreed {
                candidates,
                dead,
                freed,
            })
        };
        let none = at(0)?;
        if none.freed >= enough || self.candidates.is_empty() {
            return Ok(none);
        }
        let mut best = at(self.candidates.len())?;
        if best.freed <= none.freed {
            return Ok(none);
        }
        // Where all of them are not enough, those behind the last that frees anything are left out.
        let enough = enough.min(best.freed);
        // Not enough below `low`, enough from `best` on.
        let mut low = 1;
        while low < best.candidates {
            let middle = at(usize::midpoint(low, best.candidates))?;
            if middle.freed >= enough {
                best = middle;
            } else {
                low = middle.candidates + 1;
            }
        }
        Ok(best)
    }
}
