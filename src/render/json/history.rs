//! The document of `history --json`.

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::job::JobName;
use crate::domain::measure::Timestamp;
use crate::domain::receipt::{Entry, FreedBytes, Outcome, Receipt, RunId, RunKind};
use crate::domain::unusual::{Deviation, deviations};

/// The recorded runs.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryDocument {
    /// Schema and version of the document.
    #[schemars(extend("const" = "nix-prune/history/2"))]
    pub schema: &'static str,
    /// Every run, from the oldest.
    pub runs: Vec<RunDocument>,
}

/// A run.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunDocument {
    /// Its name.
    pub run: RunId,
    /// Its kind.
    pub kind: RunKind,
    /// The job.
    pub job: Option<JobName>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; null while it is running, and after an interruption.
    pub finished_at: Option<Timestamp>,
    /// Whether somebody stopped it before its end.
    pub stopped: bool,
    /// Number of completed actions.
    pub done: usize,
    /// Number of failed actions.
    pub failed: usize,
    /// Number of actions skipped because their facts changed since the plan.
    pub stale: usize,
    /// Number of actions not tried.
    pub skipped: usize,
    /// Number of actions not started, or interrupted.
    pub pending: usize,
    /// Number of failed safety checks.
    pub failed_checks: usize,
    /// Number of actions that can still be undone.
    pub restorable: usize,
    /// Freed space.
    pub bytes: FreedBytes,
    /// How it differs from the earlier runs of its job; null where it is not compared with them: it is no run of a job, it was
    /// interrupted or stopped, an action failed, or fewer than eight such runs were before it.
    pub unusual: Option<Vec<Deviation>>,
}

/// The runs, from the oldest, with what can be undone at `now`.
pub fn history(receipts: &[Receipt], now: Timestamp) -> HistoryDocument {
    let run = |(receipt, unusual): (&Receipt, _)| RunDocument {
        run: receipt.run.clone(),
        kind: receipt.kind.clone(),
        job: receipt.job.clone(),
        started_at: receipt.started_at,
        finished_at: receipt.finished_at,
        stopped: receipt.stopped,
        done: receipt.count(Outcome::Done),
        failed: receipt.count(Outcome::Failed),
        stale: receipt.count(Outcome::Stale),
        skipped: receipt.count(Outcome::Skipped),
        pending: receipt.count(Outcome::Pending),
        failed_checks: receipt.failed_checks.len(),
        restorable: receipt.undoable().filter(|e| is_open(e, now)).count(),
        bytes: receipt.bytes,
        unusual,
    };
    let runs = receipts.iter().zip(deviations(receipts));
    HistoryDocument {
        schema: "nix-prune/history/2",
        runs: runs.map(run).collect(),
    }
}

/// Whether an entry's undo window, if it has one, is open.
pub(in crate::render) fn is_open(entry: &Entry, now: Timestamp) -> bool {
    match &entry.undo {
        Some(undo) => undo.hold().is_none_or(|(_, until)| until > now),
        None => false,
    }
}
