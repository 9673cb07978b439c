//! Acting: typed operations of Nix.

use camino::{Utf8Path, Utf8PathBuf};

use super::{Cause, DirectCollection};
use crate::domain::budget::FreeSpace;
use crate::domain::maintenance::{Optimised, Registrations, Verified};
use crate::domain::measure::Bytes;
use crate::domain::plan::{
    BootFacts, GenerationFacts, HoldFacts, LeftoverFacts, RootFacts, RootLinkFacts,
};
use crate::domain::profile::Owner;
use crate::domain::protected::ProtectedPaths;
use crate::domain::store_path::StorePath;

/// Acts, one typed operation a call. Every deed is Nix's own, but for links of ours and for putting links back.
pub trait NixActions {
    /// Whether the profiles of `owner` belong to the user who runs this. Other users may delay what is done in theirs.
    fn is_ourselves(&self, owner: &Owner) -> bool {
        let _ = owner;
        true
    }

    /// The version of Nix, `2.34.8`.
    ///
    /// # Errors
    /// When Nix cannot be found or run, or is too old.
    fn nix_version(&self) -> Result<String, PerformError>;

    /// Checks that Nix works on the store that is looked at, and on no other.
    ///
    /// # Errors
    /// [`PerformError::OtherStore`] when it works on another store, or that is not known.
    fn check_store(&self) -> Result<(), PerformError> {
        Ok(())
    }

    /// Makes `link` a root of `path`, and sees that it is one.
    ///
    /// # Errors
    /// When the path is not valid or the root could not be made; then nothing must be dropped.
    fn hold(&self, path: &StorePath<String>, link: &Utf8Path) -> Result<(), PerformError>;

    /// Makes each link a root of its path, and checks every one, as [`NixActions::hold`]. Links named by [`nth_link`] from
    /// one first link take a single call of Nix.
    fn hold_all(&self, holds: &[(&StorePath<String>, &Utf8Path)]) -> Vec<Result<(), PerformError>> {
        let holds = holds.iter();
        holds.map(|(path, link)| self.hold(path, link)).collect()
    }

    /// Drops one generation, if it is still what the facts say, and sees that it is gone and nothing else is.
    ///
    /// # Errors
    /// [`PerformError::Stale`] when it is not what it was; nothing was done then.
    fn remove_generation(&self, facts: &GenerationFacts) -> Result<(), PerformError>;

    /// Whether a generation's link is as the facts say.
    ///
    /// # Errors
    /// When that cannot be found out.
    fn see_generation(&self, facts: &GenerationFacts) -> Result<LinkState, PerformError>;

    /// Makes a generation's link again, with its target and time, and its root.
    ///
    /// # Errors
    /// [`PerformError::Stale`] when the number is taken or the path gone; nothing was done then.
    fn restore_generation(
        &self,
        facts: &GenerationFacts,
        claim: RestoreMode,
    ) -> Result<(), PerformError>;

    /// Removes an entry of `gcroots/auto` whose link is gone.
    ///
    /// # Errors
    /// [`PerformError::Stale`] when it is not that any more; nothing was done then. Neither where its link is protected.
    fn remove_root(
        &self,
        facts: &RootFacts,
        protected: &ProtectedPaths,
    ) -> Result<(), PerformError>;

    /// Whether an entry is as the facts say.
    ///
    /// # Errors
    /// When that cannot be found out.
    fn see_root(&self, facts: &RootFacts) -> Result<LinkState, PerformError>;

    /// Makes an entry again.
    ///
    /// # Errors
    /// [`PerformError::Stale`] when its name is taken; nothing was done then.
    fn restore_root(&self, facts: &RootFacts) -> Result<(), PerformError>;

    /// Removes the link of a root with its owner's rights, if it is still what the facts say and no process works in its project.
    ///
    /// # Errors
    /// [`PerformError::Stale`] when it is not that any more; nothing was done then. Neither where it is protected.
    fn remove_root_link(
        &self,
        facts: &RootLinkFacts,
        protected: &ProtectedPaths,
    ) -> Result<(), PerformError>;

    /// Whether the link of a root is as the facts say.
    ///
    /// # Errors
    /// When that cannot be found out.
    fn see_root_link(&self, facts: &RootLinkFacts) -> Result<LinkState, PerformError>;

    /// Makes the link of a root again, with its target, time and entry.
    ///
    /// # Errors
    /// [`PerformError::Stale`] when its name is taken or the path gone; nothing was done then.
    fn restore_root_link(
        &self,
        facts: &RootLinkFacts,
        claim: RestoreMode,
    ) -> Result<(), PerformError>;

    /// Removes a hold's link. It is no error when it is gone already.
    ///
    /// # Errors
    /// When the link is not a hold of that path, or cannot be removed.
    fn release_hold(&self, facts: &HoldFacts) -> Result<(), PerformError>;

    /// Whether a hold's link is as the facts say.
    ///
    /// # Errors
    /// When that cannot be found out.
    fn see_hold(&self, facts: &HoldFacts) -> Result<LinkState, PerformError>;

    /// Removes the leftovers that are still old and unused, each looked at once more, and says what became of them.
    ///
    /// # Errors
    /// [`PerformError::Stale`] when the directory is not one of that class; nothing was done then. Otherwise when something
    /// could not be removed.
    fn remove_leftovers(
        &self,
        facts: &LeftoverFacts,
        protected: &ProtectedPaths,
    ) -> Result<String, PerformError>;

    /// Lets Nix collect garbage.
    ///
    /// # Errors
    /// When Nix failed; much may have been deleted by then, all of it dead.
    fn collect(&self) -> Result<Collected, PerformError>;

    /// What a call of [`NixActions::delete_paths`] takes; `None` where this Nix is not known to check what it deletes by
    /// name as its collector does.
    ///
    /// # Errors
    /// As [`NixActions::nix_version`].
    fn deletion_limit(&self) -> Result<Option<ArgLimit>, PerformError>;

    /// Lets Nix delete these paths as far as it finds them dead, and looks which went. Nix ends at the first one that is
    /// alive, so what is neither deleted nor refused was not tried. No paths at all let it only tidy up behind itself.
    fn delete_paths(&self, paths: &[StorePath<String>]) -> Deleted;

    /// Begins a collection that nix-prune carries out itself, as soon as nobody else collects. What is dead must be looked for
    /// while it is under way.
    ///
    /// # Errors
    /// [`PerformError::Unsupported`] where that is not known to be safe; nothing was changed then.
    fn begin_direct(&self) -> Result<Box<dyn DirectCollection + '_>, PerformError> {
        Err(PerformError::Unsupported("it needs Linux".to_string()))
    }

    /// Lets the current system of NixOS write the boot menu anew, and sees that it is still the current one afterwards. `Ok`
    /// may have what the boot loader's installer says.
    ///
    /// # Errors
    /// [`PerformError::Stale`] when another system is current; nothing was done then. Otherwise the menu may be half done, and every
    /// generation that there is stays on it.
    fn refresh_boot_menu(&self, facts: &BootFacts) -> Result<Option<String>, PerformError>;

    /// Lets Nix hard-link equal files. What was registered before `since` is linked already, and is not measured again.
    ///
    /// # Errors
    /// When Nix failed.
    fn optimise(&self, since: Option<Registrations>) -> Result<Optimised, PerformError>;

    /// Checks that every valid path is there, then lets Nix check the store. Nothing is repaired, and no path is removed from the
    /// database.
    ///
    /// # Errors
    /// When the check could not be done. Damage is no error.
    fn verify(&self, contents: bool) -> Result<Verified, PerformError>;

    /// Removes what Nix itself has set aside for a full disk, as each of its collections does; true where there was any. Nix
    /// makes it again.
    ///
    /// # Errors
    /// When it cannot be removed.
    fn give_up_reserve(&self) -> Result<bool, PerformError> {
        Ok(false)
    }

    /// How much of the file system at `dir` is free.
    ///
    /// # Errors
    /// When the file system does not say.
    fn free_space_at(&self, dir: &Utf8Path) -> Result<Bytes, PerformError>;

    /// How much of the store's file system is free once it counts all that was freed.
    ///
    /// # Errors
    /// When the file system does not say.
    fn free_space(&self) -> Result<FreeSpace, PerformError>;
}

/// The link that Nix makes for the path at `position`, from 0, of a call that was given the link `first`.
pub fn nth_link(first: &Utf8Path, position: usize) -> Utf8PathBuf {
    match position {
        0 => first.to_path_buf(),
        position => format!("{first}-{}", position + 1).into(),
    }
}

/// How something looks that was planned or recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    /// It is there, as the facts say.
    Unchanged,
    /// There is nothing under its name.
    Gone,
    /// A generation with the right target and another time: its restoring was interrupted.
    Unfinished,
    /// Something else is there.
    Different,
}

/// How a generation's number is claimed when it is put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestoreMode {
    /// Nothing may be under its name.
    Fresh,
    /// A link with the right target may be there: an interrupted restoring is finished.
    Resume,
}

/// What Nix reported about a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Collected {
    /// How many paths it deleted.
    pub paths: Option<u64>,
    /// How many bytes it freed.
    pub bytes: Option<Bytes>,
}

/// How much fits into one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArgLimit {
    /// Bytes in all.
    pub bytes: usize,
    /// Bytes that each path costs beyond its base name.
    pub per_path: usize,
}

/// What became of the paths that Nix was asked to delete.
#[derive(Debug)]
pub struct Deleted {
    /// Those that were there and are not any more.
    pub paths: Vec<StorePath<String>>,
    /// How many bytes Nix says it freed.
    pub bytes: Option<Bytes>,
    /// Those that Nix refused.
    pub refused: Vec<UndeletedPath>,
    /// Whether Nix did what it could; a refusal is no failure.
    pub outcome: Result<(), PerformError>,
}

/// A path that Nix would not delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndeletedPath {
    /// The path.
    pub path: StorePath<String>,
    /// Why.
    pub why: String,
}

/// Why a deed was not done, or not wholly.
#[derive(Debug, thiserror::Error)]
pub enum PerformError {
    /// The world is not what the plan relied on.
    #[error("{0}")]
    Stale(String),
    /// Nix was not found, or is too old.
    #[error("Nix cannot be used")]
    Unusable(#[source] Cause),
    /// Nix works on another store than the one that is looked at, or that is not known.
    #[error("cannot confirm that Nix uses the local store")]
    OtherStore(#[source] Cause),
    /// A direct collection is not known to be safe here.
    #[error("direct collection is not possible: {0}; `--collect-method auto` leaves it to Nix")]
    Unsupported(String),
    /// Two independent looks disagree about a path that was about to be deleted.
    #[error(
        "direct collection stopped: the plan takes {path} for dead, but {keeper}. Nothing that depends on it was deleted. \
         Collect with `--collect-method auto`, and report this"
    )]
    Disagreement {
        /// The base name of the path.
        path: String,
        /// What keeps it by the second look.
        keeper: String,
    },
    /// A command of Nix's failed.
    #[error("{what} failed")]
    Nix {
        /// What was tried.
        what: String,
        /// Why.
        source: Cause,
    },
    /// A file or directory could not be read or changed.
    #[error("cannot {what}")]
    File {
        /// What was tried, to what.
        what: String,
        /// Why.
        source: std::io::Error,
    },
    /// More was removed than should have been.
    #[error("{what} failed: {more}")]
    RemovedMore {
        /// What was tried.
        what: String,
        /// What else is gone.
        more: String,
    },
    /// The user asked to stop while it was under way.
    #[error("{what} was interrupted")]
    Interrupted {
        /// What was tried.
        what: String,
    },
    /// A check found damage.
    #[error("{0}")]
    Damaged(Box<Verified>),
    /// It timed out.
    #[error("{what} failed")]
    TimedOut {
        /// What was tried.
        what: String,
        /// What it waited for.
        source: Cause,
    },
}
