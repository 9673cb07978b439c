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
        let mut mark = Mark::new(self, flags);
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
        let mut freed = vec![Weight::default(); droppable.len()];
        self.each_freed_by_order(always, droppable, flags, |group, node| {
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
        mut visit: impl FnMut(usize, NodeIdx),
    ) {
        let mut mark = Mark::new(self, flags);
        mark.from(always, |_| {});
        for (number, group) in droppable.iter().enumerate().rev() {
            mark.from(group.as_ref(), |node| visit(number, NodeIdx(node)));
        }
    }

    /// What each group of roots keeps and no other does: what would go if that group alone were dropped. Roots that
    /// belong to no group that matters must be given as a group too.
    ///
    /// Exact, because "reached by no group, by this one alone, by several" only ever rises along that chain and passes
    /// along every edge unchanged: whatever the order of the walk, and through cycles, the end is the least solution,
    /// and that is reachability. A node rises at most twice, so every edge is walked at most twice.
    pub fn exclusive<G: AsRef<[NodeIdx]>>(&self, groups: &[G], flags: KeepFlags) -> Vec<Weight> {
        let mut weights = vec![Weight::default(); groups.len()];
        self.each_kept_by(groups, flags, |node, kept_by| {
            if let KeptBy::One(group) = kept_by
                && let Some(weight) = weights.get_mut(group)
            {
                weight.add(self.weight_of(node.0));
            }
        });
        weights
    }

    /// Calls `visit` with every path, in their order, and with the groups of roots that reach it.
    pub fn each_kept_by<G: AsRef<[NodeIdx]>>(
        &self,
        groups: &[G],
        flags: KeepFlags,
        mut visit: impl FnMut(NodeIdx, KeptBy),
    ) {
        let kept = self.kept(flags);
        let mut owners = Owners::new(self.len());
        for (group, roots) in (0u32..MANY).zip(groups) {
            for root in roots.as_ref() {
                owners.raise(root.0, group);
            }
            owners.spread(kept);
        }
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
    fn new(graph: &'g StoreGraph, flags: KeepFlags) -> Self {
        Self {
            kept: graph.kept(flags),
            seen: NodeSet::empty(graph.len()),
            todo: Vec::new(),
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
