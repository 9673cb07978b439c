//! Live and dead paths, and paths that become dead without some roots.

use super::{Freed, KeepFlags, Kept, NONE, NodeIdx, NodeSet, StoreGraph, Weight};

impl StoreGraph {
    /// What the roots keep alive, themselves included: what Nix's collector would not delete.
    ///
    /// The collector asks the other way round, whether a path's referrers, the recorded outputs of a derivation and
    /// the derivers of an output lead to a root. Both give the same, but for one case: a path whose deriver is valid and
    /// does not list it as an output. There the collector's answer hangs on the order of the store directory, and here
    /// the derivation is live.
    pub fn live(&self, roots: &[NodeIdx], flags: KeepFlags) -> NodeSet {
        self.live_beside(&NodeSet::empty(self.len()), roots, flags)
    }

    /// What the roots keep alive beside `base`, together with it. `base` must be what some roots keep alive by the same flags;
    /// it is not walked again.
    pub fn live_beside(&self, base: &NodeSet, roots: &[NodeIdx], flags: KeepFlags) -> NodeSet {
        let mut mark = Mark::beside(self, base, flags);
        mark.from(roots, |_| {});
        mark.seen
    }

    /// The valid paths that no root keeps alive.
    pub fn dead(&self, roots: &[NodeIdx], flags: KeepFlags) -> NodeSet {
        self.live(roots, flags).complement()
    }

    /// What each of the groups of roots frees when they are removed one after the other, in the given order, while the
    /// roots in `always` are kept. Dead paths do not count. The sum up to a group is what is freed by then.
    ///
    /// One walk: a path dies with the last group that reaches it, so the groups mark in reverse order, each what no
    /// later one has marked.
    pub fn freed_by_order<G: AsRef<[NodeIdx]>>(
        &self,
        always: &[NodeIdx],
        droppable: &[G],
        flags: KeepFlags,
    ) -> Vec<Freed> {
        self.freed_beside(&self.live(always, flags), droppable, flags)
    }

    /// The same, where `base` is what the kept roots keep alive by these flags; it is not walked again.
    pub fn freed_beside<G: AsRef<[NodeIdx]>>(
        &self,
        base: &NodeSet,
        droppable: &[G],
        flags: KeepFlags,
    ) -> Vec<Freed> {
        let mut freed = vec![Weight::default(); droppable.len()];
        let mark = Mark::beside(self, base, flags);
        mark.each_in_order(droppable, |group, node| {
            if let Some(weight) = freed.get_mut(group) {
                weight.add(self.weight_of(node.0));
            }
        });
        freed
    }

    /// Calls `visit` with each path that [`StoreGraph::freed_by_order`] counts, and the number of its group.
    pub fn each_freed_by_order<G: AsRef<[NodeIdx]>>(
        &self,
        always: &[NodeIdx],
        droppable: &[G],
        flags: KeepFlags,
        visit: impl FnMut(usize, NodeIdx),
    ) {
        let base = self.live(always, flags);
        Mark::beside(self, &base, flags).each_in_order(droppable, visit);
    }

    /// What each group of roots keeps and no other does: what would go if that group alone were dropped. Roots that
    /// belong to no group that matters must be given as a group too.
    ///
    /// Exact, because "reached by no group, by this one alone, by several" only ever rises along that chain and passes
    /// along every edge unchanged: whatever the order of the walk, and through cycles, the end is the least solution,
    /// and that is reachability. A node rises at most twice, so every edge is walked at most twice.
    pub fn exclusive<G: AsRef<[NodeIdx]>>(&self, groups: &[G], flags: KeepFlags) -> Vec<Weight> {
        self.exclusive_beside(&NodeSet::empty(self.len()), groups, flags)
    }

    /// The same for groups beside `base`, which is what other roots keep alive by these flags; it is not walked again.
    pub fn exclusive_beside<G: AsRef<[NodeIdx]>>(
        &self,
        base: &NodeSet,
        groups: &[G],
        flags: KeepFlags,
    ) -> Vec<Weight> {
        let mut weights = vec![Weight::default(); groups.len()];
        let owners = Owners::beside(base, self.len()).of_groups(self.kept(flags), groups);
        for (node, owner) in (0u32..).zip(owners.of) {
            if let Some(weight) = weights.get_mut(owner as usize) {
                weight.add(self.weight_of(node));
            }
        }
        weights
    }

    /// Calls `visit` with every path, in their order, and with the groups of roots that reach it.
    pub fn each_kept_by<G: AsRef<[NodeIdx]>>(
        &self,
        groups: &[G],
        flags: KeepFlags,
        mut visit: impl FnMut(NodeIdx, KeptBy),
    ) {
        let owners = Owners::new(self.len()).of_groups(self.kept(flags), groups);
        for (node, &owner) in (0u32..).zip(&owners.of) {
            let kept_by = match owner {
                NONE => KeptBy::None,
                MANY => KeptBy::Several,
                group => KeptBy::One(group as usize),
            };
            visit(NodeIdx(node), kept_by);
        }
    }
}

/// The groups of roots that reach a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptBy {
    /// None of them.
    None,
    /// Only the group of this number.
    One(usize),
    /// More than one.
    Several,
}

/// Several groups reach a node.
const MANY: u32 = NONE - 1;

/// Which group reaches each node, as far as that is known.
struct Owners {
    of: Vec<u32>,
    risen: Vec<u32>,
}

impl Owners {
    fn new(nodes: usize) -> Self {
        Self {
            of: vec![NONE; nodes],
            risen: Vec::new(),
        }
    }

    /// Where several groups reach all of `base`.
    fn beside(base: &NodeSet, nodes: usize) -> Self {
        let mut owners = Self::new(nodes);
        for node in base.iter() {
            super::change(&mut owners.of, node.0, |_| MANY);
        }
        owners
    }

    fn of_groups<G: AsRef<[NodeIdx]>>(mut self, kept: Kept<'_>, groups: &[G]) -> Self {
        for (group, roots) in (0u32..MANY).zip(groups) {
            for root in roots.as_ref() {
                self.raise(root.0, group);
            }
            self.spread(kept);
        }
        self
    }

    #[inline]
    fn raise(&mut self, node: u32, by: u32) {
        let Some(owner) = self.of.get_mut(node as usize) else {
            return;
        };
        let joined = match *owner {
            NONE => by,
            same if same == by => same,
            _ => MANY,
        };
        if joined != *owner {
            *owner = joined;
            self.risen.push(node);
        }
    }

    fn spread(&mut self, kept: Kept<'_>) {
        while let Some(node) = self.risen.pop() {
            // What it is now, which may be more than when it was pushed; the second visit then finds nothing to raise.
            let owner = super::at(&self.of, node).unwrap_or(MANY);
            kept.each(node, |next| self.raise(next, owner));
        }
    }
}

/// A mark that grows from one set of roots after another.
struct Mark<'g> {
    kept: Kept<'g>,
    seen: NodeSet,
    todo: Vec<u32>,
}

impl<'g> Mark<'g> {
    /// Where all of `base` is marked, with what it keeps.
    fn beside(graph: &'g StoreGraph, base: &NodeSet, flags: KeepFlags) -> Self {
        Self {
            kept: graph.kept(flags),
            seen: base.clone(),
            todo: Vec::new(),
        }
    }

    /// Marks from each group, in reverse order, and gives each path that was not marked before with the number of its group.
    fn each_in_order<G: AsRef<[NodeIdx]>>(
        mut self,
        groups: &[G],
        mut visit: impl FnMut(usize, NodeIdx),
    ) {
        for (number, group) in groups.iter().enumerate().rev() {
            self.from(group.as_ref(), |node| visit(number, NodeIdx(node)));
        }
    }

    /// Marks what `roots` reach and calls `on_new` with each node that was not marked before.
    fn from(&mut self, roots: &[NodeIdx], mut on_new: impl FnMut(u32)) {
        let Self { kept, seen, todo } = self;
        todo.extend(
            roots
                .iter()
                .map(|root| root.0)
                .filter(|&root| seen.add(root)),
        );
        while let Some(node) = todo.pop() {
            on_new(node);
            kept.each(node, |next| {
                if seen.add(next) {
                    todo.push(next);
                }
            });
        }
    }
}
