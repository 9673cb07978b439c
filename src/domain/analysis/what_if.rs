//! What removing any set of links would free, now and when their undo windows end.

use std::collections::HashMap;

use camino::Utf8Path;

use super::StoreAnalysis;
use crate::domain::graph::{NodeIdx, NodeSet, Weight};

/// Links that may be removed, each known by its place in the list, while every other root is kept.
#[derive(Debug, Clone)]
pub struct WhatIf {
    /// What the other roots keep alive. It is the same whatever is removed, so only the rest is walked for each figure.
    base: NodeSet,
    links: Vec<Vec<NodeIdx>>,
    dead: Weight,
    /// Where recent paths are spared.
    spared: Option<Spared>,
}

/// What a collection that spares recent paths leaves and deletes, whatever is removed.
#[derive(Debug, Clone)]
struct Spared {
    /// What the other roots and the recent paths keep.
    base: NodeSet,
    /// What is dead already and not spared.
    dead: Weight,
}

/// What becomes of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fate {
    /// It is kept.
    #[default]
    Kept,
    /// It is removed without a hold.
    RemovedNow,
    /// A hold takes its place until the undo window ends.
    Held,
}

/// What a set of removals frees together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FreedTogether {
    /// What a collection deletes, with what is dead already.
    pub now: Weight,
    /// What becomes dead besides when the undo windows end, if nothing else changes.
    pub later: Weight,
}

impl WhatIf {
    /// Links that may be removed; `None` for what has none. One that is no root here frees nothing. Paths that were registered
    /// at or after `recent`, in seconds since 1970, are spared with their dependencies.
    pub fn new<'a>(
        analysis: &StoreAnalysis,
        links: impl IntoIterator<Item = Option<&'a Utf8Path>>,
        recent: Option<i64>,
    ) -> Self {
        let mut places: HashMap<&Utf8Path, usize> = HashMap::new();
        let mut nodes: Vec<Vec<NodeIdx>> = Vec::new();
        for link in links {
            // Of two items with one link, as a hold and a root could be, the first has what it keeps.
            if let Some(link) = link {
                places.entry(link).or_insert(nodes.len());
            }
            nodes.push(Vec::new());
        }
        let mut kept = Vec::new();
        for root in &analysis.roots {
            let place = places.get(root.root.link.as_path());
            let place = place.filter(|_| !root.root.kind.is_runtime());
            match place.and_then(|place| nodes.get_mut(*place)) {
                Some(nodes) => nodes.push(root.node),
                None => kept.push(root.node),
            }
        }
        let (graph, flags) = (&analysis.graph, analysis.flags());
        let base = graph.live(&kept, flags);
        let spared = recent.map(|recent| {
            let is_recent = |node: &NodeIdx| graph.registered(*node) >= recent;
            let recent: Vec<NodeIdx> = graph.nodes().filter(is_recent).collect();
            let base = graph.live_beside(&base, &recent, flags);
            let live = graph.live_beside(&base, &nodes.concat(), flags);
            let dead = graph.weight(&live.complement());
            Spared { base, dead }
        });
        Self {
            base,
            links: nodes,
            dead: graph.weight(&analysis.dead()),
            spared,
        }
    }

    /// What a set of removals frees together; `fates` has one for each link, and a missing one is kept.
    pub fn together(&self, analysis: &StoreAnalysis, fates: &[Fate]) -> FreedTogether {
        let groups = [Fate::RemovedNow, Fate::Held, Fate::Kept];
        let groups = groups.map(|fate| self.with(fates, fate));
        let freed = |base: &NodeSet| {
            let freed = analysis.graph.freed_beside(base, &groups, analysis.flags);
            let mut freed = freed.into_iter();
            let mut next = || freed.next().unwrap_or_default();
            (next(), next())
        };
        let (mut now, later) = freed(&self.base);
        let mut dead = self.dead;
        if let Some(spared) = &self.spared {
            (now, _) = freed(&spared.base);
            dead = spared.dead;
        }
        now.add(dead);
        FreedTogether { now, later }
    }

    /// What each link frees beside those that are removed already; nothing for these.
    pub fn in_addition(&self, analysis: &StoreAnalysis, fates: &[Fate]) -> Vec<Weight> {
        self.by_group(analysis, fates, self.links.len(), Some)
    }

    /// What the links of each group free together beside those that are removed already; `group_of` gives the group, below
    /// `groups`, that a link belongs to.
    pub fn by_group(
        &self,
        analysis: &StoreAnalysis,
        fates: &[Fate],
        groups: usize,
        group_of: impl Fn(usize) -> Option<usize>,
    ) -> Vec<Weight> {
        let is_kept = |index: usize| fates.get(index).is_none_or(|fate| *fate == Fate::Kept);
        let mut nodes = vec![Vec::new(); groups];
        let mut others = Vec::new();
        let links = self.links.iter().enumerate();
        for (index, of_link) in links.filter(|(index, _)| is_kept(*index)) {
            let group = group_of(index).and_then(|group| nodes.get_mut(group));
            group.unwrap_or(&mut others).extend(of_link);
        }
        nodes.push(others);
        let graph = &analysis.graph;
        let mut weights = graph.exclusive_beside(&self.base, &nodes, analysis.flags);
        weights.truncate(groups);
        weights
    }

    /// What each link frees if it alone is removed.
    pub fn alone(&self, analysis: &StoreAnalysis) -> Vec<Weight> {
        self.in_addition(analysis, &[])
    }

    /// What is dead already.
    pub fn dead(&self) -> Weight {
        self.dead
    }

    /// The nodes of the links with this fate.
    fn with(&self, fates: &[Fate], fate: Fate) -> Vec<NodeIdx> {
        let fates = fates.iter().copied().chain(std::iter::repeat(Fate::Kept));
        let links = self.links.iter().zip(fates).filter(|(_, of)| *of == fate);
        links.flat_map(|(nodes, _)| nodes).copied().collect()
    }
}

#[cfg(test)]
mod tests;
