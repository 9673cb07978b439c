//! An order of deletion in which Nix never refuses a path because of a later one.

use super::components::Components;
use super::{KeepFlags, NodeIdx, NodeSet, StoreGraph, at, change};
use crate::domain::budget::Quantity;

/// The order in which dead paths are deleted where only a part of them is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeletionOrder {
    /// Least recently registered first.
    #[default]
    OldestFirst,
    /// Source trees first, and each least recently registered first.
    SourcesFirst,
}

impl StoreGraph {
    /// Dead paths in batches that cost at most `limit`. Whatever keeps a path is in the same batch or in an earlier
    /// one: referrers before references, and outputs before their deriver. Paths that keep each other share a batch,
    /// even if they cost more than `limit`.
    ///
    /// The batches so far can be deleted whatever becomes of the others if `dead` holds, with each path, all that keeps
    /// it, as [`StoreGraph::dead`], [`StoreGraph::dead_before`] and [`StoreGraph::oldest_dead_by`] give it.
    pub fn deletion_batches_by(
        &self,
        dead: &NodeSet,
        flags: KeepFlags,
        limit: usize,
        cost: impl Fn(NodeIdx) -> usize,
    ) -> Vec<Vec<NodeIdx>> {
        let components = Components::of(self.kept(flags), dead);
        let mut batches: Vec<Vec<NodeIdx>> = Vec::new();
        let mut spent = 0;
        for component in components.sources_first() {
            let nodes = component.iter().copied().map(NodeIdx);
            let more: usize = nodes.clone().map(&cost).sum();
            match batches.last_mut() {
                Some(batch) if spent + more <= limit => {
                    batch.extend(nodes);
                    spent += more;
                }
                _ => {
                    batches.push(nodes.collect());
                    spent = more;
                }
            }
        }
        batches
    }

    /// The paths of `wanted` that nothing in `staying` keeps: what is left when some dead paths are kept after all.
    pub fn not_kept_by(&self, wanted: &NodeSet, staying: &NodeSet, flags: KeepFlags) -> NodeSet {
        let staying: Vec<NodeIdx> = staying.iter().collect();
        wanted.without(&self.live(&staying, flags))
    }

    /// The dead paths that were registered before `cutoff` and that no younger dead path keeps: what may be deleted
    /// when recent paths are kept with their dependencies.
    pub fn dead_before(&self, dead: &NodeSet, flags: KeepFlags, cutoff: i64) -> NodeSet {
        let ripe = self.by_ripeness(dead, flags).into_iter();
        self.set_of(
            ripe.take_while(|unit| unit.since < cutoff)
                .flat_map(|unit| unit.nodes),
        )
    }

    /// As many of the dead paths as are needed to free `goal`, in this order; all of them if they are
    /// not enough. A path counts as registered when the last of those that keep it was, for it cannot go before them.
    /// `weigh` gives what each of these paths frees after those before it.
    ///
    /// # Errors
    /// When something cannot be weighed.
    pub fn oldest_dead_by<E>(
        &self,
        dead: &NodeSet,
        flags: KeepFlags,
        (goal, order): (Quantity, DeletionOrder),
        weigh: impl FnOnce(&[NodeIdx]) -> Result<Vec<Quantity>, E>,
    ) -> Result<Oldest, E> {
        let mut units = self.by_ripeness(dead, flags);
        if order == DeletionOrder::SourcesFirst {
            units.sort_by_key(|unit| !unit.sources);
        }
        let lengths: Vec<usize> = units.iter().map(|unit| unit.nodes.len()).collect();
        let mut nodes: Vec<NodeIdx> = units.into_iter().flat_map(|unit| unit.nodes).collect();
        let mut weights = weigh(&nodes)?;
        let (mut taken, mut weight) = (0, 0u64);
        for length in lengths {
            if weight >= goal.0 {
                break;
            }
            let of_unit = weights.iter().skip(taken).take(length);
            weight = of_unit.fold(weight, |sum, more| sum.saturating_add(more.0));
            taken += length;
        }
        nodes.truncate(taken);
        weights.truncate(taken);
        Ok(Oldest {
            nodes,
            weights,
            weight: Quantity(weight),
        })
    }

    /// The components of `dead` by the registration of the youngest path that keeps them; every beginning of this list
    /// holds, with each path, all that keeps it: what keeps a component is never younger in this sense, and the sort is
    /// stable where it is as old.
    fn by_ripeness(&self, dead: &NodeSet, flags: KeepFlags) -> Vec<Unit> {
        let kept = self.kept(flags);
        let components = Components::of(kept, dead);
        let mut youngest = vec![i64::MIN; self.len()];
        // What something else keeps cannot go before it.
        let mut kept_by_others = vec![false; self.len()];
        let mut units = Vec::new();
        for component in components.sources_first() {
            let since = component
                .iter()
                .map(|&node| {
                    let inherited = at(&youngest, node).unwrap_or(i64::MIN);
                    inherited.max(self.registered(NodeIdx(node)))
                })
                .max()
                .unwrap_or(i64::MAX);
            let sources = component.iter().all(|&node| {
                self.is_source(NodeIdx(node)) && at(&kept_by_others, node) == Some(false)
            });
            for &node in component {
                kept.each(node, |next| {
                    change(&mut youngest, next, |at| since.max(at));
                    change(&mut kept_by_others, next, |by_others| by_others || !sources);
                });
            }
            units.push(Unit {
                since,
                sources,
                nodes: component.iter().copied().map(NodeIdx).collect(),
            });
        }
        units.sort_by_key(|unit| unit.since);
        units
    }
}

/// The paths that go first, with what each of them frees after those before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oldest {
    /// The paths, in the order in which they go.
    pub nodes: Vec<NodeIdx>,
    /// What each of them frees.
    pub weights: Vec<Quantity>,
    /// What they free together.
    pub weight: Quantity,
}

/// Paths that keep each other, mostly one.
struct Unit {
    since: i64,
    /// Whether these and all that keep them are source trees.
    sources: bool,
    nodes: Vec<NodeIdx>,
}
