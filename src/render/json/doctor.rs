use schemars::JsonSchema;
use serde::Serialize;

/// What is in order, and what is not.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DoctorDocument {
    /// The document's form.
    #[schemars(extend("const" = "nix-prune/doctor/1"))]
    pub schema: &'static str,
    /// Whether nothing is wrong that keeps a job from running; warnings do not count.
    pub sound: bool,
    /// Everything that was looked at.
    pub checks: Vec<CheckDocument>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckDocument {
    /// What: nix, settings, state, records, roots, store or jobs.
    pub name: String,
    /// How it is.
    pub state: CheckState,
    /// What was found.
    pub message: String,
    /// What to do; null where there is nothing to do.
    pub hint: Option<String>,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CheckState {
    /// As it should be.
    Ok,
    /// Somebody should look at it.
    Warning,
    /// A job cannot run, or cannot do all of its work.
    Error,
}

/// The document of what was looked at.
pub fn doctor(checks: Vec<CheckDocument>) -> DoctorDocument {
    DoctorDocument {
        schema: "nix-prune/doctor/1",
        sound: checks.iter().all(|check| check.state != CheckState::Error),
        checks,
    }
}
