//! Records of runs: one receipt for each, written before each step, and removed when it holds nothing any more.

use std::io;

use camino::{Utf8Path, Utf8PathBuf};
use serde::de::Error as _;
use serde::{Deserialize, Serialize};
use serde_json::Error as JsonError;

use super::{
    Journal, RunLock, dir_mode, holds, is_there, malformed, steps, unreadable, unwritable, written,
};
use crate::adapters::files::{self, remove::remove_own};
use crate::domain::disk_use::Taken;
use crate::domain::measure::{Bytes, Span, Timestamp};
use crate::domain::receipt::{Receipt, RunId};
use crate::domain::snapshot::Snapshot;
use crate::ports::{JournalError, RunJournal, error_chain};

/// More runs than can begin within a second.
const MAX_RUNS_PER_SECOND: u32 = 10_000;
/// A record changes as often as its run has actions, and is read faster than it changes.
const MAX_READS: usize = 100;
/// The records of so many runs are kept however old they are.
const FEWEST: usize = 100;
/// And those of a year, however many they are.
const YOUNG: Span = Span::days(365);

const ACKNOWLEDGED: &str = "acknowledged.json";

/// The time up to which failures are acknowledged.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Acknowledged {
    schema: Form,
    at: Timestamp,
}

#[derive(Serialize, Deserialize)]
enum Form {
    #[serde(rename = "nix-prune/acknowledged/1")]
    V1,
}

impl Journal {
    /// The record of one run.
    ///
    /// # Errors
    /// [`JournalError::NoSuchRun`] when there is none; otherwise when it cannot be read.
    pub fn receipt(&self, run: &RunId) -> Result<Receipt, JournalError> {
        let path = self.receipt_path(run);
        if self.is_absent(&path)? {
            return Err(JournalError::NoSuchRun(run.to_string()));
        }
        self.receipt_in(&path)
    }

    pub(super) fn receipt_in(&self, path: &Utf8Path) -> Result<Receipt, JournalError> {
        let receipt = self.receipt_with_steps(path)?;
        // A copy under another name would be a second record of the same deeds, and each could be undone.
        if path.file_stem() == Some(receipt.run.as_str()) {
            Ok(receipt)
        } else {
            let why = format!("it is the record of run {}", receipt.run);
            Err(malformed(path, JsonError::custom(why)))
        }
    }

    /// Reads a record, and what became of its entries since it was written.
    fn receipt_with_steps(&self, path: &Utf8Path) -> Result<Receipt, JournalError> {
        let steps = steps::path_of(path);
        for _ in 0..MAX_READS {
            let text = self.text(path)?;
            let mut receipt: Receipt =
                serde_json::from_str(&text).map_err(|source| malformed(path, source))?;
            // Behind the record of a run that has ended there is nothing.
            if !receipt.is_interrupted() {
                return Ok(receipt);
            }
            let behind = if is_there(&steps)? {
                self.trusted(&steps)?;
                steps::read(&steps)?
            } else {
                None
            };
            // Where the run has written its record anew between the two looks, they do not belong together.
            if self.text(path)? != text {
                continue;
            }
            if let Some(behind) = behind {
                steps::replay(&steps, &behind, text.as_bytes(), &mut receipt)?;
            }
            return Ok(receipt);
        }
        Err(unreadable(path, io::Error::other("it keeps changing")))
    }

    /// Writes down that everything that failed until now has been seen.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn acknowledge(&self, _lock: &RunLock, at: Timestamp) -> Result<(), JournalError> {
        let schema = Form::V1;
        self.write_document(ACKNOWLEDGED, &Acknowledged { schema, at })
    }
}

impl RunJournal for Journal {
    type Lock = RunLock;

    fn acknowledged(&self) -> Result<Option<Timestamp>, JournalError> {
        let record: Option<Acknowledged> = self.document(ACKNOWLEDGED)?;
        Ok(record.map(|record| record.at))
    }

    fn lock(&self) -> Result<RunLock, JournalError> {
        if !self.dir.is_absolute() {
            self.trusted(&self.dir)?;
        }
        files::make_dirs(&self.dir, dir_mode()).map_err(|source| unwritable(&self.dir, source))?;
        self.trusted(&self.dir)?;
        let lock = self.take(&self.lock_path())?;
        // Nobody else writes now, so that every temporary file belongs to a run that was killed.
        for dir in [&self.dir, &self.runs_dir()] {
            files::remove_leftovers(dir).map_err(|source| unreadable(dir, source))?;
        }
        Ok(lock)
    }

    fn begin(&self, lock: &RunLock, receipt: &mut Receipt) -> Result<(), JournalError> {
        self.make_dir(&self.runs_dir())?;
        for nth in 1..=MAX_RUNS_PER_SECOND {
            let run = RunId::at(receipt.started_at, nth);
            // Links of a run whose record somebody removed must not be taken for the new run's.
            if is_there(&self.holds_of(&run))? {
                continue;
            }
            receipt.run = run;
            let path = self.receipt_path(&receipt.run);
            let text = written(&path, receipt)?;
            match self.write_new(&path, &text) {
                Ok(()) => {
                    lock.steps.restart(&receipt.run, &text);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(unwritable(&path, source)),
            }
        }
        let path = self.receipt_path(&receipt.run);
        Err(unwritable(&path, io::ErrorKind::AlreadyExists.into()))
    }

    fn record(&self, lock: &RunLock, receipt: &Receipt) -> Result<(), JournalError> {
        let path = self.receipt_path(&receipt.run);
        let text = written(&path, receipt)?;
        lock.steps.forget();
        self.write(&path, &text)?;
        lock.steps.restart(&receipt.run, &text);
        // They are of the record that was there before, and nobody believes them any more.
        let steps = steps::path_of(&path);
        match remove_own(&steps) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::debug!(%steps, %error, "steps that are out of date stay");
            }
            _ => {}
        }
        Ok(())
    }

    fn record_step(
        &self,
        lock: &RunLock,
        receipt: &Receipt,
        index: usize,
    ) -> Result<(), JournalError> {
        let steps = steps::path_of(&self.receipt_path(&receipt.run));
        let write = |text: &[u8]| self.write(&steps, text);
        if lock.steps.append(&steps, receipt, index, write)? {
            Ok(())
        } else {
            self.record(lock, receipt)
        }
    }

    fn make_space(&self, _lock: &RunLock) -> bool {
        self.give_up_reserve()
    }

    fn reserve_takes(&self) -> Taken {
        self.missing_reserve()
    }

    fn record_takes(&self) -> Taken {
        Taken {
            bytes: Bytes(64 << 10),
            inodes: 2,
        }
    }

    fn restock(&self, _lock: &RunLock) {
        if let Err(error) = self.fill_reserve() {
            tracing::debug!(%error, "the reserve for a full disk is not complete");
        }
    }

    fn record_baseline(
        &self,
        lock: &RunLock,
        snapshot: &Snapshot,
        run: &Receipt,
    ) -> Result<(), JournalError> {
        self.write_baseline(lock, snapshot, run)?;
        if let Err(error) = self.remove_empty_hold_dirs(lock, snapshot) {
            tracing::debug!(error = %error_chain(&error), "empty directories of holds stay");
        }
        Ok(())
    }

    // Stops at the first record that must be kept. So no record is removed before an older one, and none with the end
    // of a hold before the record of the hold.
    fn prune(&self, _lock: &RunLock, now: Timestamp) -> Result<usize, JournalError> {
        let receipts = self.receipts()?;
        let released = holds::released(&receipts);
        let more = receipts.len().saturating_sub(FEWEST);
        let mut gone = 0;
        for receipt in receipts.iter().take(more) {
            if !is_past(receipt, now) || holds::any(receipt, &released)? {
                break;
            }
            let path = self.receipt_path(&receipt.run);
            remove_own(&path).map_err(|source| unwritable(&path, source))?;
            gone += 1;
        }
        Ok(gone)
    }

    fn receipts(&self) -> Result<Vec<Receipt>, JournalError> {
        let mut receipts = Vec::new();
        for path in self.paths_in(&self.runs_dir())? {
            // What calls itself a record must be one: a record that is passed over could be the one that names a hold.
            if path.extension() == Some("json") {
                receipts.push(self.receipt_in(&path)?);
            }
        }
        receipts.sort_by(|a, b| (a.started_at, &a.run).cmp(&(b.started_at, &b.run)));
        Ok(receipts)
    }

    fn hold_link(
        &self,
        _lock: &RunLock,
        run: &RunId,
        index: usize,
    ) -> Result<Utf8PathBuf, JournalError> {
        let dir = self.holds_of(run);
        self.make_dir(&self.holds_dir())?;
        self.make_dir(&dir)?;
        Ok(dir.join(index.to_string()))
    }
}

fn is_past(receipt: &Receipt, now: Timestamp) -> bool {
    !receipt.is_interrupted() && receipt.started_at.after(YOUNG) < now
}
