//! Marking a project as used.

use std::io;
use std::os::unix::ffi::OsStrExt;

use camino::{Utf8Path, Utf8PathBuf};

use super::ENVIRONMENTS;
use crate::adapters::nix_cli::links::Directory;
use crate::domain::measure::Timestamp;
use crate::domain::store_path::StoreDir;

/// Sets the time of every link into the store that is in a directory, or in its `.direnv` or `.devenv`, to now. Gives the links.
/// No other link is followed: `.direnv` may be one, and lead to the generations of the machine.
///
/// # Errors
/// When the directory cannot be listed, or the time of a link cannot be set.
pub fn touch(dir: &Utf8Path, store: &StoreDir, now: Timestamp) -> io::Result<Vec<Utf8PathBuf>> {
    let real = dir.canonicalize_utf8()?;
    let Some(project) = Directory::open(&real)? else {
        return Err(io::ErrorKind::NotFound.into());
    };
    let mut touched = touch_links(&project, dir, store, now)?;
    for name in ENVIRONMENTS {
        if let Some(environment) = project.child(name)? {
            touched.extend(touch_links(&environment, &dir.join(name), store, now)?);
        }
    }
    touched.sort();
    Ok(touched)
}

fn touch_links(
    dir: &Directory,
    path: &Utf8Path,
    store: &StoreDir,
    now: Timestamp,
) -> io::Result<Vec<Utf8PathBuf>> {
    let store = store.as_path().as_str().as_bytes();
    let mut links = Vec::new();
    for name in dir.names()? {
        let text = dir.text(&name);
        let below = text
            .as_ref()
            .and_then(|text| text.as_bytes().strip_prefix(store));
        // A name that is not UTF-8 is that of no link of Nix.
        if let Some(name) = name.to_str()
            && below.is_some_and(|below| below.starts_with(b"/"))
        {
            dir.set_time(name, now)?;
            links.push(path.join(name));
        }
    }
    Ok(links)
}
