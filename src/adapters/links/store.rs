//! What is on disk in the store directory. Whether a path is valid as well, the store's database says in a later step.

use std::ffi::OsStr;
use std::io;

use crate::domain::profile::Content;
use crate::domain::store_path::{StoreDir, StorePath};

use super::dirs::{FileKind, Place};

/// Either of these makes a store path look like something to boot from.
const BOOTS: [&str; 2] = ["kernel", "boot.json"];

/// The store directory, opened once.
#[derive(Debug)]
pub(super) struct Store<'a> {
    pub(super) dir: &'a StoreDir,
    place: io::Result<Place>,
}

impl<'a> Store<'a> {
    pub(super) fn open(dir: &'a StoreDir) -> Self {
        let place = Place::open(dir.as_path());
        Self { dir, place }
    }

    /// Why nothing can be said about the store, if so.
    pub(super) fn trouble(&self) -> Option<&io::Error> {
        self.place.as_ref().err()
    }

    fn place(&self) -> io::Result<&Place> {
        let again = |error: &io::Error| io::Error::new(error.kind(), error.to_string());
        self.place.as_ref().map_err(again)
    }

    /// Whether a store path is there.
    pub(super) fn has(&self, path: &StorePath<String>) -> io::Result<bool> {
        let found = self.place()?.look(OsStr::new(&path.to_string()))?;
        Ok(found.is_some())
    }

    /// What a generation that leads to `path` has.
    pub(super) fn content(&self, path: StorePath<String>) -> io::Result<Content> {
        let name = path.to_string();
        let Some(meta) = self.place()?.look(OsStr::new(&name))? else {
            return Ok(Content::Missing(path));
        };
        if meta.kind == FileKind::Directory && self.boots(OsStr::new(&name)) {
            Ok(Content::Bootable(path))
        } else {
            Ok(Content::Present(path))
        }
    }

    /// Whether it looks like something to boot from. What cannot be looked at does not: less is promised so.
    fn boots(&self, name: &OsStr) -> bool {
        let has = |place: &Place, name: &str| matches!(place.look(OsStr::new(name)), Ok(Some(_)));
        let Ok(system) = self.place().and_then(|store| store.child(name)) else {
            return false;
        };
        BOOTS.iter().any(|name| has(&system, name))
            || system
                .child(OsStr::new("bin"))
                .is_ok_and(|bin| has(&bin, "switch-to-configuration"))
    }
}
