//! Keep rules, and their validation.

use serde::{Deserialize, Serialize};

use super::calendar::PeriodCounts;
use crate::domain::measure::Span;
use crate::domain::policy::MinimumRetention;

/// How much of a profile's history to keep. A policy that could keep nothing cannot be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeepPolicy {
    rules: KeepRules,
    floor: MinimumRetention,
    overrides_job: bool,
}

/// The rules as they are written; each is optional.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct KeepRules {
    /// Keep this many, counted back from the current generation, which is the first.
    pub last: Option<u16>,
    /// Keep what is not older than this, and the one that was active then.
    pub within: Option<Span>,
    /// Keep the newest of each of so many periods that have one.
    pub calendar: PeriodCounts,
    /// Keep the system that ran longest, if that is at least a day.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub known_good: bool,
}

/// The largest number a keep rule takes.
pub const MAX_KEPT: u16 = 1000;

/// Why rules are no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeepError {
    /// No rule is given, or all of them keep nothing.
    #[error("these keep rules could keep nothing")]
    KeepsNothing,
    /// A number above [`MAX_KEPT`].
    #[error("`{rule}` is {value}; at most 1000 is allowed")]
    TooMany {
        /// The rule.
        rule: &'static str,
        /// Its number.
        value: u16,
    },
}

impl KeepPolicy {
    /// Checks the rules.
    ///
    /// # Errors
    /// When they could keep nothing, or a number is above [`MAX_KEPT`].
    pub fn new(rules: KeepRules) -> Result<Self, KeepError> {
        let calendar = rules.calendar.iter();
        let calendar = calendar.map(|(rule, count)| (rule.as_str(), count));
        let counts: Vec<_> = [("last", rules.last)].into_iter().chain(calendar).collect();
        for (rule, value) in &counts {
            if let Some(value) = value.filter(|&value| value > MAX_KEPT) {
                return Err(KeepError::TooMany { rule, value });
            }
        }
        let counted = counts.iter().any(|(_, n)| n.is_some_and(|n| n > 0));
        let aged = rules.within.is_some_and(|age| !age.is_zero());
        if counted || aged {
            let floor = MinimumRetention::default();
            Ok(Self {
                rules,
                floor,
                overrides_job: false,
            })
        } else {
            Err(KeepError::KeepsNothing)
        }
    }

    /// The same policy with a minimum that is always kept.
    #[must_use]
    pub fn at_least(self, floor: MinimumRetention) -> Self {
        Self { floor, ..self }
    }

    /// The minimum that is kept whatever the rules are.
    pub fn floor(&self) -> MinimumRetention {
        self.floor
    }

    /// The same, given for one run in place of a job's rules.
    #[must_use]
    pub fn overriding_job(self) -> Self {
        Self {
            overrides_job: true,
            ..self
        }
    }

    /// Whether it was given for one run in place of a job's rules.
    pub fn overrides_job(&self) -> bool {
        self.overrides_job
    }

    /// The rules.
    pub fn rules(&self) -> &KeepRules {
        &self.rules
    }
}
