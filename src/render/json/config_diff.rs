//! The document of `config diff --json`.

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::risk::RiskLevel;

/// What other settings would change.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigDiffDocument {
    /// Schema and version of the document.
    #[schemars(extend("const" = "nix-prune/config-diff/1"))]
    pub schema: &'static str,
    /// What the old settings are; unless they are valid, everything in the new ones counts as new.
    pub before: BeforeDocument,
    /// Whether the new settings can be used; not where they leave a critical path unprotected.
    pub valid: bool,
    /// Every change, the riskiest first.
    pub changes: Vec<DifferenceDocument>,
    /// The highest risk of all changes; null where there is none.
    pub risk: Option<RiskLevel>,
}

/// What the old settings are.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BeforeDocument {
    /// They can be used.
    Valid,
    /// There are none.
    Absent,
    /// They cannot be used.
    Invalid,
}

/// One thing that is different.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DifferenceDocument {
    /// Where, as a JSON pointer (RFC 6901): in the new settings, or in the old ones for what is gone.
    pub pointer: String,
    /// What held before; null for what was not there.
    pub old: Option<ValueDocument>,
    /// What holds after; null for what is not there any more.
    pub new: Option<ValueDocument>,
    /// How much it can hurt.
    pub risk: RiskLevel,
    /// The change in words.
    pub message: String,
}

/// A value, short enough for a line.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum ValueDocument {
    /// On or off.
    Switch(bool),
    /// A number.
    Number(u64),
    /// Anything else, in words.
    Text(String),
}

/// The document of a comparison.
pub fn config_diff(
    before: BeforeDocument,
    valid: bool,
    changes: Vec<DifferenceDocument>,
    risk: Option<RiskLevel>,
) -> ConfigDiffDocument {
    ConfigDiffDocument {
        schema: "nix-prune/config-diff/1",
        before,
        valid,
        changes,
        risk,
    }
}
