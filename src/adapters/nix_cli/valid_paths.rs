//! All valid paths, as printed by a daemon.

use std::io::{self, BufReader, Read};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use super::{LONG, NixCli, NixVersion, Route, failed, parse};
use crate::adapters::threads::joined;
use crate::ports::PerformError;

use super::PathInfo;

/// How many blocks of output may wait to be parsed.
const WAITING: usize = 16;

/// Before, the option is an error; later, its absence is going to be one.
const FORMATS: NixVersion = NixVersion::new(2, 34, 0);

impl NixCli {
    /// Asks a daemon for every valid path, and gives each to `take` as soon as it was told. What became invalid while
    /// it was told comes back as such.
    ///
    /// Only a daemon is asked: where Nix would open a store itself, it might make one.
    ///
    /// # Errors
    /// When there is no daemon, it failed, or what was printed is of no known form. Some paths may have been given by
    /// then.
    pub fn valid_paths(&self, take: &mut (dyn FnMut(PathInfo) + Send)) -> Result<(), PerformError> {
        let what = || "asking nix-daemon for the store paths".to_string();
        let format = self.json_format()?;
        let daemon = match self.in_force()?.route {
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
        let (send, blocks) = mpsc::sync_channel::<Vec<u8>>(WAITING);
        let store = &self.places.store;
        let (ran, parsed) = thread::scope(|scope| {
            let parse = move || {
                let text = BufReader::with_capacity(64 << 10, Blocks::of(blocks));
                parse::each_path_info(text, store, take)
            };
            let parser = thread::Builder::new()
                .spawn_scoped(scope, parse)
                .map_err(|source| PerformError::File {
                    what: format!("start a thread for {}", what()),
                    source,
                })?;
            // Where the parser has given up, the rest is nobody's.
            let ran = command.run_blocks(&*self.interrupt, &mut |block| {
                let _ = send.send(block.to_vec());
            });
            drop(send);
            Ok::<_, PerformError>((ran, joined(parser)))
        })?;
        // A command that failed says why; that its output is not whole follows from it.
        ran.map_err(|error| failed(what(), error))?;
        parsed.map_err(|error| PerformError::Nix {
            what: what(),
            source: error.into(),
        })
    }

    /// How to ask for a form of JSON that is going to stay.
    pub(super) fn json_format(&self) -> Result<Option<[&'static str; 2]>, PerformError> {
        Ok((*self.version()? >= FORMATS).then_some(["--json-format", "1"]))
    }
}

/// Blocks of bytes, as one text.
struct Blocks {
    blocks: Receiver<Vec<u8>>,
    block: io::Cursor<Vec<u8>>,
}

impl Blocks {
    fn of(blocks: Receiver<Vec<u8>>) -> Self {
        Self {
            blocks,
            block: io::Cursor::default(),
        }
    }
}

impl Read for Blocks {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.block.read(into)? {
                0 if into.is_empty() => return Ok(0),
                0 => match self.blocks.recv() {
                    Ok(block) => self.block = io::Cursor::new(block),
                    Err(_) => return Ok(0),
                },
                n => return Ok(n),
            }
        }
    }
}
