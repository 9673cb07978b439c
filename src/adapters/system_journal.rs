//! The journal of systemd: entries with fields, by its native protocol.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixDatagram, UnixStream};

use camino::Utf8PathBuf;

/// The socket for entries with fields, in the directory of the one for lines.
const ENTRIES: &str = "socket";

/// A connection to the journal for entries with fields.
#[derive(Debug)]
pub struct EntrySocket {
    own: UnixDatagram,
    path: Utf8PathBuf,
}

impl EntrySocket {
    /// The socket beside the one to which `stream` is connected, so that a unit of another namespace of journals keeps its own; `None`
    /// where it is no stream of a journal.
    pub fn beside(stream: impl AsFd) -> Option<Self> {
        let stream = UnixStream::from(stream.as_fd().try_clone_to_owned().ok()?);
        let lines = stream.peer_addr().ok()?;
        let lines = Utf8PathBuf::from_path_buf(lines.as_pathname()?.to_path_buf()).ok()?;
        let own = UnixDatagram::unbound().ok()?;
        // A journal that does not answer must not stop a run.
        own.set_nonblocking(true).ok()?;
        Some(Self {
            own,
            path: lines.with_file_name(ENTRIES),
        })
    }

    /// Sends an entry.
    ///
    /// # Errors
    /// When nobody takes it, not at once, or it is too large for a datagram.
    pub fn send(&self, fields: &[(&str, &str)]) -> io::Result<()> {
        self.own.send_to(&entry(fields), &self.path)?;
        Ok(())
    }
}

/// An entry as the journal reads it. Every value has its length, so that no line break in one makes another field.
fn entry(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        let length = (value.len() as u64).to_le_bytes();
        for part in [name.as_bytes(), b"\n", &length, value.as_bytes(), b"\n"] {
            bytes.extend_from_slice(part);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::scratch;
    use std::os::unix::net::UnixListener;

    /// The fields of an entry, read as systemd documents the protocol.
    fn parsed(mut bytes: &[u8]) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let end = bytes.iter().position(|byte| *byte == b'\n').unwrap();
            let name = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let (length, rest) = bytes[end + 1..].split_at(8);
            let length = u64::from_le_bytes(length.try_into().unwrap());
            let (value, rest) = rest.split_at(usize::try_from(length).unwrap());
            fields.push((name, String::from_utf8(value.to_vec()).unwrap()));
            bytes = rest.strip_prefix(b"\n").unwrap();
        }
        fields
    }

    #[test]
    fn a_value_cannot_make_a_field() {
        let hostile = "a\nPRIORITY=0\n_UID=0\n\u{1b}]0;x\u{202e}";
        let sent = [("MESSAGE", hostile), ("PRIORITY", "4"), ("EMPTY", "")];
        let read = parsed(&entry(&sent));
        let read: Vec<(&str, &str)> = read.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(read, sent);
    }

    #[test]
    fn entries_are_sent_beside_the_stream() {
        let (_guard, dir) = scratch();
        let lines = UnixListener::bind(dir.join("stdout")).unwrap();
        let stream = UnixStream::connect(dir.join("stdout")).unwrap();
        let socket = EntrySocket::beside(&stream).unwrap();
        assert!(socket.send(&[("MESSAGE", "x")]).is_err(), "nobody is there");
        let journal = UnixDatagram::bind(dir.join("socket")).unwrap();
        socket.send(&[("MESSAGE", "removed 5")]).unwrap();
        let mut bytes = [0; 100];
        let length = journal.recv(&mut bytes).unwrap();
        let expected = [("MESSAGE".to_string(), "removed 5".to_string())];
        assert_eq!(parsed(&bytes[..length]), expected);
        let large = "x".repeat(8 << 20);
        assert!(socket.send(&[("MESSAGE", &large)]).is_err());
        drop(lines);
    }

    #[test]
    fn a_journal_that_does_not_read_stops_nobody() {
        let (_guard, dir) = scratch();
        let _lines = UnixListener::bind(dir.join("stdout")).unwrap();
        let stream = UnixStream::connect(dir.join("stdout")).unwrap();
        let _journal = UnixDatagram::bind(dir.join("socket")).unwrap();
        let socket = EntrySocket::beside(&stream).unwrap();
        let mut sent = (0..100_000).map(|_| socket.send(&[("MESSAGE", "x")]));
        let refused = sent.find_map(Result::err).unwrap();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn neither_a_pipe_nor_a_file_is_a_journal() {
        let (_guard, dir) = scratch();
        assert!(EntrySocket::beside(io::pipe().unwrap().1).is_none());
        let file = std::fs::File::create(dir.join("file")).unwrap();
        assert!(EntrySocket::beside(file).is_none());
        let (ours, _theirs) = UnixStream::pair().unwrap();
        assert!(EntrySocket::beside(ours).is_none(), "it has no name");
    }
}
