//! Supervision of a command until it has ended.

use std::borrow::Cow;
use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use duct::Handle;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::capture::{Shared, drain, drain_blocks};
use super::error::last_lines;
use super::{Command, Output, ProcessError};
use crate::ports::Interrupt;

/// How often it is looked whether a command has ended, at first; most take some milliseconds.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
/// And in the long run; also how soon a request to stop is seen.
const MAX_PAUSE: Duration = Duration::from_millis(50);
/// How long output is waited for when the command has ended: only what it left behind can still hold the pipe.
const AFTER_THE_END: Duration = Duration::from_secs(2);
/// How long a killed command has to vanish; one that waits for a broken disk does not.
const AFTER_THE_KILL: Duration = Duration::from_secs(30);
/// How many blocks may wait to be taken: a MiB in all.
const BLOCKS: usize = 16;

/// What comes from the threads that read.
struct Pipes {
    stdout: Shared,
    stderr: Shared,
    pieces: Option<Receiver<Vec<u8>>>,
    ended: Receiver<()>,
    open: u8,
}

/// Why a command was asked to end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Request {
    Timeout,
    Interrupt,
}

/// Takes the standard output as it comes; without one its beginning and end are kept.
type Take<'l> = Option<&'l mut dyn FnMut(&[u8])>;

impl Command<'_> {
    pub(super) fn watch(
        self,
        interrupt: &dyn Interrupt,
        mut take: Take<'_>,
    ) -> Result<(Output, Result<(), ProcessError>), ProcessError> {
        let command = self.command_line();
        if interrupt.requested() {
            return Err(ProcessError::Interrupted(command));
        }
        tracing::debug!(%command, "running");
        let (handle, mut pipes) = match self.start(take.is_some()) {
            Ok(started) => started,
            Err(source) => return Err(ProcessError::Spawn { command, source }),
        };
        let waited = self.wait(&handle, interrupt, &mut pipes, &mut take);
        pipes.wait_for_the_rest(&mut take);
        let (stdout, stderr) = (pipes.stdout.so_far(), pipes.stderr.so_far());
        let last = last_lines(&stderr.text());
        let (status, request) = match waited {
            Ok(Some(ended)) => ended,
            Ok(None) => return Err(ProcessError::Unkillable(command)),
            Err(source) => return Err(ProcessError::Wait { command, source }),
        };
        let ended = match (status.success(), request) {
            // What ended well in the last moment has done its work.
            (true, _) if take.is_some() && !stdout.is_whole() => Err(ProcessError::Cut(command)),
            (true, _) => Ok(()),
            (false, Some(Request::Interrupt)) => Err(ProcessError::Interrupted(command)),
            (false, Some(Request::Timeout)) => Err(ProcessError::TimedOut {
                command,
                after: self.timeout,
                stderr: last,
            }),
            (false, None) => Err(ProcessError::Failed {
                command,
                ended: status.into(),
                stderr: last,
            }),
        };
        Ok((Output { stdout, stderr }, ended))
    }

    /// Starts the threads that read what the command writes, and then the command: without the first there must not be
    /// the second.
    fn start(&self, in_blocks: bool) -> io::Result<(Handle, Pipes)> {
        let (stdout_end, stdout_pipe) = io::pipe()?;
        let (stderr_end, stderr_pipe) = io::pipe()?;
        let (ended, ends) = mpsc::channel();
        let (stdout, stderr) = (Shared::default(), Shared::default());
        let (shared, word) = (stderr.clone(), ended.clone());
        let mut progress = self.progress.clone();
        in_a_thread(move || {
            drain(stderr_end, &shared, &word, |bytes| match &mut progress {
                Some(progress) => Cow::Owned(progress.hear(bytes)),
                None => Cow::Borrowed(bytes),
            });
        })?;
        let shared = stdout.clone();
        let pieces = if in_blocks {
            let (send, blocks) = mpsc::sync_channel(BLOCKS);
            in_a_thread(move || drain_blocks(stdout_end, &shared, &send, &ended))?;
            Some(blocks)
        } else {
            in_a_thread(move || drain(stdout_end, &shared, &ended, |bytes| Cow::Borrowed(bytes)))?;
            None
        };
        // The expression, with our ends for writing, is dropped here: otherwise the pipes would never end.
        let handle = self
            .expression()?
            .stdout_file(stdout_pipe)
            .stderr_file(stderr_pipe)
            .start()?;
        let pipes = Pipes {
            stdout,
            stderr,
            pieces,
            ended: ends,
            open: 2,
        };
        Ok((handle, pipes))
    }

    /// Waits for the end, and asks for it and enforces it where that has to be; `None` when even that is in vain.
    fn wait(
        &self,
        handle: &Handle,
        interrupt: &dyn Interrupt,
        pipes: &mut Pipes,
        take: &mut Take<'_>,
    ) -> io::Result<Option<(std::process::ExitStatus, Option<Request>)>> {
        let started = Instant::now();
        let mut pause = FIRST_PAUSE;
        let mut request: Option<(Request, Instant)> = None;
        let mut killed: Option<Instant> = None;
        loop {
            pause = match pipes.take(pause, take) {
                Heard::End => FIRST_PAUSE,
                Heard::Nothing => (pause * 2).min(MAX_PAUSE),
            };
            // From here on the command is not waited for by anybody else, so its group is still its own.
            if let Some(output) = handle.try_wait()? {
                return Ok(Some((output.status, request.map(|(why, _)| why))));
            }
            match (request, killed) {
                (_, Some(at)) if at.elapsed() >= AFTER_THE_KILL => return Ok(None),
                (Some((why, at)), None) if at.elapsed() >= self.grace(why) => {
                    signal(handle, Signal::SIGKILL);
                    killed = Some(Instant::now());
                }
                (None, None) if interrupt.requested() => {
                    // Nix ends by it exactly as by SIGINT; but that one may be ignored, as it is in what a script
                    // starts in the background. Once is enough.
                    signal(handle, Signal::SIGTERM);
                    request = Some((Request::Interrupt, Instant::now()));
                }
                (None, None) if started.elapsed() >= self.timeout => {
                    signal(handle, Signal::SIGTERM);
                    request = Some((Request::Timeout, Instant::now()));
                }
                _ => {}
            }
        }
    }

    fn grace(&self, request: Request) -> Duration {
        match request {
            Request::Timeout => self.grace.after_timeout,
            Request::Interrupt => self.grace.after_interrupt,
        }
    }
}

/// What was heard of the pipes of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    /// One of them has ended, so that the command is about to.
    End,
    Nothing,
}

impl Pipes {
    /// Passes pieces on for a while, or until there is something new to see; returns what was heard.
    fn take(&mut self, pause: Duration, take: &mut Take<'_>) -> Heard {
        if let (Some(pieces), Some(take)) = (&self.pieces, take) {
            let until = Instant::now() + pause;
            loop {
                let left = until.saturating_duration_since(Instant::now());
                match pieces.recv_timeout(left) {
                    Ok(piece) => take(&piece),
                    Err(RecvTimeoutError::Timeout) => return Heard::Nothing,
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
        }
        if self.open == 0 {
            thread::sleep(pause);
            return Heard::Nothing;
        }
        match self.ended.recv_timeout(pause) {
            Ok(()) => self.open = self.open.saturating_sub(1),
            Err(RecvTimeoutError::Timeout) => return Heard::Nothing,
            Err(RecvTimeoutError::Disconnected) => self.open = 0,
        }
        Heard::End
    }

    /// Takes what is still in the pipes of a command that has ended, but does not wait for what it left behind.
    fn wait_for_the_rest(&mut self, take: &mut Take<'_>) {
        let ended = Instant::now();
        while self.open > 0 && ended.elapsed() < AFTER_THE_END {
            self.take(MAX_PAUSE, take);
        }
    }
}

fn in_a_thread(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().spawn(work).map(drop)
}

/// Signals the whole group of a command that has not been waited for yet.
fn signal(handle: &Handle, signal: Signal) {
    for pid in handle.pids() {
        let Ok(pid) = i32::try_from(pid) else {
            continue;
        };
        let pid = Pid::from_raw(pid);
        let sent = match killpg(pid, signal) {
            // A command of another user that was started just now has no group of its own yet.
            Err(Errno::ESRCH) => kill(pid, signal),
            sent => sent,
        };
        // The only errors are that the group has just ended, which is what we want, or that it is not ours to end.
        if let Err(error) = sent {
            tracing::debug!(%pid, %signal, %error, "cannot signal");
        }
    }
}
