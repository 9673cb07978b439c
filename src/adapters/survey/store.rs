//! Existence of store paths on disk; the database decides later whether they are valid.

use std::ffi::OsStr;
use std::io;

use camino::Utf8Path;

use crate::domain::profile::Content;
use crate::domain::store_path::{StoreDir, StorePath};

use super::dirs::{DirHandle, FileKind};
use super::names::{Leads, leads, resolve};

/// Either of these makes a store path look bootable.
const BOOTS: [&str; 2] = ["kernel", "boot.json"];

/// The directories of specialisations: NixOS since 20.03, and before.
const SPECIALISATIONS: [&str; 2] = ["specialisation", "fine-tune"];

/// No system has as many; a store path that was built to have more is not read to its end.
const MAX_SPECIALISATIONS: usize = 1000;

/// The store directory, opened once.
#[derive(Debug)]
pub(super) struct Store<'a> {
    pub(super) dir: &'a StoreDir,
    place: io::Result<DirHandle>,
}

impl<'a> Store<'a> {
    pub(super) fn open(dir: &'a StoreDir) -> Self {
        let place = DirHandle::open(dir.as_path());
        Self { dir, place }
    }

    /// Why the store is unknown, if it is.
    pub(super) fn trouble(&self) -> Option<&io::Error> {
        self.place.as_ref().err()
    }

    fn place(&self) -> io::Result<&DirHandle> {
        let again = |error: &io::Error| io::Error::new(error.kind(), error.to_string());
        self.place.as_ref().map_err(again)
    }

    /// Whether a store path exists.
    pub(super) fn has(&self, path: &StorePath<String>) -> io::Result<bool> {
        let found = self.place()?.metadata(OsStr::new(&path.to_string()))?;
        Ok(found.is_some())
    }

    /// The content of a generation that points to `path`.
    pub(super) fn content(&self, path: StorePath<String>) -> io::Result<Content> {
        let name = path.to_string();
        let Some(meta) = self.place()?.metadata(OsStr::new(&name))? else {
            return Ok(Content::Missing(path));
        };
        if meta.kind == FileKind::Directory && self.boots(OsStr::new(&name)) {
            Ok(Content::Bootable(path))
        } else {
            Ok(Content::Present(path))
        }
    }

    /// The specialisations of a system. An unreadable one is skipped: a store path can only add to what is kept. No
    /// link is followed except to the store path that it names.
    pub(super) fn specialisations(&self, system: &StorePath<String>) -> Vec<StorePath<String>> {
        let name = system.to_string();
        let Ok(system) = self
            .place()
            .and_then(|store| store.child(OsStr::new(&name)))
        else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for dir in SPECIALISATIONS {
            let path = self.dir.as_path().join(&name).join(dir);
            let Ok(dir) = self.below(&system, OsStr::new(dir), &path) else {
                continue;
            };
            for name in dir.first_names(MAX_SPECIALISATIONS).unwrap_or_default() {
                let Ok(text) = dir.read_link(&name) else {
                    continue;
                };
                let at = resolve(path.as_std_path(), &text);
                if let Leads::ToStorePath(other) = leads(at.as_os_str(), self.dir) {
                    found.push(other);
                }
            }
        }
        found.sort();
        found.dedup();
        found
    }

    /// A directory in a store path, which may be a link into another store path.
    fn below(&self, above: &DirHandle, name: &OsStr, path: &Utf8Path) -> io::Result<DirHandle> {
        let text = match above.child(name) {
            Ok(place) => return Ok(place),
            Err(_) => above.read_link(name)?,
        };
        let target = resolve(path.parent().unwrap_or(path).as_std_path(), &text);
        let inside = target.strip_prefix(self.dir.as_path()).ok();
        let inside = inside.ok_or(io::ErrorKind::NotFound)?;
        let mut steps = inside.iter();
        let first = steps.next().ok_or(io::ErrorKind::NotFound)?;
        steps.try_fold(self.place()?.child(first)?, |place, step| place.child(step))
    }

    /// Whether it looks bootable. If that cannot be read, it does not, which promises less.
    fn boots(&self, name: &OsStr) -> bool {
        let has =
            |place: &DirHandle, name: &str| matches!(place.metadata(OsStr::new(name)), Ok(Some(_)));
        let Ok(system) = self.place().and_then(|store| store.child(name)) else {
            return false;
        };
        BOOTS.iter().any(|name| has(&system, name))
            || system
                .child(OsStr::new("bin"))
                .is_ok_and(|bin| has(&bin, "switch-to-configuration"))
    }
}
