//! What a run does for its budget, and how that came out.

use super::Engine;
use super::run::settle;
use crate::domain::budget::BudgetReport;
use crate::domain::plan::Action;
use crate::domain::receipt::{BudgetOutcome, Entry, Outcome, Receipt};
use crate::ports::{Clock, Interrupt, Perform, Remember, Survey};

impl<S, P, R, C, I> Engine<'_, S, P, R, C, I>
where
    S: Survey,
    P: Perform,
    R: Remember,
    C: Clock,
    I: Interrupt,
{
    /// What a budget gives up for good, it gives up for a collection. Where that is left out, nothing would be freed.
    pub(super) fn spare_without_collection(&self, receipt: &mut Receipt) {
        let collection = |entry: &&Entry| entry.action == Action::Collect;
        let collection = receipt.entries.iter().find(collection);
        if collection.is_none_or(|entry| entry.outcome == Outcome::Pending) {
            return;
        }
        for entry in &mut receipt.entries {
            let for_good = match &entry.action {
                Action::ReleaseEarly(_) => true,
                Action::DropGeneration(facts) => facts.hold.is_zero(),
                _ => false,
            };
            if for_good && entry.outcome == Outcome::Pending {
                let why = "it would free nothing, for nothing is collected".to_string();
                settle(entry, Outcome::Stale, Some(why), self.clock);
            }
        }
    }

    /// Measures how a run came out.
    pub(super) fn measure_budget(&self, planned: BudgetReport) -> BudgetOutcome {
        let after = self.survey.standing(planned.figure);
        BudgetOutcome {
            missing: after.to_free(planned.goal),
            after,
            planned,
        }
    }
}
