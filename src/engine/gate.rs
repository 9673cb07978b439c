//! The gate between a plan and its execution: the risk limit and safe mode.

use crate::domain::blocker::Blocker;
use crate::domain::budget::BudgetReport;
use crate::domain::collect::CollectMethod;
use crate::domain::job::JobName;
use crate::domain::limits::PlanSize;
use crate::domain::plan::{Action, Plan, PlannedAction, Prediction};
use crate::domain::receipt::RunKind;
use crate::domain::risk::{self, RiskLevel};
use crate::domain::snapshot::MachineId;

/// What somebody proposes to do: a plan just drawn, or a saved one.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// What it is.
    pub kind: RunKind,
    /// The job.
    pub job: JobName,
    /// The machine it was drawn for.
    pub machine: MachineId,
    /// The actions, in order.
    pub actions: Vec<PlannedAction>,
    /// Actions above this level stop the run.
    pub max_risk: RiskLevel,
    /// Whether critical actions are refused whatever `max_risk` says.
    pub safe_mode: bool,
    /// What is expected to be freed.
    pub prediction: Prediction,
    /// The disk goal, and how the plan stands to it.
    pub budget: Option<BudgetReport>,
    /// How much goes.
    pub extent: PlanSize,
    /// What would stop it and was let pass.
    pub accepted: Vec<Blocker>,
    /// What was refused and is left out of it.
    pub refused: Vec<Blocker>,
    /// What stops it.
    pub stops: Vec<Blocker>,
}

impl Proposal {
    /// Proposes to carry out a plan that was just drawn.
    pub fn of(plan: &Plan) -> Self {
        Self {
            kind: RunKind::Run,
            job: plan.job.clone(),
            machine: plan.machine.clone(),
            actions: plan.actions.clone(),
            max_risk: plan.max_risk,
            safe_mode: plan.safe_mode,
            prediction: plan.prediction,
            budget: plan.budget.clone(),
            extent: PlanSize::of(plan),
            accepted: plan.accepted.clone(),
            refused: plan.left_out().cloned().collect(),
            stops: plan.stops().cloned().collect(),
        }
    }
}

/// A proposal that has passed the gate; there is no other way to make one.
#[derive(Debug, Clone)]
pub struct Approved {
    proposal: Proposal,
}

impl Approved {
    /// Whether the store must be looked into: for a disk goal, or before a collection.
    pub fn needs_the_store(&self) -> bool {
        self.collects() || self.proposal.budget.is_some()
    }

    /// How many paths are expected to go.
    pub fn predicted_paths(&self) -> Option<u64> {
        self.proposal.prediction.paths
    }

    /// Whether garbage is to be collected.
    pub fn collects(&self) -> bool {
        let mut actions = self.proposal.actions.iter();
        actions.any(|planned| planned.action.collection().is_some())
    }

    /// What was accepted, where garbage is to be collected by name alone.
    pub fn accepted_by_name(&self) -> Option<Vec<Blocker>> {
        let mut actions = self.proposal.actions.iter();
        let collection = actions.find_map(|planned| planned.action.collection())?;
        (collection.method == CollectMethod::Selective).then(|| self.proposal.accepted.clone())
    }

    pub(super) fn into_proposal(self) -> Proposal {
        self.proposal
    }
}

/// Why a proposal does not pass.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GateError {
    /// Something is not as it should be, and nobody has let it pass.
    #[error("{}", stops.iter().map(|stop| stop.message.as_str()).collect::<Vec<_>>().join("; "))]
    Stopped {
        /// What.
        stops: Vec<Blocker>,
    },
    /// Safe mode refuses critical actions.
    #[error("safe mode refuses {count} critical {}", actions(*count))]
    SafeMode {
        /// How many.
        count: usize,
    },
    /// Actions are above the ceiling.
    #[error("{count} {} risk {highest}, and the limit is {ceiling}", have(*count))]
    TooRisky {
        /// How many.
        count: usize,
        /// The highest of them.
        highest: RiskLevel,
        /// What is allowed.
        ceiling: RiskLevel,
    },
}

fn actions(count: usize) -> &'static str {
    if count == 1 { "action" } else { "actions" }
}

fn have(count: usize) -> &'static str {
    if count == 1 {
        "action has"
    } else {
        "actions have"
    }
}

/// Lets a proposal pass if no action of it is too risky. All or nothing: half a plan was never shown to anybody.
///
/// # Errors
/// What is too risky.
pub fn gate(mut proposal: Proposal) -> Result<Approved, GateError> {
    for planned in &mut proposal.actions {
        // A saved plan says its risks itself; it cannot say less than its own facts do.
        planned.risk = planned.risk.max(least_risk(&planned.action));
    }
    let above = |level| proposal.actions.iter().filter(move |a| a.risk > level);
    let critical = above(RiskLevel::High).count();
    if proposal.safe_mode && critical > 0 {
        return Err(GateError::SafeMode { count: critical });
    }
    let ceiling = proposal.max_risk;
    match above(ceiling).map(|a| a.risk).max() {
        Some(highest) => Err(GateError::TooRisky {
            count: above(ceiling).count(),
            highest,
            ceiling,
        }),
        // Last, for what is left then is a matter of a yes.
        None if !proposal.stops.is_empty() => Err(GateError::Stopped {
            stops: proposal.stops,
        }),
        None => Ok(Approved { proposal }),
    }
}

fn least_risk(action: &Action) -> RiskLevel {
    match action {
        Action::DropGeneration(facts) => {
            let held = !facts.hold.is_zero();
            risk::of_generation(facts.profile_kind.is_system(), held, usize::MAX)
        }
        Action::ReleaseEarly(facts) => risk::of_early_release(facts.system),
        _ => RiskLevel::Low,
    }
}
