//! The document of a command with `--json` that failed.

use schemars::JsonSchema;
use serde::Serialize;

/// A failure; printed instead of the document that was asked for.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorDocument {
    /// Schema and version of the document.
    #[schemars(extend("const" = "nix-prune/error/1"))]
    pub schema: &'static str,
    /// The failure.
    pub error: FailureDocument,
}

/// What failed.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailureDocument {
    /// The code of the safety check that refused, such as roots.away; otherwise the name of the exit status, such as usage.
    pub code: String,
    /// What failed, on what, and why.
    pub message: String,
    /// What to do; null if there is no advice.
    pub hint: Option<String>,
    /// The exit status.
    pub exit: u8,
}

/// The document of a failure.
pub fn error(error: FailureDocument) -> ErrorDocument {
    let schema = "nix-prune/error/1";
    ErrorDocument { schema, error }
}
