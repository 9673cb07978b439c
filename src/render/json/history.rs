use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::job::JobName;
use crate::domain::measure::Timestamp;
use crate::domain::receipt::{Entry, FreedBytes, Outcome, Receipt, RunId, RunKind, Undo};

/// The runs on record.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryDocument {
    /// The document's form.
    #[schemars(extend("const" = "nix-prune/history/1"))]
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
    /// What it was.
    pub kind: RunKind,
    /// The job it carried out.
    pub job: Option<JobName>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; null while it is under way, and after it was interrupted.
    pub finished_at: Option<Timestamp>,
    /// How many actions were done.
    pub done: usize,
    /// How many actions failed.
    pub failed: usize,
    /// How many actions were not done, because the world had changed.
    pub stale: usize,
    /// How many actions were not tried.
    pub skipped: usize,
    /// How many actions were not begun, or begun and interrupted.
    pub pending: usize,
    /// How many problems kept something from being done.
    pub refused: usize,
    /// How many actions can still be undone.
    pub undoable: usize,
    /// What was freed.
    pub bytes: FreedBytes,
}

/// The runs, with what can be undone at `now`.
pub fn history(receipts: &[Receipt], now: Timestamp) -> HistoryDocument {
    let run = |receipt: &Receipt| RunDocument {
        run: receipt.run.clone(),
        kind: receipt.kind.clone(),
        job: receipt.job.clone(),
        started_at: receipt.started_at,
        finished_at: receipt.finished_at,
        done: receipt.count(Outcome::Done),
        failed: receipt.count(Outcome::Failed),
        stale: receipt.count(Outcome::Stale),
        skipped: receipt.count(Outcome::Skipped),
        pending: receipt.count(Outcome::Pending),
        refused: receipt.refused.len(),
        undoable: receipt.undoable().filter(|e| is_open(e, now)).count(),
        bytes: receipt.bytes,
    };
    HistoryDocument {
        schema: "nix-prune/history/1",
        runs: receipts.iter().map(run).collect(),
    }
}

/// Whether an entry's undo window, if it has one, is open.
pub(in crate::render) fn is_open(entry: &Entry, now: Timestamp) -> bool {
    match &entry.undo {
        Some(Undo::RestoreGeneration { until, .. } | Undo::Kept { until, .. }) => *until > now,
        Some(Undo::RestoreRoot) => true,
        None => false,
    }
}
