//! Walks through store paths by directory handles, so that no link is ever followed.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{FileStat, Mode, SFlag, fstatat};

use super::DiskUse;
use crate::ports::Interrupt;

/// The unit of `st_blocks`, whatever the file system's own is.
const BLOCK: u64 = 512;

/// How many unreadable files are named.
const EXAMPLES: usize = 5;

/// How many inodes are looked at between two looks at the clock, so to speak.
const STRIDE: u64 = 256;

/// What tells one inode from another.
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

/// What is known of the links of an inode that has several.
#[derive(Debug, Clone, Copy)]
pub(super) struct Links {
    pub(super) seen: u64,
    pub(super) all: u64,
    blocks: u64,
}

impl Links {
    pub(super) fn bytes(self) -> u64 {
        self.blocks * BLOCK
    }
}

/// What one thread has seen.
#[derive(Default)]
pub(super) struct Seen {
    /// What is certain; `shared` is not in it yet.
    pub(super) total: DiskUse,
    /// Inodes of which not every link was seen.
    pub(super) open: HashMap<Inode, Links>,
}

impl Seen {
    fn count(&mut self, stat: &FileStat) {
        let blocks = u64::try_from(stat.st_blocks).unwrap_or(0);
        let all = link_count(stat);
        let is_directory = kind(stat) == SFlag::S_IFDIR;
        // The links of a directory are its own `.` and the `..` of those in it.
        if all <= 1 || is_directory {
            self.total.bytes.0 += blocks * BLOCK;
            self.total.inodes += 1;
            return;
        }
        let links = Links {
            seen: 1,
            all,
            blocks,
        };
        self.add(Inode::of(stat), links);
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
                // Should the count differ between two looks, the higher one promises less.
                known.all = known.all.max(links.all);
                if known.seen >= known.all {
                    self.total.bytes.0 += known.bytes();
                    self.total.inodes += 1;
                    entry.remove();
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
    seen: Seen,
    interrupt: &'a (dyn Interrupt + Sync),
    counter: &'a AtomicU64,
    uncounted: u64,
    stopped: bool,
    pending: Vec<Pending>,
    /// The names in a directory, each with a zero behind it; kept to be used again.
    names: Vec<u8>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(interrupt: &'a (dyn Interrupt + Sync), counter: &'a AtomicU64) -> Self {
        Self {
            seen: Seen::default(),
            interrupt,
            counter,
            uncounted: 0,
            stopped: false,
            pending: Vec::new(),
            names: Vec::new(),
        }
    }

    /// What was seen, when there is nothing more to see.
    pub(super) fn finish(self) -> Seen {
        self.counter.fetch_add(self.uncounted, Ordering::Relaxed);
        self.seen
    }

    /// Counts a store path with all that is in it.
    pub(super) fn path(&mut self, store: BorrowedFd<'_>, name: &str) {
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

    /// Counts what is in a directory, and leaves the directories in it for later. It stays open only while one of
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

    /// Counts one inode, and tells whether it is a directory.
    fn inode(&mut self, parent: BorrowedFd<'_>, name: &CStr) -> bool {
        self.uncounted += 1;
        if self.uncounted == STRIDE {
            self.counter.fetch_add(STRIDE, Ordering::Relaxed);
            self.uncounted = 0;
            self.stopped = self.interrupt.requested();
        }
        match fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => {
                self.seen.count(&stat);
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

fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT
}

/// The number of links, whose type differs between machines.
#[allow(clippy::useless_conversion, clippy::unnecessary_fallible_conversions)]
fn link_count(stat: &FileStat) -> u64 {
    u64::try_from(stat.st_nlink).unwrap_or(u64::MAX)
}
