//! Agreement with builds during a collection: paths that builds need are spared, and a path under deletion is waited for.
//!
//! The unit is the hash of a path, as in Nix: `HASH-name.lock` and the like belong to the build of `HASH-name`.

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::store_path::ENCODED_DIGEST_SIZE;

/// The hash of a store path, as it stands in its name.
pub(super) type Hash = [u8; ENCODED_DIGEST_SIZE];

/// The hash at the beginning of a name.
pub(super) fn hash_of(name: &str) -> Option<Hash> {
    name.as_bytes().first_chunk().copied()
}

#[derive(Default)]
struct State {
    /// What builds need.
    needed: HashSet<Hash>,
    /// What is being deleted, with the number of names that have the hash.
    claimed: HashMap<Hash, usize>,
    /// What is being deleted and a build waits for.
    awaited: HashSet<Hash>,
    /// Those of them that nobody has asked for yet.
    newly_awaited: Vec<Hash>,
}

/// What builds need and what is being deleted.
pub(super) struct Claims {
    state: Mutex<State>,
    /// Wakes the server, so that it answers whoever waits.
    wake: UnixStream,
}

impl Claims {
    /// Nothing is needed or claimed; each release writes to `wake`.
    pub(super) fn new(wake: UnixStream) -> Self {
        Self {
            state: Mutex::default(),
            wake,
        }
    }

    /// A thread that panicked leaves the sets as they are: they change in single steps.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that a build needs a path; returns whether it is not being deleted, so that the build may go on.
    pub(super) fn need(&self, hash: Hash) -> bool {
        let mut state = self.state();
        state.needed.insert(hash);
        let is_claimed = state.claimed.contains_key(&hash);
        if is_claimed && state.awaited.insert(hash) {
            state.newly_awaited.push(hash);
        }
        !is_claimed
    }

    /// Whether a path is not, or not any more, being deleted.
    pub(super) fn is_free(&self, hash: &Hash) -> bool {
        !self.state().claimed.contains_key(hash)
    }

    /// Claims every name that no build needs, all at one moment; returns for each whether it is claimed.
    pub(super) fn claim<'a>(&self, names: impl Iterator<Item = &'a str>) -> Vec<bool> {
        let mut state = self.state();
        names
            .map(|name| {
                let free = hash_of(name).filter(|hash| !state.needed.contains(hash));
                if let Some(hash) = free {
                    *state.claimed.entry(hash).or_default() += 1;
                }
                free.is_some()
            })
            .collect()
    }

    /// Releases a claimed name, be it deleted or spared.
    pub(super) fn release(&self, name: &str) {
        let Some(hash) = hash_of(name) else { return };
        let mut state = self.state();
        if let Some(count) = state.claimed.get_mut(&hash) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                state.claimed.remove(&hash);
                if state.awaited.remove(&hash) {
                    drop(state);
                    self.wake();
                }
            }
        }
    }

    /// What is being deleted and somebody waits for since this was asked last.
    pub(super) fn newly_awaited(&self) -> Vec<Hash> {
        std::mem::take(&mut self.state().newly_awaited)
    }

    /// Wakes the server.
    pub(super) fn wake(&self) {
        // A full pipe wakes it as well.
        let _ = (&self.wake).write(&[0]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "00000000000000000000000000000000-a";
    const A_LOCK: &str = "00000000000000000000000000000000-a.lock";
    const B: &str = "11111111111111111111111111111111-b";

    fn claims() -> (Claims, UnixStream) {
        let (wake, woken) = UnixStream::pair().unwrap();
        woken.set_nonblocking(true).unwrap();
        (Claims::new(wake), woken)
    }

    #[test]
    fn what_a_build_needs_is_not_claimed_and_neither_is_what_has_its_hash() {
        let (claims, _woken) = claims();
        assert!(claims.need(hash_of(A).unwrap()));
        let claimed = claims.claim([A, A_LOCK, B, "short"].into_iter());
        assert_eq!(claimed, [false, false, true, false]);
    }

    #[test]
    fn a_build_waits_until_the_last_name_with_the_hash_is_released() {
        use std::io::Read;
        let (claims, mut woken) = claims();
        let hash = hash_of(A).unwrap();
        assert_eq!(claims.claim([A, A_LOCK].into_iter()), [true, true]);
        assert!(!claims.need(hash));
        assert!(!claims.need(hash));
        assert_eq!(claims.newly_awaited(), [hash]);
        assert!(claims.newly_awaited().is_empty());
        claims.release(A);
        assert!(!claims.is_free(&hash));
        let mut byte = [0];
        assert!(woken.read(&mut byte).is_err());
        claims.release(A_LOCK);
        assert!(claims.is_free(&hash));
        assert_eq!(woken.read(&mut byte).unwrap(), 1);
        // It was named meanwhile.
        assert_eq!(claims.claim([A].into_iter()), [false]);
    }
}
