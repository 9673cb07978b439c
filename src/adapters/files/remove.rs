//! The only module that removes a file or link: what `protect.paths` covers is kept.

use std::io;
use std::os::fd::AsFd;

use camino::{Utf8Path, Utf8PathBuf};
use nix::NixPath;
use nix::fcntl::AT_FDCWD;
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::domain::protected::ProtectedPaths;

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
    /// The link of a root in a directory of its owner.
    RootLink {
        /// The link.
        link: &'a Utf8Path,
        /// What the settings protect.
        protected: &'a ProtectedPaths,
    },
    /// A file or link that nix-prune or Nix made for itself: a record, a hold, a lock, a reserve, a link that was being
    /// restored. `protect.paths` does not apply to it.
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
    let protected = match removal {
        Removal::Root { link, protected } => protected.covering(link).map(|by| (link, by)),
        Removal::RootLink { link, protected } => protected.containing(link).map(|by| (link, by)),
        Removal::Own => None,
    };
    if let Some((link, by)) = protected {
        let (link, by) = (link.to_path_buf(), by.to_path_buf());
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            Protected { link, by },
        ));
    }
    Ok(unlinkat(dir, name, UnlinkatFlags::NoRemoveDir)?)
}

/// Removes a file that nix-prune made for itself.
///
/// # Errors
/// Why it cannot be removed.
pub fn remove_own(path: &Utf8Path) -> io::Result<()> {
    remove_at(AT_FDCWD, path.as_std_path(), Removal::Own)
}
