//! A second look at the roots, independent of the survey: the same files in the same way as Nix's collector reads them, and nothing
//! of what it removes.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;

use camino::{Utf8Path, Utf8PathBuf};

use crate::adapters::runtime_roots::{RuntimeRoots, read_processes, read_temporary};
use crate::domain::store_path::{StoreDir, StorePathRef};
use crate::ports::PerformError;

/// The base names of the paths that are roots, valid or not.
#[derive(Debug, Default)]
pub(super) struct Roots {
    /// By a link or file in the state directory.
    pub(super) lasting: HashSet<String>,
    /// By a process, or by its temporary roots.
    pub(super) running: HashSet<String>,
}

impl Roots {
    /// Reads links in the state directory, temporary roots and processes.
    ///
    /// # Errors
    /// When any of them cannot be read: a root that is not seen would be deleted.
    pub(super) fn read(
        state_dir: &Utf8Path,
        store: &StoreDir,
        proc: &Utf8Path,
    ) -> Result<Self, PerformError> {
        let mut roots = Self::default();
        let prefix = store.prefix();
        for name in ["gcroots", "profiles"] {
            let dir = state_dir.join(name);
            roots
                .walk(dir.as_std_path(), &prefix)
                .map_err(|source| PerformError::File {
                    what: format!("read the roots in {dir}"),
                    source,
                })?;
        }
        let temporary = read_temporary(state_dir, store);
        let is_denied = temporary.denied > 0;
        roots.add_running(&temporary, is_denied, "temporary roots")?;
        // A process that root may not look into is not seen by Nix either, and such processes are everywhere: a service manager
        // outside of the container, for one.
        roots.add_running(&read_processes(proc, store), false, "roots of processes")?;
        Ok(roots)
    }

    fn add_running(
        &mut self,
        found: &RuntimeRoots,
        is_denied: bool,
        what: &str,
    ) -> Result<(), PerformError> {
        self.running
            .extend(found.paths.keys().map(ToString::to_string));
        let problem = found.problems.first().map(String::as_str);
        match problem.or(is_denied.then_some("permission denied")) {
            Some(why) => Err(PerformError::Unsupported {
                what: "direct collection",
                why: format!("some {what} cannot be read ({why})"),
            }),
            None => Ok(()),
        }
    }

    /// As `LocalStore::findRoots` of Nix.
    fn walk(&mut self, path: &Path, prefix: &str) -> io::Result<()> {
        let kind = match fs::symlink_metadata(path) {
            Ok(meta) => meta.file_type(),
            Err(error) => return unless_gone(error),
        };
        if kind.is_dir() {
            let entries = match fs::read_dir(path) {
                Ok(entries) => entries,
                Err(error) => return unless_gone(error),
            };
            for entry in entries {
                self.walk(&entry?.path(), prefix)?;
            }
        } else if kind.is_symlink() {
            let target = match fs::read_link(path) {
                Ok(target) => target,
                Err(error) => return unless_gone(error),
            };
            if !self.add(&target, prefix)
                && let Some(dir) = path.parent()
            {
                // An indirect root, followed once.
                match fs::read_link(dir.join(&target)) {
                    Ok(target) => {
                        self.add(&target, prefix);
                    }
                    // It is there and no link.
                    Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
                    Err(error) => return unless_gone(error),
                }
            }
        } else if kind.is_file()
            && let Some(name) = path.file_name().and_then(|name| name.to_str())
            && StorePathRef::from_base_name(name).is_ok()
        {
            self.lasting.insert(name.to_string());
        }
        Ok(())
    }

    /// Adds what a link into the store keeps; returns whether it is one.
    fn add(&mut self, target: &Path, prefix: &str) -> bool {
        let Some(target) = Utf8PathBuf::from_path_buf(normalised(target)).ok() else {
            return false;
        };
        let Some(below) = target.as_str().strip_prefix(prefix) else {
            return false;
        };
        let name = below.split('/').next().unwrap_or_default();
        self.lasting.insert(name.to_string());
        true
    }
}

/// A path without `.`, doubled slashes and slashes at the end.
fn normalised(path: &Path) -> std::path::PathBuf {
    path.components().collect()
}

/// What is not there keeps nothing. What may not be read, Nix reads as root or skips; it is an error here.
fn unless_gone(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(()),
        _ => Err(error),
    }
}
