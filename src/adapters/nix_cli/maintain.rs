//! Optimisation and check of the store: at low priority, with what Nix reports and what is measured.

use std::collections::HashSet;
use std::fs;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use super::{LONG, NixCli, failed, parse};
use crate::adapters::database::Database;
use crate::adapters::disk::{DiskUse, Meter};
use crate::adapters::process::{Output, ProcessError};
use crate::adapters::progress_counter::ProgressLine;
use crate::domain::maintenance::{Damage, Optimised, Registrations, Verified};
use crate::domain::measure::Bytes;
use crate::domain::store_path::StorePath;
use crate::ports::{DiskError, PerformError};

/// How long a check of the store may take to end after it was asked to. It only reads, so it may be killed at any moment.
const GRACE: Duration = Duration::from_millis(500);

const OPTIMISING: &str = "optimising the store";
const VERIFYING: &str = "verifying the store";

impl NixCli {
    /// Hard-links equal files, and measures what that saves.
    pub(super) fn optimise_store(
        &self,
        since: Option<Registrations>,
    ) -> Result<Optimised, PerformError> {
        let new = self.new_paths(since);
        let (registrations, names) =
            new.map_or((None, None), |(seen, names)| (Some(seen), Some(names)));
        let before = names
            .as_ref()
            .map(|names| self.blocks_of(names))
            .transpose()?;
        let output = self
            .retry(|| {
                self.command(&self.nix_store, LONG)
                    .args(["--optimise", "-v"])
                    .count_lines(ProgressLine::Optimising, &self.counter)
                    .low_priority()
                    .run(&*self.interrupt)
            })
            .map_err(|error| failed(OPTIMISING.into(), error))?;
        let after = names.as_ref().and_then(|names| self.blocks_of(names).ok());
        let text = output.stderr.text();
        let (files, reported) = parse::optimised(&text);
        // On a full file system Nix goes on and ends well (trap 48): the next run has to do it again.
        let is_complete = !text.contains("cannot link ");
        let saved = before.flatten().zip(after.flatten());
        Ok(Optimised {
            files,
            reported,
            saved: saved.map(|(before, after)| Bytes(before.0.saturating_sub(after.0))),
            registrations: registrations.filter(|_| is_complete),
        })
    }

    /// How far the database has come, and the paths since: all of them where that is not known. A path that was there when the store
    /// was optimised has all its files in `.links`, and loses none.
    fn new_paths(&self, since: Option<Registrations>) -> Option<(Registrations, Vec<String>)> {
        let read = |above| self.database().registrations(above).ok();
        let since =
            since.and_then(|since| read(since.last_id).filter(|(now, _)| now.continues(since)));
        let (seen, paths) = since.or_else(|| read(0))?;
        Some((seen, paths.iter().map(ToString::to_string).collect()))
    }

    /// The blocks of all files whose links are all in these paths and in `.links`; `None` where that is not exact.
    fn blocks_of(&self, names: &[String]) -> Result<Option<Bytes>, PerformError> {
        let seen = AtomicU64::new(0);
        let meter = Meter::new(self.places.store.as_path(), &*self.interrupt, &seen);
        match meter.measure(names) {
            Err(DiskError::Interrupted) => Err(PerformError::Interrupted {
                what: OPTIMISING.into(),
            }),
            Ok(DiskUse {
                bytes,
                vanished: 0,
                unreadable: 0,
                at_most,
                ..
            }) if at_most.is_empty() => Ok(Some(bytes)),
            Err(_) | Ok(_) => Ok(None),
        }
    }

    /// Checks the store. Nix removes every path from its database that is not in the store directory, and reports success. Of a store
    /// that is not mounted that would be all paths, and the next collection would delete them (trap 46). So
    /// Nix is asked only where every path is there.
    pub(super) fn verify_store(&self, contents: bool) -> Result<Verified, PerformError> {
        let mut found = Verified::default();
        for path in self.missing_paths()? {
            found.add(path, Damage::Missing);
        }
        if !found.is_sound() {
            return Ok(found);
        }
        let options = contents.then_some(["--check-contents", "-v"]);
        let run = || {
            self.command(&self.nix_store, LONG)
                .args(["--verify"])
                .args(options.into_iter().flatten())
                .count_lines(ProgressLine::Checking, &self.counter)
                .low_priority()
                .end_within(GRACE)
                .run_to_any_end(&*self.interrupt)
        };
        let ran = self.retry_with(run, |ran| match ran {
            Ok((_, ended)) => ended.as_ref().err(),
            Err(error) => Some(error),
        });
        let (Output { stderr, .. }, ended) =
            ran.map_err(|error| failed(VERIFYING.into(), error))?;
        found.by_nix = true;
        let failed_itself = matches!(ended, Err(ProcessError::Failed { .. }));
        let text = stderr.text();
        // Of very much damage only the beginning and the end of the output are kept.
        let whole = parse::damage(&text, &self.places.store, failed_itself, &mut found)
            && stderr.dropped() == 0;
        match ended {
            // That status is how Nix reports damage.
            Err(ProcessError::Failed { stderr, .. }) if !found.is_sound() => {
                found.stopped = (!whole).then_some(stderr);
                Ok(found)
            }
            Err(error) => Err(failed(VERIFYING.into(), error)),
            Ok(()) => Ok(found),
        }
    }

    /// The valid paths that are not in the store directory.
    fn missing_paths(&self) -> Result<Vec<StorePath<String>>, PerformError> {
        let valid = || {
            let read = self.database().registrations(0);
            read.map_err(|error| PerformError::Nix {
                what: VERIFYING.into(),
                source: error.into(),
            })
        };
        let (_, mut missing) = valid()?;
        let store = self.places.store.as_path();
        let unreadable = |source| PerformError::File {
            what: format!("list {store}"),
            source,
        };
        let names: Result<HashSet<_>, _> = fs::read_dir(store)
            .map_err(unreadable)?
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect();
        let names = names.map_err(unreadable)?;
        missing.retain(|path| !names.contains(std::ffi::OsStr::new(&path.to_string())));
        if !missing.is_empty() {
            // A collection may have deleted them between the two looks.
            let (_, valid) = valid()?;
            let valid: HashSet<_> = valid.into_iter().collect();
            missing.retain(|path| valid.contains(path));
        }
        Ok(missing)
    }

    fn database(&self) -> Database {
        let places = &self.places;
        Database::new(&places.state_dir, places.store.clone())
    }
}
