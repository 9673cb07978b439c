//! What tests beside the code share.

use crate::domain::effective_job::EffectiveJob;
use crate::domain::job::Job;
use crate::domain::plan::{Action, Plan, PlannedAction};
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

/// The actions of a plan, in order.
pub(crate) fn actions(plan: &Plan) -> Vec<PlannedAction> {
    plan.actions().collect()
}

/// The plan with these actions alone.
pub(crate) fn with_actions(plan: Plan, actions: Vec<PlannedAction>) -> Plan {
    let holds = |planned: &PlannedAction| planned.action.vanished_root().cloned();
    let vanished = actions.iter().filter_map(holds).collect();
    let steps = actions.into_iter();
    Plan {
        vanished,
        items: Vec::new(),
        steps: steps.filter(|planned| holds(planned).is_none()).collect(),
        ..plan
    }
}

/// Looks at an action again.
pub(crate) fn recheck(
    action: &Action,
    snapshot: &Snapshot,
    job: Option<&EffectiveJob>,
) -> Result<(), String> {
    action.operation().recheck(snapshot, job)
}
