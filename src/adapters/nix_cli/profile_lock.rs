//! Nix's profile lock, for restoring a generation: the one change to a profile for which Nix has no command.

use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::thread;
use std::time::{Duration, Instant};

use super::links::{Directory, Removal};
use crate::ports::Interrupt;

/// A Nix command holds the lock for moments only, but for as long as it builds where it also installs.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);

/// `PROFILE.lock`, held. While it is, no Nix command makes, deletes or switches generations of the profile.
pub(super) struct ProfileLock<'d> {
    file: File,
    dir: &'d Directory,
    name: String,
}

impl<'d> ProfileLock<'d> {
    /// Takes the lock, as Nix does; `None` when somebody else has it for too long, or when a request to stop comes first.
    ///
    /// # Errors
    /// When it cannot be had at all, for instance because something other than a file has its name: the directory may be a
    /// hostile user's, and a write to a full pipe never ends.
    pub(super) fn take(
        dir: &'d Directory,
        profile: &str,
        interrupt: &(impl Interrupt + ?Sized),
    ) -> io::Result<Option<Self>> {
        let name = format!("{profile}.lock");
        let begun = Instant::now();
        loop {
            let file = dir.open_file(&name)?;
            match file.try_lock() {
                // Whoever had it before has removed the file and marked it by writing into it: it locks nothing now.
                Ok(()) if file.metadata()?.len() == 0 => {
                    return Ok(Some(Self { file, dir, name }));
                }
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
            if begun.elapsed() >= PATIENCE || interrupt.requested() {
                return Ok(None);
            }
            thread::sleep(PAUSE);
        }
    }

    /// Gives the lock back and removes its file, as Nix does.
    pub(super) fn release(mut self) {
        // Removing it is tidiness; the mark shows processes that wait for it that it is gone. Without the first the
        // second must not be done, or the file would lock out everybody for good.
        if self.dir.unlink(&self.name, Removal::Own).is_ok() {
            let _ = self.file.write_all(b"d");
        }
        // The file is closed in a moment, but a child that starts just now may still have it.
        let _ = self.file.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use camino::Utf8Path;
    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;
    use rstest::rstest;
    use std::os::unix::fs::{OpenOptionsExt, symlink};
    use std::os::unix::net::UnixListener;

    struct Stop(bool);

    impl Interrupt for Stop {
        fn requested(&self) -> bool {
            self.0
        }
    }

    fn take(dir: &Directory, stop: bool) -> io::Result<Option<ProfileLock<'_>>> {
        ProfileLock::take(dir, "demo", &Stop(stop))
    }

    #[test]
    fn nobody_else_gets_the_lock_and_those_who_wait_learn_that_it_is_gone() {
        let temporary = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(temporary.path()).unwrap();
        let dir = Directory::open(path).unwrap().unwrap();
        let lock = take(&dir, false).unwrap().unwrap();
        let waiting = || dir.open_file("demo.lock").unwrap();
        assert!(waiting().try_lock_shared().is_err());
        let before = waiting();
        lock.release();
        assert!(!path.join("demo.lock").exists());
        assert_eq!(before.metadata().unwrap().len(), 1);
        take(&dir, false).unwrap().unwrap().release();
    }

    #[test]
    fn a_request_to_stop_ends_the_wait_for_a_lock() {
        let temporary = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(temporary.path()).unwrap();
        let dir = Directory::open(path).unwrap().unwrap();
        let _held = take(&dir, false).unwrap().unwrap();
        let begun = Instant::now();
        assert!(take(&dir, true).unwrap().is_none());
        assert!(begun.elapsed() < PATIENCE / 2);
    }

    /// The owner of a file can take a lease on it, and an open that may block waits then.
    #[test]
    fn no_open_of_a_lock_waits() {
        let temporary = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(temporary.path()).unwrap();
        let dir = Directory::open(path).unwrap().unwrap();
        let file = dir.open_file("demo.lock").unwrap();
        let flags = nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_GETFL).unwrap();
        assert_ne!(flags & nix::libc::O_NONBLOCK, 0);
    }

    /// A lock file belongs to the owner of the directory, who may put anything in its place.
    #[rstest]
    fn only_a_regular_file_is_a_lock(
        #[values(
            "full pipe",
            "pipe",
            "socket",
            "directory",
            "link to a file",
            "link to a pipe"
        )]
        what: &str,
    ) {
        let temporary = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(temporary.path()).unwrap();
        let dir = Directory::open(path).unwrap().unwrap();
        let lock = path.join("demo.lock");
        let pipe = |path: &Utf8Path| {
            mkfifo(path.as_std_path(), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
            let mut open = std::fs::OpenOptions::new();
            open.read(true).write(true);
            open.custom_flags(nix::libc::O_NONBLOCK).open(path).unwrap()
        };
        let mut held = None;
        let mut socket = None;
        match what {
            "full pipe" => {
                let mut file = pipe(&lock);
                while file.write(&[0; 4096]).is_ok() {}
                held = Some(file);
            }
            "pipe" => drop(pipe(&lock)),
            "socket" => socket = Some(UnixListener::bind(&lock).unwrap()),
            "directory" => std::fs::create_dir(&lock).unwrap(),
            "link to a file" => {
                std::fs::write(path.join("file"), "").unwrap();
                symlink(path.join("file"), &lock).unwrap();
            }
            _ => {
                held = Some(pipe(&path.join("pipe")));
                symlink(path.join("pipe"), &lock).unwrap();
            }
        }
        let begun = Instant::now();
        assert!(take(&dir, false).is_err(), "{what}");
        assert!(begun.elapsed() < PATIENCE / 2, "{what}");
        assert!(lock.symlink_metadata().is_ok(), "{what}");
        drop((held, socket));
    }
}
