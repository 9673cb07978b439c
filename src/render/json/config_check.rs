//! The document of `config check --json`.

use schemars::JsonSchema;
use serde::Serialize;

/// What is wrong with settings.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigCheckDocument {
    /// Schema and version of the document.
    #[schemars(extend("const" = "nix-prune/config-check/1"))]
    pub schema: &'static str,
    /// Whether the settings can be used, at the level that was asked for.
    pub valid: bool,
    /// What is wrong or doubtful.
    pub findings: Vec<FindingDocument>,
    /// What was taken for something else than was written.
    pub changes: Vec<ChangeDocument>,
}

/// One thing that is wrong or doubtful.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FindingDocument {
    /// The file; null for what several files mean together.
    pub file: Option<String>,
    /// How bad it is.
    pub severity: SeverityDocument,
    /// Its name; stable.
    pub code: String,
    /// The place in the document, as a JSON pointer (RFC 6901).
    pub pointer: String,
    /// The line of the text, from 1.
    pub line: Option<usize>,
    /// The byte in the line, from 1.
    pub column: Option<usize>,
    /// What is wrong, with the value.
    pub message: String,
    /// What to write instead.
    pub hint: String,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SeverityDocument {
    /// The settings can be used, and somebody should look at this.
    Warning,
    /// The settings cannot be used.
    Error,
}

/// One thing that was changed while it was read.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangeDocument {
    /// The file.
    pub file: String,
    /// The place in the document, as a JSON pointer (RFC 6901).
    pub pointer: String,
    /// What was changed about it: blanks, duplicate or clamped.
    pub kind: String,
    /// What was written.
    pub from: String,
    /// What it was taken for; null for what was left out.
    pub to: Option<String>,
}

/// The document of a check.
pub fn config_check(
    valid: bool,
    findings: Vec<FindingDocument>,
    changes: Vec<ChangeDocument>,
) -> ConfigCheckDocument {
    ConfigCheckDocument {
        schema: "nix-prune/config-check/1",
        valid,
        findings,
        changes,
    }
}
