//! What tests beside the code share.

use crate::domain::effective_job::EffectiveJob;
use crate::domain::job::Job;
use crate::domain::plan::Plan;
use crate::domain::policy::Policy;
use crate::domain::snapshot::Snapshot;

/// A job on a machine without a policy.
pub(crate) fn unrestricted(job: &Job) -> EffectiveJob {
    EffectiveJob::new(job.clone(), Policy::default())
}

/// The plan of a job on a machine without a policy.
pub(crate) fn plan_of(snapshot: &Snapshot, job: &Job) -> Plan {
    Plan::build(snapshot, &unrestricted(job))
}
