//! What earlier runs have left behind for a look: pins, holds, and what the last run saw of the roots.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

use camino::{Utf8Path, Utf8PathBuf};
use nix::unistd::geteuid;
use serde::{Deserialize, Serialize};

use super::{Journal, RunLock, unreadable};
use crate::adapters::survey::{Elsewhere, PreviousRuns};
use crate::domain::baseline::RootBaseline;
use crate::domain::receipt::{Receipt, RunId};
use crate::domain::snapshot::{Hold, Pin, Snapshot};
use crate::domain::store_path::StoreDir;
use crate::ports::{JournalError, RunJournal};

/// The file of the root baselines.
pub(super) const BASELINE: &str = "root-baseline.json";
/// Its former name. It is read until the next run writes the file anew.
const FORMER_BASELINE: &str = "seen.json";

/// The root baseline of the last run in each store.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    schema: Form,
    stores: Vec<RootBaseline>,
}

#[derive(Serialize, Deserialize)]
enum Form {
    #[serde(rename = "nix-prune/root-baseline/1", alias = "nix-prune/seen/1")]
    V1,
}

impl PreviousRuns for Journal {
    fn pins(&self) -> Result<Vec<Pin>, JournalError> {
        Ok(self.pin_records()?.into_iter().map(Pin::from).collect())
    }

    fn pins_of_user(&self, home: &Utf8Path, uid: u32) -> Result<Vec<Pin>, JournalError> {
        self.pins_of_user(home, uid)
    }

    fn holds(&self, store: &StoreDir) -> Result<Vec<Hold>, JournalError> {
        self.holds_in(store)
    }

    fn baseline(&self, store: &StoreDir) -> Result<Option<RootBaseline>, JournalError> {
        let baselines = self.baselines()?;
        Ok(baselines.into_iter().find(|it| it.store == *store))
    }

    fn knows(&self, run: &RunId) -> bool {
        self.receipt_path(run).symlink_metadata().is_ok()
    }

    fn left_files(&self, store: &StoreDir, under_way: bool) -> bool {
        // Records that cannot be read stop a run by themselves.
        let receipts = self.receipts().unwrap_or_default();
        let ours = receipts.iter().rev().filter(|run| run.store == *store);
        let ended = ours.filter(|run| under_way || !run.is_interrupted());
        ended
            .into_iter()
            .find_map(Receipt::left_files)
            .unwrap_or(false)
    }

    fn holds_dir(&self) -> Utf8PathBuf {
        self.holds_dir()
    }

    fn elsewhere(&self, found: &BTreeSet<&Utf8Path>, store: &StoreDir) -> Vec<Elsewhere> {
        let usual: Vec<&Utf8Path> = self.usual.iter().map(Utf8PathBuf::as_path).collect();
        let at_home = usual.is_empty() || usual.iter().any(|dir| self.is_same(dir));
        let ours =
            |dir: &&Utf8Path| fs::metadata(dir).is_ok_and(|dir| dir.uid() == geteuid().as_raw());
        let found = found.iter().copied().filter(ours);
        let dirs: BTreeSet<&Utf8Path> = usual.into_iter().chain(found).collect();
        let others = dirs.into_iter().filter(|dir| !self.is_same(dir));
        let kept = |dir: &Utf8Path| {
            match fs::metadata(dir) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(unreadable(dir, source));
                }
                _ => {}
            }
            let other = Self::at(dir.to_path_buf());
            Ok((other.pins()?, other.holds_in(store)?))
        };
        let elsewhere = others.map(|dir| {
            let kept = kept(dir);
            Elsewhere {
                dir: dir.to_path_buf(),
                stops_run: !at_home || (kept.is_err() && self.usual.iter().any(|it| it == dir)),
                kept,
            }
        });
        elsewhere.collect()
    }
}

impl Journal {
    fn baselines(&self) -> Result<Vec<RootBaseline>, JournalError> {
        let record: Option<Record> = match self.document(BASELINE)? {
            None => self.document(FORMER_BASELINE)?,
            record => record,
        };
        Ok(record.map_or_else(Vec::new, |record| record.stores))
    }

    pub(super) fn write_baseline(
        &self,
        _lock: &RunLock,
        snapshot: &Snapshot,
        run: &Receipt,
    ) -> Result<(), JournalError> {
        // A file that cannot be read fails a safety check. Once that is accepted, the file is written anew.
        let mut stores = self.baselines().unwrap_or_default();
        let before = stores.iter().position(|it| it.store == snapshot.store);
        let before = before.map(|at| stores.swap_remove(at));
        stores.push(RootBaseline::of(snapshot, &run.entries, before.as_ref()));
        stores.sort_by(|a, b| a.store.as_path().cmp(b.store.as_path()));
        let schema = Form::V1;
        self.write_document(BASELINE, &Record { schema, stores })
    }

    /// Whether a directory is this one, by whatever name.
    fn is_same(&self, dir: &Utf8Path) -> bool {
        let number = |dir: &Utf8Path| fs::metadata(dir).map(|dir| (dir.dev(), dir.ino()));
        match (number(&self.dir), number(dir)) {
            (Ok(own), Ok(other)) => own == other,
            _ => self.dir == dir,
        }
    }
}
