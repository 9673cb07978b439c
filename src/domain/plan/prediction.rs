//! What a plan was made by, and what it is expected to free.

use serde::{Deserialize, Serialize};

use crate::domain::measure::Bytes;
use crate::domain::note::Note;
use crate::domain::profile::{GenerationNumber, Owner, ProfilePath};
use crate::domain::retention::KeepRules;

/// The keep rules of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedKeep {
    /// The rules.
    pub rules: KeepRules,
    /// Whether they were given for this run, in place of the job's rules.
    pub overrides_job: bool,
}

/// A profile of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedProfile {
    /// The profile.
    pub profile: ProfilePath,
    /// Whose it is.
    pub owner: Owner,
    /// Its current generation, if it is known.
    pub current: Option<GenerationNumber>,
    /// The store paths that only its removed generations keep alive together, by NAR size; null where that was not computed.
    pub frees: Option<Bytes>,
}

/// What is expected to be freed; unknown is null.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Prediction {
    /// By NAR size.
    pub nar_bytes: Option<Bytes>,
    /// On disk.
    pub disk_bytes: Option<Bytes>,
    /// Whether `diskBytes` is an upper bound.
    pub disk_bytes_at_most: bool,
    /// How many store paths.
    pub paths: Option<u64>,
    /// What is freed besides when the holds of what is removed end.
    pub when_windows_end: Option<Later>,
    /// What the links of roots that are removed keep together, by NAR size.
    pub root_links: Option<Bytes>,
    /// What only the open holds of earlier runs keep.
    pub open_holds: Option<Later>,
    /// What a reader should know about these figures.
    pub notes: Vec<Note>,
}

/// What is freed later, if nothing else changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Later {
    /// By NAR size.
    pub nar_bytes: Bytes,
    /// How many store paths.
    pub paths: u64,
}
