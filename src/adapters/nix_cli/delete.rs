//! Deleting paths by their names, which Nix does only as far as it finds them dead itself.

use std::collections::BTreeSet;

use nix::unistd::{SysconfVar, sysconf};

use super::{LONG, NixCli, NixVersion, failed, parse};
use crate::adapters::process::{Output, ProcessError};
use crate::domain::store_path::StorePath;
use crate::ports::{Deleted, PerformError, Refused, Room};

/// From here on Nix does not ask `keep-derivations` and `keep-outputs` when paths are named (trap 24). Lix counts on from
/// 2.90 and was not tried either.
const UNTESTED: NixVersion = NixVersion::new(2, 35, 0);

/// The most that one call takes, in bytes. Nix walks all of `.links` and looks for all roots in every call.
const MOST: usize = 1 << 20;

/// What every system takes: Linux gives 128 KiB at least.
const LEAST: usize = 64 << 10;

/// What a command wrote, and how it ended.
type Ended = (Output, Result<(), ProcessError>);

impl NixCli {
    pub(super) fn room_for_paths(&self) -> Result<Option<Room>, PerformError> {
        let tested = *self.version()? < UNTESTED;
        let store = self.places.store.as_path().as_str();
        Ok(tested.then(|| Room {
            bytes: self.room,
            // A slash, the zero at the end, and the pointer to it.
            per_path: store.len() + 2 + size_of::<usize>(),
        }))
    }

    /// Nothing in here weakens Nix's own check: no option, no setting, and no second try of a path that it refused.
    ///
    /// Nix is silent about a path that is not there and counts it as deleted, so what counts is what was there before
    /// and is not afterwards.
    pub(super) fn delete_by_name(&self, paths: &[StorePath<String>]) -> Deleted {
        let there = |path: &&StorePath<String>| self.is_on_disk(path).unwrap_or(true);
        let before: Vec<&StorePath<String>> = paths.iter().filter(there).collect();
        let run = self.run_delete(paths);
        let (left, gone): (Vec<_>, Vec<_>) = before.into_iter().partition(there);
        let mut deleted = Deleted {
            paths: gone.into_iter().cloned().collect(),
            bytes: None,
            refused: Vec::new(),
            outcome: Ok(()),
        };
        match run {
            Ok(ended) => self.judge(ended, paths, &left, &mut deleted),
            Err(error) => deleted.outcome = Err(failed(what(), error)),
        }
        deleted
    }

    fn run_delete(&self, paths: &[StorePath<String>]) -> Result<Ended, ProcessError> {
        let store = &self.places.store;
        self.say_who_collects();
        let run = || {
            let paths = paths.iter();
            let paths = paths.map(|path| path.to_absolute_path(store).into_string());
            self.command(&self.nix_store, LONG)
                .args(["--delete"])
                .args(paths)
                .count_deletions(&self.tally)
                .run_to_any_end(&*self.interrupt)
        };
        self.persist_with(run, |ran| match ran {
            Ok((_, ended)) => ended.as_ref().err(),
            Err(error) => Some(error),
        })
    }

    /// Tells refusals from failures.
    fn judge(
        &self,
        (output, ended): Ended,
        paths: &[StorePath<String>],
        left: &[&StorePath<String>],
        deleted: &mut Deleted,
    ) {
        let stderr = output.stderr.text();
        let collected =
            parse::collected(&output.stdout.text()).or_else(|| parse::collected(&stderr));
        deleted.bytes = collected.and_then(|collected| collected.bytes);
        let asked: BTreeSet<&StorePath<String>> = paths.iter().collect();
        deleted.refused = parse::refusals(&stderr, &self.places.store);
        deleted
            .refused
            .retain(|refused| asked.contains(&refused.path));
        match ended {
            Ok(())
                if deleted.refused.is_empty() && !left.is_empty() && deleted.paths.is_empty() =>
            {
                deleted.outcome = Err(PerformError::Nix {
                    what: what(),
                    source: "Nix ended well and deleted nothing".into(),
                });
            }
            // Nix goes on past some paths that it cannot delete and calls that a success (trap 31).
            Ok(()) => {
                let known: BTreeSet<_> = deleted.refused.iter().map(|r| r.path.clone()).collect();
                let silent = left.iter().filter(|path| !known.contains(**path));
                deleted.refused.extend(silent.map(|&path| Refused {
                    path: path.clone(),
                    why: "Nix left it where it is".to_string(),
                }));
            }
            Err(ProcessError::Failed { .. }) if !deleted.refused.is_empty() => {}
            Err(error) => deleted.outcome = Err(failed(what(), error)),
        }
    }
}

fn what() -> String {
    "deleting dead paths".to_string()
}

/// How much this system takes in one call, and we give.
pub(super) fn room_for_arguments() -> usize {
    // Half of it is for the environment and what else there may be.
    let system = sysconf(SysconfVar::ARG_MAX).ok().flatten();
    let system = system.and_then(|most| usize::try_from(most / 2).ok());
    system.unwrap_or(LEAST).clamp(LEAST, MOST)
}
