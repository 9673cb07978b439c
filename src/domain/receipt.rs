//! Receipts: the record of a run, written before the first action and updated after each.

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

use super::blocker::Blocker;
use super::boot_menu::BootReport;
use super::budget::{BudgetEnd, BudgetReport, DiskUsage, Quantity, Round};
use super::collect::CollectMethod;
use super::job::JobName;
use super::limits::PlanSize;
use super::maintenance::{Registrations, Report, Verified};
use super::measure::{Bytes, Timestamp};
use super::plan::{Action, HoldFacts};
use super::risk::RiskLevel;
use super::snapshot::{Held, MachineId};
use super::store_path::StoreDir;

mod run_id;

pub use run_id::{NotARunId, RunId};

/// What a run was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[derive(schemars::JsonSchema)]
pub enum RunKind {
    /// A job, planned and carried out at once.
    Run,
    /// So much space now, by the rules of a job.
    Free,
    /// A saved plan.
    Apply,
    /// The undoing of another run.
    Undo(RunId),
    /// The end of holds before their time, by hand.
    Release,
}

/// The record of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[derive(schemars::JsonSchema)]
pub struct Receipt {
    /// The name of the document's form.
    pub schema: ReceiptSchema,
    /// The run.
    pub run: RunId,
    /// What it was.
    pub kind: RunKind,
    /// The job it carried out.
    pub job: Option<JobName>,
    /// Our version.
    pub tool_version: String,
    /// The version of Nix.
    pub nix_version: String,
    /// Where it happened.
    pub machine: MachineId,
    /// The store directory it happened in.
    pub store: StoreDir,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; `None` while it is under way, and after it was interrupted.
    pub finished_at: Option<Timestamp>,
    /// Whether it ended early because somebody stopped it: a person, the service manager, or a machine that is switched off.
    #[serde(default)]
    pub stopped: bool,
    /// Every action, in order.
    pub entries: Vec<Entry>,
    /// What was freed.
    pub bytes: FreedBytes,
    /// How it came out against the job's budget; null without one.
    #[serde(default)]
    pub budget: Option<BudgetOutcome>,
    /// How it came out against `bootMenu.minFree`; null without it.
    #[serde(default)]
    pub boot_menu: Option<BootMenuOutcome>,
    /// The size of the plan; null in old records and without a plan.
    #[serde(default, alias = "extent")]
    pub size: Option<PlanSize>,
    /// The safety checks that failed and were accepted.
    #[serde(default, alias = "accepted")]
    pub accepted_checks: Vec<Blocker>,
    /// The safety checks that failed and kept a part from being done; the rest was done.
    #[serde(default, alias = "refused")]
    pub failed_checks: Vec<Blocker>,
}

/// How a run came out against its budget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[derive(schemars::JsonSchema)]
pub struct BudgetOutcome {
    /// What the plan predicted.
    pub planned: BudgetReport,
    /// How full the store was after the run.
    pub after: DiskUsage,
    /// The rounds of the collection, in order.
    #[serde(default)]
    pub rounds: Vec<Round>,
    /// Why there was no further round; null while the run is under way.
    #[serde(default)]
    pub ended: Option<BudgetEnd>,
    /// The file system of the store, where its kind is known.
    #[serde(default)]
    pub file_system: Option<String>,
    /// How much is still missing, as measured then: 0 when the goal is reached, null where that is not known, and while
    /// the run is under way.
    pub missing: Option<Quantity>,
}

/// How a run came out against `bootMenu.minFree`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[derive(schemars::JsonSchema)]
pub struct BootMenuOutcome {
    /// What the plan predicted.
    pub planned: BootReport,
    /// What was free on the file system of the menu after the run; null where that is not known, and while the run is under way.
    pub free: Option<Bytes>,
}

impl BootMenuOutcome {
    /// What is missing, if the goal is known to be missed.
    pub fn missing(&self) -> Option<Bytes> {
        let missing = self.planned.min_free.0.saturating_sub(self.free?.0);
        Some(Bytes(missing)).filter(|missing| missing.0 > 0)
    }
}

impl BudgetOutcome {
    /// Of a run that is under way.
    pub fn pending(planned: BudgetReport) -> Self {
        Self {
            planned,
            after: DiskUsage::default(),
            rounds: Vec::new(),
            ended: None,
            file_system: None,
            missing: None,
        }
    }

    /// Whether the goal is known to be reached.
    pub fn is_reached(&self) -> bool {
        self.missing == Some(Quantity(0))
    }
}

/// The form of a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum ReceiptSchema {
    /// The present one. The first one had other names for some fields, and is still read.
    #[serde(rename = "nix-prune/receipt/2", alias = "nix-prune/receipt/1")]
    V2,
}

/// One action and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[derive(schemars::JsonSchema)]
pub struct Entry {
    /// What was to be done.
    pub action: Action,
    /// How much it could hurt.
    pub risk: RiskLevel,
    /// What became of it.
    pub outcome: Outcome,
    /// When that was settled.
    pub at: Option<Timestamp>,
    /// What there is to say about it.
    pub detail: Option<String>,
    /// What undoes it; `None` for what cannot be undone.
    pub undo: Option<Undo>,
    /// The run that undid it.
    pub undone_by: Option<RunId>,
    /// What it found out: the bytes that an optimisation saved, or the paths that a check found damaged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
}

/// What became of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[derive(schemars::JsonSchema)]
pub enum Outcome {
    /// Not begun, or begun and interrupted.
    Pending,
    /// Done.
    Done,
    /// Not done, because the world was not what the plan had relied on.
    Stale,
    /// Not removed after all: the budget did not need it, or would have gained nothing by it.
    Retained,
    /// Tried in vain.
    Failed,
    /// Not tried.
    Skipped,
}

impl Outcome {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 6] = [
        Self::Done,
        Self::Retained,
        Self::Stale,
        Self::Failed,
        Self::Skipped,
        Self::Pending,
    ];
}

/// What undoes an action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
#[derive(schemars::JsonSchema)]
pub enum Undo {
    /// Make the generation's link again; its closure is held until then.
    #[serde(rename_all = "camelCase")]
    RestoreGeneration {
        /// The root that holds the closure.
        #[schemars(with = "String")]
        hold: Utf8PathBuf,
        /// When the hold ends.
        until: Timestamp,
    },
    /// Make the root's entry again.
    RestoreRoot,
    /// Make the root's link again; its closure is held until then.
    #[serde(rename_all = "camelCase")]
    RestoreLink {
        /// The root that holds the closure.
        #[schemars(with = "String")]
        hold: Utf8PathBuf,
        /// When the hold ends.
        until: Timestamp,
    },
    /// Nothing was removed: the former target of a vanished root is held.
    #[serde(rename_all = "camelCase", alias = "kept")]
    Held {
        /// The root that holds the closure.
        #[schemars(with = "String")]
        hold: Utf8PathBuf,
        /// When the hold ends.
        until: Timestamp,
    },
}

/// What was freed, three ways; unknown is `None`, never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[derive(schemars::JsonSchema)]
pub struct FreedBytes {
    /// What the plan expected.
    pub predicted: Option<Bytes>,
    /// Whether that was only the most that is freed.
    #[serde(default)]
    pub predicted_at_most: bool,
    /// What Nix reported, as exactly as its line can be read.
    pub reported: Option<Bytes>,
    /// The free space of the store's file system, after minus before, once it counts all that was freed. What Nix's own
    /// database and its reserve take counts as if it had not changed; others write to the file system too.
    pub measured: Option<i64>,
    /// How many store paths Nix reported as deleted.
    pub paths: Option<u64>,
}

impl Receipt {
    /// Whether the run never came to its end.
    pub fn is_interrupted(&self) -> bool {
        self.finished_at.is_none()
    }

    /// How many entries came out so.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.entries.iter().filter(|e| e.outcome == outcome).count()
    }

    /// Whether anything is gone or back that was not before. Collections, optimisations and checks are done whether they find
    /// something or not.
    pub fn has_changed_anything(&self) -> bool {
        let changes = |entry: &Entry| match entry.action {
            Action::Collect(_) | Action::Optimise(_) | Action::Verify { .. } => false,
            _ => entry.outcome == Outcome::Done,
        };
        self.bytes.paths.is_some_and(|paths| paths > 0) || self.entries.iter().any(changes)
    }

    /// Whether the collection may have left files of paths whose rows are gone: a direct one deletes rows first. `None` where that hangs
    /// on the run before.
    pub fn left_files(&self) -> Option<bool> {
        let mut entries = self.entries.iter();
        let (entry, facts) = entries.find_map(|entry| Some((entry, entry.action.collection()?)))?;
        match entry.outcome {
            Outcome::Done if facts.registered_before.is_none() && self.budget.is_none() => {
                Some(false)
            }
            Outcome::Done | Outcome::Stale | Outcome::Retained => None,
            // Where it was refused or failed by itself, the files of every deleted row are gone.
            Outcome::Failed if !self.stopped => None,
            // The run was stopped before it. After a run that was killed, it is not known whether it was begun.
            Outcome::Skipped if self.stopped => None,
            Outcome::Pending | Outcome::Failed | Outcome::Skipped => {
                (facts.method == CollectMethod::Direct).then_some(true)
            }
        }
    }

    /// Whether a goal of the job is known to be missed, or not known to be reached.
    pub fn misses_goal(&self) -> bool {
        let budget = self.budget.as_ref();
        let menu = self.boot_menu.as_ref();
        budget.is_some_and(|budget| !budget.is_reached())
            || menu.is_some_and(|menu| menu.missing().is_some())
    }

    /// Whether something could not be done. A check that found damage was done.
    pub fn has_failures(&self) -> bool {
        let failed = |entry: &Entry| entry.outcome == Outcome::Failed && entry.damage().is_none();
        self.entries.iter().any(failed)
    }

    /// How far the database had come before the store was optimised, if that was completed.
    pub fn optimised(&self) -> Option<Registrations> {
        self.entries.iter().find_map(|entry| match &entry.report {
            Some(Report::Optimised(done)) if entry.outcome == Outcome::Done => done.registrations,
            _ => None,
        })
    }

    /// The entries that can still be put back.
    pub fn undoable(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|e| e.is_undoable())
    }
}

impl Undo {
    /// The hold that it needs, and when that ends.
    pub fn hold(&self) -> Option<(&Utf8PathBuf, Timestamp)> {
        match self {
            Self::RestoreGeneration { hold, until }
            | Self::RestoreLink { hold, until }
            | Self::Held { hold, until } => Some((hold, *until)),
            Self::RestoreRoot => None,
        }
    }
}

impl Entry {
    /// The damage that it found.
    pub fn damage(&self) -> Option<&Verified> {
        match &self.report {
            Some(Report::Verified(found)) if !found.is_sound() => Some(found),
            _ => None,
        }
    }

    /// Whether it was done, can be undone, and was not undone yet.
    pub fn is_undoable(&self) -> bool {
        let puts_back = match self.undo {
            Some(Undo::RestoreGeneration { .. } | Undo::RestoreRoot | Undo::RestoreLink { .. }) => {
                true
            }
            Some(Undo::Held { .. }) | None => false,
        };
        puts_back && self.outcome == Outcome::Done && self.undone_by.is_none()
    }

    /// The hold that it made in `run`, or was to make.
    pub fn hold(&self, run: &RunId) -> Option<HoldFacts> {
        let (link, until) = self.undo.as_ref()?.hold()?;
        let (store_path, held) = match &self.action {
            Action::RemoveGeneration(facts) => (facts.store_path.clone(), facts.held()),
            Action::RemoveRootLink(facts) => {
                let root = facts.link.clone();
                (facts.store_path.clone(), Held::Root { root })
            }
            Action::HoldRoot(facts) => {
                let root = facts.link.clone();
                (facts.store_path.clone(), Held::Root { root })
            }
            _ => return None,
        };
        Some(HoldFacts {
            run: run.clone(),
            link: link.clone(),
            store_path,
            held,
            until,
        })
    }
}

#[cfg(test)]
mod tests;
