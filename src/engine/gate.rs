//! The gate between a plan and its execution: the risk limit and safe mode.

use crate::domain::blocker::Blocker;
use crate::domain::collect::CollectMethod;
use crate::domain::plan::{Decision, Plan};
use crate::domain::receipt::RunKind;
use crate::domain::risk::RiskLevel;

/// A plan that has passed the gate; there is no other way to make one.
#[derive(Debug, Clone)]
pub struct Approved {
    plan: Plan,
    kind: RunKind,
}

impl Approved {
    /// Whether the store must be read: for a disk goal, or before a collection.
    pub fn needs_the_store(&self) -> bool {
        self.collects() || self.plan.budget.is_some()
    }

    /// How many generations are to be removed.
    pub fn generations(&self) -> usize {
        self.plan.removed_generations().count()
    }

    /// How many paths are expected to be deleted.
    pub fn predicted_paths(&self) -> Option<u64> {
        self.plan.prediction.paths
    }

    /// Whether garbage is to be collected.
    pub fn collects(&self) -> bool {
        self.plan.collection().is_some()
    }

    /// What was accepted, where garbage is to be collected by name alone.
    pub fn accepted_by_name(&self) -> Option<Vec<Blocker>> {
        let collection = self.plan.collection()?;
        (collection.method == CollectMethod::Selective).then(|| self.plan.accepted_checks.clone())
    }

    pub(super) fn into_parts(self) -> (Plan, RunKind) {
        (self.plan, self.kind)
    }
}

/// Why a plan does not pass.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GateError {
    /// Safety checks failed, and nobody has accepted them.
    #[error("{}", stops.iter().map(|stop| stop.message.as_str()).collect::<Vec<_>>().join("; "))]
    Stopped {
        /// Which.
        stops: Vec<Blocker>,
    },
    /// Safe mode refuses critical actions.
    #[error("safe mode refuses {count} critical {}", actions(*count))]
    SafeMode {
        /// How many.
        count: usize,
    },
    /// Actions are above the risk limit.
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

impl GateError {
    /// Whether only critical actions keep the plan from passing.
    pub fn is_about_critical(&self) -> bool {
        match self {
            Self::SafeMode { .. } => true,
            Self::TooRisky { highest, .. } => *highest == RiskLevel::Critical,
            Self::Stopped { .. } => false,
        }
    }
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

/// Lets a plan pass if no action of it is too risky. All or nothing: half a plan was never shown to anybody.
///
/// # Errors
/// What is too risky.
pub fn gate(plan: &Plan, kind: RunKind) -> Result<Approved, GateError> {
    let mut plan = plan.clone();
    for item in &mut plan.items {
        // A saved plan states its risks itself; it cannot state less than its own facts do.
        if let Decision::Remove(removal) = &mut item.decision {
            removal.risk = removal.risk.max(removal.action.operation().risk());
        }
    }
    for step in &mut plan.steps {
        step.risk = step.risk.max(step.action.operation().risk());
    }
    let risks: Vec<RiskLevel> = plan.actions().map(|planned| planned.risk).collect();
    let above = |level| risks.iter().filter(move |risk| **risk > level);
    let critical = above(RiskLevel::High).count();
    if plan.safe_mode && critical > 0 {
        return Err(GateError::SafeMode { count: critical });
    }
    let ceiling = plan.max_risk;
    if let Some(highest) = above(ceiling).max() {
        return Err(GateError::TooRisky {
            count: above(ceiling).count(),
            highest: *highest,
            ceiling,
        });
    }
    // Last, for what is left then is a matter of a yes.
    let stops: Vec<Blocker> = plan.stops().cloned().collect();
    if stops.is_empty() {
        Ok(Approved { plan, kind })
    } else {
        Err(GateError::Stopped { stops })
    }
}
