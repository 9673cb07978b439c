//! Disk goals on the command line.

use super::args::BudgetArgs;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::out;
use crate::domain::budget::DiskGoal;
use crate::domain::job::Job;
use crate::domain::receipt::Receipt;
use crate::render;

/// Applies the goal in the arguments.
pub(super) fn apply_overrides(job: &mut Job, args: &BudgetArgs) -> Result<(), Failure> {
    if let Some(budget) = args.goal() {
        let release_holds = args.release_holds.unwrap_or_default();
        job.budget = Some(DiskGoal::new(budget, release_holds));
        return Ok(());
    }
    match (&mut job.budget, args.release_holds) {
        (_, None) => Ok(()),
        (Some(goal), Some(release_holds)) => {
            goal.release_holds = release_holds;
            Ok(())
        }
        (None, Some(_)) => {
            let message = format!(
                "--release-holds needs a budget, and the job {} has none",
                job.name
            );
            let hint = "Add a goal: --until-free, --until-free-inodes, --max-used or --max-store.";
            Err(Failure::new(Exit::Usage, message).hint(hint))
        }
    }
}

/// Reports on standard error that a run did not reach its goal; `None` if it did, or had none.
pub(super) fn report_shortfall(context: &Context, receipt: &Receipt) -> Option<Exit> {
    let outcome = receipt.budget.as_ref().filter(|b| !b.is_reached())?;
    let mut sentences = render::table::shortfall(outcome, &context.view()).into_iter();
    let message = sentences.next().unwrap_or_default();
    let hint: Vec<String> = sentences.collect();
    out::failure(&Failure::new(Exit::OverBudget, message).hint(hint.join("\n")));
    Some(Exit::OverBudget)
}
