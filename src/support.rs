//! What tests beside the code share.

use camino::Utf8PathBuf;

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

/// A directory that is removed at the end of a test, and its path.
pub(crate) fn scratch() -> (tempfile::TempDir, Utf8PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = Utf8PathBuf::from_path_buf(dir.path().to_path_buf()).unwrap();
    (dir, path)
}
