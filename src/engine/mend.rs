//! Holds that stopped holding, put right before a collection could take what they promised.

use super::Engine;
use super::run::settle;
use crate::domain::plan::HoldFacts;
use crate::domain::receipt::{Entry, Outcome, Receipt};
use crate::domain::snapshot::Snapshot;
use crate::ports::{Clock, Interrupt, Perform, PerformError, Remember, Sight, Survey, told};

impl<S, P, R, C, I> Engine<'_, S, P, R, C, I>
where
    S: Survey,
    P: Perform,
    R: Remember,
    C: Clock,
    I: Interrupt,
{
    /// Makes roots again of the holds that lost theirs while their window is open. A collection that would come after
    /// one that cannot be mended is left out.
    ///
    /// A hold whose link is gone was ended by whoever removed it, and what is gone from the store cannot be held.
    pub(super) fn mend_holds(&self, snapshot: &Snapshot, receipt: &mut Receipt) {
        let collects = |entry: &&mut Entry| {
            entry.action.collection().is_some() && entry.outcome == Outcome::Pending
        };
        let Some(collection) = receipt.entries.iter_mut().find(collects) else {
            return;
        };
        let open = snapshot
            .holds
            .iter()
            .filter(|hold| !hold.intact && hold.until > snapshot.taken_at);
        for hold in open {
            let facts = HoldFacts::from(hold);
            match self.perform.see_hold(&facts) {
                Ok(Sight::AsRecorded) => {}
                Ok(_) => continue,
                Err(error) => return self.leave_out(collection, &told(&error)),
            }
            match self.perform.hold(&facts.store_path, &facts.link) {
                Ok(()) => {
                    tracing::warn!(link = %facts.link, "a hold had lost its root, and has it again");
                }
                // What it held is gone already.
                Err(PerformError::Stale(why)) => tracing::warn!("{why}"),
                Err(error) => return self.leave_out(collection, &told(&error)),
            }
        }
    }

    fn leave_out(&self, collection: &mut Entry, why: &str) {
        let why =
            format!("a hold has lost its root, and a collection would take what it holds: {why}");
        settle(collection, Outcome::Failed, Some(why), self.clock);
    }
}
