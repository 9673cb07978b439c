//! The journal: records of runs, and the lock.

use camino::Utf8PathBuf;

use crate::domain::disk_use::Taken;
use crate::domain::measure::Timestamp;
use crate::domain::receipt::{Receipt, RunId};
use crate::domain::snapshot::Snapshot;

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
    fn make_space(&self, lock: &Self::Lock) -> bool {
        let _ = lock;
        true
    }

    /// Fills the reserve of space for a run on a full disk, as far as there is space now.
    fn restock(&self, lock: &Self::Lock) {
        let _ = lock;
    }

    /// What filling up the reserve will take from the disk. It is free now and not after a run.
    fn reserve_takes(&self) -> Taken {
        Taken::default()
    }

    /// What the record of a run takes until it is complete, about: it grows with each round of a budget.
    fn record_takes(&self) -> Taken {
        Taken::default()
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
    fn record_baseline(
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

    /// When failures were last acknowledged.
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

/// Whether a file system is full, or its owner has reached a quota.
pub fn is_full(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded
    )
}
