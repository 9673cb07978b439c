//! Items of a plan: what was seen, and what becomes of it.

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

use super::action::Action;
use crate::domain::leftover::{LeftoverClass, LeftoverSum};
use crate::domain::measure::{Bytes, Timestamp};
use crate::domain::profile::{GenerationNumber, Owner, ProfilePath};
use crate::domain::retention::{Reason, Reasons};
use crate::domain::risk::RiskLevel;
use crate::domain::root::RootKind;
use crate::domain::snapshot::Held;

/// Something that was seen, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// What it is.
    pub subject: Subject,
    /// The size of the store paths that only this item keeps alive, by NAR size; null where that was not computed.
    pub exclusive_bytes: Option<Bytes>,
    /// What becomes of it.
    #[serde(flatten)]
    pub decision: Decision,
}

/// What an item is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(
    tag = "kind",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum Subject {
    /// A generation.
    Generation {
        /// Its profile.
        profile: ProfilePath,
        /// Its number.
        number: GenerationNumber,
        /// The text of its link.
        #[schemars(with = "String")]
        target: Utf8PathBuf,
        /// The time of its link.
        created: Timestamp,
    },
    /// A dangling root.
    Root {
        /// The link that it names.
        #[schemars(with = "String")]
        link: Utf8PathBuf,
        /// The entry that names it.
        #[schemars(with = "Option<String>")]
        entry: Option<Utf8PathBuf>,
        /// Where it comes from.
        origin: RootKind,
    },
    /// A link in the directory of a user that is a root.
    RootLink {
        /// The link.
        #[schemars(with = "String")]
        link: Utf8PathBuf,
        /// Where it comes from.
        origin: RootKind,
        /// Whose link it is.
        owner: Option<Owner>,
        /// The time of the link.
        made_at: Option<Timestamp>,
    },
    /// A hold.
    Hold {
        /// Its link.
        #[schemars(with = "String")]
        link: Utf8PathBuf,
        /// What it takes the place of.
        #[serde(flatten)]
        held: Held,
        /// When its undo window ends.
        until: Timestamp,
    },
    /// Files of Nix beside the store, of one class in one directory.
    Leftovers {
        /// Their class.
        class: LeftoverClass,
        /// The directory.
        #[schemars(with = "String")]
        dir: Utf8PathBuf,
        /// Whose directory it is.
        owner: Owner,
        /// Those that are old enough, and that nothing uses.
        old: LeftoverSum,
        /// All others, which are kept.
        kept: LeftoverSum,
        /// When the oldest of those that are old enough was last used.
        oldest: Option<Timestamp>,
    },
}

impl Subject {
    /// The link that keeps store paths alive; for leftovers their directory, which keeps none.
    pub fn link(&self) -> Utf8PathBuf {
        match self {
            Self::Generation {
                profile, number, ..
            } => profile.link(*number),
            Self::Root { link, .. } | Self::RootLink { link, .. } | Self::Hold { link, .. } => {
                link.clone()
            }
            Self::Leftovers { dir, .. } => dir.clone(),
        }
    }
}

/// What becomes of an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "verdict", rename_all = "camelCase")]
pub enum Decision {
    /// It is kept.
    Keep {
        /// All reasons.
        reasons: Reasons,
    },
    /// It is removed.
    Remove(Removal),
}

/// The removal of an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Removal {
    /// The rule that removes it.
    pub rule: RemovalRule,
    /// How much the removal can hurt.
    pub risk: RiskLevel,
    /// The action that removes it.
    pub action: Action,
}

/// The rule that removes an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum RemovalRule {
    /// No keep rule keeps the generation.
    NoRuleKeepsIt,
    /// `roots.removedUsers`: the account of its owner is gone.
    OwnerRemoved,
    /// `roots.dangling`: the root's link is gone.
    Dangling,
    /// A rule of `roots.rules`.
    RootRule,
    /// The undo window has ended.
    WindowEnded,
    /// The undo window is open, and the budget needs the space now.
    NeededNow,
    /// `leftovers`: it is older than the age of its class, and nothing uses it.
    Leftover,
}

impl Decision {
    /// The reasons to keep an item; none where it is removed.
    pub fn reasons(&self) -> impl Iterator<Item = &Reason> {
        let reasons = match self {
            Self::Keep { reasons } => Some(reasons.iter()),
            Self::Remove(_) => None,
        };
        reasons.into_iter().flatten()
    }
}

impl Item {
    /// Keeps it.
    pub fn keep(&mut self, reason: Reason) {
        let reasons = Reasons::one(reason);
        self.decision = Decision::Keep { reasons };
    }

    /// Its removal, if it is removed.
    pub fn removal(&self) -> Option<&Removal> {
        match &self.decision {
            Decision::Remove(removal) => Some(removal),
            Decision::Keep { .. } => None,
        }
    }

    /// Whether its action removes this very item. Read from a file, an item could show one generation and remove another.
    pub(super) fn is_consistent(&self) -> bool {
        let Some(removal) = self.removal() else {
            return true;
        };
        match (&self.subject, &removal.action) {
            (
                Subject::Generation {
                    profile,
                    number,
                    target,
                    created,
                },
                Action::RemoveGeneration(facts),
            ) => {
                facts.profile == *profile
                    && facts.number == *number
                    && facts.target == *target
                    && facts.created == *created
            }
            (Subject::Root { link, entry, .. }, Action::RemoveRoot(facts)) => {
                facts.link == *link && Some(&facts.entry) == entry.as_ref()
            }
            (Subject::RootLink { link, .. }, Action::RemoveRootLink(facts)) => facts.link == *link,
            (
                Subject::Leftovers {
                    class,
                    dir,
                    owner,
                    old,
                    ..
                },
                Action::RemoveLeftovers(facts),
            ) => (&facts.class, &facts.dir, &facts.owner, &facts.old) == (class, dir, owner, old),
            (Subject::Hold { link, held, until }, action) => action
                .released_hold()
                .is_some_and(|hold| (&hold.link, &hold.held, &hold.until) == (link, held, until)),
            _ => false,
        }
    }
}
