//! The document of `config import --json`.

use schemars::JsonSchema;
use serde::Serialize;

/// Settings imported from another tool.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigImportDocument {
    /// Schema and version of the document.
    #[schemars(extend("const" = "nix-prune/config-import/1"))]
    pub schema: &'static str,
    /// The settings, as `config schema` describes them.
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// The differences from the other tool.
    pub notes: Vec<NoteDocument>,
}

/// One difference between the settings and the other tool.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NoteDocument {
    /// The flag or key.
    pub about: String,
    /// The kind of difference.
    pub kind: NoteKindDocument,
    /// The difference in words.
    pub message: String,
}

/// The kind of a difference.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum NoteKindDocument {
    /// nix-prune has no equivalent; it is left out.
    NoEquivalent,
    /// It has another meaning in nix-prune.
    Different,
    /// The settings keep more than the other tool.
    KeepsMore,
    /// The settings delete more dead store paths than the other tool, never a generation or a root.
    DeletesMore,
}

/// The document of imported settings.
pub fn config_import(
    settings: serde_json::Map<String, serde_json::Value>,
    notes: Vec<NoteDocument>,
) -> ConfigImportDocument {
    ConfigImportDocument {
        schema: "nix-prune/config-import/1",
        settings,
        notes,
    }
}
