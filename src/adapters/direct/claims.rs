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

impl State {
    /// Whether a build needs a name. Nobody can ask for one without a hash, so that stays as well.
    fn needs(&self, name: &str) -> bool {
        hash_of(name).is_none_or(|hash| self.needed.contains(&hash))
    }
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

    /// Whether builds need each of these names so far.
    pub(super) fn are_needed(&self, names: &[String]) -> Vec<bool> {
        let state = self.state();
        names.iter().map(|name| state.needs(name)).collect()
    }

    /// Claims all of these names at one moment; none when a build needs one of them. Returns whether they are claimed.
    pub(super) fn claim(&self, names: &[&str]) -> bool {
        let mut state = self.state();
        if names.iter().any(|name| state.needs(name)) {
            return false;
        }
        for hash in names.iter().filter_map(|name| hash_of(name)) {
            *state.claimed.entry(hash).or_default() += 1;
        }
        true
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
        let names = [A, A_LOCK, B, "short"].map(str::to_string);
        assert_eq!(claims.are_needed(&names), [true, true, false, true]);
        assert!(!claims.claim(&[B, A_LOCK]));
        // None of them is claimed then.
        assert!(claims.need(hash_of(B).unwrap()));
    }

    #[test]
    fn a_build_waits_until_the_last_name_with_the_hash_is_released() {
        use std::io::Read;
        let (claims, mut woken) = claims();
        let hash = hash_of(A).unwrap();
        assert!(claims.claim(&[A, A_LOCK]));
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
        assert!(!claims.claim(&[A]));
    }
}
