//! Holds: the records list the expected ones, the links show the existing ones.

use std::collections::BTreeSet;
use std::fs;
use std::io;

use camino::{Utf8Path, Utf8PathBuf};
use nix::errno::Errno;

use super::{Journal, RunLock, is_there, unreadable, unwritable};
use crate::domain::receipt::{Entry, Outcome, Receipt, RunId};
use crate::domain::snapshot::{Hold, Snapshot};
use crate::domain::store_path::StoreDir;
use crate::ports::{JournalError, RunJournal};

impl Journal {
    /// The directory of the links of all holds.
    pub fn holds_dir(&self) -> Utf8PathBuf {
        self.dir.join("holds")
    }

    /// Every hold in a store: those whose link is there, whatever became of their run, and those that should be there.
    /// Those of runs in other stores are for runs there to end.
    ///
    /// # Errors
    /// When a record or a link cannot be read: then it is not known what is held.
    pub fn holds_in(&self, store: &StoreDir) -> Result<Vec<Hold>, JournalError> {
        let receipts = self.receipts()?;
        let released = released(&receipts);
        let mut holds = Vec::new();
        for receipt in receipts.iter().filter(|receipt| receipt.store == *store) {
            for entry in &receipt.entries {
                holds.extend(hold_of(receipt, entry, &released)?);
            }
        }
        Ok(holds)
    }

    /// Removes the empty directories of runs that have ended. A directory that a root still points into is kept:
    /// without it the root would look like a hold on a file system that is not mounted.
    ///
    /// # Errors
    /// When one cannot be looked at or removed.
    pub fn remove_empty_hold_dirs(
        &self,
        _lock: &RunLock,
        snapshot: &Snapshot,
    ) -> Result<(), JournalError> {
        if snapshot.hidden_roots().next().is_some() {
            return Ok(());
        }
        for dir in self.paths_in(&self.holds_dir())? {
            let name = dir.file_name().unwrap_or_default().to_string();
            let Ok(run) = RunId::try_from(name) else {
                continue;
            };
            let is_root_there = snapshot
                .roots
                .iter()
                .any(|root| root.link.starts_with(&dir));
            if is_root_there || !is_dir(&dir)? || !self.has_ended(&run, &snapshot.store)? {
                continue;
            }
            #[expect(
                clippy::disallowed_methods,
                reason = "a directory that the journal made, and only an empty one"
            )]
            match fs::remove_dir(&dir) {
                Ok(()) => {}
                // The kernel checks that itself, without a race: a directory with a link in it is kept.
                Err(error) if is_not_empty(&error) => {}
                Err(source) => return Err(unwritable(&dir, source)),
            }
        }
        Ok(())
    }

    /// Whether there is the record of a run in this store that is not to be recovered.
    fn has_ended(&self, run: &RunId, store: &StoreDir) -> Result<bool, JournalError> {
        let path = self.receipt_path(run);
        if !is_there(&path)? {
            return Ok(false);
        }
        let receipt = self.receipt_in(&path)?;
        Ok(receipt.store == *store && !receipt.is_interrupted())
    }

    pub(super) fn holds_of(&self, run: &RunId) -> Utf8PathBuf {
        self.holds_dir().join(run.as_str())
    }
}

/// The links of the holds that a run has ended.
pub(super) fn released(receipts: &[Receipt]) -> BTreeSet<&Utf8Path> {
    let entries = receipts.iter().flat_map(|receipt| &receipt.entries);
    let done = entries.filter(|entry| entry.outcome == Outcome::Done);
    let released = done.filter_map(|entry| entry.action.released_hold());
    released.map(|hold| hold.link.as_path()).collect()
}

/// Whether a run holds anything, or should.
pub(super) fn any(receipt: &Receipt, released: &BTreeSet<&Utf8Path>) -> Result<bool, JournalError> {
    for entry in &receipt.entries {
        if hold_of(receipt, entry, released)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn hold_of(
    receipt: &Receipt,
    entry: &Entry,
    released: &BTreeSet<&Utf8Path>,
) -> Result<Option<Hold>, JournalError> {
    let Some(hold) = entry.hold(&receipt.run) else {
        return Ok(None);
    };
    let there = is_there(&hold.link)?;
    let stands = entry.outcome == Outcome::Done && entry.undone_by.is_none();
    let expected = stands && !released.contains(hold.link.as_path());
    if !there && !expected {
        return Ok(None);
    }
    let path = hold.store_path.to_absolute_path(&receipt.store);
    let intact = there && leads_to(&hold.link, &path)? && is_there(&path)?;
    Ok(Some(Hold {
        run: hold.run,
        link: hold.link,
        store_path: hold.store_path,
        held: hold.held,
        until: hold.until,
        intact,
    }))
}

/// Whether `link` is a link with exactly this text.
fn leads_to(link: &Utf8Path, path: &Utf8Path) -> Result<bool, JournalError> {
    match fs::read_link(link) {
        Ok(text) => Ok(text.as_os_str() == path.as_str()),
        // It is something else than a link, or went while we looked.
        Err(error)
            if error.raw_os_error() == Some(Errno::EINVAL as i32)
                || error.kind() == io::ErrorKind::NotFound =>
        {
            Ok(false)
        }
        Err(source) => Err(unreadable(link, source)),
    }
}

fn is_dir(path: &Utf8Path) -> Result<bool, JournalError> {
    fs::symlink_metadata(path)
        .map(|metadata| metadata.is_dir())
        .map_err(|source| unreadable(path, source))
}

fn is_not_empty(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::DirectoryNotEmpty
        || error.raw_os_error() == Some(Errno::EEXIST as i32)
}
