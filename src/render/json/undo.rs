//! The document of `undo --dry-run --json`.

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::measure::Timestamp;
use crate::domain::plan::Action;
use crate::domain::receipt::RunId;
use crate::domain::undo::UndoPreview;

/// What an undo would restore.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UndoDocument {
    /// Schema and version of the document.
    #[schemars(extend("const" = "nix-prune/undo/1"))]
    pub schema: &'static str,
    /// The run.
    pub run: RunId,
    /// When the run began.
    pub started_at: Timestamp,
    /// What would be restored, in order.
    pub items: Vec<UndoItemDocument>,
}

/// A generation or root.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UndoItemDocument {
    /// What restores it.
    pub action: Action,
    /// Why that may fail; null if nothing is known to prevent it.
    pub obstacle: Option<String>,
}

/// The document of a preview.
pub fn undo(preview: &UndoPreview) -> UndoDocument {
    let items = preview.items.iter().map(|item| UndoItemDocument {
        action: item.action.clone(),
        obstacle: item.obstacle.clone(),
    });
    UndoDocument {
        schema: "nix-prune/undo/1",
        run: preview.run.clone(),
        started_at: preview.started_at,
        items: items.collect(),
    }
}
