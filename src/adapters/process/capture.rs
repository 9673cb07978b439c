//! Bounded capture of the output of a command.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{PipeReader, Read};
use std::sync::mpsc::{Sender, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::error::last_lines;

/// What the beginning of an output may take. `path-info` and error messages fit; a collector's million lines need not.
const HEAD: usize = 768 * 1024;
/// What the end of an output may take. There is what Nix says of its result, and why it failed.
const TAIL: usize = 256 * 1024;

/// After so many small pieces a command is taken for one that writes line after line for long, as a collector does.
const MANY: u32 = 256;
/// The most bytes of a small piece. A process that writes more at once is waiting for space in the pipe, or soon will.
const SMALL: usize = 4 * 1024;
/// How long lines may gather then; some kilobytes of them at most come in that time.
const NAP: Duration = Duration::from_millis(10);

/// When to let lines gather: a command that has to wake a reader for each of a hundred thousand lines is slower by it, and
/// one that finds nobody waiting is not.
#[derive(Debug, Default)]
struct Pace {
    small: u32,
}

impl Pace {
    /// How long to wait before the next piece, behind one of so many bytes.
    fn pause(&mut self, piece: usize) -> Option<Duration> {
        if piece > SMALL {
            return None;
        }
        self.small = self.small.saturating_add(1);
        (self.small > MANY).then_some(NAP)
    }
}

/// What a command wrote: the beginning and the end of it.
#[derive(Debug, Clone, Default)]
pub struct Captured {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    dropped: u64,
    ended: bool,
}

impl Captured {
    /// How many bytes were left out between the beginning and the end.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Whether nothing is missing, neither in the middle nor at the end.
    pub fn is_whole(&self) -> bool {
        self.ended && self.dropped == 0
    }

    /// The text, with a line that says so where something was left out.
    pub fn text(&self) -> String {
        let mut text = String::from_utf8_lossy(&self.head).into_owned();
        if self.dropped > 0 {
            let _ = write!(text, "\n[{} bytes left out]\n", self.dropped);
        }
        let tail: Vec<u8> = self.tail.iter().copied().collect();
        text.push_str(&String::from_utf8_lossy(&tail));
        text
    }

    /// The last lines of the text, in one.
    pub fn last_lines(&self) -> String {
        last_lines(&self.text())
    }

    fn add(&mut self, bytes: &[u8]) {
        let count = HEAD.saturating_sub(self.head.len()).min(bytes.len());
        let (head, rest) = bytes.split_at_checked(count).unwrap_or((bytes, &[]));
        self.head.extend_from_slice(head);
        self.tail.extend(rest);
        let over = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..over);
        self.dropped += over as u64;
    }
}

/// What is shared with the thread that reads. That thread may outlive the command: a process that the command left
/// behind can keep the pipe open for as long as it likes.
#[derive(Debug, Clone, Default)]
pub(super) struct Shared(Arc<Mutex<Captured>>);

impl Shared {
    /// What there is by now.
    pub(super) fn so_far(&self) -> Captured {
        self.with(|captured| captured.clone())
    }

    fn with<T>(&self, f: impl FnOnce(&mut Captured) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Reads a pipe to its end, keeps the beginning and end of what `keep` leaves of it, and sends a word when it is there.
pub(super) fn drain(
    pipe: PipeReader,
    shared: &Shared,
    ended: &Sender<()>,
    mut keep: impl FnMut(&[u8]) -> Cow<'_, [u8]>,
) {
    let mut pace = Pace::default();
    read_to_end(pipe, shared, ended, |bytes| {
        let kept = keep(bytes);
        shared.with(|captured| captured.add(&kept));
        if let Some(pause) = pace.pause(bytes.len()) {
            thread::sleep(pause);
        }
    });
}

/// Reads a pipe to its end and sends what comes. The reader waits when nobody takes it.
pub(super) fn drain_blocks(
    pipe: PipeReader,
    shared: &Shared,
    blocks: &SyncSender<Vec<u8>>,
    ended: &Sender<()>,
) {
    let mut passing_on = true;
    read_to_end(pipe, shared, ended, |block| {
        passing_on = passing_on && blocks.send(block.to_vec()).is_ok();
        if !passing_on {
            shared.with(|captured| captured.dropped += block.len() as u64);
        }
    });
}

fn read_to_end(
    mut pipe: PipeReader,
    shared: &Shared,
    ended: &Sender<()>,
    mut take: impl FnMut(&[u8]),
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match pipe.read(&mut buffer) {
            Ok(0) => break shared.with(|captured| captured.ended = true),
            Ok(n) => take(buffer.get(..n).unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            // What cannot be read is missing, and `ended` says so.
            Err(_) => break,
        }
    }
    // Nobody listens any more where the command was given up.
    let _ = ended.send(());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_and_the_end_are_kept() {
        let mut captured = Captured::default();
        captured.add(b"first\n");
        for _ in 0..100 {
            captured.add(&vec![b'x'; 100_000]);
        }
        captured.add(b"\nlast");
        let kept = (HEAD + TAIL) as u64;
        assert_eq!(captured.dropped(), 10_000_011 - kept);
        let text = captured.text();
        assert!(text.starts_with("first\n") && text.ends_with("\nlast"));
        assert!(text.contains(" bytes left out]"));
        assert!((text.len() as u64) < kept + 100);
    }

    #[test]
    fn only_who_writes_line_after_line_is_read_in_naps() {
        let mut pace = Pace::default();
        // Most commands write a few lines, and their end must be seen at once.
        assert!((0..MANY).all(|_| pace.pause(100).is_none()));
        assert_eq!(pace.pause(100), Some(NAP));
        // What comes in large pieces is not held up.
        assert_eq!(pace.pause(SMALL + 1), None);
        let mut pace = Pace::default();
        assert!((0..2 * MANY).all(|_| pace.pause(SMALL + 1).is_none()));
    }

    proptest::proptest! {
        #[test]
        fn small_output_stays_as_it_is(parts in proptest::collection::vec("\\PC{0,80}", 0..20)) {
            let mut captured = Captured::default();
            for part in &parts {
                captured.add(part.as_bytes());
            }
            proptest::prop_assert_eq!(captured.text(), parts.concat());
            proptest::prop_assert_eq!(captured.dropped(), 0);
        }
    }
}
