//! The document of `config migrate --json`.

use schemars::JsonSchema;
use serde::Serialize;

/// What became of settings that were to be migrated.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMigrateDocument {
    /// Schema and version of the document.
    #[schemars(extend("const" = "nix-prune/config-migrate/1"))]
    pub schema: &'static str,
    /// Every file, the one that counts least first.
    pub files: Vec<MigratedDocument>,
}

/// What became of one file.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MigratedDocument {
    /// The file.
    pub file: String,
    /// The version that it was of.
    pub from: i64,
    /// The version that its text is of now.
    pub to: i64,
    /// Where the old text is kept; null where nothing was written.
    pub backup: Option<String>,
    /// What was done to the text, in sentences.
    pub steps: Vec<String>,
}

/// The document of a migration.
pub fn config_migrate(files: Vec<MigratedDocument>) -> ConfigMigrateDocument {
    ConfigMigrateDocument {
        schema: "nix-prune/config-migrate/1",
        files,
    }
}
