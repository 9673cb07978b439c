//! A directory held open, and the links in it; no link is ever followed.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use camino::{Utf8Path, Utf8PathBuf};
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, UtimensatFlags, fstat, fstatat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::symlinkat;

use crate::adapters::files::name_the_link;
use crate::adapters::files::remove::remove_at;
use crate::adapters::survey::dirs;
use crate::domain::measure::Timestamp;
use crate::ports::LinkState;

pub(super) use crate::adapters::files::remove::Removal;

/// A directory that was opened once: what happens to its name does not matter from then on.
pub(in crate::adapters) struct Directory {
    fd: OwnedFd,
    path: Utf8PathBuf,
}

/// What there is under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LinkEntry {
    /// A symbolic link.
    Link {
        /// What it says.
        text: OsString,
        /// When it was made; `None` when the calendar does not reach that far.
        created: Option<Timestamp>,
        /// The number of its owner.
        uid: u32,
    },
    /// Anything else.
    Other,
}

impl LinkEntry {
    /// Whether it is a link that says exactly this.
    pub(super) fn says(&self, expected: &str) -> bool {
        matches!(self, Self::Link { text, .. } if text.as_bytes() == expected.as_bytes())
    }
}

impl Directory {
    /// Opens a directory, which must not itself be a link; `None` when it is not there.
    pub(in crate::adapters) fn open(path: &Utf8Path) -> io::Result<Option<Self>> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        match open(path.as_std_path(), flags, Mode::empty()) {
            Ok(fd) => Ok(Some(Self {
                fd,
                path: path.to_path_buf(),
            })),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Opens a directory in it; `None` for what is not there, a link or no directory.
    pub(in crate::adapters) fn child(&self, name: &str) -> io::Result<Option<Self>> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        match openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => Ok(Some(Self {
                fd,
                path: self.path.join(name),
            })),
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Opens the directory of a user's link. No link on the way to it is followed, except those of the machine's own layout.
    pub(super) fn reach(path: &Utf8Path) -> io::Result<Option<Self>> {
        let Some((dir, link)) = dirs::reach(path.as_std_path())? else {
            return Ok(None);
        };
        if let Some(link) = link {
            let why = format!("{} is a symbolic link", link.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        Ok(Some(Self {
            fd: dir.into_fd(),
            path: path.to_path_buf(),
        }))
    }

    /// Its path when it was opened.
    pub(super) fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// The number of the user that it belongs to.
    pub(super) fn owner(&self) -> io::Result<u32> {
        Ok(fstat(&self.fd)?.st_uid)
    }

    /// What there is under a name; `None` for nothing.
    pub(super) fn read(&self, name: &str) -> io::Result<Option<LinkEntry>> {
        let stat = match fstatat(&self.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::ENOENT) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        if !is_link(&stat) {
            return Ok(Some(LinkEntry::Other));
        }
        match readlinkat(&self.fd, name) {
            Ok(text) => Ok(Some(LinkEntry::Link {
                text,
                created: created(&stat),
                uid: stat.st_uid,
            })),
            // Changed between the two looks.
            Err(Errno::ENOENT) => Ok(None),
            Err(Errno::EINVAL) => Ok(Some(LinkEntry::Other)),
            Err(errno) => Err(errno.into()),
        }
    }

    /// How a name is that should be a link with this text.
    pub(super) fn state(&self, name: &str, expected: &str) -> io::Result<LinkState> {
        Ok(match self.read(name)? {
            None => LinkState::Gone,
            Some(seen) if seen.says(expected) => LinkState::Unchanged,
            Some(_) => LinkState::Different,
        })
    }

    /// Makes a link. It is an error when there is anything under its name.
    pub(super) fn link(&self, name: &str, text: &str) -> io::Result<()> {
        Ok(symlinkat(text, &self.fd, name)?)
    }

    /// Removes a link or file.
    pub(super) fn unlink(&self, name: &str, removal: Removal<'_>) -> io::Result<()> {
        remove_at(&self.fd, name, removal)
    }

    /// Sets the modification time of a link itself.
    pub(in crate::adapters) fn set_time(&self, name: &str, time: Timestamp) -> io::Result<()> {
        let (seconds, nanoseconds) = time.to_unix();
        Ok(utimensat(
            &self.fd,
            name,
            &TimeSpec::UTIME_OMIT,
            &TimeSpec::new(seconds, nanoseconds),
            UtimensatFlags::NoFollowSymlink,
        )?)
    }

    /// Opens a regular file in it for reading and writing, making it where it is missing. Nothing else is waited for.
    pub(super) fn open_file(&self, name: &str) -> io::Result<File> {
        let flags = OFlag::O_RDWR
            | OFlag::O_CREAT
            | OFlag::O_NOFOLLOW
            | OFlag::O_NONBLOCK
            | OFlag::O_NOCTTY
            | OFlag::O_CLOEXEC;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        let opened = openat(&self.fd, name, flags, mode);
        let file = File::from(opened.map_err(|errno| name_the_link(errno.into()))?);
        if file.metadata()?.is_file() {
            Ok(file)
        } else {
            let why = format!("{name} is not a regular file");
            Err(io::Error::new(io::ErrorKind::InvalidInput, why))
        }
    }

    /// The names in it.
    pub(in crate::adapters) fn names(&self) -> io::Result<Vec<OsString>> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut dir = Dir::openat(self.fd.as_fd(), ".", flags, Mode::empty())?;
        let mut names = Vec::new();
        for entry in dir.iter() {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." {
                names.push(name.to_os_string());
            }
        }
        Ok(names)
    }

    /// The text of a link; `None` when there is none under the name.
    pub(in crate::adapters) fn text(&self, name: &OsStr) -> Option<OsString> {
        readlinkat(&self.fd, name).ok()
    }
}

fn is_link(stat: &FileStat) -> bool {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFLNK
}

// The types differ between platforms.
#[allow(clippy::useless_conversion)]
fn created(stat: &FileStat) -> Option<Timestamp> {
    Timestamp::from_unix(stat.st_mtime.into(), stat.st_mtime_nsec.into())
}
