//! An entry with everything in it: when it was last used, whether it is in use, and what it takes.

use std::collections::HashMap;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{FileStat, SFlag, fstatat};

use super::in_use::InUse;
use super::units::Unit;
use crate::adapters::files::remove::MAX_DEPTH;
use crate::adapters::files::{for_each_name, open_directory_at};
use crate::domain::disk_use::Taken;
use crate::domain::measure::Timestamp;

/// The unit of `st_blocks`.
const BLOCK: u64 = 512;

pub(super) use crate::adapters::files::remove::FileId;

/// What shows when a file was last used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LastUse {
    /// Its last change.
    Change,
    /// Its last change, or the last time when a regular file was read, where the file system records that.
    ChangeOrRead,
}

/// What was seen of an entry.
pub(super) struct Seen {
    /// Its inodes, one for each of its names.
    pub(super) ids: Vec<FileId>,
    /// When anything in it was last used.
    pub(super) last_used: Timestamp,
    /// Whether a process uses anything in it.
    pub(super) is_in_use: bool,
    /// How many names are in it, with itself.
    pub(super) inodes: u64,
    /// What removing it frees.
    pub(super) taken: Taken,
}

struct Look<'a> {
    in_use: &'a InUse,
    last_use: LastUse,
    device: u64,
    seen: Seen,
    /// Files with several links: how many were seen, how many there are, and what the file takes.
    links: HashMap<FileId, (u64, u64, u64)>,
}

/// Looks at an entry; `None` if it is gone.
///
/// # Errors
/// When it cannot be read to its end, is on another file system, or is nested too deeply.
pub(super) fn look(unit: &Unit<'_>, last_use: LastUse, in_use: &InUse) -> io::Result<Option<Seen>> {
    let mut look = Look {
        in_use,
        last_use,
        device: unit.device(),
        seen: Seen {
            ids: Vec::new(),
            last_used: Timestamp::from(jiff::Timestamp::MIN),
            is_in_use: false,
            inodes: 0,
            taken: Taken::default(),
        },
        links: HashMap::new(),
    };
    for name in unit.names {
        let Some(stat) = look.entry(unit.dir, name, 0)? else {
            return Ok(None);
        };
        look.seen.ids.push((stat.st_dev, stat.st_ino));
    }
    Ok(Some(look.seen))
}

/// What `lstat` says of a name in an open directory; `None` if there is none.
pub(super) fn stat_at(dir: BorrowedFd<'_>, name: &CStr) -> io::Result<Option<FileStat>> {
    match fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::ENOENT) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

pub(super) fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT
}

impl Look<'_> {
    fn entry(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &CStr,
        depth: usize,
    ) -> io::Result<Option<FileStat>> {
        let within = |error: io::Error| {
            io::Error::new(error.kind(), format!("{}: {error}", name.to_string_lossy()))
        };
        let Some(stat) = stat_at(dir, name).map_err(within)? else {
            return Ok(None);
        };
        if stat.st_dev != self.device {
            return Err(within(Errno::EXDEV.into()));
        }
        self.count(&stat);
        if kind(&stat) == SFlag::S_IFDIR {
            if depth == MAX_DEPTH {
                return Err(within(io::Error::other("it is nested too deeply")));
            }
            let child = open_directory_at(dir, name).map_err(within)?;
            for_each_name(child.as_fd(), |name| {
                self.entry(child.as_fd(), name, depth + 1).map(drop)
            })?;
        }
        Ok(Some(stat))
    }

    // The types differ between platforms.
    #[allow(clippy::useless_conversion)]
    fn count(&mut self, stat: &FileStat) {
        let id = (stat.st_dev, stat.st_ino);
        self.seen.inodes += 1;
        self.seen.is_in_use |= self.in_use.contains(id);
        let mut used = (stat.st_mtime, stat.st_mtime_nsec);
        // To look at a directory reads it.
        if self.last_use == LastUse::ChangeOrRead && kind(stat) == SFlag::S_IFREG {
            used = used.max((stat.st_atime, stat.st_atime_nsec));
        }
        // A time beyond the calendar counts as the latest possible.
        let used = Timestamp::from_unix(used.0.into(), used.1.into());
        let used = used.unwrap_or(Timestamp::from(jiff::Timestamp::MAX));
        self.seen.last_used = self.seen.last_used.max(used);
        let bytes = u64::try_from(stat.st_blocks)
            .unwrap_or(0)
            .saturating_mul(BLOCK);
        let all = u64::from(stat.st_nlink);
        if all <= 1 || kind(stat) == SFlag::S_IFDIR {
            self.free(bytes);
            return;
        }
        let (seen, all, bytes) = self.links.entry(id).or_insert((0, all, bytes));
        *seen += 1;
        if *seen == *all {
            let bytes = *bytes;
            self.links.remove(&id);
            self.free(bytes);
        }
    }

    fn free(&mut self, bytes: u64) {
        let taken = &mut self.seen.taken;
        taken.bytes.0 = taken.bytes.0.saturating_add(bytes);
        taken.inodes += 1;
    }
}
