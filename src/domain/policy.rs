//! The machine policy: limits that apply to every job and can only be made stricter.

use super::budget::{DiskGoal, ReleaseHolds};
use super::measure::Span;
use super::plan::Action;
use super::risk::RiskLevel;

/// A policy. What it does not ask for is nought, or not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Policy {
    /// What is kept of every profile, whatever a job's rules are.
    pub keep: MinimumRetention,
    /// The highest risk that a job may have.
    pub max_risk: Option<RiskLevel>,
    /// The shortest undo window; no hold ends before its time then.
    pub undo_window: Span,
}

/// The least that is kept of a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MinimumRetention {
    /// This many, counted back from the current generation, which is the first.
    pub last: u16,
    /// What is not older than this, and the one that was active then.
    pub within: Span,
}

/// A saved action that a policy does not let pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the policy requires an undo window of at least {0}, and the plan has a shorter one")]
pub struct ShortWindow(Span);

impl Policy {
    /// The stricter of each.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let max_risk = match (self.max_risk, other.max_risk) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        };
        Self {
            keep: MinimumRetention {
                last: self.keep.last.max(other.keep.last),
                within: self.keep.within.max(other.keep.within),
            },
            max_risk,
            undo_window: self.undo_window.max(other.undo_window),
        }
    }

    /// The highest risk that a job with the limit `level` may take.
    pub fn ceiling(self, level: RiskLevel) -> RiskLevel {
        self.max_risk.map_or(level, |most| most.min(level))
    }

    /// A goal without what would end undo windows early.
    #[must_use]
    pub fn bound_goal(self, goal: DiskGoal) -> DiskGoal {
        if self.undo_window.is_zero() {
            return goal;
        }
        DiskGoal {
            release_holds: ReleaseHolds::Never,
            ..goal
        }
    }

    /// Looks at an action that was planned before, perhaps under another policy.
    ///
    /// # Errors
    /// When it would take away for good, or sooner than the policy allows.
    pub fn allows(self, action: &Action) -> Result<(), ShortWindow> {
        let short = match action {
            Action::HoldRoot(facts) => facts.hold < self.undo_window,
            Action::ReleaseEarly(_) => !self.undo_window.is_zero(),
            action => action
                .promised_hold()
                .is_some_and(|hold| hold < self.undo_window),
        };
        if short {
            Err(ShortWindow(self.undo_window))
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn policies() -> impl Strategy<Value = Policy> {
        let risk = prop::option::of(prop::sample::select(RiskLevel::ALL.to_vec()));
        (0u16..9, 0u32..9, risk, 0u32..9).prop_map(|(last, within, max_risk, window)| Policy {
            keep: MinimumRetention {
                last,
                within: Span::days(within),
            },
            max_risk,
            undo_window: Span::days(window),
        })
    }

    /// Whether `a` asks for no less than `b`.
    fn as_strict(a: Policy, b: Policy) -> bool {
        let level = |policy: Policy| policy.ceiling(RiskLevel::Critical);
        a.keep.last >= b.keep.last
            && a.keep.within >= b.keep.within
            && level(a) <= level(b)
            && a.undo_window >= b.undo_window
    }

    #[test]
    fn a_saved_plan_holds_no_shorter_than_the_policy() {
        let policy = Policy {
            undo_window: Span::days(7),
            ..Policy::default()
        };
        let hold = |days| {
            Action::HoldRoot(crate::domain::plan::VanishedFacts {
                link: "/home/alice/result".into(),
                store_path: crate::domain::store_path::StorePathRef::from_base_name(
                    "00bgd045z0d4icpbc2yyz4gx48ak44la-result",
                )
                .unwrap()
                .to_owned(),
                hold: Span::days(days),
            })
        };
        assert!(policy.allows(&hold(6)).is_err());
        assert!(policy.allows(&hold(7)).is_ok());
        let early = serde_json::json!({
            "kind": "releaseEarly", "run": "20261122T221644Z", "link": "/holds/0",
            "storePath": "00bgd045z0d4icpbc2yyz4gx48ak44la-result", "root": "/home/alice/result",
            "until": "2026-11-29T22:16:44Z", "system": false,
        });
        let early: Action = serde_json::from_value(early).unwrap();
        assert!(policy.allows(&early).is_err());
        assert!(Policy::default().allows(&early).is_ok());
    }

    proptest! {
        #[test]
        fn more_policies_never_ask_for_less(a in policies(), b in policies(), c in policies()) {
            let both = a.and(b);
            prop_assert!(as_strict(both, a) && as_strict(both, b));
            prop_assert_eq!(both, b.and(a));
            prop_assert_eq!(both.and(c), a.and(b.and(c)));
            prop_assert_eq!(a.and(a), a);
            prop_assert_eq!(a.and(Policy::default()), a);
        }
    }

    #[test]
    fn a_goal_ends_no_undo_window_that_the_policy_asks_for() {
        use crate::domain::budget::{Amount, Budget};
        use crate::domain::measure::Bytes;
        let goal = DiskGoal::new(
            Budget::MinFree(Amount::Bytes(Bytes(1))),
            ReleaseHolds::IfNeeded,
        );
        assert_eq!(Policy::default().bound_goal(goal), goal);
        let policy = Policy {
            undo_window: Span::days(1),
            ..Policy::default()
        };
        let bound = policy.bound_goal(goal);
        assert_eq!(
            (bound.budget, bound.release_holds),
            (goal.budget, ReleaseHolds::Never)
        );
    }
}
