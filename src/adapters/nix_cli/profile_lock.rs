//! Nix's own lock of a profile, for the one change to a profile that no Nix command makes: putting a generation back.

use std::fs::File;
use std::io::{self, Write};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::links::Directory;

/// A Nix command holds the lock for moments only, but for as long as it builds where it also installs.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);

/// `PROFILE.lock`, held. While it is, no Nix command makes, deletes or switches generations of the profile.
pub(super) struct ProfileLock<'d> {
    file: Flock<File>,
    dir: &'d Directory,
    name: String,
}

impl<'d> ProfileLock<'d> {
    /// Takes the lock, as Nix does; `None` when somebody else has it for too long.
    pub(super) fn take(dir: &'d Directory, profile: &str) -> io::Result<Option<Self>> {
        let name = format!("{profile}.lock");
        let begun = Instant::now();
        loop {
            let file = File::from(dir.open_file(&name)?);
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                // Whoever had it before has removed the file and marked it by writing into it: it locks nothing now.
                Ok(file) if file.metadata()?.len() == 0 => {
                    return Ok(Some(Self { file, dir, name }));
                }
                Ok(_) | Err((_, Errno::EWOULDBLOCK)) => {}
                Err((_, errno)) => return Err(errno.into()),
            }
            if begun.elapsed() >= PATIENCE {
                return Ok(None);
            }
            thread::sleep(PAUSE);
        }
    }

    /// Gives the lock back and removes its file, as Nix does.
    pub(super) fn release(mut self) {
        // Removing it is tidiness; the mark tells those who wait for it that it is gone. Without the first the second
        // must not be done, or the file would lock out everybody for good.
        if self.dir.unlink(&self.name).is_ok() {
            let _ = self.file.write_all(b"d");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use camino::Utf8Path;

    #[test]
    fn nobody_else_gets_the_lock_and_those_who_wait_learn_that_it_is_gone() {
        let temporary = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(temporary.path()).unwrap();
        let dir = Directory::open(path).unwrap().unwrap();
        let lock = ProfileLock::take(&dir, "demo").unwrap().unwrap();
        let waiting = || File::from(dir.open_file("demo.lock").unwrap());
        assert!(Flock::lock(waiting(), FlockArg::LockSharedNonblock).is_err());
        let before = waiting();
        lock.release();
        assert!(!path.join("demo.lock").exists());
        assert_eq!(before.metadata().unwrap().len(), 1);
        ProfileLock::take(&dir, "demo").unwrap().unwrap().release();
    }
}
