//! A small HTTP/1.1 server for documents that are only read: bounded in connections, bytes and time.

mod access;
mod connection;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod listen;
mod request;
mod response;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, Builder, Scope};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::ports::Interrupt;

pub use access::{Access, Token};
pub use listen::{ListenAddress, ListenError, Listener};
pub use response::{Answer, MediaType, Status};

/// The number of connections at a time. More wait in the queue of the kernel.
pub const MAX_CONNECTIONS: usize = 128;
/// What the thread of a connection needs is some kilobytes.
const STACK_BYTES: usize = 512 << 10;
/// How often it is looked whether to end. A signal ends the wait at once, if the kernel gives it to this thread.
const PAUSE: Duration = Duration::from_millis(500);
/// The same where no connection is accepted.
const PAUSE_WHEN_FULL: Duration = Duration::from_millis(20);

/// What is served, to whom, and for how long.
pub struct Service<'a> {
    /// Who may ask.
    pub access: Access,
    /// Ends the service when nobody was connected for so long.
    pub idle_exit: Option<Duration>,
    /// Requests to end it.
    pub interrupt: &'a (dyn Interrupt + Sync),
    /// The answer to a request for a path, with its query.
    pub answer: &'a (dyn Fn(&str) -> Answer + Sync),
}

impl Service<'_> {
    /// Serves until it is interrupted or idle; connections are closed then.
    ///
    /// # Errors
    /// When nothing can be accepted.
    pub fn run(&self, listener: &Listener) -> io::Result<()> {
        let (stop, running) = io::pipe()?;
        let open = OpenConnections::default();
        thread::scope(|scope| {
            let accepted = self.accept(scope, listener, stop.as_fd(), &open);
            // Every connection sees the end of the pipe.
            drop(running);
            accepted
        })
    }

    fn accept<'s>(
        &'s self,
        scope: &'s Scope<'s, '_>,
        listener: &Listener,
        stop: BorrowedFd<'s>,
        open: &'s OpenConnections,
    ) -> io::Result<()> {
        while !self.interrupt.requested() && !self.is_idle(open) {
            if open.count() >= MAX_CONNECTIONS {
                thread::sleep(PAUSE_WHEN_FULL);
                continue;
            }
            let pause = self.idle_exit.map_or(PAUSE, |idle| idle.min(PAUSE));
            let mut listening = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
            match poll(&mut listening, poll_timeout(pause)) {
                Ok(0) | Err(Errno::EINTR) => continue,
                Ok(_) => {}
                Err(errno) => return Err(errno.into()),
            }
            let stream = match listener.accept() {
                Ok(stream) => stream,
                Err(error) => {
                    if error.kind() != io::ErrorKind::WouldBlock {
                        // Too many open files, for one: some will be closed.
                        tracing::warn!(%error, "cannot accept a connection");
                        thread::sleep(PAUSE_WHEN_FULL);
                    }
                    continue;
                }
            };
            let place = open.enter();
            let thread = Builder::new().stack_size(STACK_BYTES);
            let begun = thread.spawn_scoped(scope, move || {
                connection::converse(self, &stream, stop);
                drop(place);
            });
            if let Err(error) = begun {
                tracing::warn!(%error, "cannot start a thread for a connection");
            }
        }
        Ok(())
    }

    fn is_idle(&self, open: &OpenConnections) -> bool {
        self.idle_exit
            .is_some_and(|longest| open.idle_for().is_some_and(|idle| idle >= longest))
    }
}

fn poll_timeout(time: Duration) -> PollTimeout {
    // Rounded up, or the last fraction of a millisecond would be a busy wait.
    PollTimeout::try_from(time + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
}

/// The connections that are open, and when the last one was closed.
struct OpenConnections {
    count: AtomicUsize,
    last: Mutex<Instant>,
}

impl Default for OpenConnections {
    fn default() -> Self {
        Self {
            count: AtomicUsize::new(0),
            last: Mutex::new(Instant::now()),
        }
    }
}

impl OpenConnections {
    fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    fn enter(&self) -> Place<'_> {
        self.count.fetch_add(1, Ordering::AcqRel);
        Place(self)
    }

    /// How long nobody has been connected; `None` while somebody is.
    fn idle_for(&self) -> Option<Duration> {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        (self.count() == 0).then(|| last.elapsed())
    }
}

/// One open connection.
struct Place<'a>(&'a OpenConnections);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let Self(open) = self;
        // In this order: a service with no connection has been idle since the last one, not since the one before.
        *open.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        open.count.fetch_sub(1, Ordering::AcqRel);
    }
}
