//! The locks of a collection: Nix's `gc.lock` for itself alone, and `db/big-lock` shared, so that no Nix upgrades the database meanwhile.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::thread;
use std::time::{Duration, Instant};

use camino::Utf8Path;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::adapters::collector::holder;
use crate::adapters::files::open_to_change;
use crate::ports::{Interrupt, PerformError};

/// Between two attempts. Builds hold the lock for less than a millisecond each.
const PAUSE: Duration = Duration::from_millis(5);

/// Whoever holds a lock for too long.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Held(String);

/// The locks; they end when they are dropped.
pub(super) struct Locks {
    _collection: Flock<File>,
    _schema: Flock<File>,
}

impl Locks {
    /// Waits for both locks.
    ///
    /// # Errors
    /// [`PerformError::TimedOut`] with the holder when that takes longer than `most`; [`PerformError::Interrupted`].
    pub(super) fn wait(
        state_dir: &Utf8Path,
        most: Duration,
        interrupt: &dyn Interrupt,
    ) -> Result<Self, PerformError> {
        let wait = |name: &str, arg| wait(&state_dir.join(name), arg, most, interrupt);
        Ok(Self {
            _collection: wait("gc.lock", FlockArg::LockExclusiveNonblock)?,
            _schema: wait("db/big-lock", FlockArg::LockSharedNonblock)?,
        })
    }
}

fn wait(
    path: &Utf8Path,
    arg: FlockArg,
    most: Duration,
    interrupt: &dyn Interrupt,
) -> Result<Flock<File>, PerformError> {
    let what = || format!("waiting for the lock {path}");
    let failed = |source| PerformError::File {
        what: format!("lock {path}"),
        source,
    };
    let mut options = OpenOptions::new();
    // Only root may open it, as Nix makes it: whoever could lock it could delay every build.
    options.read(true).write(true).create(true).mode(0o600);
    let mut file = open_to_change(&mut options, path).map_err(failed)?;
    let begun = Instant::now();
    let mut said = false;
    loop {
        match Flock::lock(file, arg) {
            Ok(lock) => return Ok(lock),
            Err((unlocked, Errno::EWOULDBLOCK | Errno::EINTR)) => file = unlocked,
            Err((_, errno)) => return Err(failed(io::Error::from(errno))),
        }
        if interrupt.requested() {
            return Err(PerformError::Interrupted { what: what() });
        }
        let waited = begun.elapsed();
        let who = || {
            let holder = holder(path.to_path_buf(), Utf8Path::new("/proc"));
            holder.map_or_else(|| "another process holds it".into(), |it| it.to_string())
        };
        if waited >= most {
            return Err(PerformError::TimedOut {
                what: what(),
                source: Box::new(Held(who())),
            });
        }
        if !said && waited >= Duration::from_secs(1) {
            tracing::warn!("waiting for the lock {path}: {}", who());
            said = true;
        }
        thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use camino::Utf8PathBuf;
    use rstest::rstest;

    use super::*;
    use crate::ports::error_chain;

    struct Asks(bool);

    impl Interrupt for Asks {
        fn requested(&self) -> bool {
            self.0
        }
    }

    /// Shared locks are those of builds and of every Nix; an exclusive one is that of an upgrade.
    #[rstest]
    #[case::a_build("gc.lock", FlockArg::LockShared, true)]
    #[case::a_collection("gc.lock", FlockArg::LockExclusive, true)]
    #[case::an_upgrade("db/big-lock", FlockArg::LockExclusive, true)]
    #[case::any_nix("db/big-lock", FlockArg::LockShared, false)]
    fn who_holds_a_lock_is_waited_for(
        #[case] name: &str,
        #[case] arg: FlockArg,
        #[case] waits: bool,
        #[values(false, true)] asks: bool,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let state_dir = Utf8PathBuf::from_path_buf(dir.path().to_path_buf()).unwrap();
        std::fs::create_dir(state_dir.join("db")).unwrap();
        let file = File::create(state_dir.join(name)).unwrap();
        let held = Flock::lock(file, arg).unwrap();
        let most = Duration::from_millis(if asks { 60_000 } else { 30 });
        let failed = Locks::wait(&state_dir, most, &Asks(asks)).err();
        match failed {
            Some(error) if asks => {
                assert!(matches!(error, PerformError::Interrupted { .. }) && waits);
            }
            Some(error) => {
                assert!(matches!(error, PerformError::TimedOut { .. }) && waits);
                assert!(error_chain(&error).contains(name), "{error:?}");
            }
            None => assert!(!waits),
        }
        drop(held);
        let both = Locks::wait(&state_dir, most, &Asks(false)).unwrap();
        // Not even a shared one beside it, and only root may ask.
        let again = |name: &str, arg| {
            let file = File::open(state_dir.join(name)).unwrap();
            Flock::lock(file, arg).is_ok()
        };
        assert!(!again("gc.lock", FlockArg::LockSharedNonblock));
        assert!(again("db/big-lock", FlockArg::LockSharedNonblock));
        assert!(!again("db/big-lock", FlockArg::LockExclusiveNonblock));
        drop(both);
        let new = ["gc.lock", "db/big-lock"]
            .into_iter()
            .find(|it| *it != name);
        let meta = state_dir.join(new.unwrap()).metadata().unwrap();
        assert_eq!(meta.permissions().mode() & 0o777, 0o600);
    }

    /// Builds hold it for less than a millisecond each.
    #[test]
    fn a_lock_is_had_soon_after_it_is_free_and_given_up_in_time() {
        let dir = tempfile::tempdir().unwrap();
        let state_dir = Utf8PathBuf::from_path_buf(dir.path().to_path_buf()).unwrap();
        std::fs::create_dir(state_dir.join("db")).unwrap();
        let file = File::create(state_dir.join("gc.lock")).unwrap();
        let held = Flock::lock(file, FlockArg::LockShared).unwrap();
        let begun = Instant::now();
        assert!(Locks::wait(&state_dir, Duration::from_millis(100), &Asks(false)).is_err());
        let given_up = begun.elapsed();
        let minute = Duration::from_secs(60);
        thread::scope(|scope| {
            let waits = scope.spawn(|| Locks::wait(&state_dir, minute, &Asks(false)).map(drop));
            thread::sleep(Duration::from_millis(50));
            drop(held);
            let freed = Instant::now();
            waits.join().unwrap().unwrap();
            assert!(freed.elapsed() < Duration::from_secs(3));
        });
        assert!(given_up < Duration::from_secs(3), "{given_up:?}");
    }
}
