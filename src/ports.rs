//! Ports: the traits through which the engine reads, acts, records, and knows the time and when to stop.

use std::error::Error as StdError;

use camino::{Utf8Path, Utf8PathBuf};

use crate::domain::analysis::StoreAnalysis;
use crate::domain::budget::{Disk, DiskUsage, FreeSpace, SizeMetric};
use crate::domain::collect::{DeletionSet, FullGcReason};
use crate::domain::disk_use::DiskUse;
use crate::domain::elapsed::Uptime;
use crate::domain::measure::{Bytes, Timestamp};
use crate::domain::plan::{GenerationFacts, HoldFacts, RootFacts};
use crate::domain::profile::Owner;
use crate::domain::protected::ProtectedPaths;
use crate::domain::receipt::{Receipt, RunId};
use crate::domain::root::GcRoot;
use crate::domain::snapshot::Snapshot;
use crate::domain::store_path::StorePath;

/// The cause below an error, of whatever kind.
pub type Cause = Box<dyn StdError + Send + Sync>;

/// An error with its causes on one line, each behind a colon.
pub fn error_chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// What to do where Nix works on another store.
pub const OTHER_STORE: &str = "Look at `store` in the output of `nix config show`. Set it to `auto` in nix.conf, NIX_CONFIG and NIX_REMOTE, or run \
                               nix-prune where that store is the local one: on its machine, or inside its root directory.";

/// What to do where nix-daemon does not answer.
pub const NO_ANSWER: &str = "Restart the daemon: `systemctl restart nix-daemon.socket nix-daemon.service`. `nix-prune doctor` shows whether it \
                             answers, and whether it accepts the user.";

/// Looks, and changes nothing: creates, locks and unlinks nothing, and calls no Nix command that would.
pub trait Survey {
    /// Takes a snapshot.
    ///
    /// # Errors
    /// Only when nothing can be said at all; what cannot be read alone is a refusal in the snapshot.
    fn snapshot(&self) -> Result<Snapshot, SurveyError>;

    /// How full the store is, in the figure that a budget asks for, once the file system counts all that was freed; what
    /// is not known is not told.
    fn standing(&self, figure: SizeMetric) -> DiskUsage {
        let _ = figure;
        DiskUsage::default()
    }

    /// How much each of these names in the store directory frees on disk when it is deleted after those before it.
    ///
    /// # Errors
    /// When that cannot be measured, or nobody can look.
    fn weigh(&self, names: &[&str]) -> Result<Vec<Bytes>, FullGcReason> {
        let _ = names;
        Err(FullGcReason::NotLooked)
    }

    /// The kind of the store's file system, where it is known.
    fn file_system(&self) -> Option<String> {
        None
    }

    /// Finds what is dead now, by the store's database and all roots.
    ///
    /// # Errors
    /// When that cannot be told for sure, or nobody can look.
    fn dead(&self) -> Result<DeletionSet, FullGcReason> {
        Err(FullGcReason::NotLooked)
    }
}

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    /// Nix's state directory is not there or cannot be read.
    #[error("cannot read Nix's state directory {dir}")]
    StateDir {
        /// The directory.
        dir: String,
        /// Why.
        source: std::io::Error,
    },
    /// Nix works on another store than the one that is looked at.
    #[error("cannot confirm that Nix uses the local store")]
    OtherStore(#[source] Cause),
    /// The daemon does not answer, so its store is not known.
    #[error("cannot confirm that Nix uses the local store")]
    NoAnswer(#[source] Cause),
    /// A directory that Nix needs is not an absolute UTF-8 path.
    #[error("{variable} is `{value}`, which is not an absolute path in UTF-8")]
    Place {
        /// The variable that names it.
        variable: &'static str,
        /// What it says.
        value: String,
    },
}

/// Looks into the store: what is valid, what is a root, what keeps what. Changes nothing, as a survey.
pub trait ReadStore {
    /// Reads what is valid, then takes a snapshot, then reads the roots of processes: what became valid meanwhile is not
    /// known, and what is known has had its roots looked for last.
    ///
    /// # Errors
    /// When there is no snapshot. Where only the store cannot be looked into, the snapshot comes without it.
    fn look(&self, survey: &dyn Survey) -> Result<Observation, SurveyError>;

    /// How full the store's file system is, once it counts all that was freed.
    ///
    /// # Errors
    /// When the file system does not say.
    fn fullness(&self) -> Result<Disk, DiskError>;

    /// What deleting these names in the store directory would free on disk.
    ///
    /// # Errors
    /// When the store directory cannot be opened, or somebody asked to stop.
    fn measure(&self, names: &[&str]) -> Result<DiskUse, DiskError>;

    /// What deleting each of these names would free on disk after those before it.
    ///
    /// # Errors
    /// As [`ReadStore::measure`].
    fn measure_each(&self, names: &[&str]) -> Result<Vec<Bytes>, DiskError>;
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The store directory cannot be opened.
    #[error("cannot open the store directory {store}")]
    Store {
        /// The directory.
        store: Utf8PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file system does not say how full it is.
    #[error("cannot read the free space of the file system of {store}")]
    Fullness {
        /// The store directory.
        store: Utf8PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Somebody asked to stop.
    #[error("measuring was interrupted")]
    Interrupted,
}

/// A snapshot, and the store behind it.
#[derive(Debug)]
pub struct Observation {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// The store.
    pub store: Result<StoreAnalysis, StoreReadError>,
    /// What is alive for the moment.
    pub running: RunningRoots,
}

/// The roots that live and die with processes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunningRoots {
    /// Temporary roots, and what processes use of what is in the store directory.
    pub roots: Vec<GcRoot>,
    /// Why there may be more that were not seen.
    pub hidden: Vec<String>,
}

/// Why the store cannot be looked into.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the store")]
pub struct StoreReadError {
    /// What kind of trouble it is.
    pub kind: StoreReadTrouble,
    /// What to do about it.
    pub hint: &'static str,
    /// Why.
    pub source: Cause,
}

/// What kind of trouble there is with looking into the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreReadTrouble {
    /// It may not be read.
    Denied,
    /// It is in use just now.
    Busy,
    /// It cannot be read, or not understood.
    Unusable,
    /// Somebody asked to stop.
    Interrupted,
    /// There is no database of this store directory: none at all, or another store's.
    NoDatabase,
    /// The database is damaged.
    Damaged,
    /// Nix works on another store, or that cannot be told.
    OtherStore,
    /// The daemon does not answer, so its store is not known.
    NoAnswer,
}

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
    /// [`PerformError::OtherStore`] when it works on another store, or that cannot be told.
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

    /// Tells whether a generation's link is as the facts say.
    ///
    /// # Errors
    /// When that cannot be told.
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

    /// Tells whether an entry is as the facts say.
    ///
    /// # Errors
    /// When that cannot be told.
    fn see_root(&self, facts: &RootFacts) -> Result<LinkState, PerformError>;

    /// Makes an entry again.
    ///
    /// # Errors
    /// [`PerformError::Stale`] when its name is taken; nothing was done then.
    fn restore_root(&self, facts: &RootFacts) -> Result<(), PerformError>;

    /// Removes a hold's link. It is no error when it is gone already.
    ///
    /// # Errors
    /// When the link is not a hold of that path, or cannot be removed.
    fn release_hold(&self, facts: &HoldFacts) -> Result<(), PerformError>;

    /// Tells whether a hold's link is as the facts say.
    ///
    /// # Errors
    /// When that cannot be told.
    fn see_hold(&self, facts: &HoldFacts) -> Result<LinkState, PerformError>;

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

    /// Lets Nix hard-link equal files.
    ///
    /// # Errors
    /// When Nix failed.
    fn optimise(&self) -> Result<(), PerformError>;

    /// Lets Nix check the store.
    ///
    /// # Errors
    /// When Nix failed or found something wrong.
    fn verify(&self, contents: bool) -> Result<(), PerformError>;

    /// Removes what Nix itself has set aside for a full disk, as each of its collections does; true where there was any. Nix
    /// makes it again.
    ///
    /// # Errors
    /// When it cannot be removed.
    fn give_up_reserve(&self) -> Result<bool, PerformError> {
        Ok(false)
    }

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

/// What Nix said of a collection.
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

/// What became of paths that Nix was told to delete.
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
    /// Nix works on another store than the one that is looked at, or that cannot be told.
    #[error("cannot confirm that Nix uses the local store")]
    OtherStore(#[source] Cause),
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
    /// It took too long and was given up.
    #[error("{what} failed")]
    TimedOut {
        /// What was tried.
        what: String,
        /// What it waited for.
        source: Cause,
    },
}

/// Remembers runs. One run at a time holds the lock.
pub trait RunJournal {
    /// What keeps others out while it lives.
    type Lock;

    /// Takes the lock.
    ///
    /// # Errors
    /// [`JournalError::Locked`] when another run has it.
    fn lock(&self) -> Result<Self::Lock, JournalError>;

    /// Sees that a run can write its records and Nix its own files, where the disk is full by giving up what was set aside;
    /// false where nothing was.
    fn make_room(&self, lock: &Self::Lock) -> bool {
        let _ = lock;
        true
    }

    /// Sets room aside for a run on a full disk, as far as there is some now.
    fn restock(&self, lock: &Self::Lock) {
        let _ = lock;
    }

    /// Makes a new record for a run that begins now, under a name that no run has; the receipt's `run` is set.
    ///
    /// # Errors
    /// When the record cannot be written down; then nothing must be done.
    fn begin(&self, lock: &Self::Lock, receipt: &mut Receipt) -> Result<(), JournalError>;

    /// Writes the record anew, wholly or not at all.
    ///
    /// # Errors
    /// When it cannot be written; then the run must stop.
    fn record(&self, lock: &Self::Lock, receipt: &Receipt) -> Result<(), JournalError>;

    /// Writes down what became of entry `index` and how many bytes were freed; the rest is as it was recorded last.
    ///
    /// # Errors
    /// When it cannot be written; then the run must stop.
    fn record_step(
        &self,
        lock: &Self::Lock,
        receipt: &Receipt,
        index: usize,
    ) -> Result<(), JournalError>;

    /// Writes down what was seen of the roots, for the next run to notice what is missing. The generations that `run` has
    /// removed by then are not missed.
    ///
    /// # Errors
    /// When it cannot be written. A run that has not begun must do nothing then.
    fn saw(
        &self,
        lock: &Self::Lock,
        snapshot: &Snapshot,
        run: &Receipt,
    ) -> Result<(), JournalError> {
        let _ = (lock, snapshot, run);
        Ok(())
    }

    /// Removes the records of old runs that hold nothing any more, and gives how many.
    ///
    /// # Errors
    /// When one cannot be read or removed; those that were removed were not needed.
    fn prune(&self, lock: &Self::Lock, now: Timestamp) -> Result<usize, JournalError> {
        let _ = (lock, now);
        Ok(0)
    }

    /// When somebody said last that they have seen what failed.
    ///
    /// # Errors
    /// When the record of it cannot be read.
    fn acknowledged(&self) -> Result<Option<Timestamp>, JournalError> {
        Ok(None)
    }

    /// Every record, from the oldest.
    ///
    /// # Errors
    /// When one of them cannot be read.
    fn receipts(&self) -> Result<Vec<Receipt>, JournalError>;

    /// The link of the hold for entry `index` of a run; its directory is there.
    ///
    /// # Errors
    /// When the directory cannot be made.
    fn hold_link(
        &self,
        lock: &Self::Lock,
        run: &RunId,
        index: usize,
    ) -> Result<Utf8PathBuf, JournalError>;
}

/// Why something could not be remembered or recalled.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another run holds the lock.
    #[error("another run holds the lock {lock}{}", holder.as_ref().map(|h| format!(": {h}")).unwrap_or_default())]
    Locked {
        /// The lock.
        lock: String,
        /// Who holds it, as it wrote itself down.
        holder: Option<String>,
    },
    /// A file could not be written.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A file could not be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A record is not one.
    #[error("{path} is not a nix-prune record")]
    Malformed {
        /// The file.
        path: String,
        /// Why.
        source: serde_json::Error,
    },
    /// A file belongs to somebody who could mislead us.
    #[error("{path} cannot be trusted: {why}")]
    Untrusted {
        /// The file.
        path: String,
        /// Why.
        why: String,
    },
    /// There is no such run.
    #[error("no such run: {0}")]
    NoSuchRun(String),
}

impl JournalError {
    /// Whether something could not be written because the disk is full.
    pub fn is_of_full_disk(&self) -> bool {
        matches!(self, Self::Write { source, .. } if is_full(source))
    }
}

/// Whether a file system has no room, or its owner may have no more of it.
pub fn is_full(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded
    )
}

/// Tells the time.
pub trait Clock {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// How long the machine is up; `None` where that is not known.
    fn uptime(&self) -> Option<Uptime> {
        None
    }
}

/// Tells whether somebody asked us to stop.
pub trait Interrupt {
    /// Whether to stop at the next step.
    fn requested(&self) -> bool;
}
