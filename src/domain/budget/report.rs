//! How a plan stands to its budget.

use serde::{Deserialize, Serialize};

use super::{Budget, Disk, DiskGoal, ReleaseHolds};
use crate::domain::measure::{Bytes, Timestamp};
use crate::domain::risk::RiskLevel;

/// What sizes are given in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Figure {
    /// Blocks of the file system.
    OnDisk,
    /// The store's own sizes.
    NarSize,
}

/// What a budget is measured against; unknown is `None`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// How full the store's file system is.
    pub disk: Option<Disk>,
    /// The sum of the store's own sizes of all valid paths.
    pub store_bytes: Option<Bytes>,
}

impl Standing {
    /// How many bytes must go until the goal is reached; `None` where what it is measured against is not known.
    pub fn to_free(self, budget: Budget) -> Option<Bytes> {
        let nothing = Disk {
            used: Bytes(0),
            available: Bytes(0),
        };
        match budget {
            Budget::MaxStore(_) => self.store_bytes.map(|store| budget.to_free(nothing, store)),
            _ => self.disk.map(|disk| budget.to_free(disk, Bytes(0))),
        }
    }
}

/// How a plan stands to its budget: the goal, now, after the run, and when the rest comes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BudgetReport {
    /// The goal.
    pub goal: Budget,
    /// Whether holds may be released for it.
    pub release_holds: ReleaseHolds,
    /// What it is measured against, as it is now.
    pub now: Standing,
    /// What the sizes below are given in.
    pub figure: Figure,
    /// How much must go: nothing when the goal is reached.
    pub to_free: Bytes,
    /// How much the actions free at once.
    pub frees: Bytes,
    /// How much of what is dead the collection deletes, by the store's own sizes; null for all of it.
    #[serde(default)]
    pub collects_most: Option<Bytes>,
    /// How much is then still missing: nothing when the goal is reached.
    pub missing: Bytes,
    /// What becomes free besides when undo windows end, if nothing else changes, from the earliest.
    pub later: Vec<FreeLater>,
    /// When the goal is reached, if that comes by waiting.
    pub reached_at: Option<Timestamp>,
    /// What keeps the rest, the largest first; empty where the goal is reached.
    pub kept_by: Vec<StillKept>,
    /// What could go for the goal, and is riskier than the job may be.
    pub left_out: Vec<LeftOut>,
}

/// What becomes free at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FreeLater {
    /// When windows end.
    pub at: Timestamp,
    /// How much is free then beyond what was before, by the store's own sizes.
    pub nar_bytes: Bytes,
}

/// A root that keeps what could otherwise go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StillKept {
    /// Its link.
    pub root: String,
    /// What it alone keeps, by the store's own sizes.
    pub only_here_bytes: Bytes,
}

/// How many steps of a risk were left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeftOut {
    /// The risk.
    pub risk: RiskLevel,
    /// How many.
    pub steps: u64,
}

impl BudgetReport {
    /// Of a goal that is reached.
    pub fn reached(goal: DiskGoal, now: Standing) -> Self {
        Self {
            goal: goal.budget,
            release_holds: goal.release_holds,
            now,
            figure: goal.budget.figure(),
            to_free: Bytes(0),
            frees: Bytes(0),
            collects_most: None,
            missing: Bytes(0),
            later: Vec::new(),
            reached_at: None,
            kept_by: Vec::new(),
            left_out: Vec::new(),
        }
    }

    /// Whether the goal is reached without doing anything.
    pub fn is_reached(&self) -> bool {
        self.to_free == Bytes(0)
    }
}
