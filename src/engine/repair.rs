//! Repair of broken holds before a collection could delete their paths.

use super::Engine;
use super::settle;
use crate::domain::plan::HoldFacts;
use crate::domain::receipt::{Entry, Outcome, Receipt};
use crate::domain::snapshot::Snapshot;
use crate::ports::{LinkState, PerformError, RunJournal, error_chain};

impl<R: RunJournal> Engine<'_, R> {
    /// Makes roots again of the holds that lost theirs while their window is open. A collection that would come after
    /// one that cannot be mended is left out.
    pub(super) fn repair_holds(&self, snapshot: &Snapshot, receipt: &mut Receipt) {
        let collects = |entry: &&mut Entry| {
            entry.action.collection().is_some() && entry.outcome == Outcome::Pending
        };
        let Some(collection) = receipt.entries.iter_mut().find(collects) else {
            return;
        };
        if let Err(error) = self.repair(snapshot) {
            settle(
                collection,
                Outcome::Failed,
                Some(error_chain(&error)),
                self.clock,
            );
        }
    }

    /// A hold whose link is gone was released by removing the link. A path that is gone from the store cannot be held.
    pub(super) fn repair(&self, snapshot: &Snapshot) -> Result<(), PerformError> {
        let open = snapshot
            .holds
            .iter()
            .filter(|hold| !hold.intact && hold.until > snapshot.taken_at);
        for hold in open {
            let facts = HoldFacts::from(hold);
            match self.perform.see_hold(&facts).map_err(lost)? {
                LinkState::Unchanged => {}
                LinkState::Gone | LinkState::Unfinished | LinkState::Different => continue,
            }
            match self.perform.hold(&facts.store_path, &facts.link) {
                Ok(()) => {
                    tracing::warn!(link = %facts.link, "restored the lost root of a hold");
                }
                // What it held is gone already.
                Err(PerformError::Stale(why)) => tracing::warn!("{why}"),
                Err(error) => return Err(lost(error)),
            }
        }
        Ok(())
    }
}

fn lost(error: PerformError) -> PerformError {
    PerformError::Nix {
        what: "restoring the root of a hold, which keeps its path from garbage collection,"
            .to_string(),
        source: error.into(),
    }
}
