//! `free`: gets so much space now, with the least regret first.

use super::args::{FreeAmount, FreeArgs, JobArgs};
use super::context::Context;
use super::failure::{Exit, Failure};
use super::{ask, inspect, log, run};
use crate::domain::budget::{
    Amount, Budget, BudgetError, Disk, DiskGoal, InodeAmount, Quantity, ReleaseHolds,
};
use crate::domain::effective_job::EffectiveJob;
use crate::domain::measure::{Bytes, Span};
use crate::domain::plan::Plan;
use crate::domain::receipt::RunKind;
use crate::domain::risk::RiskLevel;
use crate::engine::Exact;
use crate::ports::{ReadStore, error_chain};

/// Frees so much space: dead paths and ended holds first, then open holds, then generations that no rule keeps, each from the
/// oldest, and no more of them than needed.
pub(super) fn free(context: &Context, args: &FreeArgs) -> Result<Exit, Failure> {
    log::begin_run();
    let job = job(context, args)?;
    let most = job
        .policy()
        .ceiling(args.consent.max_risk.unwrap_or(RiskLevel::Critical));
    let may_ask = ask::can_ask() && !args.consent.yes;
    run::execute(
        context,
        &RunKind::Free,
        &job,
        &args.consent,
        args.json.json,
        None,
        |context, job| {
            let plan = inspect::plan(context, job, Exact::IfCheap)?;
            let falls_short = plan
                .budget
                .as_ref()
                .is_some_and(|budget| budget.missing > Quantity(0) && !budget.too_risky.is_empty());
            if !(may_ask && falls_short && most == RiskLevel::Critical) {
                return Ok(plan);
            }
            // A person may confirm what an unattended run must not do.
            let with_critical = job.clone().with_risk_limit(most);
            let plan = inspect::plan(context, &with_critical, Exact::IfCheap)?;
            Ok(Plan {
                safe_mode: job.safe_mode,
                max_risk: job.max_risk,
                ..plan
            })
        },
    )
}

/// The goal: so much more free than now.
fn goal(disk: Disk, args: &FreeArgs) -> Result<Budget, Failure> {
    let usage = |error: BudgetError| Failure::new(Exit::Usage, error.to_string());
    if args.inodes {
        let Some(inodes) = disk.inodes else {
            let message = "the file system of the store has no fixed number of inodes";
            let hint = "It does not run out of them. Leave out --inodes to free bytes.";
            return Err(Failure::new(Exit::Usage, message).hint(hint));
        };
        let wanted = match args.amount {
            FreeAmount::Count(count) => InodeAmount::Count(count),
            FreeAmount::Amount(Amount::Percent(percent)) => InodeAmount::Percent(percent),
            FreeAmount::Amount(Amount::Bytes(_)) => {
                let message =
                    "`--inodes` needs a number such as 50000, or a percentage such as 10%";
                return Err(Failure::new(Exit::Usage, message));
            }
        };
        let goal = inodes.free.saturating_add(wanted.of(inodes));
        if goal > inodes.total {
            let message = format!(
                "the file system of the store has only {} inodes",
                inodes.total
            );
            return Err(Failure::new(Exit::Usage, message));
        }
        return Budget::min_free_inodes(InodeAmount::Count(goal)).map_err(usage);
    }
    let wanted = match args.amount {
        FreeAmount::Amount(Amount::Bytes(bytes)) => bytes,
        FreeAmount::Amount(Amount::Percent(percent)) => disk.part(percent),
        FreeAmount::Count(count) => {
            let message = format!("`{count}` has no unit");
            let hint = format!(
                "Use a size such as 20G or a percentage such as 10%; for inodes: `nix-prune free {count} --inodes`."
            );
            return Err(Failure::new(Exit::Usage, message).hint(hint));
        }
    };
    let goal = Bytes(disk.available.0.saturating_add(wanted.0));
    if goal.0 > disk.size() {
        let size = Bytes(disk.size());
        let message = format!(
            "the file system of the store has only {size}, of which {} are free",
            disk.available
        );
        return Err(Failure::new(Exit::Usage, message));
    }
    Budget::min_free(Amount::Bytes(goal)).map_err(usage)
}

fn job(context: &Context, args: &FreeArgs) -> Result<EffectiveJob, Failure> {
    let disk = context.reader(None).fullness().map_err(|error| {
        Failure::new(
            Exit::Failed,
            format!("nothing was done: {}", error_chain(&error)),
        )
    })?;
    let budget = goal(disk, args)?;
    // A policy with an undo window holds every generation, so removing one would free nothing now.
    let holds_for_the_policy = !context.settings()?.policy().undo_window.is_zero();
    let overrides = JobArgs {
        job: args.job.clone(),
        accepts: args.accepts.clone(),
        ..JobArgs::default()
    };
    let job = context.job_with(&overrides, args.consent.max_risk, |job| {
        job.budget = Some(DiskGoal::new(budget, ReleaseHolds::IfNeeded));
        // A generation that is held frees nothing now.
        job.undo_window = Span::ZERO;
        if holds_for_the_policy {
            job.operations.generations = None;
            job.operations.roots = None;
        }
        job.operations.collect.get_or_insert_default();
        // Only the goal that was asked for takes generations; the menu follows.
        if let Some(menu) = &mut job.operations.boot_menu {
            menu.min_free = None;
        }
        job.operations.maintenance.clear();
    })?;
    Ok(job)
}
