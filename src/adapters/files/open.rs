//! Opening of files that others may have put there: no link is followed and no pipe is waited for.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;

use camino::Utf8Path;
use nix::errno::Errno;
use nix::fcntl::OFlag;

/// Whether there is anything of that name, be it a link that leads nowhere.
///
/// # Errors
/// When that is not known: only "not found" is a no.
pub fn is_there(path: &Utf8Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Opens a regular file to change it.
///
/// # Errors
/// Why it cannot be opened; [`io::ErrorKind::InvalidInput`] for what is no regular file.
pub fn open_to_change(options: &mut OpenOptions, path: &Utf8Path) -> io::Result<File> {
    regular(open(options.truncate(false), path)?)
}

/// Reads a regular file of at most `limit` bytes.
///
/// # Errors
/// [`io::ErrorKind::FileTooLarge`] beyond the limit, [`io::ErrorKind::InvalidData`] for what is not UTF-8,
/// [`io::ErrorKind::InvalidInput`] for what is no regular file; otherwise why it cannot be read.
pub fn read_bounded(path: &Utf8Path, limit: u64) -> io::Result<String> {
    read_text(open_to_read(path)?, limit)
}

/// Opens a file of any kind to read it.
///
/// # Errors
/// Why it cannot be opened; [`io::ErrorKind::InvalidInput`] for a link.
pub fn open_to_read(path: &Utf8Path) -> io::Result<File> {
    open(OpenOptions::new().read(true), path)
}

fn open(options: &mut OpenOptions, path: &Utf8Path) -> io::Result<File> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let opened = options.custom_flags(flags.bits()).open(path);
    opened.map_err(name_the_link)
}

/// The file, if it is a regular one.
fn regular(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(not_regular())
    }
}

/// Reads an open file as [`read_bounded`] does.
///
/// # Errors
/// As [`read_bounded`].
pub fn read_text(file: File, limit: u64) -> io::Result<String> {
    let file = regular(file)?;
    let mut bytes = Vec::new();
    // The size may change while it is read, and some files have none: what counts is what comes.
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|size| size <= limit) {
        String::from_utf8(bytes)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
    } else {
        Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it is larger than {limit} bytes"),
        ))
    }
}

/// Says what `ELOOP` means after `O_NOFOLLOW`.
pub(crate) fn name_the_link(error: io::Error) -> io::Error {
    if error.raw_os_error() == Some(Errno::ELOOP as i32) {
        io::Error::new(io::ErrorKind::InvalidInput, "it is a symbolic link")
    } else {
        error
    }
}

pub(super) fn not_regular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::scratch;
    use rstest::rstest;
    use std::os::unix::fs::symlink;

    #[rstest]
    #[case::at_the_limit(4, true)]
    #[case::beyond(3, false)]
    fn reading_ends_at_the_limit(#[case] limit: u64, #[case] fits: bool) {
        let (_guard, dir) = scratch();
        fs::write(dir.join("a"), "four").unwrap();
        let read = read_bounded(&dir.join("a"), limit);
        assert_eq!(read.is_ok(), fits);
        assert!(read.is_ok_and(|t| t == "four") || !fits);
    }

    #[test]
    fn only_regular_files_in_utf8_are_read() {
        let (_guard, dir) = scratch();
        fs::write(dir.join("latin1"), [0xe4]).unwrap();
        fs::write(dir.join("file"), "text").unwrap();
        symlink("file", dir.join("link")).unwrap();
        fs::create_dir(dir.join("dir")).unwrap();
        nix::unistd::mkfifo(
            dir.join("fifo").as_std_path(),
            nix::sys::stat::Mode::from_bits_truncate(0o600),
        )
        .unwrap();
        let kind = |name| read_bounded(&dir.join(name), 100).unwrap_err().kind();
        assert_eq!(kind("latin1"), io::ErrorKind::InvalidData);
        assert_eq!(kind("link"), io::ErrorKind::InvalidInput);
        assert_eq!(kind("dir"), io::ErrorKind::InvalidInput);
        assert_eq!(kind("fifo"), io::ErrorKind::InvalidInput);
        assert_eq!(kind("absent"), io::ErrorKind::NotFound);
    }
}
