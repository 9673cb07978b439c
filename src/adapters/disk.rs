//! What deleting store paths would free: the blocks of every inode whose links all go with them.

mod walk;

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use camino::{Utf8Path, Utf8PathBuf};
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open};
use nix::sys::stat::{Mode, fstat, fstatat};
use nix::sys::statvfs::statvfs;

use super::threads::joined;
use crate::domain::budget::Disk;
use crate::domain::measure::Bytes;
use crate::ports::Interrupt;
use walk::{Inode, Links, Seen, Walk};

/// What deleting a set of store paths would free.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiskUse {
    /// The blocks of every inode that would go.
    pub bytes: Bytes,
    /// How many inodes would go.
    pub inodes: u64,
    /// The blocks of files that stay because they have links elsewhere: they are not in `bytes`.
    pub shared: Bytes,
    /// Files and directories that went away while they were looked at.
    pub vanished: u64,
    /// Files and directories that could not be looked at: what is in them is not in `bytes`.
    pub unreadable: u64,
    /// Some of the unreadable ones, with the reason.
    pub examples: Vec<String>,
    /// The file system, where blocks may be compressed or belong to snapshots too, so that deleting may free less.
    pub copy_on_write: Option<&'static str>,
}

/// Measures store paths, in parallel.
pub struct Meter<'a> {
    store: Utf8PathBuf,
    threads: usize,
    interrupt: &'a (dyn Interrupt + Sync),
    seen: &'a AtomicU64,
}

impl<'a> Meter<'a> {
    /// For paths in the store directory `store`, with as many threads as there are cores. `seen` counts the inodes
    /// as they are looked at, for whoever shows progress.
    pub fn new(
        store: &Utf8Path,
        interrupt: &'a (dyn Interrupt + Sync),
        seen: &'a AtomicU64,
    ) -> Self {
        Self {
            store: store.to_path_buf(),
            threads: thread::available_parallelism().map_or(1, usize::from),
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
        let failed = |source: Errno| DiskError::Store {
            store: self.store.clone(),
            source: source.into(),
        };
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let store = open(self.store.as_std_path(), flags, Mode::empty()).map_err(failed)?;
        let walk = self.walk_all(store.as_fd(), names);
        let Seen {
            mut total,
            open: mut unsettled,
        } = walk;
        // Most paths of a store that was never optimised have nothing to look up.
        if !unsettled.is_empty() {
            self.find_in_links(store.as_fd(), &mut unsettled, &mut total);
        }
        if self.interrupt.requested() {
            return Err(DiskError::Interrupted);
        }
        for links in unsettled.values() {
            if links.seen >= links.all {
                total.bytes.0 += links.bytes();
                total.inodes += 1;
            } else {
                total.shared.0 += links.bytes();
            }
        }
        total.copy_on_write = copy_on_write(&store);
        Ok(total)
    }

    /// Walks the paths; each thread takes the next one that nobody has.
    fn walk_all<N: AsRef<str> + Sync>(&self, store: BorrowedFd<'_>, names: &[N]) -> Seen {
        let next = AtomicUsize::new(0);
        let work = || {
            let mut walk = Walk::new(self.interrupt, self.seen);
            while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
                if self.interrupt.requested() {
                    break;
                }
                walk.path(store, name.as_ref());
            }
            walk.finish()
        };
        thread::scope(|scope| {
            let others: Vec<_> = (1..self.threads.min(names.len()))
                // Fewer threads only take longer.
                .filter_map(|_| thread::Builder::new().spawn_scoped(scope, work).ok())
                .collect();
            let mut all = work();
            for other in others {
                all.absorb(joined(other));
            }
            all
        })
    }

    /// Counts the links that lie in `.links`: Nix removes these itself when no other is left. The names there are
    /// hashes of contents, so the inode numbers of the directory are gone through.
    fn find_in_links(
        &self,
        store: BorrowedFd<'_>,
        open: &mut HashMap<Inode, Links>,
        total: &mut DiskUse,
    ) {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        let result = Dir::openat(store, ".links", flags, Mode::empty())
            .and_then(|mut dir| self.count_entries(&mut dir, open));
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

    fn count_entries(&self, dir: &mut Dir, open: &mut HashMap<Inode, Links>) -> nix::Result<()> {
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
            if let Some(links) = open.get_mut(&inode) {
                links.seen += 1;
            }
        }
        Ok(())
    }
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The store directory cannot be opened.
    #[error("cannot open the store directory {store}")]
    Store {
        /// The directory.
        store: Utf8PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody asked to stop.
    #[error("measuring was interrupted")]
    Interrupted,
}

/// How full the file system of `path` is.
///
/// # Errors
/// When the file system does not say.
pub fn fullness(path: &Utf8Path) -> io::Result<Disk> {
    let stat = statvfs(path.as_std_path())?;
    // The types differ between platforms.
    #[allow(clippy::useless_conversion)]
    let (all, free, available, size) = (
        u64::from(stat.blocks()),
        u64::from(stat.blocks_free()),
        u64::from(stat.blocks_available()),
        u64::from(stat.fragment_size()),
    );
    Ok(Disk {
        used: Bytes(all.saturating_sub(free).saturating_mul(size)),
        available: Bytes(available.saturating_mul(size)),
    })
}

/// The name of the file system, if its blocks may be compressed or shared.
#[cfg(target_os = "linux")]
fn copy_on_write(store: &OwnedFd) -> Option<&'static str> {
    // From the kernel's `magic.h`, and from the sources of the file systems that are not in it.
    const NAMES: [(u64, &str); 3] = [
        (0x9123_683e, "btrfs"),
        (0x2fc1_2fc1, "zfs"),
        (0xca45_1a4e, "bcachefs"),
    ];
    let magic = nix::sys::statfs::fstatfs(store).ok()?.filesystem_type().0;
    NAMES
        .iter()
        .find(|(number, _)| i128::from(magic) & 0xffff_ffff == i128::from(*number))
        .map(|(_, name)| *name)
}

/// The name of the file system, if its blocks may be compressed or shared: on macOS always.
#[cfg(not(target_os = "linux"))]
fn copy_on_write(_: &OwnedFd) -> Option<&'static str> {
    cfg!(target_os = "macos").then_some("apfs")
}
