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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::blocker::CheckCode;
    use rstest::rstest;

    fn risky(count: usize, highest: RiskLevel) -> GateError {
        GateError::TooRisky {
            count,
            highest,
            ceiling: RiskLevel::Medium,
        }
    }

    #[rstest]
    #[case(GateError::SafeMode { count: 1 }, "safe mode refuses 1 critical action")]
    #[case(GateError::SafeMode { count: 2 }, "safe mode refuses 2 critical actions")]
    #[case(
        risky(1, RiskLevel::High),
        "1 action has risk high, and the limit is medium"
    )]
    #[case(
        risky(3, RiskLevel::Critical),
        "3 actions have risk critical, and the limit is medium"
    )]
    fn a_refusal_says_how_much_is_too_risky(#[case] error: GateError, #[case] text: &str) {
        assert_eq!(error.to_string(), text);
    }

    /// On a yes to critical actions everything passes; a failed check takes a yes of its own.
    #[test]
    fn a_failed_check_is_not_about_critical_actions() {
        let stop = Blocker::new(CheckCode::LimitGenerations, String::new(), String::new());
        assert!(!GateError::Stopped { stops: vec![stop] }.is_about_critical());
        assert!(GateError::SafeMode { count: 1 }.is_about_critical());
        assert!(risky(1, RiskLevel::Critical).is_about_critical());
        assert!(!risky(1, RiskLevel::High).is_about_critical());
    }
}
