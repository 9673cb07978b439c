//! The port `NixActions`, implemented with Nix commands.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::Ordering;

use camino::Utf8Path;
use nix::unistd::geteuid;

use super::links::{Directory, Removal};
use super::{NixCli, failed, parse};
use crate::adapters::disk::{fullness, settled_fullness};
use crate::adapters::leftovers::LeftoverFiles;
use crate::domain::budget::FreeSpace;
use crate::domain::maintenance::{Optimised, Registrations, Verified};
use crate::domain::measure::Bytes;
use crate::domain::plan::{
    BootFacts, GenerationFacts, HoldFacts, LeftoverFacts, RootFacts, RootLinkFacts,
};
use crate::domain::profile::Owner;
use crate::domain::protected::ProtectedPaths;
use crate::domain::snapshot::Actor;
use crate::domain::store_path::StorePath;
use crate::ports::{
    ArgLimit, Collected, Deleted, LinkState, NixActions, PerformError, RestoreMode,
};

impl NixActions for NixCli {
    fn is_ourselves(&self, owner: &Owner) -> bool {
        owner.uid == geteuid().as_raw()
    }

    fn nix_version(&self) -> Result<String, PerformError> {
        self.version().map(ToString::to_string)
    }

    fn check_store(&self) -> Result<(), PerformError> {
        self.nix_config().map(drop)
    }

    fn hold(&self, path: &StorePath<String>, link: &Utf8Path) -> Result<(), PerformError> {
        self.make_hold(path, link)
    }

    fn hold_all(&self, holds: &[(&StorePath<String>, &Utf8Path)]) -> Vec<Result<(), PerformError>> {
        self.make_holds(holds)
    }

    fn remove_generation(&self, facts: &GenerationFacts) -> Result<(), PerformError> {
        self.remove_generation_of(facts)?;
        self.counter.removed.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn see_generation(&self, facts: &GenerationFacts) -> Result<LinkState, PerformError> {
        Self::generation_state(facts)
    }

    fn restore_generation(
        &self,
        facts: &GenerationFacts,
        mode: RestoreMode,
    ) -> Result<(), PerformError> {
        self.restore_generation_of(facts, mode)
    }

    fn remove_root(
        &self,
        facts: &RootFacts,
        protected: &ProtectedPaths,
    ) -> Result<(), PerformError> {
        self.remove_dangling_root(facts, protected)
    }

    fn see_root(&self, facts: &RootFacts) -> Result<LinkState, PerformError> {
        self.root_state(facts)
    }

    fn restore_root(&self, facts: &RootFacts) -> Result<(), PerformError> {
        self.restore_dangling_root(facts)
    }

    fn remove_root_link(
        &self,
        facts: &RootLinkFacts,
        protected: &ProtectedPaths,
    ) -> Result<(), PerformError> {
        self.remove_link_of_root(facts, protected)
    }

    fn see_root_link(&self, facts: &RootLinkFacts) -> Result<LinkState, PerformError> {
        self.state_of_root_link(facts)
    }

    fn restore_root_link(
        &self,
        facts: &RootLinkFacts,
        mode: RestoreMode,
    ) -> Result<(), PerformError> {
        self.restore_link_of_root(facts, mode)
    }

    fn release_hold(&self, facts: &HoldFacts) -> Result<(), PerformError> {
        self.remove_hold(facts)
    }

    fn see_hold(&self, facts: &HoldFacts) -> Result<LinkState, PerformError> {
        self.hold_state(facts)
    }

    fn remove_leftovers(
        &self,
        facts: &LeftoverFacts,
        protected: &ProtectedPaths,
    ) -> Result<String, PerformError> {
        let uid = geteuid();
        let files = LeftoverFiles {
            places: &self.places,
            proc: Utf8Path::new("/proc"),
            actor: if uid.is_root() {
                Actor::Root
            } else {
                Actor::User(uid.as_raw())
            },
        };
        files.remove(facts, protected, &*self.interrupt)
    }

    fn collect(&self) -> Result<Collected, PerformError> {
        let used = self.used_bytes();
        let output = self
            .collect_garbage()
            .map_err(|error| failed("collecting garbage".into(), error))?;
        // Lix says it on standard error. What is not understood is unknown, and nothing depends on it (trap 28).
        let collected = parse::collected(&output.stdout.text())
            .or_else(|| parse::collected(&output.stderr.text()));
        let collected = collected.unwrap_or_default();
        Ok(Collected {
            bytes: plausible(collected.bytes, used),
            ..collected
        })
    }

    fn deletion_limit(&self) -> Result<Option<ArgLimit>, PerformError> {
        self.deletion_limit_of_system()
    }

    fn delete_paths(&self, paths: &[StorePath<String>]) -> Deleted {
        self.delete_by_name(paths)
    }

    #[cfg(target_os = "linux")]
    fn begin_direct(&self) -> Result<Box<dyn crate::ports::DirectCollection + '_>, PerformError> {
        self.begin_direct_collection()
    }

    fn refresh_boot_menu(&self, facts: &BootFacts) -> Result<Option<String>, PerformError> {
        self.refresh_menu(facts)
    }

    fn optimise(&self, since: Option<Registrations>) -> Result<Optimised, PerformError> {
        self.optimise_store(since)
    }

    fn verify(&self, contents: bool) -> Result<Verified, PerformError> {
        self.verify_store(contents)
    }

    fn give_up_reserve(&self) -> Result<bool, PerformError> {
        let dir = self.places.state_dir.join("db");
        let failed = |source| PerformError::File {
            what: format!("remove {dir}/reserved"),
            source,
        };
        let Some(dir) = Directory::open(&dir).map_err(failed)? else {
            return Ok(false);
        };
        match dir.unlink("reserved", Removal::Own) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }

    fn free_space_at(&self, dir: &Utf8Path) -> Result<Bytes, PerformError> {
        let disk = fullness(dir).map_err(|source| PerformError::File {
            what: format!("read the free space of {dir}"),
            source,
        })?;
        Ok(disk.available)
    }

    fn free_space(&self) -> Result<FreeSpace, PerformError> {
        let store = self.places.store.as_path();
        // What a user can get, not what is kept back for root.
        let disk = settled_fullness(store).map_err(|source| PerformError::File {
            what: format!("read the free space of {store}"),
            source,
        })?;
        Ok(FreeSpace {
            available: disk.available,
            nix_files: self.database_blocks(),
        })
    }
}

impl NixCli {
    /// What the files of Nix's database take of the store's file system. Every collection gives up the reserve beside it and
    /// the next command takes it again (trap 40); the log of the database grows with every path that is deleted.
    fn database_blocks(&self) -> Bytes {
        // The unit of `st_blocks`, whatever the file system's own is.
        const BLOCK: u64 = 512;
        let Ok(store) = std::fs::symlink_metadata(self.places.store.as_path()) else {
            return Bytes(0);
        };
        let directory = self.places.state_dir.join("db");
        let names = ["reserved", "db.sqlite", "db.sqlite-wal", "db.sqlite-shm"];
        let files = names
            .iter()
            .filter_map(|name| std::fs::symlink_metadata(directory.join(name)).ok());
        let beside = files.filter(|file| file.dev() == store.dev());
        Bytes(beside.map(|file| file.blocks() * BLOCK).sum())
    }

    /// What the file system of the store has in use.
    pub(super) fn used_bytes(&self) -> Option<Bytes> {
        let disk = fullness(self.places.store.as_path()).ok()?;
        Some(disk.used)
    }
}

/// The freed size that Nix reports, unless it is more than was used: Nix adds up file sizes, whatever space they take,
/// and reports thousands of tebibytes for a store with sparse files (trap 26).
pub(super) fn plausible(freed: Option<Bytes>, used: Option<Bytes>) -> Option<Bytes> {
    freed.filter(|freed| used.is_none_or(|used| *freed <= used))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(Some(5), Some(5), Some(5))]
    #[case(Some(6), Some(5), None)]
    #[case(Some(6656 << 40), Some(1 << 40), None)]
    #[case(Some(6), None, Some(6))]
    #[case(None, Some(5), None)]
    fn trap_26_more_than_was_used_is_not_passed_on(
        #[case] freed: Option<u64>,
        #[case] used: Option<u64>,
        #[case] expected: Option<u64>,
    ) {
        let passed = plausible(freed.map(Bytes), used.map(Bytes));
        assert_eq!(passed, expected.map(Bytes));
    }
}
