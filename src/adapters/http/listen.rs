//! Sockets: those that are bound here, and the one that the service manager passes.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::str::FromStr;

use camino::{Utf8Path, Utf8PathBuf};
use listenfd::ListenFd;
use nix::sys::stat::{Mode, umask};

use crate::adapters::files::remove::remove_own;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// A socket in the file system.
    Unix(Utf8PathBuf),
    /// An address and a port; port 0 is any free one.
    Tcp(SocketAddr),
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some(_) => Err("the path of a Unix socket begins with /".to_string()),
            None => text.parse().map(Self::Tcp).map_err(|_| {
                "use an address and a port, such as 127.0.0.1:9748 or [::1]:9748, or unix:/path"
                    .to_string()
            }),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{path}"),
            Self::Tcp(address) => write!(f, "http://{address}/"),
        }
    }
}

/// Why nothing listens.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address.
        address: ListenAddress,
        /// Why.
        source: io::Error,
    },
    /// The service manager has passed something else than one socket.
    #[error("cannot use the socket of the service manager")]
    Passed(#[source] io::Error),
}

/// A socket that accepts connections.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    address: ListenAddress,
    /// The identity of a socket file that was made here, to remove it at the end.
    made: Option<(u64, u64)>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Listens on an address. A Unix socket is for its owner alone.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn bind(address: &ListenAddress) -> Result<Self, ListenError> {
        let failed = |source| ListenError::Bind {
            address: address.clone(),
            source,
        };
        let socket = match address {
            ListenAddress::Tcp(address) => TcpListener::bind(address).map(Socket::Tcp),
            ListenAddress::Unix(path) => bind_for_owner(path).map(Socket::Unix),
        };
        let mut listener = Self::of(socket.map_err(failed)?).map_err(failed)?;
        if let ListenAddress::Unix(path) = address {
            listener.made = identity(path).ok();
        }
        Ok(listener)
    }

    /// The socket that systemd passes to a unit that has one (`LISTEN_FDS` of `sd_listen_fds(3)`); `None` without one. Takes the
    /// variables out of the environment, so it comes before the first thread.
    ///
    /// # Errors
    /// When it is not a single stream socket.
    #[expect(clippy::disallowed_methods, reason = "set by systemd")]
    pub fn passed() -> Result<Option<Self>, ListenError> {
        let pid = std::env::var("LISTEN_PID").ok();
        // Without it they are another process's, whose child this one is.
        if pid.and_then(|pid| pid.parse().ok()) != Some(std::process::id()) {
            return Ok(None);
        }
        let mut passed = ListenFd::from_env();
        let taken = match passed.len() {
            0 => return Ok(None),
            1 => passed
                .take_unix_listener(0)
                .map(|socket| socket.map(Socket::Unix))
                .or_else(|_| passed.take_tcp_listener(0).map(|it| it.map(Socket::Tcp))),
            count => Err(io::Error::other(format!("there are {count} of them"))),
        };
        let socket = taken.map_err(ListenError::Passed)?;
        socket
            .map(Self::of)
            .transpose()
            .map_err(ListenError::Passed)
    }

    fn of(socket: Socket) -> io::Result<Self> {
        let address = match &socket {
            Socket::Tcp(socket) => {
                socket.set_nonblocking(true)?;
                ListenAddress::Tcp(socket.local_addr()?)
            }
            Socket::Unix(socket) => {
                socket.set_nonblocking(true)?;
                let address = socket.local_addr()?;
                let path = address.as_pathname().and_then(Utf8Path::from_path);
                ListenAddress::Unix(path.map_or_else(Utf8PathBuf::new, Utf8Path::to_path_buf))
            }
        };
        Ok(Self {
            socket,
            address,
            made: None,
        })
    }

    /// The address, with the port that was chosen.
    pub fn address(&self) -> &ListenAddress {
        &self.address
    }

    pub(super) fn accept(&self) -> io::Result<Stream> {
        Ok(match &self.socket {
            Socket::Tcp(socket) => {
                let (stream, _) = socket.accept()?;
                stream.set_nonblocking(true)?;
                // An answer is written in two pieces.
                stream.set_nodelay(true)?;
                Stream::Tcp(stream)
            }
            Socket::Unix(socket) => {
                let (stream, _) = socket.accept()?;
                stream.set_nonblocking(true)?;
                Stream::Unix(stream)
            }
        })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let ListenAddress::Unix(path) = &self.address else {
            return;
        };
        // One that took its name since is another service's.
        if self.made.is_some()
            && identity(path).ok() == self.made
            && let Err(error) = remove_own(path)
        {
            tracing::debug!(%path, %error, "cannot remove the socket");
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Tcp(socket) => socket.as_fd(),
            Socket::Unix(socket) => socket.as_fd(),
        }
    }
}

fn bind_for_owner(path: &Utf8Path) -> io::Result<UnixListener> {
    let before = umask(Mode::from_bits_truncate(0o177));
    let bound = UnixListener::bind(path);
    umask(before);
    bound
}

fn identity(path: &Utf8Path) -> io::Result<(u64, u64)> {
    let metadata = path.symlink_metadata()?;
    Ok((metadata.dev(), metadata.ino()))
}

/// One connection; no call waits.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => (&mut &*stream).read(buffer),
            Self::Unix(stream) => (&mut &*stream).read(buffer),
        }
    }

    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => (&mut &*stream).write(bytes),
            Self::Unix(stream) => (&mut &*stream).write(bytes),
        }
    }

    pub(super) fn end_writing(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::scratch;
    use rstest::rstest;
    use std::os::unix::fs::PermissionsExt;

    #[rstest]
    #[case("unix:/run/x.sock", Some("unix:/run/x.sock"))]
    #[case("127.0.0.1:9748", Some("http://127.0.0.1:9748/"))]
    #[case("[::1]:0", Some("http://[::1]:0/"))]
    #[case("0.0.0.0:80", Some("http://0.0.0.0:80/"))]
    #[case("unix:run/x.sock", None)]
    #[case("unix:", None)]
    #[case("localhost:9748", None)]
    #[case("127.0.0.1", None)]
    #[case(":9748", None)]
    #[case("9748", None)]
    #[case("::1:9748", None)]
    #[case("127.0.0.1:65536", None)]
    fn addresses_are_read(#[case] text: &str, #[case] expected: Option<&str>) {
        let address: Option<ListenAddress> = text.parse().ok();
        assert_eq!(
            address.map(|address| address.to_string()).as_deref(),
            expected
        );
    }

    #[test]
    fn a_socket_file_is_the_owners_and_ends_with_the_service() {
        let (_guard, dir) = scratch();
        let path = dir.join("socket");
        let address = ListenAddress::Unix(path.clone());
        let listener = Listener::bind(&address).unwrap();
        assert_eq!(listener.address(), &address);
        let mode = path.symlink_metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(matches!(
            Listener::bind(&address),
            Err(ListenError::Bind { source, .. }) if source.kind() == io::ErrorKind::AddrInUse
        ));
        drop(listener);
        assert!(path.symlink_metadata().is_err());
    }

    #[test]
    fn a_file_in_the_place_of_the_socket_is_kept() {
        let (_guard, dir) = scratch();
        let path = dir.join("socket");
        let listener = Listener::bind(&ListenAddress::Unix(path.clone())).unwrap();
        std::fs::rename(&path, dir.join("moved")).unwrap();
        std::fs::write(&path, "another's").unwrap();
        drop(listener);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "another's");
    }
}
