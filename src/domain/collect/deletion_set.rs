//! The set of paths still to be deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::FullGcReason;
use crate::domain::budget::Quantity;
use crate::domain::graph::{DeletionOrder, KeepFlags, NodeSet, Oldest, StoreGraph};
use crate::domain::store_path::{StorePath, StorePathRef};

/// What is in the store directory and in no row of the database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unregistered {
    /// Names of store paths. A build's are among them; Nix refuses those.
    pub paths: Vec<StorePath<String>>,
    /// How many other names there are that a full collection deletes.
    pub foreign: u64,
}

/// Dead paths that were chosen and are not deleted yet; it only ever shrinks.
///
/// No path outside of it keeps a path in it, so the first batches can be deleted whatever becomes of the rest, and no
/// version of Nix is asked to delete a dependency of a path that is kept.
#[derive(Debug)]
pub struct DeletionSet {
    graph: Arc<StoreGraph>,
    flags: KeepFlags,
    chosen: NodeSet,
    gone: NodeSet,
    unregistered: BTreeSet<StorePath<String>>,
    foreign: u64,
    everything: bool,
    unknown_outputs: Option<String>,
}

/// A part of a selection, and what deleting it is predicted to free.
#[derive(Debug)]
pub struct Part {
    /// The paths to delete.
    pub selection: DeletionSet,
    /// What that frees.
    pub weight: Quantity,
    /// What each of the valid paths in it frees after those before it. The others may belong to builds, which Nix spares.
    pub registered: BTreeMap<StorePath<String>, Quantity>,
}

impl DeletionSet {
    /// Everything that is dead.
    pub fn new(
        graph: impl Into<Arc<StoreGraph>>,
        flags: KeepFlags,
        dead: NodeSet,
        unregistered: Unregistered,
    ) -> Self {
        let graph = graph.into();
        let gone = graph.set_of([]);
        let mut selection = Self {
            graph,
            flags,
            chosen: dead,
            gone,
            unregistered: unregistered.paths.into_iter().collect(),
            foreign: unregistered.foreign,
            everything: true,
            unknown_outputs: None,
        };
        selection.add_referrers();
        selection
    }

    /// The same where it is not known which paths some derivations have made, and why.
    #[must_use]
    pub fn with_unknown_outputs(self, unknown_outputs: Option<String>) -> Self {
        Self {
            unknown_outputs,
            ..self
        }
    }

    /// Without everything that the live paths were built with, as Nix's `keep-derivations` and `keep-outputs` would keep it.
    ///
    /// # Errors
    /// When it is not known which paths some derivations have made.
    pub fn without_build_dependencies(mut self) -> Result<Self, FullGcReason> {
        if let Some(why) = self.unknown_outputs {
            return Err(FullGcReason::Unknown(why));
        }
        self.flags = KeepFlags::BUILD_DEPENDENCIES;
        self.everything = false;
        self.add_referrers();
        Ok(self)
    }

    /// Only paths that were registered before `cutoff`, in seconds since 1970, without dependencies of younger dead
    /// paths. Unregistered names are kept, because their age is not known.
    #[must_use]
    pub fn before(self, cutoff: i64) -> Self {
        let chosen = self.graph.dead_before(&self.chosen, self.flags, cutoff);
        self.only(chosen)
    }

    /// Only as much as frees `goal`, in this order, and names that the database does not know last.
    /// `weigh` gives what each of these names frees after those before it.
    ///
    /// # Errors
    /// When something cannot be weighed.
    pub fn freeing<E>(
        self,
        goal: Quantity,
        order: DeletionOrder,
        weigh: impl FnOnce(&StoreGraph, &[&str]) -> Result<Vec<Quantity>, E>,
    ) -> Result<Part, E> {
        let others: Vec<String> = self.unregistered.iter().map(ToString::to_string).collect();
        let mut of_others = Vec::new();
        let Oldest {
            nodes,
            weights,
            weight,
        } = self
            .graph
            .oldest_dead_by(&self.chosen, self.flags, (goal, order), |nodes| {
                let others = others.iter().map(String::as_str);
                let names: Vec<&str> = self.graph.base_names(nodes).chain(others).collect();
                let mut weights = weigh(&self.graph, &names)?;
                of_others = weights.split_off(nodes.len().min(weights.len()));
                Ok(weights)
            })?;
        let names = self.graph.base_names(&nodes);
        let registered = names.zip(weights);
        let registered = registered.filter_map(|(name, weight)| Some((parse(name)?, weight)));
        let registered = registered.collect();
        let mut total = weight.0;
        let mut more: BTreeSet<StorePath<String>> = BTreeSet::new();
        for (path, more_freed) in self.unregistered.iter().zip(of_others) {
            if total >= goal.0 {
                break;
            }
            more.insert(path.clone());
            total = total.saturating_add(more_freed.0);
        }
        let is_all =
            nodes.len() as u64 == self.chosen.count() && more.len() == self.unregistered.len();
        let selection = if is_all {
            self
        } else {
            let chosen = self.graph.set_of(nodes);
            Self {
                unregistered: more,
                ..self.only(chosen)
            }
        };
        Ok(Part {
            selection,
            weight: Quantity(total),
            registered,
        })
    }

    fn only(mut self, chosen: NodeSet) -> Self {
        self.chosen = chosen;
        self.unregistered.clear();
        self.everything = false;
        self.add_referrers();
        self
    }

    /// Whether it was made of all that is dead, so that a full collection may take its place.
    pub fn is_everything(&self) -> bool {
        self.everything
    }

    /// How many names in the store directory only a full collection deletes.
    pub fn foreign_names(&self) -> u64 {
        self.foreign
    }

    /// Whether only a full collection would delete all that was meant.
    pub fn requires_full_gc(&self) -> bool {
        self.everything && self.foreign > 0
    }

    /// Whether it is every path that there is, so that a collector would find none alive.
    pub fn is_the_whole_store(&self) -> bool {
        let all = self.chosen.count() == self.graph.len() as u64;
        self.everything && all && !self.is_empty()
    }

    /// How many paths are to be deleted.
    pub fn len(&self) -> u64 {
        self.chosen.count() + self.unregistered.len() as u64
    }

    /// Whether nothing is to be deleted.
    pub fn is_empty(&self) -> bool {
        self.chosen.is_empty() && self.unregistered.is_empty()
    }

    /// The paths in batches that cost at most `limit` each. Whatever keeps a path is in the same batch or an earlier
    /// one. Only paths that keep each other share a batch beyond that.
    pub fn batches(
        &self,
        limit: usize,
        cost: impl Fn(&str) -> usize,
    ) -> Vec<Vec<StorePath<String>>> {
        let name = |node| self.graph.base_name(node);
        let nodes = self
            .graph
            .deletion_batches_by(&self.chosen, self.flags, limit, |node| cost(name(node)));
        let parsed = |batch: Vec<_>| -> Vec<StorePath<String>> {
            let paths = batch.into_iter().filter_map(|node| parse(name(node)));
            paths.collect()
        };
        let mut batches: Vec<_> = nodes.into_iter().map(parsed).collect();
        let of_path = |path: &StorePath<String>| cost(&path.to_string());
        let mut spent: usize = match batches.last() {
            Some(last) => last.iter().map(of_path).sum(),
            None => 0,
        };
        for path in &self.unregistered {
            let more = of_path(path);
            match batches.last_mut() {
                Some(batch) if spent + more <= limit => {
                    batch.push(path.clone());
                    spent += more;
                }
                _ => {
                    batches.push(vec![path.clone()]);
                    spent = more;
                }
            }
        }
        batches
    }

    /// Takes out what is gone.
    pub fn deleted(&mut self, paths: &[StorePath<String>]) {
        for path in paths {
            if let Some(node) = self.graph.find(&path.to_string()) {
                self.gone.insert(node);
            }
            self.unregistered.remove(path);
        }
        self.chosen = self.chosen.without(&self.gone);
    }

    /// Takes out a path that is kept, with all that it keeps.
    pub fn refused(&mut self, path: &StorePath<String>) {
        if let Some(node) = self.graph.find(&path.to_string()) {
            self.chosen = self.chosen.without(&self.graph.set_of([node]));
            self.add_referrers();
        }
        self.unregistered.remove(path);
    }

    /// The same choice as far as another look, taken later, still finds it dead.
    #[must_use]
    pub fn still_dead(&self, later: Self) -> Self {
        let nodes = self.chosen.iter();
        let nodes = nodes.filter_map(|node| later.graph.find(self.graph.base_name(node)));
        let mine = later.graph.set_of(nodes);
        let newly_dead = later.chosen.without(&mine);
        let unregistered = later.unregistered.intersection(&self.unregistered);
        let mut selection = Self {
            chosen: later.chosen.without(&newly_dead),
            unregistered: unregistered.cloned().collect(),
            everything: self.everything,
            flags: self.flags,
            ..later
        };
        selection.add_referrers();
        selection
    }

    /// Takes out what a path keeps that is neither chosen nor gone.
    fn add_referrers(&mut self) {
        let staying = self.chosen.complement().without(&self.gone);
        self.chosen = self.graph.not_kept_by(&self.chosen, &staying, self.flags);
    }
}

fn parse(base_name: &str) -> Option<StorePath<String>> {
    // The database gives no other names; one that is none after all is not deleted, and Nix then spares what it keeps.
    let path = StorePathRef::from_base_name(base_name).ok()?;
    Some(path.to_owned())
}

#[cfg(test)]
mod tests;
