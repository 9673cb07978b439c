use schemars::JsonSchema;
use serde::Serialize;

/// Settings that were taken over from another tool.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigImportDocument {
    /// Schema and version of the document.
    #[schemars(extend("const" = "nix-prune/config-import/1"))]
    pub schema: &'static str,
    /// The settings, as `config schema` describes them.
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// What is not, or not quite, the same.
    pub notes: Vec<NoteDocument>,
}

/// One thing that is not the same.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NoteDocument {
    /// The flag or key.
    pub about: String,
    /// What is the matter with it.
    pub kind: NoteKindDocument,
    /// It in words.
    pub message: String,
}

/// What is the matter.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum NoteKindDocument {
    /// There is nothing here that does it, and it was left out.
    NoEquivalent,
    /// It means something else here.
    Different,
    /// More is kept than there.
    KeepsMore,
    /// More dead store paths are deleted than there; never a generation or a root.
    DeletesMore,
}

/// The document of what was taken over.
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
