//! Notes: what a reader should know and need not act on.

use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

/// A note: a code for scripts, and a text for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Note {
    /// What it is about.
    pub code: NoteCode,
    /// The sentence.
    pub text: String,
}

/// What a note is about. A code never changes its meaning; codes may be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum NoteCode {
    /// How much is freed is not known.
    #[serde(rename = "freed.unknown")]
    FreedUnknown,
    /// The bytes freed on disk are an upper bound.
    #[serde(rename = "freed.at-most")]
    FreedAtMost,
    /// The bytes freed on disk are a lower bound: some files could not be read.
    #[serde(rename = "freed.at-least")]
    FreedAtLeast,
    /// Snapshots or copies share some of the bytes on disk.
    #[serde(rename = "freed.shared")]
    FreedShared,
    /// Dead paths are kept by `keepRecent`.
    #[serde(rename = "dead.recent")]
    DeadRecent,
    /// Dead paths are kept by `keepFlakeInputs`.
    #[serde(rename = "dead.flake-inputs")]
    DeadFlakeInputs,
    /// Dead paths are kept by `keepBuildDependencies`.
    #[serde(rename = "dead.build-dependencies")]
    DeadBuildDependencies,
    /// Names in the store directory but not in the database are deleted as well.
    #[serde(rename = "dead.unregistered")]
    DeadUnregistered,
    /// Roots may be missing, so that fewer paths may be dead.
    #[serde(rename = "dead.at-most")]
    DeadAtMost,
    /// The list of roots may be incomplete.
    #[serde(rename = "roots.incomplete")]
    RootsIncomplete,
    /// Roots of other users are not readable; the daemon reads them.
    #[serde(rename = "roots.unseen")]
    RootsUnseen,
    /// Roots vanished since the last run, and their store paths still exist.
    #[serde(rename = "roots.vanished")]
    RootsVanished,
    /// Nix's collector removes entries of roots that the plan keeps.
    #[serde(rename = "roots.removed-by-nix")]
    RootsRemovedByNix,
    /// The store paths were read from nix-daemon.
    #[serde(rename = "store.from-daemon")]
    StoreFromDaemon,
    /// The store directory could not be read.
    #[serde(rename = "store.unreadable")]
    StoreUnreadable,
    /// Nix could not be asked for its settings.
    #[serde(rename = "nix.settings-unknown")]
    NixSettingsUnknown,
    /// The sizes are not known.
    #[serde(rename = "sizes.unknown")]
    SizesUnknown,
    /// The environment of this very command keeps the path alive.
    #[serde(rename = "why.own-environment")]
    OwnEnvironment,
    /// The settings protect a generation that does not exist.
    #[serde(rename = "protect.absent")]
    ProtectedAbsent,
    /// The boot menu is not refreshed.
    #[serde(rename = "boot.not-refreshed")]
    BootNotRefreshed,
    /// What is on the boot menu is not known.
    #[serde(rename = "boot.unknown")]
    BootUnknown,
    /// Generations are left for later runs.
    #[serde(rename = "generations.later-run")]
    LaterRun,
    /// A pattern or a user of `generations` matches no profile.
    #[serde(rename = "generations.nothing-selected")]
    NothingSelected,
    /// No system is known to have run long enough for `knownGood`.
    #[serde(rename = "generations.nothing-known-good")]
    NothingKnownGood,
    /// The machine policy is stricter than the job.
    #[serde(rename = "policy.stricter")]
    PolicyStricter,
    /// The settings name a profile by another path.
    #[serde(rename = "profile.other-name")]
    ProfileOtherName,
    /// A generation is no root.
    #[serde(rename = "profile.unrooted")]
    ProfileUnrooted,
    /// The current generation of a profile is not known.
    #[serde(rename = "profile.current-unknown")]
    ProfileCurrentUnknown,
    /// Directories were not searched for profiles.
    #[serde(rename = "profiles.not-searched")]
    ProfilesNotSearched,
    /// A user has too many names in profile directories.
    #[serde(rename = "profiles.too-many-names")]
    ProfilesTooMany,
    /// A flake whose inputs are kept locks inputs that are not in the store, or none.
    #[serde(rename = "flake.inputs-absent")]
    FlakeInputsAbsent,
    /// Undo windows end later, because the clock was changed.
    #[serde(rename = "holds.extended")]
    HoldsExtended,
    /// Holds lost their entry in `gcroots/auto`.
    #[serde(rename = "holds.unrooted")]
    HoldsUnrooted,
    /// Holds lost their link or store path.
    #[serde(rename = "holds.broken")]
    HoldsBroken,
    /// Leftovers are kept although they are old enough.
    #[serde(rename = "leftovers.kept")]
    LeftoversKept,
    /// Equal files are not hard-linked, because nothing is new since that was done.
    #[serde(rename = "optimise.nothing-new")]
    NothingToOptimise,
    /// Notes and odd names beyond the most that are listed.
    #[serde(rename = "notes.more")]
    More,
}

impl Note {
    /// A note.
    pub fn new(code: NoteCode, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
        }
    }
}

impl Deref for Note {
    type Target = str;
    fn deref(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_reads_as_its_text() {
        let note = Note::new(NoteCode::HoldsBroken, "2 holds are broken");
        assert_eq!(note.to_string(), "2 holds are broken");
        assert_eq!(&*note, "2 holds are broken");
    }
}
