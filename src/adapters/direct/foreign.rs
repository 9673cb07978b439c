//! Names in the store directory that are not those of store paths: a whole collection removes them, as Nix's does.

use std::ffi::{CStr, CString};
use std::io;

use nix::fcntl::{Flock, FlockArg};

use crate::adapters::files::remove::{Freed, StoreFiles};
use crate::adapters::files::{for_each_name, open_directory_at};
use crate::adapters::store_dir::is_base_name;

/// All of them.
pub(super) fn names(files: &StoreFiles) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for_each_name(files.dir(), |name| {
        let is_path = name.to_str().is_ok_and(is_base_name);
        if !is_path && name != c".links" {
            names.push(name.to_owned());
        }
        Ok(())
    })?;
    Ok(names)
}

/// Removes one; `None` where a build uses it.
pub(super) fn remove(files: &StoreFiles, name: &CStr) -> io::Result<Option<Freed>> {
    // Builds make such directories, and hold a lock on each.
    let _lock = if name.to_bytes().starts_with(b"tmp-") {
        match open_directory_at(files.dir(), name) {
            Ok(opened) => match Flock::lock(opened, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => Some(lock),
                Err(_) => return Ok(None),
            },
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => return Err(error),
            // It is no directory.
            Err(_) => None,
        }
    } else {
        None
    };
    files.remove(name).map(Some)
}
