//! The service manager that started this process: its journal, and the status line that it shows for a unit.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;

use camino::Utf8Path;
use nix::sys::stat::fstat;

/// Whether the file is the stream of the journal that `JOURNAL_STREAM` names: what is below a unit and writes elsewhere
/// inherits the variable as well.
pub fn is_journal(file: impl AsFd, journal_stream: &str) -> bool {
    fstat(file).is_ok_and(|stat| journal_stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// Sets the status line of the unit, at the socket that `NOTIFY_SOCKET` names.
///
/// # Errors
/// When nobody takes it, or not at once.
pub fn set_status(socket: &Utf8Path, line: &str) -> io::Result<()> {
    let own = UnixDatagram::unbound()?;
    own.set_nonblocking(true)?;
    own.send_to(format!("STATUS={line}\n").as_bytes(), socket)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::scratch;

    #[test]
    fn the_manager_hears_one_line() {
        let (_dir, dir) = scratch();
        let socket = dir.join("notify");
        let manager = UnixDatagram::bind(&socket).unwrap();
        set_status(&socket, "removed 5 generations").unwrap();
        let mut heard = [0; 100];
        let length = manager.recv(&mut heard).unwrap();
        assert_eq!(&heard[..length], b"STATUS=removed 5 generations\n");
    }

    #[test]
    fn nobody_at_the_socket_is_an_error() {
        let (_dir, dir) = scratch();
        assert!(set_status(&dir.join("notify"), "done").is_err());
    }

    #[test]
    fn only_the_stream_itself_is_the_journal() {
        let (ours, theirs) = (io::pipe().unwrap().1, io::pipe().unwrap().1);
        let stat = fstat(&ours).unwrap();
        let stream = format!("{}:{}", stat.st_dev, stat.st_ino);
        assert!(is_journal(&ours, &stream));
        assert!(!is_journal(&theirs, &stream));
        assert!(!is_journal(&ours, ""));
    }
}
