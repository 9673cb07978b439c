//! Jobs with a disk goal.

use super::args::BudgetArgs;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::inspect::{Exact, names, predict};
use super::out;
use crate::adapters::disk;
use crate::domain::analysis::StoreAnalysis;
use crate::domain::budget::{Contradiction, DiskGoal, DiskUsage, SizeMetric};
use crate::domain::effective_job::EffectiveJob;
use crate::domain::job::Job;
use crate::domain::measure::Bytes;
use crate::domain::plan::{BudgetContext, Plan, Recent};
use crate::domain::receipt::Receipt;
use crate::domain::snapshot::Snapshot;
use crate::ports::{Observation, RunJournal};
use crate::render;

/// Takes over the goal that the arguments give.
pub(super) fn apply_overrides(job: &mut Job, args: &BudgetArgs) -> Result<(), Failure> {
    if let Some(budget) = args.goal() {
        let release_holds = args.release_holds.unwrap_or_default();
        job.budget = Some(DiskGoal {
            budget,
            release_holds,
        });
        return Ok(());
    }
    match (&mut job.budget, args.release_holds) {
        (_, None) => Ok(()),
        (Some(goal), Some(release_holds)) => {
            goal.release_holds = release_holds;
            Ok(())
        }
        (None, Some(_)) => {
            let message = format!("the job {} has no budget to release holds for", job.name);
            let hint = "Say a goal: --until-free, --max-used or --max-store.";
            Err(Failure::new(Exit::Usage, message).hint(hint))
        }
    }
}

/// Draws the plan of a job that stays within a budget. Where the goal is reached, the store is not looked into.
///
/// # Errors
/// When it cannot be told how much must go, or what: then nothing is chosen by guess.
pub(super) fn build(
    context: &Context,
    job: &EffectiveJob,
    goal: DiskGoal,
    exact: Exact,
) -> Result<Plan, Failure> {
    let store = context.places.store.as_path();
    let disk = disk::settled_fullness(store).map_err(|error| {
        let message = format!("cannot tell how full the file system of {store} is: {error}");
        Failure::new(Exit::Failed, message).hint("Check that NIX_STORE_DIR is right.")
    })?;
    let mut standing = DiskUsage {
        disk: Some(disk),
        store_bytes: None,
    };
    if standing.to_free(goal.budget) == Some(Bytes(0)) {
        let snapshot = context.snapshot(Some(job))?;
        return Ok(Plan::build_when_within_budget(&snapshot, job, standing));
    }
    let Observation {
        snapshot,
        store,
        running,
    } = context.look(Some(job))?;
    let inspection = store.map_err(|error| {
        let failure = Failure::from(error);
        let message = format!(
            "what must go for the budget cannot be told: {}",
            failure.message
        );
        Failure { message, ..failure }
    })?;
    standing.store_bytes = Some(inspection.graph().nar_size(&inspection.everything()));
    let to_free = standing.to_free(goal.budget).unwrap_or_default();
    let contradiction = contradiction(context, goal)?;
    let room = BudgetContext {
        inspection: &inspection,
        standing,
        to_free,
        recent: recent(job, &snapshot),
        contradiction: contradiction.as_ref(),
    };
    let weigh = |dead: &_| weigh(context, goal, &inspection, dead, room.recent);
    let mut plan = Plan::build_for_budget(&snapshot, job, room, weigh)?;
    let look = Observation {
        snapshot,
        store: Ok(inspection),
        running,
    };
    if !plan.actions.is_empty() {
        predict(context, &mut plan, &look, exact)?;
    }
    Ok(plan)
}

/// The last run whose prediction the file system contradicted, where the goal is the file system's.
fn contradiction(context: &Context, goal: DiskGoal) -> Result<Option<Contradiction>, Failure> {
    if goal.budget.figure() == SizeMetric::NarSize {
        return Ok(None);
    }
    let receipts = context.journal.receipts()?;
    Ok(Contradiction::last_of(&receipts, &context.places.store))
}

/// What the collection spares for its youth.
fn recent(job: &EffectiveJob, snapshot: &Snapshot) -> Option<Recent> {
    let collect = job.operations.collect?;
    let since = collect.cutoff(snapshot.taken_at)?;
    let until = snapshot.taken_at.after(collect.keep_recent?);
    Some(Recent {
        since: since.to_unix().0,
        until,
    })
}

/// How much room dead paths take, in the figure of the goal. On disk that is measured, however many there are: an
/// estimate that is too low would let go of more generations than the goal needs.
fn weigh(
    context: &Context,
    goal: DiskGoal,
    inspection: &StoreAnalysis,
    dead: &crate::domain::graph::NodeSet,
    recent: Option<Recent>,
) -> Result<Bytes, Failure> {
    if goal.budget.figure() == SizeMetric::NarSize {
        return Ok(inspection.graph().nar_size(dead));
    }
    let mut names = names(inspection.graph(), dead.iter());
    // When a name that Nix does not know came cannot be told, so it stays where what is recent does.
    if recent.is_none() {
        let strays = inspection.unregistered().iter().filter(|s| s.exact);
        names.extend(strays.map(|stray| stray.name.as_str()));
    }
    let measured = context.measure(&names, Exact::Always)?;
    Ok(measured.bytes.unwrap_or_default())
}

/// Says on standard error that a run did not reach its goal; `None` where it did, or had none.
pub(super) fn report_shortfall(context: &Context, receipt: &Receipt) -> Option<Exit> {
    let outcome = receipt.budget.as_ref().filter(|b| !b.is_reached())?;
    let mut sentences = render::table::shortfall(outcome, &context.view()).into_iter();
    let message = sentences.next().unwrap_or_default();
    let hint: Vec<String> = sentences.collect();
    out::failure(&Failure::new(Exit::OverBudget, message).hint(hint.join("\n")));
    Some(Exit::OverBudget)
}
