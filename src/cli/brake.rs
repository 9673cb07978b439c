//! The brake before the gate.

use super::context::Context;
use crate::domain::brake::{Extent, alarms, pause};
use crate::domain::job::Job;
use crate::domain::plan::Plan;
use crate::domain::receipt::{Outcome, Receipt, RunKind};
use crate::ports::Remember;

/// Adds what of the plan waits for a yes. Records that cannot be read are a refusal by themselves.
pub(super) fn check(context: &Context, job: &Job, plan: &mut Plan) {
    let receipts = context.journal.receipts().unwrap_or_default();
    let of_the_job = |receipt: &&Receipt| {
        receipt.store == plan.store
            && receipt.job.as_ref() == Some(&plan.job)
            && matches!(receipt.kind, RunKind::Run | RunKind::Apply)
            && !receipt.is_interrupted()
    };
    let earlier = || receipts.iter().rev().filter(of_the_job);
    let extents: Vec<Extent> = earlier().filter_map(|receipt| receipt.extent).collect();
    let mut alarms = alarms(&Extent::of(plan), job.limits, extents);
    alarms.extend(pause(failed_in_a_row(context, earlier())));
    plan.alarm(alarms, &job.accept);
}

/// How many of these runs, the latest first, failed one after the other since somebody acknowledged the last failure. A
/// record of that which cannot be read acknowledges nothing.
pub(super) fn failed_in_a_row<'a>(
    context: &Context,
    runs: impl Iterator<Item = &'a Receipt>,
) -> usize {
    let seen = context.journal.acknowledged().ok().flatten();
    let fresh = runs.take_while(|run| seen.is_none_or(|seen| run.started_at > seen));
    let failed = fresh.take_while(|run| run.count(Outcome::Failed) > 0);
    failed.count()
}
