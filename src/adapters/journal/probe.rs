//! Check that a run could write its records.

use std::fs::{self, OpenOptions};
use std::io;

use camino::Utf8Path;

use super::{Journal, is_root, is_there, unreadable, unwritable};
use crate::adapters::files::{self, trust};
use crate::ports::JournalError;

impl Journal {
    /// Tries what [`RunJournal::lock`](crate::ports::RunJournal::lock) and a record need, and leaves nothing behind; false
    /// where the directory is not there yet and can be made.
    ///
    /// # Errors
    /// Why no record could be written.
    pub fn probe(&self) -> Result<bool, JournalError> {
        if !self.dir.is_absolute() {
            self.trusted(&self.dir)?;
        }
        if !is_there(&self.dir)? {
            let above = nearest(&self.dir)?;
            if is_root() {
                trust::check_above(above, 0)?;
            }
            writable(above)?;
            return Ok(false);
        }
        let own = fs::metadata(&self.dir).map_err(|source| unwritable(&self.dir, source))?;
        if !own.is_dir() {
            return Err(unwritable(&self.dir, io::ErrorKind::NotADirectory.into()));
        }
        self.trusted(&self.dir)?;
        writable(&self.dir)?;
        for dir in [self.runs_dir(), self.holds_dir()] {
            if is_there(&dir)? {
                self.trusted(&dir)?;
                writable(&dir)?;
            }
        }
        let lock = self.lock_path();
        if is_there(&lock)? {
            self.trusted(&lock)?;
            // As a run opens it, without taking it.
            files::open_to_change(OpenOptions::new().read(true).write(true), &lock)
                .map_err(|source| unwritable(&lock, source))?;
        }
        Ok(true)
    }
}

fn writable(dir: &Utf8Path) -> Result<(), JournalError> {
    files::probe(dir).map_err(|source| unwritable(dir, source))
}

/// The innermost directory above a path that is there.
fn nearest(path: &Utf8Path) -> Result<&Utf8Path, JournalError> {
    for above in path.ancestors().skip(1) {
        match fs::metadata(above) {
            Ok(there) if there.is_dir() => return Ok(above),
            Ok(_) => return Err(unwritable(above, io::ErrorKind::NotADirectory.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !is_there(above)? => {}
            Err(source) => return Err(unreadable(above, source)),
        }
    }
    Err(unwritable(path, io::ErrorKind::NotFound.into()))
}
