//! Conditions under which nix-prune may collect in the place of Nix.

use std::collections::HashSet;
use std::sync::Arc;

use nix::unistd::geteuid;

use super::{LONG, NixCli, Route, failed};
use crate::adapters::direct::{Direct, Setup, is_full};
use crate::ports::{DirectCollection, NixActions, PerformError};

impl NixCli {
    pub(super) fn begin_direct_collection(
        &self,
    ) -> Result<Box<dyn DirectCollection + '_>, PerformError> {
        if !geteuid().is_root() {
            return Err(PerformError::Unsupported("it needs root".to_string()));
        }
        let version = self.version()?;
        if !version.is_in_tested_range() {
            let why = format!("it was not tried with {}", version.describe());
            return Err(PerformError::Unsupported(why));
        }
        let config = self.nix_config()?;
        // The daemon of this very store opens the same files.
        if let Route::Daemon {
            address, is_own, ..
        } = &config.route
            && !is_own
        {
            let why = format!("Nix uses the daemon at {address}");
            return Err(PerformError::Unsupported(why));
        }
        let dead_for_nix = if self.compares_dead {
            Some(self.dead_for_nix()?)
        } else {
            None
        };
        let start = || {
            Direct::begin(Setup {
                places: &self.places,
                flags: config.flags,
                interrupt: Arc::clone(&self.interrupt),
                counter: Arc::clone(&self.counter),
                most: LONG,
                dead_for_nix: dead_for_nix.clone(),
            })
        };
        let direct = match start() {
            // Without any room not even the database can be opened.
            Err(error) if is_full(&error) && self.give_up_reserve()? => start()?,
            started => started?,
        };
        // Only now, for what is refused changes nothing.
        self.give_up_reserve()?;
        Ok(Box::new(direct))
    }

    /// The base names of everything that Nix's collector finds dead. Printing them, Nix deletes names that are not those of store
    /// paths, and roots that dangle (trap 45): the collection does so as well.
    fn dead_for_nix(&self) -> Result<HashSet<String>, PerformError> {
        let what = || "asking Nix what is dead".to_string();
        let output = self
            .command(&self.nix_store, LONG)
            .args(["--gc", "--print-dead"])
            .run(&*self.interrupt)
            .map_err(|error| failed(what(), error))?;
        let prefix = self.places.store.prefix();
        let text = output.stdout.text();
        let names = text.lines().filter_map(|line| line.strip_prefix(&prefix));
        Ok(names.map(str::to_string).collect())
    }
}
