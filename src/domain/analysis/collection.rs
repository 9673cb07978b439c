//! Prediction of what a plan frees, now and when the undo windows end.

use std::collections::HashSet;

use camino::Utf8PathBuf;

use super::{StoreAnalysis, StoreRoot};
use crate::domain::graph::{NodeSet, Weight};
use crate::domain::measure::Timestamp;

/// The links that a plan removes, and what its collection keeps.
///
/// A link that is known by another name here is not found among the roots and counts as if it stayed: the prediction is then too
/// low, never too high.
#[derive(Debug, Default)]
pub struct RemovedLinks {
    /// Those that are removed without a hold.
    pub now: HashSet<Utf8PathBuf>,
    /// Those that a hold takes the place of.
    pub when_windows_end: HashSet<Utf8PathBuf>,
    /// Paths that were registered then or later are spared, with all that they need.
    pub registered_before: Option<Timestamp>,
}

/// What a collection would delete.
#[derive(Debug)]
pub struct CollectionPrediction {
    /// The paths that are dead once the actions are done, and old enough to be deleted.
    pub dead: NodeSet,
    /// How much is dead and spared because it is recent, with what it needs.
    pub spared: Weight,
    /// How much Nix would delete and is kept because live paths were built with it.
    pub built_with: Weight,
    /// How much is deleted.
    pub now: Weight,
    /// How much becomes dead besides when the holds of what is removed end, if nothing else changes.
    pub later: Weight,
}

impl StoreAnalysis {
    /// What is freed by removing these links and collecting garbage.
    pub fn predict_collection(&self, removed: &RemovedLinks) -> CollectionPrediction {
        let dead_without = |is_removed: &dyn Fn(&Utf8PathBuf) -> bool, flags| {
            let kept_nodes = |root: &StoreRoot| !is_removed(&root.root.link);
            self.graph.dead(&self.root_nodes(kept_nodes), flags)
        };
        let is_removed_now = |link: &Utf8PathBuf| removed.now.contains(link);
        let dead = dead_without(&is_removed_now, self.flags);
        let is_removed = |link: &Utf8PathBuf| {
            removed.now.contains(link) || removed.when_windows_end.contains(link)
        };
        let then = dead_without(&is_removed, self.flags);
        let built_with = self.kept_by_nix.map(|flags| {
            let by_nix = dead_without(&is_removed_now, flags);
            self.graph.weight(&by_nix.without(&dead))
        });
        let then = then.without(&dead);
        let old = match removed.registered_before {
            Some(at) => self.graph.dead_before(&dead, self.flags, at.to_unix().0),
            None => dead.clone(),
        };
        CollectionPrediction {
            now: self.graph.weight(&old),
            later: self.graph.weight(&then),
            built_with: built_with.unwrap_or_default(),
            spared: self.graph.weight(&dead.without(&old)),
            dead: old,
        }
    }
}
