//! A connection: requests are read and answered one after the other, each step within its time.

use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};

use super::listen::Stream;
use super::request::{MAX_HEAD_BYTES, Parsed, Request, parse};
use super::response::{Answer, Status};
use super::{Service, poll_timeout};
use crate::adapters::clock::SystemClock;
use crate::ports::Clock;

/// The time for the whole head of a request, however many bytes come in it.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// How long a connection may wait for its next request.
const KEEP_ALIVE_TIME: Duration = Duration::from_secs(15);
/// The time for sending an answer, however slowly it is read.
const SEND_TIME: Duration = Duration::from_secs(30);
/// The same once the service ends.
const SEND_TIME_AT_THE_END: Duration = Duration::from_millis(300);
/// The number of requests of one connection.
const MAX_REQUESTS: usize = 1000;
/// How long and how much is read of a connection that was refused: closing it at once would take the answer from a client that
/// still writes.
const LINGER_TIME: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 256 << 10;
const PIECE_BYTES: usize = 4 << 10;

/// Answers the requests of one connection.
pub(super) fn converse(service: &Service<'_>, stream: &Stream, stop: BorrowedFd<'_>) {
    let mut connection = Connection {
        stream,
        stop,
        received: Vec::new(),
    };
    for number in 0..MAX_REQUESTS {
        let patience = if number == 0 {
            HEAD_TIME
        } else {
            KEEP_ALIVE_TIME
        };
        let Some(read) = connection.next_request(patience) else {
            return;
        };
        let request = read.and_then(|request| service.access.check(&request).map(|()| request));
        let (answer, head_only, keeps_alive) = match request {
            Ok(request) => {
                let keeps_alive = request.keeps_alive && number + 1 < MAX_REQUESTS;
                let answer = (service.answer)(&request.target);
                (answer, request.head_only, keeps_alive)
            }
            Err(status) => (status.answer(), false, false),
        };
        tracing::debug!(status = ?answer.status, bytes = answer.body.len(), "answered");
        if connection.send(&answer, head_only, keeps_alive).is_none() {
            return;
        }
        if !keeps_alive {
            return connection.linger();
        }
    }
}

struct Connection<'a> {
    stream: &'a Stream,
    stop: BorrowedFd<'a>,
    received: Vec<u8>,
}

enum Ready {
    Now,
    TimedOut,
    Stopped,
}

impl Connection<'_> {
    /// The next request, or why there is none; `None` when the connection has ended.
    fn next_request(&mut self, patience: Duration) -> Option<Result<Request, Status>> {
        let mut deadline = Instant::now() + patience;
        let mut has_begun = false;
        let mut has_news = true;
        loop {
            if !self.received.is_empty() {
                if !has_begun {
                    has_begun = true;
                    deadline = deadline.min(Instant::now() + HEAD_TIME);
                }
                if has_news {
                    match parse(&self.received) {
                        Parsed::Partial => {}
                        Parsed::Refused(status) => return Some(Err(status)),
                        Parsed::Whole(request, length) => {
                            self.received.drain(..length);
                            return Some(Ok(request));
                        }
                    }
                }
            }
            match self.wait(PollFlags::POLLIN, deadline) {
                Ready::Now => {}
                Ready::TimedOut if has_begun => return Some(Err(Status::RequestTimeout)),
                Ready::TimedOut | Ready::Stopped => return None,
            }
            let piece = self.read()?;
            // Bytes that come one by one are looked at once a line.
            has_news = piece.contains(&b'\n');
            self.received.extend_from_slice(&piece);
            has_news |= self.received.len() >= MAX_HEAD_BYTES;
        }
    }

    /// What has come; empty when nothing has, and `None` at the end.
    fn read(&self) -> Option<Vec<u8>> {
        let mut piece = vec![0; PIECE_BYTES];
        match self.stream.read(&mut piece) {
            Ok(0) => None,
            Ok(length) => {
                piece.truncate(length);
                Some(piece)
            }
            Err(error) if is_passing(error.kind()) => Some(Vec::new()),
            Err(_) => None,
        }
    }

    /// Sends an answer; `None` when the client does not take it.
    fn send(&self, answer: &Answer, head_only: bool, keeps_alive: bool) -> Option<()> {
        let mut deadline = Instant::now() + SEND_TIME;
        let head = answer.head(SystemClock.now(), keeps_alive);
        let body: &[u8] = if head_only { &[] } else { &answer.body };
        for mut left in [head.as_bytes(), body] {
            while !left.is_empty() {
                match self.stream.write(left) {
                    Ok(0) => return None,
                    Ok(length) => left = left.get(length..)?,
                    Err(error) if is_passing(error.kind()) => {
                        match self.wait(PollFlags::POLLOUT, deadline) {
                            Ready::Now => {}
                            Ready::TimedOut => return None,
                            Ready::Stopped => {
                                deadline = deadline.min(Instant::now() + SEND_TIME_AT_THE_END);
                                self.wait_for_room(deadline)?;
                            }
                        }
                    }
                    Err(_) => return None,
                }
                if Instant::now() >= deadline {
                    return None;
                }
            }
        }
        Some(())
    }

    /// Waits until the client has taken something, once the service ends.
    fn wait_for_room(&self, deadline: Instant) -> Option<()> {
        let mut waiting = [PollFd::new(self.stream.as_fd(), PollFlags::POLLOUT)];
        let left = deadline.saturating_duration_since(Instant::now());
        matches!(poll(&mut waiting, poll_timeout(left)), Ok(1)).then_some(())
    }

    /// Lets the client read the last answer before the connection is closed.
    fn linger(&self) {
        let deadline = Instant::now() + LINGER_TIME;
        let mut bytes = 0;
        if self.stream.end_writing().is_err() {
            return;
        }
        while bytes < LINGER_BYTES
            && let Ready::Now = self.wait(PollFlags::POLLIN, deadline)
            && let Some(piece) = self.read()
        {
            bytes += piece.len();
        }
    }

    fn wait(&self, what: PollFlags, deadline: Instant) -> Ready {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ready::TimedOut;
            }
            let mut waiting = [
                PollFd::new(self.stream.as_fd(), what),
                PollFd::new(self.stop, PollFlags::POLLIN),
            ];
            match poll(&mut waiting, poll_timeout(left)) {
                Ok(0) | Err(Errno::EINTR) => continue,
                Ok(_) => {}
                Err(_) => return Ready::Stopped,
            }
            let [stream, stop] = waiting.map(|it| it.any().unwrap_or(true));
            if stop {
                return Ready::Stopped;
            }
            if stream {
                return Ready::Now;
            }
        }
    }
}

fn is_passing(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
