//! The journal: records of runs, pins, holds and the lock, as plain files in one directory.
//!
//! ```text
//! lock                  held by the current run
//! runs/RUN.json         one receipt for each run
//! runs/RUN.steps        outcomes of its entries, during the run
//! holds/RUN/INDEX       the hold of the generation that entry INDEX removed
//! reserve/NUMBER        space for records on a full disk
//! pins.json             generations that are never removed
//! root-baseline.json    the root baseline of the last run
//! acknowledged.json     the time up to which failures are acknowledged
//! notices.json          what somebody was told of each job
//! free-space.json       samples of the free space
//! ```
//!
//! Reading creates nothing: a missing directory is an empty journal.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod holds;
mod lock;
mod notices;
mod pins;
mod previous_runs;
mod probe;
mod reserve;
mod runs;
mod space;
mod steps;

use std::fs;
use std::io;
use std::sync::OnceLock;

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;
use serde::de::{DeserializeOwned, Error as _};

use super::files;
use super::files::trust::{self, unreadable, untrusted};
use super::signals::Signals;
use crate::domain::measure::Span;
use crate::domain::receipt::RunId;
use crate::domain::visible::escape_json;
use crate::ports::JournalError;

use lock::LockWait;
pub use lock::RunLock;
pub use pins::PinRecord;

/// The largest record that is written or read.
const MAX_BYTES: u64 = 64 << 20;
/// For the owner alone: an error text of Nix may have a line of its settings with a password.
const FILE_MODE: u32 = 0o600;

/// The journal in a directory.
#[derive(Debug, Clone)]
pub struct Journal {
    dir: Utf8PathBuf,
    lock_wait: Option<LockWait>,
    usual: Vec<Utf8PathBuf>,
    /// What a file of the reserve has, by the records before this process.
    reserve_file_bytes: OnceLock<u64>,
}

impl Journal {
    /// The journal in `dir`, which need not be there yet.
    pub fn at(dir: Utf8PathBuf) -> Self {
        Self {
            dir,
            lock_wait: None,
            usual: Vec::new(),
            reserve_file_bytes: OnceLock::new(),
        }
    }

    /// The same, for a user whose records usually are in these directories.
    #[must_use]
    pub fn with_usual_directories(self, usual: Vec<Utf8PathBuf>) -> Self {
        Self { usual, ..self }
    }

    /// The same, which waits for the lock at most this long, or until somebody asks to stop.
    #[must_use]
    pub fn patient(self, most: Span, signals: Signals) -> Self {
        let lock_wait = Some(LockWait::new(most, signals));
        Self { lock_wait, ..self }
    }

    /// Waits until no other run is under way, or the time for that is up; makes nothing where there is no lock.
    ///
    /// # Errors
    /// [`JournalError::Locked`] when another run is still under way then; otherwise when the lock cannot be looked at.
    pub fn wait_for_turn(&self) -> Result<(), JournalError> {
        let path = self.lock_path();
        if self.is_absent(&path)? {
            return Ok(());
        }
        self.trusted(&path)?;
        self.take(&path).map(drop)
    }

    /// The lock that a run holds.
    pub fn lock_path(&self) -> Utf8PathBuf {
        self.dir.join("lock")
    }

    fn take(&self, path: &Utf8Path) -> Result<RunLock, JournalError> {
        match &self.lock_wait {
            Some(lock_wait) => lock_wait.wait(|| RunLock::take(path)),
            None => RunLock::take(path),
        }
    }

    /// Where the journal is unless somebody says otherwise: `/var/lib/nix-prune` for root, for others a directory in
    /// `$XDG_STATE_HOME` or else in `~/.local/state`; `None` for a user without a home.
    pub fn default_dir(
        is_root: bool,
        state_home: Option<&Utf8Path>,
        home: Option<&Utf8Path>,
    ) -> Option<Utf8PathBuf> {
        if is_root {
            return Some("/var/lib/nix-prune".into());
        }
        let state = state_home.map(Utf8Path::to_path_buf);
        let state = state.or_else(|| home.map(|home| home.join(".local/state")));
        state.map(|state| state.join("nix-prune"))
    }

    /// The directory.
    pub fn dir(&self) -> &Utf8Path {
        &self.dir
    }

    fn runs_dir(&self) -> Utf8PathBuf {
        self.dir.join("runs")
    }

    fn receipt_path(&self, run: &RunId) -> Utf8PathBuf {
        self.runs_dir().join(format!("{run}.json"))
    }

    /// Reads a JSON document of ours; `None` where there is none.
    fn document<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, JournalError> {
        let path = self.dir.join(name);
        if self.is_absent(&path)? {
            return Ok(None);
        }
        let document = serde_json::from_str(&self.text(&path)?);
        document.map_err(|source| malformed(&path, source))
    }

    /// Writes a JSON document of ours.
    fn write_document<T: Serialize>(&self, name: &str, document: &T) -> Result<(), JournalError> {
        let path = self.dir.join(name);
        let text = written(&path, document)?;
        self.write(&path, &text)
    }

    fn text(&self, path: &Utf8Path) -> Result<String, JournalError> {
        self.trusted(path)?;
        files::read_bounded(path, MAX_BYTES).map_err(|source| match source.kind() {
            io::ErrorKind::InvalidData => malformed(path, serde_json::Error::custom(source)),
            _ => unreadable(path, source),
        })
    }

    /// Root believes and changes only what nobody else could have put there; others answer for their own files.
    fn trusted(&self, path: &Utf8Path) -> Result<(), JournalError> {
        if is_root() {
            // A sticky directory is good enough above the journal, but not as the journal.
            trust::check(&self.dir, 0).and_then(|()| trust::check(path, 0))
        } else if self.dir.is_absolute() {
            Ok(())
        } else {
            Err(untrusted(&self.dir, "it is not an absolute path"))
        }
    }

    /// Whether there is nothing of that name because nothing was ever written there.
    ///
    /// A journal whose directory is a link to a place that is away is not an empty one.
    fn is_absent(&self, path: &Utf8Path) -> Result<bool, JournalError> {
        if is_there(path)? {
            return Ok(false);
        }
        match fs::metadata(&self.dir) {
            Err(source) if source.kind() != io::ErrorKind::NotFound || is_there(&self.dir)? => {
                Err(unreadable(&self.dir, source))
            }
            _ => Ok(true),
        }
    }

    /// The paths in a directory of ours; none where it is not there.
    fn paths_in(&self, dir: &Utf8Path) -> Result<Vec<Utf8PathBuf>, JournalError> {
        if self.is_absent(dir)? {
            return Ok(Vec::new());
        }
        self.trusted(dir)?;
        let entries = fs::read_dir(dir).map_err(|source| unreadable(dir, source))?;
        entries
            .map(|entry| Ok(dir.join(entry?.file_name().to_string_lossy().as_ref())))
            .collect::<io::Result<_>>()
            .map_err(|source| unreadable(dir, source))
    }
}

/// A document as it is written down: for people too, with a line end at its end.
fn written<T: Serialize>(path: &Utf8Path, document: &T) -> Result<Vec<u8>, JournalError> {
    let text = serde_json::to_string_pretty(document)
        .map_err(|source| unwritable(path, io::Error::other(source)))?;
    let text = (escape_json(text) + "\n").into_bytes();
    // What could not be read again must not be written.
    if u64::try_from(text.len()).is_ok_and(|size| size <= MAX_BYTES) {
        Ok(text)
    } else {
        Err(unwritable(path, io::ErrorKind::FileTooLarge.into()))
    }
}

fn is_there(path: &Utf8Path) -> Result<bool, JournalError> {
    files::is_there(path).map_err(|source| unreadable(path, source))
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// The links of the machine's holds are roots, and everybody may look where those lead; the records are their owner's.
fn dir_mode() -> u32 {
    if is_root() { 0o755 } else { 0o700 }
}

fn unwritable(path: &Utf8Path, source: io::Error) -> JournalError {
    JournalError::Write {
        path: path.to_string(),
        source,
    }
}

fn malformed(path: &Utf8Path, source: serde_json::Error) -> JournalError {
    JournalError::Malformed {
        path: path.to_string(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(true, Some("/x"), Some("/home/a"), Some("/var/lib/nix-prune"))]
    #[case(false, Some("/x"), Some("/home/a"), Some("/x/nix-prune"))]
    #[case(false, None, Some("/home/a"), Some("/home/a/.local/state/nix-prune"))]
    #[case(false, None, None, None)]
    fn the_journal_has_its_place(
        #[case] is_root: bool,
        #[case] state_home: Option<&str>,
        #[case] home: Option<&str>,
        #[case] dir: Option<&str>,
    ) {
        let (state_home, home) = (state_home.map(Utf8Path::new), home.map(Utf8Path::new));
        assert_eq!(
            Journal::default_dir(is_root, state_home, home).as_deref(),
            dir.map(Utf8Path::new)
        );
    }
}
