//! Reading: profiles, roots and the store. Nothing here changes anything.

use camino::Utf8PathBuf;

use super::Cause;
use crate::domain::analysis::StoreAnalysis;
use crate::domain::budget::{Disk, DiskUsage, SizeMetric};
use crate::domain::collect::{DeletionSet, FullGcReason};
use crate::domain::disk_use::{DiskUse, Taken};
use crate::domain::leftover::{LeftoverQuery, Leftovers};
use crate::domain::maintenance::Registrations;
use crate::domain::root::GcRoot;
use crate::domain::snapshot::Snapshot;

/// Reads, and changes nothing: creates, locks and unlinks nothing, and calls no Nix command that would.
pub trait Survey {
    /// Takes a snapshot.
    ///
    /// # Errors
    /// Only when no snapshot can be taken at all; a part that cannot be read is a failed check in the snapshot.
    fn snapshot(&self) -> Result<Snapshot, SurveyError>;

    /// Takes a snapshot without a look at the database and the store directory, which a baseline does without.
    ///
    /// # Errors
    /// As [`Survey::snapshot`].
    fn snapshot_of_roots(&self) -> Result<Snapshot, SurveyError> {
        self.snapshot()
    }

    /// Looks for leftovers; without any the directory is left out.
    fn leftovers(&self, query: LeftoverQuery<'_>) -> Vec<Leftovers> {
        let _ = query;
        Vec::new()
    }

    /// How full the store is, in the metric of a budget, once the file system counts all that was freed; unknown
    /// figures are left out.
    fn disk_usage(&self, metric: SizeMetric) -> DiskUsage {
        let _ = metric;
        DiskUsage::default()
    }

    /// How much each of these names in the store directory frees on disk when it is deleted after those before it.
    ///
    /// # Errors
    /// When that cannot be measured.
    fn weigh(&self, names: &[&str]) -> Result<Vec<Taken>, FullGcReason> {
        let _ = names;
        Err(FullGcReason::NotLooked)
    }

    /// How many paths were registered since the database had come so far; `None` where that is not known, or it is another
    /// database.
    fn new_paths(&self, since: Registrations) -> Option<u64> {
        let _ = since;
        None
    }

    /// The kind of the store's file system, where it is known.
    fn file_system(&self) -> Option<String> {
        None
    }

    /// Finds what is dead now, by the store's database and all roots.
    ///
    /// # Errors
    /// When that is not known for sure, or cannot be looked up.
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
    /// The daemon does not answer, so its store is unknown.
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

/// Reads the store: what is valid, what is a root, what keeps what. Changes nothing, as a survey.
pub trait ReadStore {
    /// Reads what is valid, then takes a snapshot, then reads the roots of processes: what became valid meanwhile is not
    /// known, and what is known has had its roots looked for last.
    ///
    /// # Errors
    /// When there is no snapshot. If only the store cannot be read, the snapshot comes without it.
    fn observe(&self, survey: &dyn Survey) -> Result<Observation, SurveyError>;

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
    fn measure_each(&self, names: &[&str]) -> Result<Vec<Taken>, DiskError>;
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

/// Why the store cannot be read.
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

/// What kind of trouble there is with reading the store.
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
    /// Nix works on another store, or that is not known.
    OtherStore,
    /// The daemon does not answer, so its store is unknown.
    NoAnswer,
}
