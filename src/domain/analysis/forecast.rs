//! Prediction of what a plan frees, now and when the undo windows end.

use std::collections::HashSet;

use camino::Utf8PathBuf;

use super::{StoreAnalysis, StoreRoot};
use crate::domain::graph::{NodeSet, Weight};
use crate::domain::plan::{Action, PlannedAction};

/// What a run would free.
#[derive(Debug)]
pub struct Forecast {
    /// The paths that are dead once the actions are done, and old enough to go.
    pub dead: NodeSet,
    /// How much is dead and spared for its youth, with what it needs.
    pub spared: Weight,
    /// How much these are.
    pub now: Weight,
    /// How much becomes dead besides when the holds of what is dropped end, if nothing else changes.
    pub later: Weight,
}

impl StoreAnalysis {
    /// What these actions free. Without a collection among them that is nothing, though paths may die.
    pub fn forecast(&self, actions: &[PlannedAction]) -> Forecast {
        let (now, later) = gone(actions);
        let dead_without = |links: &HashSet<Utf8PathBuf>| {
            let stays = |root: &StoreRoot| !links.contains(&root.root.link);
            self.graph.dead(&self.root_nodes(stays), self.flags)
        };
        let dead = dead_without(&now);
        let all = now.union(&later).cloned().collect();
        let then = dead_without(&all).without(&dead);
        let mut collections = actions
            .iter()
            .filter_map(|planned| planned.action.collection());
        let cutoff = collections.find_map(|facts| facts.registered_before);
        let goes = match cutoff {
            Some(at) => self.graph.dead_before(&dead, self.flags, at.to_unix().0),
            None => dead.clone(),
        };
        Forecast {
            now: self.graph.weight(&goes),
            later: self.graph.weight(&then),
            spared: self.graph.weight(&dead.without(&goes)),
            dead: goes,
        }
    }
}

/// The links that go without a hold, and those that a hold takes the place of.
///
/// A link that is known by another name here is not found among the roots and counts as if it stayed: too little is
/// promised then, never too much.
fn gone(actions: &[PlannedAction]) -> (HashSet<Utf8PathBuf>, HashSet<Utf8PathBuf>) {
    let (mut now, mut later) = (HashSet::new(), HashSet::new());
    for planned in actions {
        match &planned.action {
            Action::DropGeneration(facts) => {
                let link = facts.profile.link(facts.number);
                if facts.hold.is_zero() {
                    now.insert(link);
                } else {
                    later.insert(link);
                }
            }
            Action::ReleaseHold(facts) => {
                now.insert(facts.link.clone());
            }
            Action::ReleaseEarly(facts) => {
                now.insert(facts.hold.link.clone());
            }
            // What these keep is no garbage: see `StoreAnalysis::keep_vanished`.
            Action::HoldRoot(_)
            | Action::RemoveRoot(_)
            | Action::Collect(_)
            | Action::Optimise
            | Action::Verify { .. }
            | Action::RestoreGeneration(_)
            | Action::RestoreRoot(_) => {}
        }
    }
    (now, later)
}
