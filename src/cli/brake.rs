//! The brake before the gate.

use super::context::Context;
use crate::domain::effective_job::EffectiveJob;
use crate::domain::job::JobName;
use crate::domain::limits::{PlanSize, Usual, circuit_breaker, detect_anomalies};
use crate::domain::plan::Plan;
use crate::domain::receipt::{Outcome, Receipt, RunKind};
use crate::domain::store_path::StoreDir;
use crate::ports::RunJournal;

/// Adds what of the plan waits for a yes. Records that cannot be read are a refusal by themselves.
pub(super) fn check(context: &Context, job: &EffectiveJob, plan: &mut Plan) {
    let receipts = context.journal.receipts().unwrap_or_default();
    let earlier = || runs_of(&receipts, &plan.store, &plan.job);
    let extents: Vec<PlanSize> = earlier().filter_map(|receipt| receipt.extent).collect();
    let mut alarms = detect_anomalies(&PlanSize::of(plan), job.limits, extents);
    alarms.extend(circuit_breaker(failed_in_a_row(context, earlier())));
    plan.alarm(alarms, &job.accept);
}

/// The job, with what its earlier runs removed.
pub(super) fn with_usual(context: &Context, job: &EffectiveJob) -> EffectiveJob {
    let receipts = context.journal.receipts().unwrap_or_default();
    let earlier = runs_of(&receipts, &context.places.store, &job.name);
    job.clone()
        .with_usual(Usual::of(earlier.filter_map(|receipt| receipt.extent)))
}

/// The runs of a job on a store, the latest first.
fn runs_of<'a>(
    receipts: &'a [Receipt],
    store: &'a StoreDir,
    job: &'a JobName,
) -> impl Iterator<Item = &'a Receipt> {
    receipts.iter().rev().filter(move |receipt| {
        receipt.store == *store
            && receipt.job.as_ref() == Some(job)
            && matches!(receipt.kind, RunKind::Run | RunKind::Apply)
            && !receipt.is_interrupted()
    })
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
