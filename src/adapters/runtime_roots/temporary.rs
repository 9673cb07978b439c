//! Temporary roots of running Nix commands.

use std::ffi::CStr;
use std::fs;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;

use camino::Utf8Path;

use super::{Finder, RuntimeRoots, read_bounded};
use crate::adapters::files::remove::{Removal, remove_at};
use crate::adapters::files::{for_each_name, open_below, open_file_at, open_to_read};
use crate::domain::store_path::StoreDir;

/// Reads the temporary roots of every Nix command that is alive. Nothing is unlinked, unlike when Nix reads them.
pub fn read_temporary(state_dir: &Utf8Path, store: &StoreDir) -> RuntimeRoots {
    let dir = state_dir.join("temproots");
    let mut roots = RuntimeRoots::default();
    let entries = match fs::read_dir(&dir) {
        Ok(entries) => entries,
        // No Nix command has ever built anything here.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return roots,
        Err(error) => {
            roots.problem(format!("{dir}: {error}"));
            return roots;
        }
    };
    let finder = Finder::new(store);
    let mut buffer = Vec::new();
    for entry in entries {
        let name = entry.map(|entry| entry.file_name().to_string_lossy().into_owned());
        match name {
            // Nix skips these too: package managers keep the directory by them.
            Ok(name) if name.starts_with('.') => {}
            Ok(name) => read_file(&dir.join(&name), &name, &finder, &mut buffer, &mut roots),
            Err(error) => roots.problem(format!("{dir}: {error}")),
        }
    }
    roots
}

/// Removes the files of Nix commands that are dead, as Nix's collector does while it holds its lock; otherwise they add up, one for
/// each connection to a daemon. A file that cannot be removed stays, and keeps nothing.
///
/// # Errors
/// When the directory cannot be read.
pub fn remove_stale(state_dir: &Utf8Path) -> io::Result<()> {
    let dir = match open_below(state_dir, &[c"temproots"]) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    for_each_name(dir.as_fd(), |name| {
        if !name.to_bytes().starts_with(b".")
            && let Err(error) = remove_if_stale(dir.as_fd(), name)
        {
            tracing::debug!(?name, %error, "temporary roots stay");
        }
        Ok(())
    })
}

fn remove_if_stale(dir: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
    let mut file = open_file_at(dir, name)?;
    // Its owner has the lock as long as it lives. A file with a second name may be somebody else's, and is not written to.
    if file.try_lock().is_err() || file.metadata()?.nlink() != 1 {
        return Ok(());
    }
    // A new owner that has opened it and not yet locked it sees by this that it is no file of its own.
    file.write_all(b"d")?;
    remove_at(dir, name, Removal::Own)
}

fn read_file(
    file: &Utf8Path,
    owner: &str,
    finder: &Finder,
    buffer: &mut Vec<u8>,
    roots: &mut RuntimeRoots,
) {
    let opened = match open_to_read(file) {
        Ok(opened) => opened,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            roots.deny(file.to_string());
            return;
        }
        Err(error) => return roots.problem(format!("{file}: {error}")),
    };
    // The owner holds a lock as long as it lives: in supported versions an exclusive one, before that a shared one
    // but while it wrote. So the question is whether an exclusive lock can be had, which is also Nix's own
    // question; a shared one could be had beside a living owner's shared one, and the root would be missed.
    //
    // The lock is held for an instant, of a file whose owner is dead. A collector that asks in that instant takes
    // the owner for alive and keeps its paths this once. A new owner of the same number unlinks the file, and waits
    // for the lock of its new one before it writes to it.
    //
    // If that is not known, because the file system has no locks, the owner is taken to be alive.
    if opened.try_lock().is_ok() {
        // Closing the file ends the lock anyway, only not while a child that starts just now has it as well.
        let _ = opened.unlock();
        return;
    }
    match read_bounded(&opened, buffer) {
        Ok(false) => {}
        Ok(true) => roots.problem(format!("{file}: longer than is read")),
        Err(error) => return roots.problem(format!("{file}: {error}")),
    }
    let place = format!("{{temp:{owner}}}");
    // The text behind the last zero is nothing, or a path that is being written: it counts if it is whole.
    let mut entries = buffer.split(|&byte| byte == 0).peekable();
    while let Some(entry) = entries.next() {
        match finder.leading(entry) {
            Some(path) => roots.add(path, &place),
            None if entries.peek().is_none() => {}
            None => roots.problem(format!(
                "{file}: `{}` is not a store path",
                String::from_utf8_lossy(entry)
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use camino::Utf8PathBuf;

    use super::*;

    #[test]
    fn only_files_whose_owner_is_dead_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let state_dir = Utf8PathBuf::from_path_buf(dir.path().to_path_buf()).unwrap();
        remove_stale(&state_dir).unwrap();
        let roots = state_dir.join("temproots");
        fs::create_dir(&roots).unwrap();
        for name in ["dead", "alive", "opened", ".keep"] {
            fs::write(roots.join(name), "").unwrap();
        }
        let alive = File::open(roots.join("alive")).unwrap();
        alive.try_lock().unwrap();
        // A new owner that did not come to lock it yet.
        let opened = File::open(roots.join("opened")).unwrap();
        std::os::unix::fs::symlink("alive", roots.join("link")).unwrap();
        let elsewhere = state_dir.join("elsewhere");
        fs::write(&elsewhere, "text").unwrap();
        fs::hard_link(&elsewhere, roots.join("hard-link")).unwrap();
        remove_stale(&state_dir).unwrap();
        let there = |name: &str| roots.join(name).symlink_metadata().is_ok();
        assert!(!there("dead") && !there("opened"));
        assert!(there("alive") && there(".keep") && there("link"));
        assert_eq!(alive.metadata().unwrap().len(), 0);
        assert_eq!(opened.metadata().unwrap().len(), 1);
        assert_eq!(fs::read(&elsewhere).unwrap(), b"text");
        fs::rename(&roots, state_dir.join("other")).unwrap();
        fs::write(state_dir.join("other/dead"), "").unwrap();
        std::os::unix::fs::symlink("other", &roots).unwrap();
        assert!(remove_stale(&state_dir).is_err() && there("dead"));
    }
}
