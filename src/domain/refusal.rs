//! What could not be read or must not be believed, by name: it can stop a run, never widen it.

use serde::{Deserialize, Serialize};

/// The name of a refusal; stable, for scripts.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
pub enum RefusalCode {
    /// A directory or link of a profile could not be read.
    #[serde(rename = "profile.unreadable")]
    ProfileUnreadable,
    /// The current generation of a profile cannot be told.
    #[serde(rename = "profile.current-unknown")]
    CurrentUnknown,
    /// A profile that the settings name is not there.
    #[serde(rename = "profile.absent")]
    ProfileAbsent,
    /// A name in a profile's directory cannot be told apart from a generation.
    #[serde(rename = "profile.odd-name")]
    OddName,
    /// A directory of roots, or a root in it, could not be read.
    #[serde(rename = "roots.unreadable")]
    RootsUnreadable,
    /// Links in a home that is not there now lead to roots.
    #[serde(rename = "roots.away")]
    RootsAway,
    /// A generation is no root, so that a collection would take what it leads to.
    #[serde(rename = "profile.unrooted")]
    Unrooted,
    /// The record of pins could not be read.
    #[serde(rename = "pins.unreadable")]
    PinsUnreadable,
    /// The record of an earlier run could not be read, so that its holds are not known.
    #[serde(rename = "journal.unreadable")]
    JournalUnreadable,
    /// The list of users could not be read.
    #[serde(rename = "users.unreadable")]
    UsersUnreadable,
}

impl RefusalCode {
    /// Whether nothing may be collected while this stands.
    ///
    /// Only an odd name beside a profile's generations may: it is not touched, Nix sees it as the root that it is,
    /// and no generation was mistaken for it.
    pub fn stops_collection(self) -> bool {
        !matches!(self, Self::OddName)
    }
}

/// One thing that was refused.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct Refusal {
    /// Its name.
    pub code: RefusalCode,
    /// What happened, to what.
    pub message: String,
    /// What to do now.
    pub hint: String,
}
