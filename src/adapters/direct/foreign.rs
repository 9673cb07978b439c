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

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use rstest::rstest;

    use super::*;
    use crate::adapters::direct::world::World;
    use crate::adapters::files::open_directory;

    fn files(world: &World) -> StoreFiles {
        let dir = open_directory(world.places.store.as_path()).unwrap();
        StoreFiles::new(dir, world.gate.clone()).unwrap()
    }

    #[test]
    fn everything_but_store_paths_and_links_is_foreign() {
        let world = World::new();
        let store = world.places.store.as_path();
        world.add(1, &[]);
        for name in [".links", "tmp-1", "junk"] {
            fs::create_dir(store.join(name)).unwrap();
        }
        let mut found = names(&files(&world)).unwrap();
        found.sort();
        assert_eq!(found, [c"junk".to_owned(), c"tmp-1".to_owned()]);
    }

    /// Whoever makes such a directory locks it exclusively; any lock says that somebody is there.
    #[rstest]
    #[case::of_a_build("tmp-1", Some(FlockArg::LockExclusive), true)]
    #[case::that_somebody_looks_at("tmp-1", Some(FlockArg::LockShared), true)]
    #[case::that_was_left_over("tmp-1", None, false)]
    #[case::by_another_name("junk", Some(FlockArg::LockExclusive), false)]
    fn a_temporary_directory_that_is_used_stays(
        #[case] name: &str,
        #[case] held: Option<FlockArg>,
        #[case] stays: bool,
    ) {
        let world = World::new();
        let dir = world.places.store.as_path().join(name);
        fs::create_dir(&dir).unwrap();
        let open = || File::open(&dir).unwrap();
        let _held = held.map(|arg| Flock::lock(open(), arg).unwrap());
        let removed = remove(&files(&world), &CString::new(name).unwrap()).unwrap();
        assert_eq!((removed.is_none(), dir.exists()), (stays, stays));
    }

    #[test]
    fn a_file_by_the_name_of_a_temporary_directory_goes() {
        let world = World::new();
        let file = world.places.store.as_path().join("tmp-1");
        fs::write(&file, "").unwrap();
        assert!(remove(&files(&world), c"tmp-1").unwrap().is_some());
        assert!(!file.exists());
    }
}
