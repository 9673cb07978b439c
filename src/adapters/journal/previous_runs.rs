//! Facts about previous runs, for the survey.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

use camino::{Utf8Path, Utf8PathBuf};
use nix::unistd::geteuid;

use super::{Journal, unreadable};
use crate::adapters::survey::{Elsewhere, Memory};
use crate::domain::baseline::RootBaseline;
use crate::domain::receipt::RunId;
use crate::domain::snapshot::{Hold, Pin};
use crate::domain::store_path::StoreDir;
use crate::ports::JournalError;

impl Memory for Journal {
    fn pins(&self) -> Result<Vec<Pin>, JournalError> {
        self.pins()
    }

    fn pins_of_user(&self, home: &Utf8Path, uid: u32) -> Result<Vec<Pin>, JournalError> {
        self.pins_of_user(home, uid)
    }

    fn holds(&self, store: &StoreDir) -> Result<Vec<Hold>, JournalError> {
        self.holds_in(store)
    }

    fn last_seen(&self, store: &StoreDir) -> Result<Option<RootBaseline>, JournalError> {
        self.last_seen(store)
    }

    fn knows(&self, run: &RunId) -> bool {
        self.receipt_path(run).symlink_metadata().is_ok()
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
    /// Whether a directory is this one, by whatever name.
    fn is_same(&self, dir: &Utf8Path) -> bool {
        let number = |dir: &Utf8Path| fs::metadata(dir).map(|dir| (dir.dev(), dir.ino()));
        match (number(&self.dir), number(dir)) {
            (Ok(own), Ok(other)) => own == other,
            _ => self.dir == dir,
        }
    }
}
