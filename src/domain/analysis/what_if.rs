//! What removing any set of links would free, now and when their undo windows end.

use std::collections::HashMap;

use camino::Utf8Path;

use super::StoreAnalysis;
use crate::domain::graph::{NodeIdx, Weight};

/// Links that may be removed, each known by its place in the list, while every other root is kept.
#[derive(Debug, Clone)]
pub struct WhatIf {
    kept: Vec<NodeIdx>,
    links: Vec<Vec<NodeIdx>>,
    /// Paths that were registered then or later, in seconds since 1970, are spared with all that they need.
    recent: Option<i64>,
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
        Self {
            kept,
            links: nodes,
            recent,
            dead: analysis.graph.weight(&analysis.dead()),
        }
    }

    /// What a set of removals frees together; `fates` has one for each link, and a missing one is kept.
    pub fn together(&self, analysis: &StoreAnalysis, fates: &[Fate]) -> FreedTogether {
        let (graph, flags) = (&analysis.graph, analysis.flags);
        let always = self.with(self.kept.clone(), fates, Fate::Kept);
        let groups = [Fate::RemovedNow, Fate::Held].map(|fate| self.with(Vec::new(), fates, fate));
        let freed = graph.freed_by_order(&always, &groups, flags);
        let mut freed = freed.into_iter().map(Some).chain([None, None]);
        let mut next = || freed.next().flatten().unwrap_or_default();
        let (mut now, later) = (next(), next());
        now.add(self.dead);
        if let Some(recent) = self.recent {
            let live = self.with(always, fates, Fate::Held);
            let dead = graph.dead(&live, flags);
            let old = graph.dead_before(&dead, flags, recent);
            now = graph.weight(&old);
        }
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
        let mut others = self.kept.clone();
        let links = self.links.iter().enumerate();
        for (index, of_link) in links.filter(|(index, _)| is_kept(*index)) {
            let group = group_of(index).and_then(|group| nodes.get_mut(group));
            group.unwrap_or(&mut others).extend(of_link);
        }
        nodes.push(others);
        let mut weights = analysis.graph.exclusive(&nodes, analysis.flags);
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

    /// These nodes, and those of the links with this fate.
    fn with(&self, mut nodes: Vec<NodeIdx>, fates: &[Fate], fate: Fate) -> Vec<NodeIdx> {
        let fates = fates.iter().copied().chain(std::iter::repeat(Fate::Kept));
        for (link, of) in self.links.iter().zip(fates) {
            if of == fate {
                nodes.extend(link);
            }
        }
        nodes
    }
}

#[cfg(test)]
mod tests;
