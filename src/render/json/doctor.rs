//! The document of `doctor --json`.

use schemars::JsonSchema;
use serde::Serialize;

/// The results of all checks.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DoctorDocument {
    /// Schema and version of the document.
    #[schemars(extend("const" = "nix-prune/doctor/2"))]
    pub schema: &'static str,
    /// Whether there are no errors; warnings do not count.
    pub ok: bool,
    /// All checks.
    pub checks: Vec<CheckDocument>,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckDocument {
    /// Its name: nix, settings, state, records, roots, store or jobs.
    pub name: String,
    /// Its result.
    pub state: CheckState,
    /// Description of the result.
    pub message: String,
    /// What to do; null if there is nothing to do.
    pub hint: Option<String>,
}

/// Result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CheckState {
    /// No problem.
    Ok,
    /// A problem that does not keep a job from its work.
    Warning,
    /// A job cannot run, or cannot do all of its work.
    Error,
}

/// The document of all checks.
pub fn doctor(checks: Vec<CheckDocument>) -> DoctorDocument {
    DoctorDocument {
        schema: "nix-prune/doctor/2",
        ok: checks.iter().all(|check| check.state != CheckState::Error),
        checks,
    }
}
