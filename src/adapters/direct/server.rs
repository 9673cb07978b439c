//! The socket by which builds name what they need while a collection holds Nix's lock (`gc-socket/socket` in the state directory).
//!
//! A client sends store paths, one a line, and waits for the byte `1` after each. One thread serves all clients and waits for none:
//! a client that sends nothing, or half a line, delays nobody. Only the answer for a path that is being deleted is put off.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use camino::Utf8Path;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::claims::{Claims, Hash, hash_of};
use crate::adapters::files::remove::remove_own;
use crate::adapters::files::{make_dirs, open_directory, put_in_place};
use crate::domain::store_path::StorePathRef;

/// The longest line that is read, in bytes: many times the longest store path.
const MAX_LINE_BYTES: usize = 4096;
/// How long the server rests when it cannot take another client, because too many files are open.
const REST: Duration = Duration::from_millis(20);
/// The name until the socket is ready; whoever connects to the old one is refused and tries again.
const UNREADY: &str = "socket.nix-prune";
/// The longest name of a socket that every system takes, in bytes.
const MAX_ADDRESS_BYTES: usize = 100;

/// The server; it stops when it is dropped.
pub(super) struct Server {
    claims: Arc<Claims>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

struct Client {
    stream: UnixStream,
    unread: Vec<u8>,
    /// What is being deleted and the client waits for.
    awaits: Option<Hash>,
}

impl Server {
    /// Serves the socket of this state directory for paths with this prefix.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub(super) fn start(state_dir: &Utf8Path, prefix: String) -> io::Result<Self> {
        let listener = listen(&state_dir.join("gc-socket"))?;
        let (wake, woken) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        woken.set_nonblocking(true)?;
        let claims = Arc::new(Claims::new(wake));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = {
            let (claims, stop) = (Arc::clone(&claims), Arc::clone(&stop));
            let serve = move || {
                let mut clients = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    round(&listener, &woken, &mut clients, &claims, &prefix);
                }
            };
            thread::Builder::new().spawn(serve)?
        };
        Ok(Self {
            claims,
            stop,
            thread: Some(thread),
        })
    }

    /// What builds need, as far as they said.
    pub(super) fn claims(&self) -> Arc<Claims> {
        Arc::clone(&self.claims)
    }
}

impl Drop for Server {
    /// The name of the socket stays, as after a collection by Nix: a build that connects is refused and takes the lock itself. Nix
    /// 2.8 does not expect that it is missing.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.claims.wake();
        if let Some(thread) = self.thread.take() {
            // A panic there was printed, and nothing is claimed any more.
            let _ = thread.join();
        }
    }
}

/// A socket that everybody may connect to, as that of Nix.
fn listen(dir: &Utf8Path) -> io::Result<UnixListener> {
    make_dirs(dir, 0o755)?;
    let socket = dir.join(UNREADY);
    // The address of a socket has room for 107 bytes.
    let opened = open_directory(dir)?;
    let short = format!("/proc/self/fd/{}/{UNREADY}", opened.as_raw_fd());
    let is_long = socket.as_str().len() > MAX_ADDRESS_BYTES;
    let bind = || UnixListener::bind(if is_long { &short } else { socket.as_str() });
    let listener = match bind() {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            // Of a collection that was killed: the lock is ours, so nobody uses it.
            remove_own(&socket)?;
            bind()?
        }
        bound => bound?,
    };
    std::fs::set_permissions(&socket, PermissionsExt::from_mode(0o666))?;
    listener.set_nonblocking(true)?;
    put_in_place(&socket, &dir.join("socket"))?;
    Ok(listener)
}

/// Waits until there is something to do, and does it.
fn round(
    listener: &UnixListener,
    woken: &UnixStream,
    clients: &mut Vec<Client>,
    claims: &Claims,
    prefix: &str,
) {
    let ready = {
        let of_clients = clients.iter().map(|client| client.stream.as_fd());
        let all = [listener.as_fd(), woken.as_fd()].into_iter();
        let mut polled: Vec<PollFd<'_>> = all
            .chain(of_clients)
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
            .collect();
        if poll(&mut polled, PollTimeout::NONE).is_err() {
            // Interrupted by a signal, or short of memory.
            thread::sleep(REST);
            return;
        }
        let is_ready = |fd: &PollFd<'_>| fd.any().unwrap_or(true);
        polled.iter().map(is_ready).collect::<Vec<bool>>()
    };
    let mut ready = ready.into_iter();
    let has_new = ready.next().unwrap_or(false);
    if ready.next().unwrap_or(false) {
        let mut bytes = [0; 256];
        while matches!((&*woken).read(&mut bytes), Ok(1..)) {}
    }
    clients.retain_mut(|client| {
        let is_ready = ready.next().unwrap_or(false);
        client.serve(is_ready, claims, prefix)
    });
    if !has_new {
        return;
    }
    loop {
        match listener.accept() {
            Ok((stream, _)) if stream.set_nonblocking(true).is_ok() => clients.push(Client {
                stream,
                unread: Vec::new(),
                awaits: None,
            }),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(_) => return thread::sleep(REST),
        }
    }
}

impl Client {
    /// Reads and answers; returns whether the client is still there.
    fn serve(&mut self, is_ready: bool, claims: &Claims, prefix: &str) -> bool {
        if is_ready {
            let mut bytes = [0; MAX_LINE_BYTES];
            match self.stream.read(&mut bytes) {
                Ok(0) => return false,
                Ok(count) => self.unread.extend(bytes.iter().take(count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        if self.awaits.is_some_and(|hash| claims.is_free(&hash)) {
            self.awaits = None;
            if !self.answer() {
                return false;
            }
        }
        while self.awaits.is_none()
            && let Some(end) = self.unread.iter().position(|&byte| byte == b'\n')
        {
            let line: Vec<u8> = self.unread.drain(..=end).collect();
            let hash = named(line.trim_ascii_end(), prefix);
            self.awaits = hash.filter(|hash| !claims.need(*hash));
            if self.awaits.is_none() && !self.answer() {
                return false;
            }
        }
        // Nobody sends more before an answer, so this is no client of Nix.
        self.unread.len() <= MAX_LINE_BYTES
    }

    fn answer(&mut self) -> bool {
        matches!(self.stream.write(b"1"), Ok(1))
    }
}

/// The hash of a store path; `None` for anything else, which is answered all the same.
fn named(line: &[u8], prefix: &str) -> Option<Hash> {
    let name = str::from_utf8(line).ok()?.strip_prefix(prefix)?;
    StorePathRef::from_base_name(name).ok()?;
    hash_of(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use camino::Utf8PathBuf;
    use rstest::rstest;

    const NAME: &str = "00000000000000000000000000000000-a";
    const PREFIX: &str = "/nix/store/";

    fn client(state_dir: &Utf8Path) -> UnixStream {
        let stream = UnixStream::connect(state_dir.join("gc-socket/socket")).unwrap();
        let limit = Some(Duration::from_secs(60));
        stream.set_read_timeout(limit).unwrap();
        stream
    }

    fn answers(stream: &mut UnixStream) -> bool {
        let mut byte = [0];
        matches!(stream.read(&mut byte), Ok(1)) && byte == *b"1"
    }

    fn state_dir() -> (tempfile::TempDir, Utf8PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(dir.path().to_path_buf()).unwrap();
        (dir, path)
    }

    #[rstest]
    #[case::a_path("/nix/store/00000000000000000000000000000000-a", true)]
    #[case::of_another_store("/gnu/store/00000000000000000000000000000000-a", false)]
    #[case::no_path("hello", false)]
    #[case::nothing("", false)]
    #[case::no_text("\u{0}\u{7f}", false)]
    fn every_line_is_answered_and_a_path_is_needed(#[case] line: &str, #[case] is_needed: bool) {
        let (_dir, state_dir) = state_dir();
        let server = Server::start(&state_dir, PREFIX.to_string()).unwrap();
        let mut client = client(&state_dir);
        // In two pieces, beside one that says nothing.
        let _silent = super::tests::client(&state_dir);
        let (begin, end) = line.split_at(line.len() / 2);
        client.write_all(begin.as_bytes()).unwrap();
        client.write_all(format!("{end}\n").as_bytes()).unwrap();
        assert!(answers(&mut client));
        assert_eq!(server.claims().claim(&[NAME]), !is_needed);
    }

    #[test]
    fn only_who_needs_what_is_being_deleted_waits() {
        let (_dir, state_dir) = state_dir();
        let server = Server::start(&state_dir, PREFIX.to_string()).unwrap();
        let claims = server.claims();
        assert!(claims.claim(&[NAME]));
        let (mut waits, mut other) = (client(&state_dir), client(&state_dir));
        writeln!(waits, "{PREFIX}{NAME}").unwrap();
        while claims.newly_awaited().is_empty() {
            thread::sleep(Duration::from_millis(1));
        }
        writeln!(other, "{PREFIX}11111111111111111111111111111111-b").unwrap();
        assert!(answers(&mut other));
        waits.set_nonblocking(true).unwrap();
        assert!(!answers(&mut waits));
        waits.set_nonblocking(false).unwrap();
        claims.release(NAME);
        assert!(answers(&mut waits));
    }

    #[test]
    fn who_sends_no_end_of_a_line_is_dropped_and_the_rest_is_served() {
        let (_dir, state_dir) = state_dir();
        let _server = Server::start(&state_dir, PREFIX.to_string()).unwrap();
        let mut endless = client(&state_dir);
        let mut dropped = false;
        for _ in 0..100 {
            dropped |= endless.write_all(&[b'x'; 4096]).is_err();
        }
        let mut byte = [0];
        dropped |= !matches!(endless.read(&mut byte), Ok(1));
        assert!(dropped);
        let mut next = client(&state_dir);
        writeln!(next, "{PREFIX}{NAME}").unwrap();
        assert!(answers(&mut next));
    }

    #[test]
    fn after_its_end_clients_are_refused_and_the_next_one_serves_again() {
        let (_dir, state_dir) = state_dir();
        let long = state_dir.join("x".repeat(120));
        for dir in [&state_dir, &long] {
            make_dirs(dir, 0o755).unwrap();
            // Of one that was killed before its socket was ready.
            make_dirs(&dir.join("gc-socket"), 0o755).unwrap();
            std::fs::write(dir.join("gc-socket").join(UNREADY), "").unwrap();
            drop(Server::start(dir, PREFIX.to_string()).unwrap());
            let socket = dir.join("gc-socket/socket");
            assert!(UnixStream::connect(&socket).is_err() && socket.symlink_metadata().is_ok());
            let _server = Server::start(dir, PREFIX.to_string()).unwrap();
            if dir == &state_dir {
                let mode = socket.metadata().unwrap().permissions().mode();
                assert_eq!(mode & 0o777, 0o666);
                let mut client = client(dir);
                writeln!(client, "{PREFIX}{NAME}").unwrap();
                assert!(answers(&mut client));
            }
        }
    }

    #[test]
    fn a_client_is_answered_in_the_order_of_its_lines_and_as_often() {
        let (_dir, state_dir) = state_dir();
        let server = Server::start(&state_dir, PREFIX.to_string()).unwrap();
        let claims = server.claims();
        assert!(claims.claim(&[NAME]));
        let mut client = client(&state_dir);
        let other = format!("{PREFIX}11111111111111111111111111111111-b");
        client
            .write_all(format!("{PREFIX}{NAME}\n{other}\n").as_bytes())
            .unwrap();
        while claims.newly_awaited().is_empty() {
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_millis(50));
        client.set_nonblocking(true).unwrap();
        let is_early = answers(&mut client);
        client.set_nonblocking(false).unwrap();
        claims.release(NAME);
        assert!(!is_early && answers(&mut client) && answers(&mut client));
        writeln!(client, "{other}").unwrap();
        assert!(answers(&mut client));
        client.set_nonblocking(true).unwrap();
        assert!(!answers(&mut client));
    }

    #[test]
    fn who_is_gone_is_forgotten() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut client = Client {
            stream: ours,
            unread: Vec::new(),
            awaits: None,
        };
        let claims = Claims::new(UnixStream::pair().unwrap().0);
        drop(theirs);
        assert!(!client.serve(true, &claims, PREFIX));
    }

    #[test]
    fn nothing_of_it_runs_after_its_end() {
        let (_dir, state_dir) = state_dir();
        for _ in 0..50 {
            let server = Server::start(&state_dir, PREFIX.to_string()).unwrap();
            let claims = server.claims();
            drop(server);
            assert_eq!(Arc::strong_count(&claims), 1);
        }
    }
}
