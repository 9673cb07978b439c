//! Disk goals on the command line.

use super::args::BudgetArgs;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::log::{Priority, RunEvent};
use super::out;
use crate::domain::budget::{DiskGoal, SizeMetric};
use crate::domain::job::Job;
use crate::domain::receipt::Receipt;
use crate::ports::RunJournal;
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

/// Reports on standard error that a run did not reach its goal, if it has one.
pub(super) fn report_shortfall(context: &Context, receipt: &Receipt) {
    let Some(outcome) = receipt.budget.as_ref().filter(|b| !b.is_reached()) else {
        return;
    };
    let mut sentences = render::table::shortfall(outcome, &context.view()).into_iter();
    let message = sentences.next().unwrap_or_default();
    let hint: Vec<String> = sentences.collect();
    let failure = Failure::new(Exit::OverBudget, message).hint(hint.join("\n"));
    let priority = if is_known(context, receipt) {
        Priority::Info
    } else {
        Priority::Error
    };
    let is_in_bytes = outcome.planned.metric != SizeMetric::Inodes;
    let missing = outcome.missing.filter(|_| is_in_bytes);
    let event = RunEvent {
        bytes: missing.and_then(|missing| i64::try_from(missing.0).ok()),
        ..failure.event()
    };
    out::failure_of(&event, priority, &failure);
}

/// Reports on standard error that the file system of the boot menu has less free than it should.
pub(super) fn report_boot_menu(receipt: &Receipt) {
    let outcome = receipt.boot_menu.as_ref();
    let Some((outcome, missing)) = outcome.and_then(|it| Some((it, it.missing()?))) else {
        return;
    };
    let (dir, goal) = (&outcome.planned.dir, outcome.planned.min_free);
    let message =
        format!("{missing} more must be freed on {dir} for {goal} free (bootMenu.minFree)");
    let hint = "No rule lets this job remove another system generation that frees something there. Keep fewer generations, or give the \
                file system more space; `nix-prune generations system` shows what each of them takes.";
    out::failure(&Failure::new(Exit::OverBudget, message).hint(hint));
}

/// Whether the journal has the same already: the run before on the same day missed the goal as well, and this one did
/// nothing. A watch asks every few minutes.
fn is_known(context: &Context, receipt: &Receipt) -> bool {
    if receipt.has_changed_anything() {
        return false;
    }
    let records = context.journal.receipts().unwrap_or_default();
    let before = records.iter().rev().find(|before| {
        before.job == receipt.job
            && before.store == receipt.store
            && before.run != receipt.run
            && before.budget.is_some()
    });
    let day = |receipt: &Receipt| receipt.started_at.in_zone(&context.zone).date();
    before.is_some_and(|before| {
        let missed = before.budget.as_ref().is_some_and(|it| !it.is_reached());
        missed && day(before) == day(receipt)
    })
}
