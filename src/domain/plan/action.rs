//! Actions of a plan, and the facts that each relies on.

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

use crate::domain::collect::CollectMethod;
use crate::domain::graph::DeletionOrder;
use crate::domain::leftover::{LeftoverClass, LeftoverSum};
use crate::domain::maintenance::Registrations;
use crate::domain::measure::{Span, Timestamp};
use crate::domain::profile::{GenerationNumber, Owner, ProfileKind, ProfilePath};
use crate::domain::receipt::RunId;
use crate::domain::risk::RiskLevel;
use crate::domain::root::RootKind;
use crate::domain::root_rules::RuleNumber;
use crate::domain::root_use::LastUse;
use crate::domain::snapshot::{Held, Hold};
use crate::domain::store_path::StorePath;

/// One step of a plan, with the facts it relies on: where they do not hold any more, it is stale and not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Action {
    /// Hold the former target of a root that vanished since the last run.
    HoldRoot(VanishedFacts),
    /// Remove a generation of a profile.
    #[serde(alias = "dropGeneration")]
    RemoveGeneration(GenerationFacts),
    /// Remove an entry of `gcroots/auto` whose link is gone.
    RemoveRoot(RootFacts),
    /// Remove the link of a root.
    RemoveRootLink(RootLinkFacts),
    /// Release a hold.
    ReleaseHold(HoldFacts),
    /// Release a hold before its undo window ends, for a budget. This cannot be undone.
    ReleaseEarly(EarlyFacts),
    /// Remove files of Nix beside the store. This cannot be undone.
    RemoveLeftovers(LeftoverFacts),
    /// Collect garbage.
    Collect(CollectFacts),
    /// Refresh the boot menu, so that it lists the generations that there are.
    RefreshBootMenu(BootFacts),
    /// Hard-link equal files in the store.
    Optimise(OptimiseFacts),
    /// Check the store.
    Verify {
        /// Whether the contents of every path are read.
        contents: bool,
    },
    /// Restore a removed generation, with its number, target and time.
    RestoreGeneration(GenerationFacts),
    /// Restore an entry of `gcroots/auto`.
    RestoreRoot(RootFacts),
    /// Restore the link of a root, with its target and time.
    RestoreRootLink(RootLinkFacts),
}

/// Questions about records and plans. What an action does, and how, is in `crate::operations`.
impl Action {
    /// What is to be collected, if it collects.
    pub fn collection(&self) -> Option<&CollectFacts> {
        match self {
            Self::Collect(facts) => Some(facts),
            _ => None,
        }
    }

    /// The generation that it removes.
    pub fn removed_generation(&self) -> Option<&GenerationFacts> {
        match self {
            Self::RemoveGeneration(facts) => Some(facts),
            _ => None,
        }
    }

    /// The generation that it removes or restores.
    pub fn changed_generation(&self) -> Option<&GenerationFacts> {
        match self {
            Self::RemoveGeneration(facts) | Self::RestoreGeneration(facts) => Some(facts),
            _ => None,
        }
    }

    /// The root that it removes.
    pub fn removed_root(&self) -> Option<&RootFacts> {
        match self {
            Self::RemoveRoot(facts) => Some(facts),
            _ => None,
        }
    }

    /// The root whose link it removes.
    pub fn removed_root_link(&self) -> Option<&RootLinkFacts> {
        match self {
            Self::RemoveRootLink(facts) => Some(facts),
            _ => None,
        }
    }

    /// The link of a generation or root that it removes, and the store path that the link keeps alive.
    pub fn removed_link(&self) -> Option<(Utf8PathBuf, &StorePath<String>)> {
        match self {
            Self::RemoveGeneration(facts) => {
                Some((facts.profile.link(facts.number), &facts.store_path))
            }
            Self::RemoveRootLink(facts) => Some((facts.link.clone(), &facts.store_path)),
            _ => None,
        }
    }

    /// How long it is held before it is removed; `None` for what does not remove a link.
    pub fn promised_hold(&self) -> Option<Span> {
        match self {
            Self::RemoveGeneration(facts) => Some(facts.hold),
            Self::RemoveRootLink(facts) => Some(facts.hold),
            _ => None,
        }
    }

    /// The vanished root whose former target it holds.
    pub fn vanished_root(&self) -> Option<&VanishedFacts> {
        match self {
            Self::HoldRoot(facts) => Some(facts),
            _ => None,
        }
    }

    /// The leftovers that it removes.
    pub fn removed_leftovers(&self) -> Option<&LeftoverFacts> {
        match self {
            Self::RemoveLeftovers(facts) => Some(facts),
            _ => None,
        }
    }

    /// The hold that it releases.
    pub fn released_hold(&self) -> Option<&HoldFacts> {
        match self {
            Self::ReleaseHold(facts) => Some(facts),
            Self::ReleaseEarly(facts) => Some(&facts.hold),
            _ => None,
        }
    }

    /// Whether it removes, holds, releases or restores one thing, rather than work on the store.
    pub fn is_about_an_item(&self) -> bool {
        self.changed_generation().is_some()
            || self.released_hold().is_some()
            || self.vanished_root().is_some()
            || matches!(
                self,
                Self::RemoveRoot(_)
                    | Self::RestoreRoot(_)
                    | Self::RemoveRootLink(_)
                    | Self::RestoreRootLink(_)
                    | Self::RemoveLeftovers(_)
            )
    }
}

/// What is known of a generation that is removed or restored.
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

/// What is known of the system that refreshes the boot menu.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BootFacts {
    /// The target of the current generation of the profile `system`, which the machine boots by default afterwards.
    pub system: StorePath<String>,
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

/// What is known of the link of a root, which a rule removes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RootLinkFacts {
    /// The link.
    #[schemars(with = "String")]
    pub link: Utf8PathBuf,
    /// The entry of `gcroots/auto` that names it.
    #[schemars(with = "String")]
    pub entry: Utf8PathBuf,
    /// Its kind.
    pub origin: RootKind,
    /// Whose link it is; it is removed with this user's rights.
    pub owner: Owner,
    /// The text of the link.
    #[schemars(with = "String")]
    pub target: Utf8PathBuf,
    /// The store path behind it.
    pub store_path: StorePath<String>,
    /// The time of the link, to the nanosecond.
    pub made_at: Timestamp,
    /// The rule that removes it.
    pub rule: RuleNumber,
    /// Its last use.
    pub last_use: LastUse,
    /// Whether its project is gone.
    pub project_gone: bool,
    /// How long its closure is held; zero for not at all.
    pub hold: Span,
}

/// What is known of leftovers that are removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeftoverFacts {
    /// The class.
    pub class: LeftoverClass,
    /// The directory that they are in.
    #[schemars(with = "String")]
    pub dir: Utf8PathBuf,
    /// Whose directory it is.
    pub owner: Owner,
    /// Only entries that were last used before this time are removed.
    pub before: Timestamp,
    /// The entries that were old enough, and that nothing used.
    #[serde(flatten)]
    pub old: LeftoverSum,
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
    /// Whether it holds a system, as far as that is known; if it is unknown, it counts as one.
    pub system: bool,
}

/// What is to be collected, and how.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CollectFacts {
    /// How garbage is collected.
    #[serde(default)]
    pub method: CollectMethod,
    /// Only paths that were registered before this time are deleted, and no dependencies of younger ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered_before: Option<Timestamp>,
    /// The flakes whose locked inputs are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub keep_flake_inputs: Vec<Utf8PathBuf>,
    /// Whether what live paths were built with is kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep_build_dependencies: bool,
    /// Whether a budget deletes dead source trees before other dead paths.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sources_first: bool,
}

impl CollectFacts {
    /// The order in which a budget deletes dead paths.
    pub fn order(&self) -> DeletionOrder {
        if self.sources_first {
            DeletionOrder::SourcesFirst
        } else {
            DeletionOrder::OldestFirst
        }
    }
}

/// What is known of an optimisation.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OptimiseFacts {
    /// How far the database had come before the last optimisation; null where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Registrations>,
    /// How many paths were registered since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_paths: Option<u64>,
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

impl GenerationFacts {
    /// What a hold takes the place of after the removal.
    pub fn held(&self) -> Held {
        Held::Generation {
            profile: self.profile.clone(),
            number: self.number,
        }
    }
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
