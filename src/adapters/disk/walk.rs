//! Traversal of store paths by directory handles, which never follows a link.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::sync::atomic::Ordering;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstatat};

use super::extents::{self, Extent, Extents};
use super::{DiskUse, FileSystem, Layout, Meter, Taken};
use crate::domain::measure::Bytes;

/// The unit of `st_blocks`, whatever the file system's own is.
const BLOCK: u64 = 512;

/// How many unreadable files are named.
const EXAMPLES: usize = 5;

/// How many inodes are looked at between two looks at the clock, so to speak.
const STRIDE: u64 = 256;

/// The identity of an inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Inode {
    pub(super) device: u64,
    pub(super) number: u64,
}

impl Inode {
    pub(super) fn of(stat: &FileStat) -> Self {
        Self {
            device: stat.st_dev,
            number: stat.st_ino,
        }
    }
}

/// What an inode takes.
#[derive(Debug, Clone)]
pub(super) enum Size {
    /// As many bytes, and nothing beside it has them.
    Own(u64),
    /// What its extents say.
    Extents(Extents),
}

impl Size {
    /// What it looks like from outside.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Own(bytes) => *bytes,
            Self::Extents(extents) => {
                let placed: u64 = extents.placed.iter().map(|extent| extent.length).sum();
                placed + extents.own
            }
        }
    }
}

/// What is known of the links of an inode that has several.
#[derive(Debug, Clone)]
pub(super) struct Links {
    pub(super) seen: u64,
    pub(super) all: u64,
    /// The position of the last of the paths that have a link to it.
    pub(super) last: usize,
    pub(super) size: Size,
}

/// What one thread has seen.
#[derive(Default)]
pub(super) struct InodeCount {
    /// What is certain; `shared` is not in it yet.
    pub(super) total: DiskUse,
    /// Inodes of which not every link was seen.
    pub(super) open: HashMap<Inode, Links>,
    /// The extents of the inodes that are certain, with the position of the path that each belongs to; their bytes are
    /// not in `total` yet.
    pub(super) extents: Vec<(usize, Extent)>,
    /// How much of `total` is freed when the path at a position is deleted after those before it; positions may repeat.
    pub(super) freed_at: Vec<(usize, Taken)>,
}

impl InodeCount {
    fn count(&mut self, stat: &FileStat, position: usize, size: impl FnOnce() -> Size) {
        let all = link_count(stat);
        let is_directory = kind(stat) == SFlag::S_IFDIR;
        // The links of a directory are its own `.` and the `..` of those in it.
        if all <= 1 || is_directory {
            self.free(size(), position);
            return;
        }
        let inode = Inode::of(stat);
        // Its extents are asked for once.
        let size = if self.open.contains_key(&inode) {
            Size::Own(0)
        } else {
            size()
        };
        let links = Links {
            seen: 1,
            all,
            last: position,
            size,
        };
        self.add(inode, links);
    }

    /// Counts an inode of which every link was seen, at the position of the last path that has one.
    pub(super) fn free(&mut self, size: Size, position: usize) {
        self.total.inodes += 1;
        let own = match size {
            Size::Own(bytes) => bytes,
            Size::Extents(extents) => {
                let placed = extents.placed.into_iter();
                self.extents.extend(placed.map(|extent| (position, extent)));
                extents.own
            }
        };
        self.total.bytes.0 += own;
        match self.freed_at.last_mut() {
            Some((last, sum)) if *last == position => {
                sum.bytes.0 += own;
                sum.inodes += 1;
            }
            _ => {
                let (bytes, inodes) = (Bytes(own), 1);
                self.freed_at.push((position, Taken { bytes, inodes }));
            }
        }
    }

    /// Adds links to those that were seen; an inode that has them all needs no memory any more.
    fn add(&mut self, inode: Inode, links: Links) {
        match self.open.entry(inode) {
            Entry::Vacant(entry) => {
                entry.insert(links);
            }
            Entry::Occupied(mut entry) => {
                let known = entry.get_mut();
                known.seen += links.seen;
                known.last = known.last.max(links.last);
                // Should the count differ between two looks, the higher one promises less.
                known.all = known.all.max(links.all);
                if known.seen >= known.all {
                    let links = entry.remove();
                    self.free(links.size, links.last);
                }
            }
        }
    }

    pub(super) fn absorb(&mut self, other: Self) {
        self.total.bytes.0 += other.total.bytes.0;
        self.total.inodes += other.total.inodes;
        self.total.vanished += other.total.vanished;
        self.total.unreadable += other.total.unreadable;
        self.total.examples.extend(other.total.examples);
        self.total.examples.truncate(EXAMPLES);
        self.extents.extend(other.extents);
        self.freed_at.extend(other.freed_at);
        for (inode, links) in other.open {
            self.add(inode, links);
        }
    }
}

/// A directory to be gone into: by its name in one that is open.
struct Pending {
    parent: Rc<Dir>,
    name: CString,
}

/// One thread at work.
pub(super) struct Walk<'a> {
    meter: &'a Meter<'a>,
    seen: InodeCount,
    system: FileSystem,
    uncounted: u64,
    stopped: bool,
    /// Where the path that is walked stands among all of them.
    position: usize,
    pending: Vec<Pending>,
    /// The names in a directory, each with a zero behind it; kept to be used again.
    names: Vec<u8>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(meter: &'a Meter<'a>, system: FileSystem) -> Self {
        Self {
            meter,
            seen: InodeCount::default(),
            system,
            uncounted: 0,
            stopped: false,
            position: 0,
            pending: Vec::new(),
            names: Vec::new(),
        }
    }

    /// What was seen, when there is nothing more to see.
    pub(super) fn finish(self) -> InodeCount {
        self.meter.seen.fetch_add(self.uncounted, Ordering::Relaxed);
        self.seen
    }

    /// Counts a store path with all that is in it.
    pub(super) fn path(&mut self, store: BorrowedFd<'_>, name: &str, position: usize) {
        self.position = position;
        let Ok(name) = CString::new(name) else {
            self.failed(c"a name with a zero byte", Errno::EINVAL);
            return;
        };
        if self.inode(store, &name) {
            self.directory(store, &name);
            while let Some(next) = self.pending.pop() {
                self.directory(next.parent.as_fd(), &next.name);
            }
        }
    }

    /// Counts what is in a directory, and leaves the directories in it for later. It is kept open only while one of
    /// them waits, so there are never more open ones than the tree is deep.
    fn directory(&mut self, parent: BorrowedFd<'_>, name: &CStr) {
        if self.stopped {
            return;
        }
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mut names = std::mem::take(&mut self.names);
        let listed = Dir::openat(parent, name, flags, Mode::empty())
            .and_then(|mut dir| list(&mut dir, &mut names).map(|()| Rc::new(dir)));
        match listed {
            Ok(dir) => {
                for child in names.split_inclusive(|&byte| byte == 0) {
                    let Ok(child) = CStr::from_bytes_with_nul(child) else {
                        continue;
                    };
                    if self.inode(dir.as_fd(), child) {
                        self.pending.push(Pending {
                            parent: Rc::clone(&dir),
                            name: child.to_owned(),
                        });
                    }
                    if self.stopped {
                        break;
                    }
                }
            }
            Err(errno) => self.failed(name, errno),
        }
        self.names = names;
    }

    /// Counts one inode, and returns whether it is a directory.
    fn inode(&mut self, parent: BorrowedFd<'_>, name: &CStr) -> bool {
        self.uncounted += 1;
        if self.uncounted == STRIDE {
            self.meter.seen.fetch_add(STRIDE, Ordering::Relaxed);
            self.uncounted = 0;
            self.stopped = self.meter.interrupt.requested();
        }
        match fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => {
                let system = self.system;
                self.seen
                    .count(&stat, self.position, || size(system, parent, name, &stat));
                kind(&stat) == SFlag::S_IFDIR
            }
            Err(errno) => {
                self.failed(name, errno);
                false
            }
        }
    }

    fn failed(&mut self, name: &CStr, errno: Errno) {
        // A directory that something else has taken the place of is gone as well.
        if matches!(errno, Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) {
            self.seen.total.vanished += 1;
            return;
        }
        self.seen.total.unreadable += 1;
        if self.seen.total.examples.len() < EXAMPLES {
            let example = format!("{}: {errno}", name.to_string_lossy());
            self.seen.total.examples.push(example);
        }
    }
}

/// The names in a directory. The first error ends it: what cannot be listed wholly is unreadable.
fn list(dir: &mut Dir, names: &mut Vec<u8>) -> nix::Result<()> {
    names.clear();
    for entry in dir.iter() {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            names.extend_from_slice(name.to_bytes_with_nul());
        }
    }
    Ok(())
}

/// What an inode takes on such a file system.
fn size(system: FileSystem, parent: BorrowedFd<'_>, name: &CStr, stat: &FileStat) -> Size {
    let blocks = u64::try_from(stat.st_blocks).unwrap_or(0) * BLOCK + system.per_inode;
    let is_file = kind(stat) == SFlag::S_IFREG;
    match system.layout {
        Layout::Btrfs | Layout::Shared if is_file && stat.st_blocks > 0 => {
            let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
            let extents = openat(parent, name, flags, Mode::empty())
                .map_err(Into::into)
                .and_then(extents::of);
            match extents {
                // The blocks of such a file also count what describes its extents.
                Ok(extents) if system.layout == Layout::Shared && extents.has_none_shared() => {
                    Size::Own(blocks)
                }
                Ok(mut extents) => {
                    extents.own += system.per_inode;
                    Size::Extents(extents)
                }
                // A file that may not be read takes at most its blocks.
                Err(_) => Size::Own(blocks),
            }
        }
        // All but the contents of larger files lies in metadata, whose space is not given back.
        Layout::Btrfs => Size::Own(0),
        Layout::Blocks | Layout::Shared => Size::Own(blocks),
    }
}

fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT
}

/// The number of links, whose type differs between machines.
#[allow(clippy::useless_conversion, clippy::unnecessary_fallible_conversions)]
fn link_count(stat: &FileStat) -> u64 {
    u64::try_from(stat.st_nlink).unwrap_or(u64::MAX)
}
