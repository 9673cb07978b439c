//! All valid paths, as printed by a daemon.

use std::io::{self, BufReader, Write};
use std::thread;

use super::{LONG, NixCli, NixVersion, Route, failed, parse};
use crate::adapters::threads::joined;
use crate::ports::PerformError;

use super::PathInfo;

/// Before, the option is an error; later, its absence is going to be one.
const FORMATS: NixVersion = NixVersion::new(2, 34, 0);

impl NixCli {
    /// Asks a daemon for every valid path, and passes each to `take` as soon as it is read. A path that became invalid
    /// meanwhile is passed as an invalid one.
    ///
    /// Only a daemon is asked: where Nix would open a store itself, it might make one.
    ///
    /// # Errors
    /// When there is no daemon, it failed, or what was printed is of no known form. Some paths may have been given by
    /// then.
    pub fn valid_paths(&self, take: &mut (dyn FnMut(PathInfo) + Send)) -> Result<(), PerformError> {
        let what = || "asking nix-daemon for the store paths".to_string();
        let format = self.json_format()?;
        let daemon = match self.nix_config()?.route {
            Route::Daemon { address, .. } => address,
            Route::Files => "daemon".to_string(),
        };
        let command = self
            .command(&self.nix, LONG)
            .args(["--extra-experimental-features", "nix-command"])
            .args(["path-info", "--store", &daemon])
            .args(["--all", "--json"])
            .args(format.into_iter().flatten())
            .args(["--offline", "--option", "substitute", "false"]);
        let cannot = |source| PerformError::File {
            what: "read the answer of nix-daemon about the store paths".to_string(),
            source,
        };
        let (answer, mut pipe) = io::pipe().map_err(cannot)?;
        let store = &self.places.store;
        let (ran, parsed) = thread::scope(|scope| {
            let parse = move || {
                let text = BufReader::with_capacity(64 << 10, answer);
                parse::each_path_info(text, store, take)
            };
            let parser = thread::Builder::new()
                .spawn_scoped(scope, parse)
                .map_err(cannot)?;
            // Where the parser has given up, the rest is nobody's.
            let ran = command.run_blocks(&*self.interrupt, &mut |block| {
                let _ = pipe.write_all(block);
            });
            drop(pipe);
            Ok::<_, PerformError>((ran, joined(parser)))
        })?;
        // A command that failed says why; that its output is not whole follows from it.
        ran.map_err(|error| failed(what(), error))?;
        parsed.map_err(|error| PerformError::Nix {
            what: what(),
            source: error.into(),
        })
    }

    /// The flags for a stable JSON format.
    pub(super) fn json_format(&self) -> Result<Option<[&'static str; 2]>, PerformError> {
        Ok((*self.version()? >= FORMATS).then_some(["--json-format", "1"]))
    }
}
