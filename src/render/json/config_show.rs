//! The document of `config show --json`.

use schemars::JsonSchema;
use serde::Serialize;

use super::FindingDocument;

/// The effective settings.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigShowDocument {
    /// Schema and version of the document.
    #[schemars(extend("const" = "nix-prune/config-show/1"))]
    pub schema: &'static str,
    /// The files that they come from, the one that counts least first; none where the built-in settings hold.
    pub files: Vec<String>,
    /// The job that is taken where none is named; null where one must be.
    pub default_job: Option<String>,
    /// The settings, as `config schema` describes them.
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// Every value of them, and where it comes from.
    pub values: Vec<ShownDocument>,
    /// What comes of the meeting of several files.
    pub findings: Vec<FindingDocument>,
}

/// One value.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShownDocument {
    /// The place in the settings, as a JSON pointer (RFC 6901).
    pub pointer: String,
    /// A text, a number, a switch, or an empty list or object.
    pub value: serde_json::Value,
    /// Where it comes from.
    pub from: OriginDocument,
    /// The file, the variable or the flag; null for what has no name.
    pub name: Option<String>,
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OriginDocument {
    /// Nobody wrote it.
    Default,
    /// The settings that hold where there is no file.
    BuiltIn,
    /// A file.
    File,
    /// A variable.
    Environment,
    /// A flag.
    Flag,
    /// The policy, which overrides everything else.
    Policy,
    /// The safe mode, which overrides everything else.
    SafeMode,
}

/// The document of settings; the caller says the rest.
pub fn config_show(settings: serde_json::Map<String, serde_json::Value>) -> ConfigShowDocument {
    ConfigShowDocument {
        schema: "nix-prune/config-show/1",
        files: Vec::new(),
        default_job: None,
        settings,
        values: Vec::new(),
        findings: Vec::new(),
    }
}
