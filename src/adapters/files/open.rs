//! Opening of files that others may have put there: no link is followed and no pipe is waited for.

use std::ffi::CStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use camino::Utf8Path;
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

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

/// Opens a directory to read it, as the kernel finds it: only for places that Nix itself is given.
///
/// # Errors
/// Why it cannot be opened.
pub fn open_directory(path: &Utf8Path) -> io::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    Ok(nix::fcntl::open(path.as_std_path(), flags, Mode::empty())?)
}

/// Opens a directory in an open one. It must not be a link, and nothing may be mounted there, not even a part of the same file
/// system, which has the same device number.
///
/// # Errors
/// Why it cannot be opened, or the mount is not known.
pub fn open_directory_at(dir: BorrowedFd<'_>, name: &CStr) -> io::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let opened = nix::fcntl::openat(dir, name, flags, Mode::empty());
    let opened = opened.map_err(|errno| name_the_link(errno.into()))?;
    if mount_of(opened.as_fd())? == mount_of(dir)? {
        Ok(opened)
    } else {
        let why = "something is mounted there";
        Err(io::Error::new(io::ErrorKind::CrossesDevices, why))
    }
}

/// Opens the directory with these names below one that is opened as the kernel finds it. None of the names may be a link; a mount
/// on the way is followed.
///
/// # Errors
/// Why it cannot be opened.
pub fn open_below(path: &Utf8Path, names: &[&CStr]) -> io::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mut dir = open_directory(path)?;
    for name in names {
        let next = nix::fcntl::openat(&dir, *name, flags, Mode::empty());
        dir = next.map_err(|errno| name_the_link(errno.into()))?;
    }
    Ok(dir)
}

/// Opens a regular file in an open directory for reading and writing. No link is followed and no pipe waited for.
///
/// # Errors
/// As [`open_to_change`].
pub fn open_file_at(dir: BorrowedFd<'_>, name: &CStr) -> io::Result<File> {
    let flags =
        OFlag::O_RDWR | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let opened = nix::fcntl::openat(dir, name, flags, Mode::empty());
    regular(File::from(
        opened.map_err(|errno| name_the_link(errno.into()))?,
    ))
}

/// The number of the mount that an open file is on. `openat2` would refuse another one by itself, but systemd hides that call from
/// a unit with `RestrictSUIDSGID=`.
#[cfg(target_os = "linux")]
fn mount_of(file: BorrowedFd<'_>) -> io::Result<Option<u64>> {
    use std::os::fd::AsRawFd;
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd()))?;
    let number = info.lines().find_map(|line| line.strip_prefix("mnt_id:"));
    let number = number.and_then(|number| number.trim().parse().ok());
    number
        .map(Some)
        .ok_or_else(|| io::Error::other("the mount of an open directory is not known"))
}

/// Where there are no such numbers, no part of a file system is mounted in itself.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "as on Linux")]
fn mount_of(_: BorrowedFd<'_>) -> io::Result<Option<u64>> {
    Ok(None)
}

/// Calls `found` for every name in an open directory, as they are read, so that there may be any number of them.
///
/// # Errors
/// When it cannot be read, or `found` fails.
pub fn for_each_name(
    dir: BorrowedFd<'_>,
    mut found: impl FnMut(&CStr) -> io::Result<()>,
) -> io::Result<()> {
    // A separate handle, because reading moves the position in the directory.
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut names = Dir::openat(dir, ".", flags, Mode::empty())?;
    for entry in names.iter() {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            found(name)?;
        }
    }
    Ok(())
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
