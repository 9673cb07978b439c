//! The run lock: one run at a time; others wait for it. The kernel releases it when its holder ends, however that happens.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::process;
use std::thread;
use std::time::{Duration, Instant};

use camino::Utf8Path;

use super::steps::Steps;
use super::{unreadable, unwritable};
use crate::adapters::files;
use crate::adapters::signals::Signals;
use crate::domain::measure::Span;
use crate::domain::visible::is_hidden;
use crate::ports::{Interrupt, JournalError};

/// Others could keep us out by locking a file that they can read, so that they cannot.
const LOCK_MODE: u32 = 0o600;
/// A lock file that somebody replaces again and again is not ours to fight for.
const MAX_TRIES: usize = 5;
const MAX_NOTE_BYTES: u64 = 200;
/// How often the lock is tried for.
const PAUSE: Duration = Duration::from_millis(100);

/// Keeps other runs out while it lives.
#[derive(Debug)]
pub struct RunLock {
    file: File,
    pub(super) steps: Steps,
}

impl RunLock {
    pub(super) fn take(path: &Utf8Path) -> Result<Self, JournalError> {
        for _ in 0..MAX_TRIES {
            let file = open(path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(JournalError::Locked {
                        lock: path.to_string(),
                        holder: holder(file),
                    });
                }
                Err(TryLockError::Error(source)) => return Err(unwritable(path, source)),
            }
            // We never remove the file; should somebody have, another run could lock the new one beside us.
            if is_at(&file, path)? {
                let mut lock = Self {
                    file,
                    steps: Steps::default(),
                };
                lock.note();
                return Ok(lock);
            }
        }
        Err(unwritable(
            path,
            io::Error::other("another process keeps replacing it"),
        ))
    }

    /// Writes the holder into the lock file, for the message of another run; on a full disk the name is left out.
    fn note(&mut self) {
        #[expect(
            clippy::disallowed_methods,
            reason = "a note for people, which nothing reads back"
        )]
        let note = format!(
            "process {} since {:.0}\n",
            process::id(),
            jiff::Timestamp::now()
        );
        let written = self
            .clear()
            .and_then(|()| self.file.write_all(note.as_bytes()));
        if let Err(error) = written {
            tracing::debug!(%error, "cannot write the name of the lock's holder");
        }
    }

    fn clear(&mut self) -> io::Result<()> {
        self.file.rewind()?;
        self.file.set_len(0)
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        // The name of a holder that is gone would only mislead; the lock itself ends with the file.
        if let Err(error) = self.clear() {
            tracing::debug!(%error, "the lock still names its last holder");
        }
        // The file is closed in a moment, but a child that starts just now may still have it.
        if let Err(error) = self.file.unlock() {
            tracing::debug!(%error, "the lock ends only with this process");
        }
    }
}

fn open(path: &Utf8Path) -> Result<File, JournalError> {
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).mode(LOCK_MODE);
    files::open_to_change(options, path).map_err(|source| unwritable(path, source))
}

fn is_at(file: &File, path: &Utf8Path) -> Result<bool, JournalError> {
    let ours = file.metadata().map_err(|source| unreadable(path, source))?;
    match fs::symlink_metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(unreadable(path, source)),
    }
}

/// What the holder wrote down, if it is fit to be shown.
fn holder(file: File) -> Option<String> {
    let mut text = String::new();
    file.take(MAX_NOTE_BYTES).read_to_string(&mut text).ok()?;
    let line = text.lines().next()?.trim();
    (!line.is_empty() && !line.chars().any(is_hidden)).then(|| line.to_string())
}

/// How long to wait, and what ends it before.
#[derive(Debug, Clone)]
pub(super) struct LockWait {
    most: Duration,
    signals: Signals,
}

impl LockWait {
    pub(super) fn new(most: Span, signals: Signals) -> Self {
        let most = Duration::from_secs(most.as_seconds());
        Self { most, signals }
    }

    /// Tries until it is not locked out any more; says once whom it waits for.
    pub(super) fn wait<T>(
        &self,
        mut attempt: impl FnMut() -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        let begun = Instant::now();
        let mut said = false;
        loop {
            let locked = match attempt() {
                Err(error @ JournalError::Locked { .. }) => error,
                ended => return ended,
            };
            if begun.elapsed() >= self.most || self.signals.requested() {
                return Err(locked);
            }
            if !said {
                tracing::warn!("waiting: {locked}");
                said = true;
            }
            thread::sleep(PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use camino::Utf8PathBuf;
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn scratch() -> (tempfile::TempDir, Utf8PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(dir.path().join("lock")).unwrap();
        (dir, path)
    }

    #[test]
    fn a_second_lock_names_the_holder_of_the_first() {
        let (_guard, path) = scratch();
        let first = RunLock::take(&path).unwrap();
        let Err(JournalError::Locked { holder, .. }) = RunLock::take(&path) else {
            panic!("two locks");
        };
        let ours = format!("process {} since ", process::id());
        let holder = holder.unwrap();
        let since = holder.strip_prefix(&ours).unwrap();
        assert_eq!(since.len(), "2026-11-22T22:16:44Z".len(), "{since}");
        since.parse::<jiff::Timestamp>().unwrap();
        drop(first);
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
        RunLock::take(&path).unwrap();
    }

    #[test]
    fn children_do_not_get_the_lock_and_others_cannot_open_it() {
        let (_guard, path) = scratch();
        let lock = RunLock::take(&path).unwrap();
        let flags = fcntl(&lock.file, FcntlArg::F_GETFD).unwrap();
        assert!(FdFlag::from_bits_truncate(flags).contains(FdFlag::FD_CLOEXEC));
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }

    #[test]
    fn a_lock_file_that_was_replaced_is_not_the_lock() {
        let (_guard, path) = scratch();
        let old = open(&path).unwrap();
        assert!(is_at(&old, &path).unwrap());
        fs::remove_file(&path).unwrap();
        assert!(!is_at(&old, &path).unwrap());
        let _new = open(&path).unwrap();
        assert!(!is_at(&old, &path).unwrap());
    }

    #[test]
    fn links_and_pipes_are_no_locks() {
        let (_guard, path) = scratch();
        symlink("elsewhere", &path).unwrap();
        assert!(matches!(
            RunLock::take(&path),
            Err(JournalError::Write { .. })
        ));
        fs::remove_file(&path).unwrap();
        let mode = nix::sys::stat::Mode::from_bits_truncate(0o600);
        nix::unistd::mkfifo(path.as_std_path(), mode).unwrap();
        assert!(matches!(
            RunLock::take(&path),
            Err(JournalError::Write { .. })
        ));
    }

    #[test]
    fn a_note_that_is_not_fit_to_be_shown_is_not() {
        let (_guard, path) = scratch();
        for text in ["", "\n", "\x1b[2Jgone", "a\tb"] {
            fs::write(&path, text).unwrap();
            assert_eq!(holder(File::open(&path).unwrap()), None, "{text:?}");
        }
    }
}
