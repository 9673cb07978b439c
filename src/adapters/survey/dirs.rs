//! Directories by descriptor, so that a directory cannot be replaced during the survey.
//!
//! Only directories, and the lock files of flakes, are opened, without waiting, so that a FIFO or a device cannot block; everything
//! else is examined with `lstat` and `readlink`.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use camino::Utf8Path;
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat, lstat};

use crate::adapters::files::name_the_link;
use crate::domain::measure::Timestamp;

/// The most links on one way, as in the kernel.
const MAX_LINKS: usize = 40;

/// On Linux a handle needs only the right to search, as every use of a path does.
#[cfg(target_os = "linux")]
const HANDLE: OFlag = OFlag::O_PATH;
#[cfg(not(target_os = "linux"))]
const HANDLE: OFlag = OFlag::O_RDONLY;

/// Identifies a file on a running machine.
pub(super) type FileId = (nix::libc::dev_t, nix::libc::ino_t);

/// The type of a file, never through a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::adapters) enum FileKind {
    Link,
    Directory,
    Regular,
    Other,
}

/// The result of `lstat` for a name.
#[derive(Debug, Clone, Copy)]
pub(in crate::adapters) struct Meta {
    pub(in crate::adapters) kind: FileKind,
    pub(in crate::adapters) bytes: u64,
    pub(super) uid: u32,
    pub(super) modified: Timestamp,
}

impl From<&FileStat> for Meta {
    fn from(stat: &FileStat) -> Self {
        let kind = match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
            SFlag::S_IFLNK => FileKind::Link,
            SFlag::S_IFDIR => FileKind::Directory,
            SFlag::S_IFREG => FileKind::Regular,
            _ => FileKind::Other,
        };
        Self {
            kind,
            bytes: u64::try_from(stat.st_size).unwrap_or_default(),
            uid: stat.st_uid,
            modified: time(stat.st_mtime, stat.st_mtime_nsec),
        }
    }
}

/// What `lstat` says of a path.
pub(super) fn metadata_of(path: &Path) -> io::Result<Meta> {
    Ok(Meta::from(&lstat(path)?))
}

/// A time beyond the calendar counts as the latest possible: generations dated in the future are kept.
fn time(seconds: i64, nanoseconds: i64) -> Timestamp {
    Timestamp::from_unix(seconds, nanoseconds).unwrap_or(Timestamp::from(jiff::Timestamp::MAX))
}

/// A directory.
#[derive(Debug)]
pub(in crate::adapters) struct DirHandle {
    fd: OwnedFd,
    stat: FileStat,
}

impl DirHandle {
    /// Opens a directory as the kernel finds it, through links: only for the places that Nix itself is given.
    pub(in crate::adapters) fn open(path: &Utf8Path) -> io::Result<Self> {
        let flags = HANDLE | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Self::new(open(path.as_std_path(), flags, Mode::empty())?)
    }

    fn new(fd: OwnedFd) -> io::Result<Self> {
        let stat = fstat(&fd)?;
        Ok(Self { fd, stat })
    }

    /// Opens the directory `name`, which must not be a link.
    pub(in crate::adapters) fn child(&self, name: &OsStr) -> io::Result<Self> {
        let flags = HANDLE | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        Self::new(openat(&self.fd, name, flags, Mode::empty())?)
    }

    /// Every name except `.` and `..`, sorted, so that the same directory always gives the same list.
    pub(super) fn names(&self) -> io::Result<Vec<OsString>> {
        self.first_names(usize::MAX)
    }

    /// At most this many names, sorted: those that the file system lists first.
    pub(in crate::adapters) fn first_names(&self, most: usize) -> io::Result<Vec<OsString>> {
        // A separate handle, because reading moves the position in the directory.
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut dir = Dir::from_fd(openat(&self.fd, ".", flags, Mode::empty())?)?;
        let mut names = Vec::new();
        for entry in dir.iter() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            if names.len() == most {
                break;
            }
            names.push(OsString::from_vec(name.to_vec()));
        }
        names.sort_unstable();
        Ok(names)
    }

    /// The type of `name`; `None` if it does not exist.
    pub(in crate::adapters) fn metadata(&self, name: &OsStr) -> io::Result<Option<Meta>> {
        match fstatat(&self.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Meta::from(&stat))),
            // Absence is an answer here: it was the question, or the name disappeared after the directory was read.
            Err(Errno::ENOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens the file `name` to read it. It must not be a link, and a FIFO is not waited for.
    pub(in crate::adapters) fn file(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let flags = flags | OFlag::O_CLOEXEC;
        let opened = openat(&self.fd, name, flags, Mode::empty());
        Ok(File::from(
            opened.map_err(|errno| name_the_link(errno.into()))?,
        ))
    }

    /// The target of the link `name`.
    pub(super) fn read_link(&self, name: &OsStr) -> io::Result<OsString> {
        Ok(readlinkat(&self.fd, name)?)
    }

    /// Opens the file `name`, which must not be a link, to read it. What it is, the caller finds out.
    pub(super) fn open_file(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let flags = flags | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let opened = openat(&self.fd, name, flags, Mode::empty());
        opened
            .map(File::from)
            .map_err(|error| name_the_link(error.into()))
    }

    /// The owner of the directory.
    pub(super) fn uid(&self) -> u32 {
        self.stat.st_uid
    }

    /// The descriptor.
    pub(in crate::adapters) fn into_fd(self) -> OwnedFd {
        self.fd
    }

    /// Its identity.
    pub(super) fn id(&self) -> FileId {
        (self.stat.st_dev, self.stat.st_ino)
    }

    /// Whether others than its owner can replace its content.
    pub(super) fn is_open_to_others(&self) -> bool {
        let mode = Mode::from_bits_truncate(self.stat.st_mode);
        mode.intersects(Mode::S_IWGRP | Mode::S_IWOTH) && !mode.contains(Mode::S_ISVTX)
    }
}

/// Opens a directory one step at a time from `/`, and records links on the way.
///
/// Links are followed for reading: a profile at another place is better shown than missed. Actions learn of the link. A
/// link of root in a directory that only root can change (`/home -> usr/home`) is the machine's own layout and does not
/// count. Returns the directory, `None` if it does not exist, and the first link on the way that somebody other than root
/// could have made.
pub(in crate::adapters) fn reach(path: &Path) -> io::Result<Option<(DirHandle, Option<PathBuf>)>> {
    let mut walk = Walk {
        place: DirHandle::open(Utf8Path::new("/"))?,
        at: PathBuf::from("/"),
        ahead: Vec::new(),
        hops: 0,
        link: None,
    };
    walk.expect(path, false);
    while let Some((name, of_link)) = walk.ahead.pop() {
        match walk.place.child(&name) {
            Ok(place) => {
                walk.place = place;
                walk.at.push(&name);
            }
            Err(error) => match (walk.place.metadata(&name)?, error.kind()) {
                (Some(meta), _) if meta.kind == FileKind::Link => walk.follow(&name, meta)?,
                // A directory that was never made is normal; one that is named by a link and missing may only be away,
                // with everything in it.
                (None, io::ErrorKind::NotFound) if !of_link => return Ok(None),
                (None, io::ErrorKind::NotFound) => {
                    let at = walk.at.join(&name);
                    let why = format!("a link points to {}, which does not exist", at.display());
                    return Err(io::Error::other(why));
                }
                _ => return Err(error),
            },
        }
    }
    Ok(Some((walk.place, walk.link)))
}

struct Walk {
    place: DirHandle,
    at: PathBuf,
    /// The remaining steps, the next one last, and whether they come from a link's target.
    ahead: Vec<(OsString, bool)>,
    hops: usize,
    link: Option<PathBuf>,
}

impl Walk {
    fn expect(&mut self, path: &Path, of_link: bool) {
        let steps = path.as_os_str().as_bytes().split(|b| *b == b'/').rev();
        let steps = steps.filter(|step| !step.is_empty() && *step != b".");
        let steps = steps.map(|step| (OsStr::from_bytes(step).to_os_string(), of_link));
        self.ahead.extend(steps);
    }

    fn follow(&mut self, name: &OsStr, meta: Meta) -> io::Result<()> {
        self.hops += 1;
        if self.hops > MAX_LINKS {
            return Err(Errno::ELOOP.into());
        }
        let layout = meta.uid == 0 && self.place.uid() == 0 && !self.place.is_open_to_others();
        if !layout && self.link.is_none() {
            self.link = Some(self.at.join(name));
        }
        let text = PathBuf::from(self.place.read_link(name)?);
        if text.is_absolute() {
            self.place = DirHandle::open(Utf8Path::new("/"))?;
            self.at = PathBuf::from("/");
        }
        self.expect(&text, true);
        Ok(())
    }
}
