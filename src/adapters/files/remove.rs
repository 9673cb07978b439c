//! The only module that removes a file or link: what `protect.paths` covers is kept.

#[cfg(target_os = "linux")]
mod store;

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use camino::{Utf8Path, Utf8PathBuf};
use nix::NixPath;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::{for_each_name, open_directory_at};
use crate::domain::protected::ProtectedPaths;

#[cfg(target_os = "linux")]
pub use store::{Freed, StoreFiles};

/// What is removed.
#[derive(Debug, Clone, Copy)]
pub enum Removal<'a> {
    /// The entry of a root, whose link may be protected.
    Root {
        /// The link that the entry names.
        link: &'a Utf8Path,
        /// What the settings protect.
        protected: &'a ProtectedPaths,
    },
    /// A leftover of Nix, which the settings may protect.
    Leftover {
        /// Its path.
        path: &'a Utf8Path,
        /// What the settings protect.
        protected: &'a ProtectedPaths,
    },
    /// The link of a root in a directory of its owner.
    RootLink {
        /// The link.
        link: &'a Utf8Path,
        /// What the settings protect.
        protected: &'a ProtectedPaths,
    },
    /// A file or link that nix-prune or Nix made for itself: a record, a hold, a lock, a reserve, a link that was being
    /// restored, a generation of a removed user. `protect.paths` does not apply to it.
    Own,
}

/// Why a link is kept.
#[derive(Debug, thiserror::Error)]
#[error("{link} is below the protected path {by}")]
struct Protected {
    link: Utf8PathBuf,
    by: Utf8PathBuf,
}

/// Removes a name from an open directory, and never a directory.
///
/// # Errors
/// [`io::ErrorKind::PermissionDenied`] for a protected link; otherwise why it cannot be removed.
#[expect(clippy::disallowed_methods, reason = "the one door for removals")]
pub fn remove_at(
    dir: impl AsFd,
    name: &(impl NixPath + ?Sized),
    removal: Removal<'_>,
) -> io::Result<()> {
    removal.check()?;
    Ok(unlinkat(dir, name, UnlinkatFlags::NoRemoveDir)?)
}

impl Removal<'_> {
    /// Whether the settings allow it.
    fn check(self) -> io::Result<()> {
        let covered = match self {
            Self::Root { link, protected } => protected.covering(link).map(|by| (link, by)),
            Self::RootLink { link, protected } => protected.containing(link).map(|by| (link, by)),
            Self::Leftover { path, protected } => {
                let by = protected.keeping_leftover(path);
                by.map(|by| (path, by))
            }
            Self::Own => None,
        };
        match covered {
            Some((link, by)) => {
                let (link, by) = (link.to_path_buf(), by.to_path_buf());
                let protected = Protected { link, by };
                Err(io::Error::new(io::ErrorKind::PermissionDenied, protected))
            }
            None => Ok(()),
        }
    }
}

/// Identifies a file on a running machine.
pub type FileId = (u64, u64);

/// The deepest nesting of directories that is looked into; as many are open at a time, twice.
pub const MAX_DEPTH: usize = 100;

/// Removes a file, or a directory with everything in it, if it is still the one that was looked at. It has at most `most` inodes: one
/// that others fill while it is emptied is left.
///
/// No link is followed and no mount is crossed: everything is named relative to an open directory that was checked.
///
/// # Errors
/// When it is protected, is another one by now, or something in it cannot be removed; a part may be gone then.
pub fn remove_tree(
    dir: BorrowedFd<'_>,
    name: &CStr,
    expected: FileId,
    most: u64,
    removal: Removal<'_>,
) -> io::Result<()> {
    removal.check()?;
    let mut left = most;
    remove_below(dir, name, Some(expected), (0, &mut left))
}

#[expect(clippy::disallowed_methods, reason = "the one door for removals")]
fn remove_below(
    dir: BorrowedFd<'_>,
    name: &CStr,
    expected: Option<FileId>,
    (depth, left): (usize, &mut u64),
) -> io::Result<()> {
    let stat = match fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        // Somebody else removed it.
        Err(Errno::ENOENT) => return Ok(()),
        Err(errno) => return Err(errno.into()),
    };
    let id = id_of(&stat);
    let changed = || io::Error::other("it was replaced while it was looked at");
    if expected.is_some_and(|expected| expected != id) {
        return Err(changed());
    }
    *left = left
        .checked_sub(1)
        .ok_or_else(|| io::Error::other("it grows while it is removed"))?;
    let kind = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
    let flag = if kind == SFlag::S_IFDIR {
        if depth == MAX_DEPTH {
            return Err(io::Error::other("it is nested too deeply"));
        }
        let child = open_directory_at(dir, name)?;
        if id_of(&fstat(&child)?) != id {
            return Err(changed());
        }
        let mode = Mode::from_bits_truncate(stat.st_mode);
        if !mode.contains(Mode::S_IRWXU) {
            // Builds leave directories that nobody may write to. Where it is not ours to change, removing says why it fails.
            let _ = fchmod(&child, mode | Mode::S_IRWXU);
        }
        for_each_name(child.as_fd(), |name| {
            remove_below(child.as_fd(), name, None, (depth + 1, left))
        })?;
        UnlinkatFlags::RemoveDir
    } else {
        UnlinkatFlags::NoRemoveDir
    };
    match unlinkat(dir, name, flag) {
        Err(Errno::ENOENT) => Ok(()),
        done => Ok(done?),
    }
}

fn id_of(stat: &FileStat) -> FileId {
    (stat.st_dev, stat.st_ino)
}

/// Removes a file that nix-prune made for itself.
///
/// # Errors
/// Why it cannot be removed.
pub fn remove_own(path: &Utf8Path) -> io::Result<()> {
    remove_at(AT_FDCWD, path.as_std_path(), Removal::Own)
}
