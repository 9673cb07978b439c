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
    /// Bytes that a direct collection freed on disk.
    pub freed: AtomicU64,
    /// Store paths whose files Nix reported as being hard-linked.
    pub optimised: AtomicU64,
    /// Store paths and hard links whose contents Nix reported as being checked.
    pub checked: AtomicU64,
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

    /// How many bytes a direct collection freed so far.
    pub fn freed(&self) -> u64 {
        self.freed.load(Ordering::Relaxed)
    }

    /// How many paths were optimised so far.
    pub fn optimised(&self) -> u64 {
        self.optimised.load(Ordering::Relaxed)
    }

    /// How many contents were checked so far.
    pub fn checked(&self) -> u64 {
        self.checked.load(Ordering::Relaxed)
    }
}

/// The lines of a command's standard error that say how far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProgressLine {
    /// Of a collection.
    Deleting,
    /// Of an optimisation that was asked to say more.
    Optimising,
    /// Of a check of the contents that was asked to say more.
    Checking,
}

impl ProgressLine {
    /// How Nix begins such a line.
    fn beginning(self) -> &'static [u8] {
        match self {
            Self::Deleting => b"deleting '/",
            Self::Optimising => b"optimising path '",
            Self::Checking => b"checking contents of ",
        }
    }

    /// Whether the lines are left out of the output. There is one for each path, and what Nix reports besides must fit.
    fn is_dropped(self) -> bool {
        self != Self::Deleting
    }

    fn of(self, counter: &ProgressCounter) -> &AtomicU64 {
        match self {
            Self::Deleting => &counter.deleted,
            Self::Optimising => &counter.optimised,
            Self::Checking => &counter.checked,
        }
    }
}

/// Counts such lines, however they are cut into pieces.
#[derive(Debug, Clone)]
pub(super) struct LineCounter {
    counter: Arc<ProgressCounter>,
    line: ProgressLine,
    state: LineState,
}

#[derive(Debug, Clone, Copy)]
enum LineState {
    /// So much of the beginning of this line is as it must be.
    Matched(usize),
    /// It is another line.
    Other,
    /// It was counted.
    Counted,
}

impl LineCounter {
    pub(super) fn new(counter: Arc<ProgressCounter>, line: ProgressLine) -> Self {
        Self {
            counter,
            line,
            state: LineState::Matched(0),
        }
    }

    /// Counts the lines in a piece of output, and gives what is to be kept of it.
    pub(super) fn hear(&mut self, bytes: &[u8]) -> Vec<u8> {
        let beginning = self.line.beginning();
        let drops = self.line.is_dropped();
        let mut kept = Vec::with_capacity(bytes.len());
        for byte in bytes {
            let before = self.state;
            self.state = match before {
                LineState::Matched(so_far) if beginning.get(so_far) == Some(byte) => {
                    if so_far + 1 == beginning.len() {
                        self.line.of(&self.counter).fetch_add(1, Ordering::Relaxed);
                        LineState::Counted
                    } else {
                        LineState::Matched(so_far + 1)
                    }
                }
                LineState::Matched(so_far) => {
                    if drops {
                        kept.extend(beginning.iter().take(so_far));
                    }
                    LineState::Other
                }
                state => state,
            };
            let is_kept = match (before, self.state) {
                (_, LineState::Other) => true,
                _ => !drops,
            };
            if is_kept {
                kept.push(*byte);
            }
            if *byte == b'\n' {
                self.state = LineState::Matched(0);
            }
        }
        kept
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
            let mut lines = LineCounter::new(Arc::clone(&counter), ProgressLine::Deleting);
            let kept: Vec<u8> = text.chunks(size).flat_map(|it| lines.hear(it)).collect();
            assert_eq!(
                (counter.deleted(), &kept[..]),
                (3, &text[..]),
                "in pieces of {size}"
            );
        }
    }

    #[test]
    fn only_counted_lines_are_left_out() {
        let text =
            b"checking link hashes...\nchecking contents of '0za'\nlink '0za' was modified!\n\
            checking contents of '/nix/store/a'\n\nchecking\ncpath '/nix/store/a' was modified!\n";
        let rest = b"checking link hashes...\nlink '0za' was modified!\n\
            \nchecking\ncpath '/nix/store/a' was modified!\n";
        for size in 1..=text.len() {
            let counter = Arc::new(ProgressCounter::default());
            let mut lines = LineCounter::new(Arc::clone(&counter), ProgressLine::Checking);
            let kept: Vec<u8> = text.chunks(size).flat_map(|it| lines.hear(it)).collect();
            let kept = String::from_utf8(kept).unwrap();
            assert_eq!(kept.as_bytes(), rest, "in pieces of {size}: {kept}");
            assert_eq!(counter.checked(), 2);
        }
    }
}
