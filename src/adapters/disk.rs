//! Disk space freed by deleting store paths: the blocks of every inode that loses its last link.

mod extents;
mod fullness;
mod kind;
mod walk;

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use camino::{Utf8Path, Utf8PathBuf};
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open};
use nix::sys::stat::{Mode, fstat, fstatat};

use super::threads::{joined, processors};
pub use crate::domain::disk_use::{AtMost, DiskUse, Taken};
use crate::domain::measure::Bytes;
pub use crate::ports::DiskError;
use crate::ports::Interrupt;
use kind::Kind;
use walk::{Inode, InodeCount, Walk};

pub use fullness::{file_system_name, fullness, settled_fullness};

/// How a file system lays out blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// Every inode has the blocks that it says.
    Blocks,
    /// Files may share blocks.
    Shared,
    /// Files may share blocks and be compressed, and small ones lie in metadata.
    Btrfs,
}

/// What the type of a file system says of its blocks.
#[derive(Debug, Clone, Copy)]
struct FileSystem {
    layout: Layout,
    per_inode: u64,
    at_most: Option<AtMost>,
}

/// Measures store paths, in parallel.
pub struct Meter<'a> {
    store: Utf8PathBuf,
    threads: usize,
    interrupt: &'a (dyn Interrupt + Sync),
    seen: &'a AtomicU64,
}

impl<'a> Meter<'a> {
    /// For paths in the store directory `store`, with as many threads as there are cores. `seen` counts the inodes as
    /// they are looked at, for a progress display.
    pub fn new(
        store: &Utf8Path,
        interrupt: &'a (dyn Interrupt + Sync),
        seen: &'a AtomicU64,
    ) -> Self {
        Self {
            store: store.to_path_buf(),
            threads: processors(),
            interrupt,
            seen,
        }
    }

    /// The same, with a number of threads.
    #[must_use]
    pub fn with_threads(self, threads: usize) -> Self {
        Self {
            threads: threads.max(1),
            ..self
        }
    }

    /// What deleting the store paths with these base names would free. A name given twice counts twice: give each
    /// once.
    ///
    /// # Errors
    /// When the store directory cannot be opened, or somebody asked to stop. All else is counted.
    pub fn measure<N: AsRef<str> + Sync>(&self, names: &[N]) -> Result<DiskUse, DiskError> {
        self.measured(names).map(|seen| seen.total)
    }

    /// What deleting each of these store paths would free after those before it. An inode counts where its last link is
    /// deleted, so the sum of the first entries is what deleting them frees.
    ///
    /// # Errors
    /// As [`Meter::measure`].
    pub fn measure_each<N: AsRef<str> + Sync>(&self, names: &[N]) -> Result<Vec<Taken>, DiskError> {
        let seen = self.measured(names)?;
        let mut each = vec![Taken::default(); names.len()];
        for (position, more) in seen.freed_at {
            if let Some(sum) = each.get_mut(position) {
                sum.bytes.0 = sum.bytes.0.saturating_add(more.bytes.0);
                sum.inodes = sum.inodes.saturating_add(more.inodes);
            }
        }
        Ok(each)
    }

    /// What deleting each of these groups of store paths would free while the others are kept.
    ///
    /// # Errors
    /// As [`Meter::measure`].
    pub fn measure_groups<N: AsRef<str> + Sync>(
        &self,
        groups: &[Vec<N>],
    ) -> Result<Vec<DiskUse>, DiskError> {
        let (store, system) = self.open()?;
        let one = |done: &mut Vec<(usize, InodeCount)>, group, names: &Vec<N>| {
            let mut walk = Walk::new(self, system);
            for (position, name) in names.iter().enumerate() {
                walk.path(store.as_fd(), name.as_ref(), position);
            }
            done.push((group, walk.finish()));
        };
        let all = self.in_threads(groups, Vec::new, one, |done| done);
        let mut all: Vec<_> = all.into_iter().flatten().collect();
        all.sort_unstable_by_key(|(group, _)| *group);
        let mut in_links: HashMap<Inode, u64> = HashMap::new();
        for (_, seen) in &all {
            in_links.extend(seen.open.keys().map(|&inode| (inode, 0)));
        }
        let mut trouble = DiskUse::default();
        if !in_links.is_empty() {
            self.find_in_links(store.as_fd(), &mut trouble, |inode| {
                if let Some(count) = in_links.get_mut(&inode) {
                    *count += 1;
                }
            });
        }
        if self.interrupt.requested() {
            return Err(DiskError::Interrupted);
        }
        let settled = all.into_iter().map(|(_, mut seen)| {
            for (inode, links) in &mut seen.open {
                links.seen += in_links.get(inode).copied().unwrap_or(0);
            }
            seen.total.unreadable += trouble.unreadable;
            seen.total.examples.extend(trouble.examples.clone());
            settle(seen, system).total
        });
        Ok(settled.collect())
    }

    fn open(&self) -> Result<(OwnedFd, FileSystem), DiskError> {
        match open_directory(&self.store) {
            Ok(store) => {
                let system = Kind::of(&store).blocks();
                Ok((store, system))
            }
            Err(source) => Err(DiskError::Store {
                store: self.store.clone(),
                source: source.into(),
            }),
        }
    }

    fn measured<N: AsRef<str> + Sync>(&self, names: &[N]) -> Result<InodeCount, DiskError> {
        let (store, system) = self.open()?;
        let walk = || Walk::new(self, system);
        let one = |walk: &mut Walk<'_>, position, name: &N| {
            walk.path(store.as_fd(), name.as_ref(), position);
        };
        let mut seen = InodeCount::default();
        for other in self.in_threads(names, walk, one, Walk::finish) {
            seen.absorb(other);
        }
        // Most paths of a store that was never optimised have nothing to look up.
        if !seen.open.is_empty() {
            let InodeCount { open, total, .. } = &mut seen;
            self.find_in_links(store.as_fd(), total, |inode| {
                if let Some(links) = open.get_mut(&inode) {
                    links.seen += 1;
                }
            });
        }
        if self.interrupt.requested() {
            return Err(DiskError::Interrupted);
        }
        Ok(settle(seen, system))
    }

    /// Works through items; each thread takes the next one that nobody has.
    fn in_threads<I: Sync, W, T: Send>(
        &self,
        items: &[I],
        begin: impl Fn() -> W + Sync,
        one: impl Fn(&mut W, usize, &I) + Sync,
        finish: impl Fn(W) -> T + Sync,
    ) -> Vec<T> {
        let next = AtomicUsize::new(0);
        let work = || {
            let mut working = begin();
            while !self.interrupt.requested() {
                let position = next.fetch_add(1, Ordering::Relaxed);
                let Some(item) = items.get(position) else {
                    break;
                };
                one(&mut working, position, item);
            }
            finish(working)
        };
        thread::scope(|scope| {
            let others: Vec<_> = (1..self.threads.min(items.len()))
                // Fewer threads only take longer.
                .filter_map(|_| thread::Builder::new().spawn_scoped(scope, work).ok())
                .collect();
            let mut all = vec![work()];
            all.extend(others.into_iter().map(joined));
            all
        })
    }

    /// Finds the inodes that lie in `.links`: Nix removes these links itself when no other is left. The names there are
    /// hashes of contents, so the inode numbers of the directory are gone through.
    fn find_in_links(&self, store: BorrowedFd<'_>, total: &mut DiskUse, found: impl FnMut(Inode)) {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        let result = Dir::openat(store, ".links", flags, Mode::empty())
            .and_then(|mut dir| self.inodes_in(&mut dir, found));
        match result {
            Ok(()) | Err(Errno::ENOENT) => {}
            // Then no file that has a link there counts: too little is promised, never too much.
            Err(errno) => {
                total.unreadable += 1;
                total
                    .examples
                    .push(format!("{}/.links: {errno}", self.store));
            }
        }
    }

    fn inodes_in(&self, dir: &mut Dir, mut found: impl FnMut(Inode)) -> nix::Result<()> {
        let device = fstat(&*dir)?.st_dev;
        // On a stacked file system the numbers in a directory may not be those of the files.
        let mut numbers_hold = None;
        let handle = dir
            .as_fd()
            .try_clone_to_owned()
            .map_err(|_| Errno::EMFILE)?;
        let mut entries = 0_u64;
        for entry in dir.iter() {
            entries += 1;
            if entries.is_multiple_of(1024) && self.interrupt.requested() {
                return Ok(());
            }
            let entry = entry?;
            if entry.file_name().to_bytes().starts_with(b".") {
                continue;
            }
            let mut inode = Inode {
                device,
                number: entry.ino(),
            };
            if numbers_hold != Some(true) {
                match fstatat(&handle, entry.file_name(), AtFlags::AT_SYMLINK_NOFOLLOW) {
                    Ok(stat) => {
                        let real = Inode::of(&stat);
                        numbers_hold = Some(numbers_hold.unwrap_or(true) && real == inode);
                        inode = real;
                    }
                    Err(Errno::ENOENT) => continue,
                    Err(errno) => return Err(errno),
                }
            }
            found(inode);
        }
        Ok(())
    }
}

/// Decides on the inodes of which not every link was seen, and on the extents of the others.
fn settle(mut seen: InodeCount, system: FileSystem) -> InodeCount {
    for links in std::mem::take(&mut seen.open).into_values() {
        if links.seen >= links.all {
            seen.free(links.size, links.last);
        } else {
            seen.total.shared.0 += links.size.bytes();
        }
    }
    let freed = extents::freed(std::mem::take(&mut seen.extents));
    let total = &mut seen.total;
    total.bytes.0 += freed.at.iter().map(|(_, bytes)| bytes).sum::<u64>();
    total.elsewhere.0 += freed.kept;
    total.at_most.extend(system.at_most);
    if freed.compressed {
        total.at_most.push(AtMost::Compressed);
    }
    if freed.shared {
        total.at_most.push(AtMost::Shared);
    }
    let of_extents = freed.at.into_iter().map(|(position, bytes)| {
        let bytes = Bytes(bytes);
        (position, Taken { bytes, inodes: 0 })
    });
    seen.freed_at.extend(of_extents);
    seen
}

fn open_directory(path: &Utf8Path) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    open(path.as_std_path(), flags, Mode::empty())
}
