//! Actions of a plan, and the facts that each relies on.

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

use crate::domain::collect::CollectMethod;
use crate::domain::measure::{Span, Timestamp};
use crate::domain::profile::{GenerationNumber, Owner, ProfileKind, ProfilePath};
use crate::domain::receipt::RunId;
use crate::domain::risk::RiskLevel;
use crate::domain::snapshot::{Held, Hold};
use crate::domain::store_path::StorePath;

/// One step of a plan, with the facts it relies on: where they do not hold any more, it is stale and not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Action {
    /// Hold what a root kept that is gone since the last run.
    HoldRoot(VanishedFacts),
    /// Drop a generation of a profile.
    DropGeneration(GenerationFacts),
    /// Remove an entry of `gcroots/auto` whose link is gone.
    RemoveRoot(RootFacts),
    /// End a hold.
    ReleaseHold(HoldFacts),
    /// End a hold before its time, for a budget. Nothing brings back what it held.
    ReleaseEarly(EarlyFacts),
    /// Let Nix collect garbage.
    Collect(CollectFacts),
    /// Let Nix hard-link equal files in the store.
    Optimise,
    /// Let Nix check the store.
    Verify {
        /// Whether the contents of every path are read.
        contents: bool,
    },
    /// Put a dropped generation back, with its number, target and time.
    RestoreGeneration(GenerationFacts),
    /// Put an entry of `gcroots/auto` back.
    RestoreRoot(RootFacts),
}

impl Action {
    /// What is to be collected, if it collects.
    pub fn collection(&self) -> Option<&CollectFacts> {
        match self {
            Self::Collect(facts) => Some(facts),
            _ => None,
        }
    }
}

/// What is known of a generation that goes or comes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GenerationFacts {
    /// The profile.
    pub profile: ProfilePath,
    /// What the profile is for.
    pub profile_kind: ProfileKind,
    /// Whose directory it lies in; `nix-env` runs as this user.
    pub owner: Owner,
    /// The generation's number.
    pub number: GenerationNumber,
    /// The text of its link.
    #[schemars(with = "String")]
    pub target: Utf8PathBuf,
    /// The store path behind it.
    pub store_path: StorePath<String>,
    /// The time of its link, to the nanosecond.
    pub created: Timestamp,
    /// The generation that was current.
    pub current: GenerationNumber,
    /// How long its closure is held; zero for not at all.
    pub hold: Span,
}

/// What is known of an entry of `gcroots/auto`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RootFacts {
    /// The entry.
    #[schemars(with = "String")]
    pub entry: Utf8PathBuf,
    /// The link that the entry names.
    #[schemars(with = "String")]
    pub link: Utf8PathBuf,
}

/// What is known of a root that is gone since the last run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VanishedFacts {
    /// The link that it was.
    #[schemars(with = "String")]
    pub link: Utf8PathBuf,
    /// The store path that it led to.
    pub store_path: StorePath<String>,
    /// How long that is held.
    pub hold: Span,
}

/// What is known of a hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HoldFacts {
    /// The run that made it.
    pub run: RunId,
    /// Its link.
    #[schemars(with = "String")]
    pub link: Utf8PathBuf,
    /// What it holds.
    pub store_path: StorePath<String>,
    /// What it takes the place of.
    #[serde(flatten)]
    pub held: Held,
    /// When its window ends.
    pub until: Timestamp,
}

/// What is known of a hold whose window is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EarlyFacts {
    /// The hold.
    #[serde(flatten)]
    pub hold: HoldFacts,
    /// Whether it holds a system, as far as that can be told; what cannot be told counts as one.
    pub system: bool,
}

/// What is to be collected, and how.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct CollectFacts {
    /// How garbage is collected.
    #[serde(default)]
    pub method: CollectMethod,
    /// Only what was registered before this time goes, and not what anything younger needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered_before: Option<Timestamp>,
}

/// An action with its risk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PlannedAction {
    /// The action.
    #[serde(flatten)]
    pub action: Action,
    /// How much it can hurt.
    pub risk: RiskLevel,
}

impl From<&Hold> for HoldFacts {
    fn from(hold: &Hold) -> Self {
        Self {
            run: hold.run.clone(),
            link: hold.link.clone(),
            store_path: hold.store_path.clone(),
            held: hold.held.clone(),
            until: hold.until,
        }
    }
}
