//! Removal of store paths, fast and from several threads, with the exact number of bytes that it frees.
//!
//! The store directory belongs to root, but something that a build left in it may belong to its user, who may change it meanwhile.
//! So no link is followed and no file system is left. Mounts on store paths are refused before, by the list of mounts.

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat, fstatat};
use nix::unistd::{UnlinkatFlags, Whence, lseek, unlinkat};
use rustix::fs::{FileType, RawDir};

use crate::ports::Interrupt;

/// The unit of `st_blocks`, whatever the file system's own is.
const BLOCK_BYTES: u64 = 512;
/// The deepest nesting of directories; a directory is open on each level.
const MAX_DEPTH: usize = if cfg!(test) { 512 } else { 4096 };
/// How often a directory is read anew that is not empty after all of it was removed.
const MAX_READS: usize = 8;
/// How much of a directory is read at once, in bytes.
const BUFFER_BYTES: usize = 16 << 10;
/// The first read of a directory ends without a request for more if fewer bytes of names than these came at once.
const FEW_BYTES: usize = BUFFER_BYTES / 4;
/// Locks for files with several links; files that share one wait for each other.
const LOCKS: usize = 64;

/// What a removal freed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Freed {
    /// The disk space of inodes that lost their last link, in bytes.
    pub bytes: u64,
    /// Whether a file lost one of several links, so that the last one may be in `.links`.
    pub is_linked: bool,
}

impl Freed {
    /// Adds what another removal freed.
    pub fn add(&mut self, more: Self) {
        self.bytes = self.bytes.saturating_add(more.bytes);
        self.is_linked |= more.is_linked;
    }
}

/// The store directory, from which several threads remove.
pub struct StoreFiles {
    dir: OwnedFd,
    device: u64,
    links: [Mutex<()>; LOCKS],
    interrupt: Arc<dyn Interrupt + Send + Sync>,
}

impl StoreFiles {
    /// Of the open store directory; a removal stops early when `interrupt` asks for it.
    ///
    /// # Errors
    /// When the directory cannot be looked at.
    pub fn new(dir: OwnedFd, interrupt: Arc<dyn Interrupt + Send + Sync>) -> io::Result<Self> {
        let device = fstat(&dir)?.st_dev;
        Ok(Self {
            dir,
            device,
            links: [const { Mutex::new(()) }; LOCKS],
            interrupt,
        })
    }

    /// Whether somebody asked to stop.
    pub fn is_stopped(&self) -> bool {
        self.interrupt.requested()
    }

    /// The open directory.
    pub fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// Removes a file of the store directory or a directory with everything in it. It is no error when it is not there.
    ///
    /// # Errors
    /// [`io::ErrorKind::Interrupted`] when it was stopped, [`io::ErrorKind::CrossesDevices`] at another file system; otherwise why
    /// something in it cannot be removed. A part may be gone then.
    pub fn remove(&self, name: &CStr) -> io::Result<Freed> {
        let mut freed = Freed::default();
        let is_derivation = name.to_bytes().ends_with(b".drv");
        let hint = if is_derivation {
            Hint::Nothing
        } else {
            Hint::Directory
        };
        match self.remove_in(self.dir(), name, hint, 0, &mut freed) {
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                self.remove_in(self.dir(), name, Hint::Nothing, 0, &mut freed)?;
            }
            removed => removed?,
        }
        Ok(freed)
    }

    /// Removes a file from `.links` if no path uses it any more; returns what that frees.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove_unused_link(
        &self,
        links: BorrowedFd<'_>,
        name: &CStr,
    ) -> io::Result<Option<u64>> {
        let stat = fstatat(links, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
        if stat.st_nlink != 1 || kind(&stat) == SFlag::S_IFDIR {
            return Ok(None);
        }
        unlink(links, name, UnlinkatFlags::NoRemoveDir)?;
        Ok(Some(bytes(&stat)))
    }

    fn remove_in(
        &self,
        dir: BorrowedFd<'_>,
        name: &CStr,
        hint: Hint,
        depth: usize,
        freed: &mut Freed,
    ) -> io::Result<()> {
        if hint != Hint::Directory {
            let stat = match fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(Errno::ENOENT) => return Ok(()),
                Err(errno) => return Err(errno.into()),
            };
            if kind(&stat) != SFlag::S_IFDIR {
                return self.remove_file(dir, name, &stat, freed);
            }
        }
        self.remove_directory(dir, name, depth, freed)
    }

    fn remove_file(
        &self,
        dir: BorrowedFd<'_>,
        name: &CStr,
        stat: &FileStat,
        freed: &mut Freed,
    ) -> io::Result<()> {
        if stat.st_nlink <= 1 {
            unlink(dir, name, UnlinkatFlags::NoRemoveDir)?;
            freed.bytes += bytes(stat);
            return Ok(());
        }
        // Who removes the last link counts the space: only one of those that remove links of one file may look and remove.
        let _alone = self.alone_with(stat);
        let stat = match fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::ENOENT) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        };
        unlink(dir, name, UnlinkatFlags::NoRemoveDir)?;
        if stat.st_nlink <= 1 {
            freed.bytes += bytes(&stat);
        } else {
            freed.is_linked = true;
        }
        Ok(())
    }

    fn alone_with(&self, stat: &FileStat) -> Option<MutexGuard<'_, ()>> {
        let count = u64::try_from(LOCKS).unwrap_or(1);
        let at = usize::try_from(stat.st_ino % count).unwrap_or(0);
        let lock = self.links.get(at)?;
        Some(lock.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn remove_directory(
        &self,
        parent: BorrowedFd<'_>,
        name: &CStr,
        depth: usize,
        freed: &mut Freed,
    ) -> io::Result<()> {
        if depth == MAX_DEPTH {
            return Err(io::Error::other("it is nested too deeply"));
        }
        if self.interrupt.requested() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let child = match openat(parent, name, flags, Mode::empty()) {
            Ok(child) => child,
            Err(Errno::ENOENT) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        };
        let stat = fstat(&child)?;
        if stat.st_dev != self.device {
            let why = "another file system is mounted there";
            return Err(io::Error::new(io::ErrorKind::CrossesDevices, why));
        }
        for read in 0..MAX_READS {
            let names = Names::read(child.as_fd(), read == 0)?;
            for (name, hint) in names.iter() {
                let remove =
                    |freed: &mut Freed| self.remove_in(child.as_fd(), name, hint, depth + 1, freed);
                match remove(freed) {
                    Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                        // Directories of the store are read-only. Root may write to them, unless a unit takes that right away.
                        let mode = Mode::from_bits_truncate(stat.st_mode);
                        fchmod(&child, mode | Mode::S_IRWXU)?;
                        remove(freed)?;
                    }
                    removed => removed?,
                }
            }
            match unlink(parent, name, UnlinkatFlags::RemoveDir) {
                // A name came meanwhile.
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    freed.bytes += bytes(&stat);
                    return Ok(());
                }
            }
        }
        Err(io::Error::other("it is filled while it is removed"))
    }
}

/// What a name is likely to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hint {
    Directory,
    Nothing,
}

/// The names in a directory, read before the first of them is removed: each with its kind before and a zero behind it.
struct Names(Vec<u8>);

impl Names {
    /// Reads an open directory. A first read may miss names: then the directory is not empty when it is to be removed, and the second
    /// read is complete.
    // Its buffer must not be on the stack of every level.
    #[inline(never)]
    fn read(dir: BorrowedFd<'_>, is_first: bool) -> io::Result<Self> {
        if !is_first {
            lseek(dir, 0, Whence::SeekSet)?;
        }
        let mut buffer = [MaybeUninit::uninit(); BUFFER_BYTES];
        let mut entries = RawDir::new(dir, &mut buffer);
        let mut names = Vec::new();
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name();
            if name != c"." && name != c".." {
                names.push(u8::from(entry.file_type() == FileType::Directory));
                names.extend(name.to_bytes_with_nul());
            }
            if is_first && entries.is_buffer_empty() && names.len() < FEW_BYTES {
                break;
            }
        }
        Ok(Self(names))
    }

    fn iter(&self) -> impl Iterator<Item = (&CStr, Hint)> {
        let mut rest = self.0.as_slice();
        std::iter::from_fn(move || {
            let (kind, names) = rest.split_first()?;
            let name = CStr::from_bytes_until_nul(names).ok()?;
            rest = names.get(name.count_bytes() + 1..).unwrap_or_default();
            let hint = if *kind == 1 {
                Hint::Directory
            } else {
                Hint::Nothing
            };
            Some((name, hint))
        })
    }
}

fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT
}

fn bytes(stat: &FileStat) -> u64 {
    u64::try_from(stat.st_blocks)
        .unwrap_or(0)
        .saturating_mul(BLOCK_BYTES)
}

/// Removes a name; it is no error when it is gone.
#[expect(clippy::disallowed_methods, reason = "the one door for removals")]
fn unlink(dir: BorrowedFd<'_>, name: &CStr, flag: UnlinkatFlags) -> io::Result<()> {
    match unlinkat(dir, name, flag) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::sync::atomic::{AtomicU32, Ordering};

    use camino::Utf8PathBuf;

    use super::*;
    use crate::adapters::files::open_directory;

    /// Asks to stop when it was asked so many times.
    struct StopAfter(AtomicU32);

    impl Interrupt for StopAfter {
        fn requested(&self) -> bool {
            let less = |left: u32| left.checked_sub(1);
            let left = self
                .0
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
            left.is_err()
        }
    }

    fn store(stop_after: u32) -> (tempfile::TempDir, Utf8PathBuf, StoreFiles) {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(dir.path().to_path_buf()).unwrap();
        let interrupt = Arc::new(StopAfter(AtomicU32::new(stop_after)));
        let files = StoreFiles::new(open_directory(&path).unwrap(), interrupt).unwrap();
        (dir, path, files)
    }

    #[test]
    fn a_request_to_stop_ends_it_between_directories() {
        let (_dir, path, files) = store(2);
        fs::create_dir_all(path.join("a/b/c")).unwrap();
        let error = files.remove(c"a").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Interrupted);
        assert!(path.join("a/b/c").exists());
    }

    #[test]
    fn no_link_is_followed_whatever_it_was_before() {
        let (_dir, path, files) = store(u32::MAX);
        fs::create_dir(path.join("other")).unwrap();
        fs::write(path.join("other/file"), "").unwrap();
        symlink("other", path.join("link")).unwrap();
        let mut freed = Freed::default();
        // As if it had been a directory when the names were read.
        let removed = files.remove_directory(files.dir(), c"link", 1, &mut freed);
        assert!(removed.is_err() && path.join("other/file").exists());
        files.remove(c"link").unwrap();
        assert!(path.join("other/file").exists());
    }

    #[test]
    fn what_is_nested_too_deeply_stays() {
        use nix::sys::resource::{Resource, getrlimit, setrlimit};
        // A directory is open on each level.
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, most.min(16 << 10), most).unwrap();
        let (_dir, path, files) = store(u32::MAX);
        let deep = path.join("deep");
        fs::create_dir_all(deep.join("d/".repeat(MAX_DEPTH - 1))).unwrap();
        files.remove(c"deep").unwrap();
        assert!(!deep.exists());
        fs::create_dir_all(deep.join("d/".repeat(MAX_DEPTH))).unwrap();
        assert!(files.remove(c"deep").is_err() && deep.exists());
    }

    /// Root may write to them anyway.
    #[test]
    fn read_only_directories_are_removed() {
        let (_dir, path, files) = store(u32::MAX);
        fs::create_dir_all(path.join("a/b")).unwrap();
        for dir in ["a/b", "a"] {
            fs::write(path.join(dir).join("file"), "").unwrap();
            fs::set_permissions(path.join(dir), fs::Permissions::from_mode(0o555)).unwrap();
        }
        files.remove(c"a").unwrap();
        assert!(!path.join("a").exists());
    }

    #[test]
    fn only_the_last_link_frees_something() {
        let (_dir, path, files) = store(u32::MAX);
        fs::write(path.join("a"), vec![1; 100_000]).unwrap();
        fs::hard_link(path.join("a"), path.join("b")).unwrap();
        let taken = path.join("a").metadata().unwrap().blocks() * 512;
        let freed = |bytes, is_linked| Freed { bytes, is_linked };
        assert_eq!(files.remove_unused_link(files.dir(), c"a").unwrap(), None);
        assert_eq!(files.remove(c"a").unwrap(), freed(0, true));
        assert_eq!(files.remove(c"b").unwrap(), freed(taken, false));
        assert_eq!(files.remove(c"b").unwrap(), freed(0, false));
        fs::write(path.join("c"), vec![1; 100_000]).unwrap();
        let unused = files.remove_unused_link(files.dir(), c"c").unwrap();
        assert_eq!(unused, Some(taken));
    }

    #[test]
    fn whoever_removes_the_last_link_counts_the_file() {
        let (_dir, path, files) = store(u32::MAX);
        fs::write(path.join("a"), vec![1; 100_000]).unwrap();
        fs::hard_link(path.join("a"), path.join("b")).unwrap();
        let taken = path.join("a").metadata().unwrap().blocks() * 512;
        let stat = fstatat(files.dir(), c"a", AtFlags::AT_SYMLINK_NOFOLLOW).unwrap();
        // Somebody removes the other link.
        let alone = files.alone_with(&stat);
        std::thread::scope(|scope| {
            let removed = scope.spawn(|| files.remove(c"a").unwrap());
            std::thread::sleep(std::time::Duration::from_millis(100));
            let waits = path.join("a").exists();
            fs::remove_file(path.join("b")).unwrap();
            drop(alone);
            let freed = removed.join().unwrap();
            assert_eq!((freed.bytes, freed.is_linked), (taken, false));
            assert!(waits);
        });
    }

    /// Makes a directory each time when it is asked, so many times.
    struct Fills(Utf8PathBuf, AtomicU32);

    impl Interrupt for Fills {
        fn requested(&self) -> bool {
            let left = self.1.load(Ordering::SeqCst);
            if left > 0 && self.0.exists() {
                self.1.store(left - 1, Ordering::SeqCst);
                fs::create_dir(self.0.join(left.to_string())).unwrap();
            }
            false
        }
    }

    #[test]
    fn what_comes_meanwhile_goes_as_well_unless_there_is_no_end_of_it() {
        for (times, is_gone) in [(4, true), (100, false)] {
            let (_dir, path, _) = store(u32::MAX);
            let filled = path.join("a");
            fs::create_dir(&filled).unwrap();
            let interrupt = Arc::new(Fills(filled.clone(), AtomicU32::new(times)));
            let files = StoreFiles::new(open_directory(&path).unwrap(), interrupt).unwrap();
            assert_eq!(files.remove(c"a").is_ok(), is_gone);
            assert_eq!(!filled.exists(), is_gone);
        }
    }

    #[test]
    fn no_other_file_system_is_entered() {
        let (_dir, path, mut files) = store(u32::MAX);
        fs::create_dir_all(path.join("a/b")).unwrap();
        files.device += 1;
        let error = files.remove(c"a").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::CrossesDevices);
        assert!(path.join("a/b").exists());
    }

    #[test]
    fn directories_that_their_owner_may_not_write_to_are_removed() {
        use std::os::unix::fs::lchown;
        const NOBODY: u32 = 65_534;
        let (dir, path, files) = store(u32::MAX);
        fs::create_dir_all(path.join("a/b")).unwrap();
        fs::write(path.join("a/b/file"), "").unwrap();
        for inside in ["a/b", "a"] {
            fs::set_permissions(path.join(inside), fs::Permissions::from_mode(0o555)).unwrap();
        }
        let owner = nix::unistd::geteuid().is_root().then_some(NOBODY);
        for place in [
            dir.path(),
            path.join("a").as_ref(),
            path.join("a/b").as_ref(),
        ] {
            lchown(place, owner, None).unwrap();
        }
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // Root may write to them anyway, so this thread is somebody else.
                owner.map(|owner| nix::unistd::setfsuid(owner.into()));
                files.remove(c"a").unwrap();
            });
        });
        assert!(!path.join("a").exists());
    }

    #[test]
    fn what_is_freed_adds_up() {
        let freed = |bytes, is_linked| Freed { bytes, is_linked };
        let mut sum = Freed::default();
        for (more, expected) in [
            (freed(1, false), freed(1, false)),
            (freed(2, true), freed(3, true)),
            (freed(4, false), freed(7, true)),
        ] {
            sum.add(more);
            assert_eq!(sum, expected);
        }
    }
}
