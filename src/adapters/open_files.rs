//! Check of the limit on open files: with too low a limit, an existing file would look missing.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// As many files as a look at a store with deep directories, its database and two pipes of a command need at a time.
const NEEDED: u64 = 64;

/// The limit is too low, and cannot be raised.
#[derive(Debug, thiserror::Error)]
#[error("the limit on open files is {0}, and at least {NEEDED} are needed")]
pub struct TooFewOpenFiles(u64);

/// Raises the limit as far as it takes.
///
/// # Errors
/// When that is not allowed.
pub fn ensure() -> Result<(), TooFewOpenFiles> {
    // A system without such a limit has no need of this.
    let Ok((now, most)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return Ok(());
    };
    if now >= NEEDED || setrlimit(Resource::RLIMIT_NOFILE, NEEDED, most.max(NEEDED)).is_ok() {
        return Ok(());
    }
    Err(TooFewOpenFiles(now))
}
