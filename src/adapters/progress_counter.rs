//! Progress counters, written by workers and read by the progress display.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of one run of the program; they only grow.
#[derive(Debug, Default)]
pub struct ProgressCounter {
    /// Files and directories that were measured.
    pub measured: AtomicU64,
    /// Generations that were removed.
    pub removed: AtomicU64,
    /// Store paths that Nix reported as being deleted.
    pub deleted: AtomicU64,
}

impl ProgressCounter {
    /// How much was measured so far.
    pub fn measured(&self) -> u64 {
        self.measured.load(Ordering::Relaxed)
    }

    /// How many generations were removed so far.
    pub fn removed(&self) -> u64 {
        self.removed.load(Ordering::Relaxed)
    }

    /// How many paths were deleted so far.
    pub fn deleted(&self) -> u64 {
        self.deleted.load(Ordering::Relaxed)
    }
}

/// Counts the paths that a command of Nix's says it deletes, however its words are cut into pieces.
#[derive(Debug, Clone)]
pub(super) struct Deletions {
    counter: Arc<ProgressCounter>,
    /// How much of the beginning of this line is as it must be; `None` of a line that is another.
    matched: Option<usize>,
}

/// How Nix begins the line for each path: `deleting '/nix/store/…'`.
const BEGINNING: &[u8] = b"deleting '/";

impl Deletions {
    pub(super) fn of(counter: Arc<ProgressCounter>) -> Self {
        let matched = Some(0);
        Self { counter, matched }
    }

    pub(super) fn hear(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.matched = match self.matched {
                _ if *byte == b'\n' => Some(0),
                Some(so_far) if BEGINNING.get(so_far) == Some(byte) => {
                    if so_far + 1 == BEGINNING.len() {
                        self.counter.deleted.fetch_add(1, Ordering::Relaxed);
                        None
                    } else {
                        Some(so_far + 1)
                    }
                }
                _ => None,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_counts_once_wherever_it_is_cut() {
        let text = b"finding garbage collector roots...\ndeleting garbage...\ndeleting '/nix/store/a'\n\
            deleting '/nix/store/deleting '/b'\n deleting '/c'\ndeleting unused links...\ndeleting '/nix/store/d'";
        for size in 1..=text.len() {
            let counter = Arc::new(ProgressCounter::default());
            let mut deletions = Deletions::of(Arc::clone(&counter));
            text.chunks(size).for_each(|piece| deletions.hear(piece));
            assert_eq!(counter.deleted(), 3, "in pieces of {size}");
        }
    }
}
