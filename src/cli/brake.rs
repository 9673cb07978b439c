//! The brake before the gate.

use super::context::Context;
use crate::domain::brake::{Extent, alarms};
use crate::domain::job::Job;
use crate::domain::plan::Plan;
use crate::domain::receipt::{Receipt, RunKind};
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
    let earlier = receipts.iter().rev().filter(of_the_job);
    let earlier: Vec<Extent> = earlier.filter_map(|receipt| receipt.extent).collect();
    let alarms = alarms(&Extent::of(plan), job.limits, earlier);
    plan.alarm(alarms, &job.accept);
}
