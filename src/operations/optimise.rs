//! `optimise`: hard-links equal files with `nix-store --optimise`.

use super::{ActionContext, Operation, Performed, ProfileNames};
use crate::domain::maintenance::Report;
use crate::domain::measure::count;
use crate::domain::note::{Note, NoteCode};
use crate::domain::plan::{Action, OptimiseFacts, Plan};
use crate::domain::receipt::{Outcome, Receipt};
use crate::ports::{PerformError, Survey};

/// Optimises the store.
pub(super) struct Optimise<'a>(pub(super) &'a OptimiseFacts);

/// Looks what is new since the last optimisation on record that was completed, and leaves the step out where nothing is. Where that
/// is not known, the store is optimised.
pub(crate) fn fit(plan: &mut Plan, survey: &dyn Survey, records: &[Receipt]) {
    let is_optimise = |action: &Action| matches!(action, Action::Optimise(_));
    if !plan.steps.iter().any(|step| is_optimise(&step.action)) {
        return;
    }
    let of_this_store = |run: &&Receipt| (&run.machine, &run.store) == (&plan.machine, &plan.store);
    let mut earlier = records.iter().rev().filter(of_this_store);
    let Some((run, since)) = earlier.find_map(|run| Some((&run.run, run.optimised()?))) else {
        return;
    };
    let Some(new) = survey.new_paths(since) else {
        return;
    };
    if new == 0 {
        plan.steps.retain(|step| !is_optimise(&step.action));
        let text = format!(
            "the store is not optimised: no path was registered since run {run} optimised it"
        );
        plan.notes
            .push(Note::new(NoteCode::NothingToOptimise, text));
        return;
    }
    for step in &mut plan.steps {
        if is_optimise(&step.action) {
            step.action = Action::Optimise(OptimiseFacts {
                since: Some(since),
                new_paths: Some(new),
            });
        }
    }
}

impl Operation for Optimise<'_> {
    fn describe(&self, _: &ProfileNames<'_>) -> String {
        let new = self.0.new_paths.map(|new| count(new, "new path"));
        let new = new.map_or(String::new(), |new| format!(" ({new})"));
        format!("hard-link equal files in the store{new}")
    }

    fn perform(&self, context: &ActionContext<'_>) -> Result<Performed, PerformError> {
        let done = context.nix.optimise(self.0.since)?;
        Ok(Performed {
            note: Some(done.to_string()),
            report: Some(Report::Optimised(done)),
        })
    }

    fn examine(&self, _: &ActionContext<'_>) -> (Outcome, String) {
        super::examine_repeatable()
    }
}
