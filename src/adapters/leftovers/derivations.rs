//! Derivations in the store, by their names.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};

use super::tree::stat_at;
use crate::adapters::files::{for_each_name, open_below};
use crate::domain::store_path::{StoreDir, StorePathRef};

/// The derivations in a store; `None` where nobody can say which are gone.
pub(super) struct Derivations(Option<OwnedFd>);

impl Derivations {
    /// Opens the store directory. A directory without any store path proves nothing: its file system may not be mounted.
    pub(super) fn of(store: &StoreDir) -> Self {
        Self(open(store))
    }

    /// Whether this is the name of a derivation that is not in the store.
    pub(super) fn lack(&self, name: &CStr) -> bool {
        let Some(dir) = &self.0 else { return false };
        let is_derivation = store_path(name).is_some_and(|path| path.is_derivation());
        is_derivation && matches!(stat_at(dir.as_fd(), name), Ok(None))
    }
}

fn open(store: &StoreDir) -> Option<OwnedFd> {
    let store = store.as_path();
    let name = CString::new(store.file_name()?).ok()?;
    let dir = open_below(store.parent()?, &[&name]).ok()?;
    let mut has_paths = false;
    let read = for_each_name(dir.as_fd(), |name| {
        has_paths = has_paths || store_path(name).is_some();
        Ok(())
    });
    (read.is_ok() && has_paths).then_some(dir)
}

fn store_path(name: &CStr) -> Option<StorePathRef<'_>> {
    StorePathRef::from_base_name(name.to_str().ok()?).ok()
}
