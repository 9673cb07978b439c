//! The budget of a job, as set in the settings.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Budget;

/// The disk goal of a job, and what it may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskGoal {
    /// What is to hold after a run.
    pub budget: Budget,
    /// What is to hold as well, by another metric.
    pub beside: Option<Budget>,
    /// Whether undo windows may be ended for it.
    pub release_holds: ReleaseHolds,
}

impl DiskGoal {
    /// This alone.
    pub fn new(budget: Budget, release_holds: ReleaseHolds) -> Self {
        Self {
            budget,
            beside: None,
            release_holds,
        }
    }

    /// Each of the goals.
    pub fn budgets(self) -> impl Iterator<Item = Budget> {
        [Some(self.budget), self.beside].into_iter().flatten()
    }
}

impl fmt::Display for DiskGoal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.budget.fmt(f)?;
        self.beside.map_or(Ok(()), |beside| write!(f, ", {beside}"))
    }
}

/// Whether a budget may end undo windows before their time.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum ReleaseHolds {
    /// It waits for their end.
    #[default]
    Never,
    /// As many as the goal needs, oldest first; then generations go without a hold.
    IfNeeded,
}

impl fmt::Display for ReleaseHolds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Never => "never",
            Self::IfNeeded => "ifNeeded",
        })
    }
}

/// A word that says nothing of holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown value `{0}` for releaseHolds; use never or ifNeeded")]
pub struct NotAReleaseWord(String);

impl FromStr for ReleaseHolds {
    type Err = NotAReleaseWord;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "never" => Ok(Self::Never),
            "ifNeeded" => Ok(Self::IfNeeded),
            _ => Err(NotAReleaseWord(text.to_string())),
        }
    }
}
