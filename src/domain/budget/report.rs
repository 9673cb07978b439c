//! The budget report of a plan.

use serde::{Deserialize, Serialize};

use super::{Budget, Contradiction, Disk, DiskGoal, ReleaseHolds};
use crate::domain::disk_use::Taken;
use crate::domain::measure::{Bytes, Timestamp, count};
use crate::domain::risk::RiskLevel;

/// So much of what a metric counts: bytes, or inodes.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct Quantity(pub u64);

/// What a budget counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SizeMetric {
    /// Blocks of the file system.
    OnDisk,
    /// The store's own sizes.
    NarSize,
    /// Inodes of the file system.
    Inodes,
}

impl SizeMetric {
    /// What is counted of something on disk. The store's own sizes are not known there.
    pub fn on_disk(self, taken: Taken) -> Quantity {
        match self {
            Self::OnDisk | Self::NarSize => Quantity(taken.bytes.0),
            Self::Inodes => Quantity(taken.inodes),
        }
    }

    /// A quantity with its unit.
    pub fn show(self, quantity: Quantity) -> String {
        match self {
            Self::OnDisk | Self::NarSize => Bytes(quantity.0).to_string(),
            Self::Inodes => count(quantity.0, "inode"),
        }
    }
}

/// What a budget is measured against; unknown is `None`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct DiskUsage {
    /// How full the store's file system is.
    pub disk: Option<Disk>,
    /// The sum of the store's own sizes of all valid paths.
    pub store_bytes: Option<Bytes>,
}

impl DiskUsage {
    /// The same after so many bytes more are free, or fewer.
    #[must_use]
    pub fn after_freeing(self, bytes: i64) -> Self {
        let disk = self.disk.map(|disk| Disk {
            inodes: disk.inodes,
            used: Bytes(disk.used.0.saturating_add_signed(bytes.saturating_neg())),
            available: Bytes(disk.available.0.saturating_add_signed(bytes)),
        });
        Self { disk, ..self }
    }
}

/// How much of the store's file system is free, and how much of it Nix's own files take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FreeSpace {
    /// The bytes that anybody may use.
    pub available: Bytes,
    /// What Nix's database and the reserve beside it take. They come and go with every command of Nix.
    pub nix_files: Bytes,
}

impl FreeSpace {
    /// How much more is free later, as if Nix's own files had not changed. What they gave up counts only as far as it became
    /// free: a snapshot may have kept it.
    pub fn freed_until(self, later: Self) -> Option<i64> {
        let available = i128::from(later.available.0) - i128::from(self.available.0);
        let given_up = i128::from(self.nix_files.0) - i128::from(later.nix_files.0);
        i64::try_from(available - given_up.min(available.max(0))).ok()
    }
}

/// How a plan compares with its disk goal: now, after the run, and when more is freed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BudgetReport {
    /// The goal.
    pub goal: Budget,
    /// Whether holds may be released for it.
    pub release_holds: ReleaseHolds,
    /// What it is measured against, as it is now.
    pub now: DiskUsage,
    /// How the sizes below are measured.
    #[serde(alias = "figure")]
    pub metric: SizeMetric,
    /// How much must be freed: 0 when the goal is reached.
    pub to_free: Quantity,
    /// How much the actions free now.
    pub frees: Quantity,
    /// How much the collection must free at least; null for everything that is dead.
    #[serde(default, alias = "collectsMost")]
    pub collect_at_least: Option<Quantity>,
    /// How much is still missing then: 0 when the goal is reached.
    pub missing: Quantity,
    /// What is freed besides when undo windows end, if nothing else changes, from the earliest.
    pub later: Vec<FreeLater>,
    /// When the goal is reached by waiting alone; null where it is not.
    pub reached_at: Option<Timestamp>,
    /// The roots that keep the rest, the largest first; empty where the goal is reached.
    pub kept_by: Vec<StillKept>,
    /// Removals that would help, and that the job's risk limit does not allow.
    #[serde(alias = "leftOut")]
    pub too_risky: Vec<LeftOut>,
    /// How many holds and generations are kept because removing them would free nothing on disk.
    #[serde(default)]
    pub free_nothing: u64,
    /// The last run whose prediction the file system contradicted: until one agrees, nothing is removed without a hold.
    #[serde(default)]
    pub contradiction: Option<Contradiction>,
}

/// What is freed at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FreeLater {
    /// When undo windows end.
    pub at: Timestamp,
    /// How much is freed then, by NAR size.
    pub nar_bytes: Bytes,
}

/// A root that keeps what could otherwise be deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StillKept {
    /// Its link.
    pub root: String,
    /// What it alone keeps, by NAR size.
    #[serde(alias = "onlyHereBytes")]
    pub exclusive_bytes: Bytes,
}

/// How many removals of a risk were left out.
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
    pub fn reached(goal: DiskGoal, now: DiskUsage) -> Self {
        Self {
            goal: goal.budget,
            release_holds: goal.release_holds,
            now,
            metric: goal.budget.metric(),
            to_free: Quantity(0),
            frees: Quantity(0),
            collect_at_least: None,
            missing: Quantity(0),
            later: Vec::new(),
            reached_at: None,
            kept_by: Vec::new(),
            too_risky: Vec::new(),
            free_nothing: 0,
            contradiction: None,
        }
    }

    /// Whether the goal is reached without doing anything.
    pub fn is_reached(&self) -> bool {
        self.to_free == Quantity(0)
    }
}
