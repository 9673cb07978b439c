//! Safety checks of a plan against limits and earlier runs of its job.

use crate::domain::effective_job::EffectiveJob;
use crate::domain::job::JobName;
use crate::domain::limits::{PlanSize, Usual, circuit_breaker, detect_anomalies};
use crate::domain::plan::Plan;
use crate::domain::receipt::{Receipt, RunKind};
use crate::domain::store_path::StoreDir;
use crate::ports::RunJournal;

/// Adds the safety checks that need a confirmation. Unreadable records are a safety check of their own.
pub(super) fn add(
    remember: &impl RunJournal,
    records: &[Receipt],
    job: &EffectiveJob,
    plan: &mut Plan,
) {
    let earlier = || runs_of(records, &plan.store, &plan.job);
    let sizes: Vec<PlanSize> = earlier().filter_map(|receipt| receipt.size).collect();
    let mut anomalies = detect_anomalies(&PlanSize::of(plan), job.limits, sizes);
    anomalies.extend(circuit_breaker(failed_in_a_row(remember, earlier())));
    plan.add_anomalies(anomalies, &job.accept);
}

/// What the earlier runs of a job removed.
pub(super) fn usual(records: &[Receipt], store: &StoreDir, job: &JobName) -> Usual {
    Usual::of(runs_of(records, store, job).filter_map(|receipt| receipt.size))
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
            && matches!(receipt.kind, RunKind::Run | RunKind::Free | RunKind::Apply)
            && !receipt.is_interrupted()
    })
}

/// How many of these runs, the latest first, failed one after the other since somebody acknowledged the last failure. A
/// record of that which cannot be read acknowledges nothing.
pub fn failed_in_a_row<'a>(
    remember: &impl RunJournal,
    runs: impl Iterator<Item = &'a Receipt>,
) -> usize {
    let seen = remember.acknowledged().ok().flatten();
    let fresh = runs.take_while(|run| seen.is_none_or(|seen| run.started_at > seen));
    // A run that somebody stopped says nothing about the job.
    let ended = fresh.filter(|run| !run.stopped);
    let failed = ended.take_while(|run| run.has_failures());
    failed.count()
}
