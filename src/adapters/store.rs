//! The store as a whole: database, store directory, roots and Nix's settings.

mod cache;
mod consistency;
mod listing;
mod paths;

use std::cell::Cell;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use camino::{Utf8Path, Utf8PathBuf};

use super::disk::{self, DiskError, DiskUse, Meter, Taken};
use super::nix_cli::{NixCli, NixConfig};
use super::nix_dirs::NixDirs;
use super::progress_counter::ProgressCounter;
use super::runtime_roots;
use super::survey::PreviousRuns;
use super::threads::begin;
use crate::domain::analysis::{StoreAnalysis, StoreData, UnregisteredPath};
use crate::domain::blocker::{Blocker, CheckCode};
use crate::domain::budget::{Disk, DiskUsage, SizeMetric};
use crate::domain::collect::{DeletionSet, FullGcReason};
use crate::domain::graph::KeepFlags;
use crate::domain::leftover::{LeftoverQuery, Leftovers};
use crate::domain::maintenance::Registrations;
use crate::domain::note::{Note, NoteCode};
use crate::domain::root::{GcRoot, RootState};
use crate::domain::snapshot::Snapshot;
use crate::ports::{
    Interrupt, Observation, PerformError, ReadStore, RunningRoots, StoreReadError,
    StoreReadTrouble, Survey, SurveyError, error_chain,
};
pub use cache::StoreCache;
use consistency::StoreComparison;
use listing::Listing;
use paths::{Stored, interrupted, other_store};

/// What both flags keep is the most that Nix could keep: where they are not known, less looks dead.
const CAUTIOUS: KeepFlags = KeepFlags::BUILD_DEPENDENCIES;

/// What a reader should know where Nix cannot be asked.
const NOT_ASKED: &str = "Nix cannot be asked for its settings, so the effective store is unknown; keep-derivations and keep-outputs \
                         are assumed to be set, and dead paths may be under-reported";

/// How long a file's time may lag behind the clock.
const TICK: Duration = Duration::from_millis(20);

/// How thoroughly the database, and the daemon that serves it, are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Care {
    /// As far as it costs next to nothing: what is shown is of the tables, and nothing is deleted for it.
    Quick,
    /// As far as a collection relies on it.
    Thorough,
}

/// Reads the store of this machine.
#[derive(Clone, Copy)]
pub struct StoreReader<'a> {
    /// Where it is.
    pub places: &'a NixDirs,
    /// Where processes are: `/proc`.
    pub proc: &'a Utf8Path,
    /// Nix, to be asked for its settings; without it all is kept that Nix may keep.
    pub nix: Option<&'a NixCli>,
    /// How thoroughly the database is checked.
    pub care: Care,
    /// The records of earlier runs.
    pub previous_runs: &'a (dyn PreviousRuns + Sync),
    /// Whether this is a look of a run, whose own collection is under way or still to come.
    pub in_run: bool,
    /// What was read last.
    pub cache: &'a StoreCache,
    /// Requests to stop.
    pub interrupt: &'a (dyn Interrupt + Sync),
    /// Counts what was measured.
    pub counter: &'a ProgressCounter,
}

impl ReadStore for StoreReader<'_> {
    fn observe(&self, survey: &dyn Survey) -> Result<Observation, SurveyError> {
        self.observe_with_unknown(survey)
            .map(|(observation, _)| observation)
    }

    fn fullness(&self) -> Result<Disk, DiskError> {
        let store = self.places.store.as_path();
        disk::settled_fullness(store).map_err(|source| DiskError::Fullness {
            store: store.to_path_buf(),
            source,
        })
    }

    fn measure(&self, names: &[&str]) -> Result<DiskUse, DiskError> {
        self.meter().measure(names)
    }

    fn measure_each(&self, names: &[&str]) -> Result<Vec<Taken>, DiskError> {
        self.meter().measure_each(names)
    }
}

/// A survey that also finds the dead paths.
pub struct StoreSurvey<'a, S> {
    /// Reads profiles and file roots.
    pub survey: &'a S,
    /// Reads the store.
    pub reader: StoreReader<'a>,
    /// For a collection by name alone: the failed checks that were accepted. Another root that cannot be read by then keeps
    /// something that is not seen, and nothing is dead for sure.
    pub accepted: Option<Vec<Blocker>>,
    /// Whether every index of the database was compared with its table. The first snapshot of a run does that, and those that
    /// follow within it do not: it takes longer than all the rest.
    pub is_compared: Cell<bool>,
}

impl<S: Survey> Survey for StoreSurvey<'_, S> {
    fn snapshot(&self) -> Result<Snapshot, SurveyError> {
        let care = if self.is_compared.get() {
            Care::Quick
        } else {
            Care::Thorough
        };
        let observation = self.reader.with_care(care).observe(self.survey)?;
        self.is_compared.set(observation.store.is_ok());
        match observation.store {
            Err(error) if error.kind == StoreReadTrouble::OtherStore => {
                Err(SurveyError::OtherStore(error.source))
            }
            Err(error) if error.kind == StoreReadTrouble::NoAnswer => {
                Err(SurveyError::NoAnswer(error.source))
            }
            _ => Ok(observation.snapshot),
        }
    }

    fn snapshot_of_roots(&self) -> Result<Snapshot, SurveyError> {
        self.survey.snapshot()
    }

    fn leftovers(&self, query: LeftoverQuery<'_>) -> Vec<Leftovers> {
        self.survey.leftovers(query)
    }

    fn disk_usage(&self, metric: SizeMetric) -> DiskUsage {
        let graph = match metric {
            SizeMetric::OnDisk | SizeMetric::Inodes => None,
            SizeMetric::NarSize => self.reader.stored().ok().map(|stored| stored.graph),
        };
        DiskUsage {
            disk: self.reader.fullness().ok(),
            store_bytes: graph.map(|graph| graph.nar_size(&graph.set_of([]).complement())),
        }
    }

    fn weigh(&self, names: &[&str]) -> Result<Vec<Taken>, FullGcReason> {
        let measured = self.reader.measure_each(names);
        measured.map_err(|error| FullGcReason::Unknown(error_chain(&error)))
    }

    fn new_paths(&self, since: Registrations) -> Option<u64> {
        self.survey.new_paths(since)
    }

    fn file_system(&self) -> Option<String> {
        disk::file_system_name(self.reader.places.store.as_path()).map(str::to_string)
    }

    fn dead(&self) -> Result<DeletionSet, FullGcReason> {
        let unknown = |error: &dyn std::error::Error| FullGcReason::Unknown(error_chain(error));
        let (observation, unknown_parts) = self
            .reader
            .observe_with_unknown(self.survey)
            .map_err(|e| unknown(&e))?;
        let inspection = observation.store.map_err(|error| match error.kind {
            StoreReadTrouble::Damaged
            | StoreReadTrouble::OtherStore
            | StoreReadTrouble::NoAnswer => FullGcReason::Unsafe(error_chain(&error)),
            _ => unknown(&error),
        })?;
        let hides = |blocker: &&Blocker| {
            let accepted = self.accepted.as_deref();
            blocker.code == CheckCode::RootsUnreadable
                && accepted.is_some_and(|accepted| !blocker.is_among(accepted))
        };
        if let Some(blocker) = observation.snapshot.blockers.iter().find(hides) {
            return Err(FullGcReason::Unknown(blocker.message.clone()));
        }
        // With cautious flags less would go than Nix collects, and nobody would know; without all outputs, more.
        if let Some(why) = unknown_parts {
            return Err(FullGcReason::Unknown(why));
        }
        Ok(inspection.into_selection())
    }
}

impl Stored {
    /// What of the outputs of derivations is not known, where anything hangs on it.
    fn doubt_of_outputs(&self) -> Option<String> {
        let matters = self.nix_config.as_ref().is_none_or(|it| it.flags.outputs);
        self.unknown_outputs.clone().filter(|_| matters)
    }

    /// What is not known so that paths must not be chosen by what is known.
    fn unknown_parts(&self) -> Option<String> {
        match self.nix_config {
            None => Some("Nix cannot be asked".to_string()),
            Some(_) => self.doubt_of_outputs(),
        }
    }
}

impl StoreReader<'_> {
    /// The same with this care.
    #[must_use]
    pub fn with_care(self, care: Care) -> Self {
        Self { care, ..self }
    }

    /// Measures what deleting paths, and names that are no paths, would free on disk.
    pub fn meter(&self) -> Meter<'_> {
        let store = self.places.store.as_path();
        Meter::new(store, self.interrupt, &self.counter.measured)
    }

    /// Takes an observation. The text names what is unknown in it; if there is one, paths must not be chosen by it.
    fn observe_with_unknown(
        &self,
        survey: &dyn Survey,
    ) -> Result<(Observation, Option<String>), SurveyError> {
        #[expect(
            clippy::disallowed_methods,
            reason = "compared with the times of files, never with a plan's"
        )]
        let began = SystemTime::now();
        thread::scope(|scope| {
            let names = begin(scope, || self.names());
            let stored = self.stored();
            let names = names.result();
            // While the names are looked up, what keeps paths is looked for: behind the paths, so that nothing is missed.
            let (unknown, kept) = thread::scope(|scope| {
                let unknown = begin(scope, || self.unknown(&stored, &names));
                let kept = survey.snapshot().map(|snapshot| (snapshot, self.running()));
                (unknown.result(), kept)
            });
            let (mut snapshot, running) = kept?;
            let stored = self.checked(stored);
            let names_read = names.as_deref().ok();
            let blocker = self.blocker(&stored, names_read, &snapshot);
            snapshot.blockers.extend(blocker);
            let seen = (&snapshot, &running);
            let names = names.map(|_| unknown);
            let unknown_parts = stored.as_ref().ok().and_then(Stored::unknown_parts);
            let store = stored.map(|stored| self.join(stored, seen, names, began));
            let observation = Observation {
                snapshot,
                store,
                running,
            };
            Ok((observation, unknown_parts))
        })
    }

    /// What stops a collection: lasting damage, or a database and a store directory that do not belong together.
    fn blocker(
        &self,
        stored: &Result<Stored, StoreReadError>,
        names: Option<&Listing>,
        snapshot: &Snapshot,
    ) -> Option<Blocker> {
        let damage = |stored: &Result<Stored, StoreReadError>| match stored {
            Err(error) if error.kind == StoreReadTrouble::Damaged => Some(Blocker::new(
                CheckCode::StoreDamaged,
                error_chain(error),
                error.hint.to_string(),
            )),
            _ => None,
        };
        damage(stored).or_else(|| self.mismatch(stored, names?, snapshot))
    }

    /// Whether the database and the store directory belong together. What came while we read is no mismatch: the
    /// database is asked once more, after everything else was seen.
    fn mismatch(
        &self,
        stored: &Result<Stored, StoreReadError>,
        names: &Listing,
        snapshot: &Snapshot,
    ) -> Option<Blocker> {
        let compare = |stored: &Result<Stored, StoreReadError>| {
            let both = StoreComparison {
                graph: stored.as_ref().map(|stored| &*stored.graph),
                names,
                store: &self.places.store,
            };
            let (runs, store) = (self.previous_runs, &self.places.store);
            both.mismatch(snapshot, || runs.left_files(store, !self.in_run))
        };
        let found = compare(stored)?;
        let found = if found.may_pass {
            compare(&self.stored())?
        } else {
            found
        };
        Some(found.blocker)
    }

    /// What Nix's settings come to; `None` without a Nix that can be used.
    fn nix_config(&self) -> Result<Option<NixConfig>, StoreReadError> {
        match self.nix.map(NixCli::nix_config) {
            None | Some(Err(PerformError::Unusable(_))) => Ok(None),
            Some(Ok(nix_config)) => Ok(Some(nix_config)),
            Some(Err(error @ PerformError::Interrupted { .. })) => Err(interrupted(error)),
            Some(Err(PerformError::OtherStore(source))) => Err(other_store(source)),
            Some(Err(error)) => Err(other_store(error.into())),
        }
    }

    /// Reads the database while Nix is asked for its settings.
    fn stored(&self) -> Result<Stored, StoreReadError> {
        thread::scope(|scope| {
            let asked = begin(scope, || self.nix_config());
            let read = self.read_database();
            self.valid_paths(asked.result()?, read)
        })
    }

    /// Reads the roots that live and die with processes. Read them after what they may keep.
    pub fn running(&self) -> RunningRoots {
        runtime_roots::running(&self.places.state_dir, self.proc, &self.places.store)
    }

    fn names(&self) -> io::Result<Arc<Listing>> {
        self.cache.names(self.places.store.as_path())
    }

    /// Names that no valid path has.
    fn unknown(
        &self,
        stored: &Result<Stored, StoreReadError>,
        names: &io::Result<Arc<Listing>>,
    ) -> Vec<UnregisteredPath> {
        match (stored, names) {
            (Ok(stored), Ok(names)) => self.cache.unknown(&stored.graph, names),
            _ => Vec::new(),
        }
    }

    fn join(
        &self,
        stored: Stored,
        (snapshot, running): (&Snapshot, &RunningRoots),
        names: io::Result<Vec<UnregisteredPath>>,
        began: SystemTime,
    ) -> StoreAnalysis {
        let store = &self.places.store;
        let Stored {
            graph,
            note,
            nix_config,
            unknown_outputs,
            ..
        } = stored;
        let mut doubts = doubts_of(snapshot);
        doubts.extend(running.hidden.iter().cloned());
        let mut notes: Vec<Note> = note.into_iter().collect();
        let flags = nix_config.as_ref().map_or(CAUTIOUS, |it| it.flags);
        if nix_config.is_none() {
            notes.push(Note::new(NoteCode::NixSettingsUnknown, NOT_ASKED));
        }
        let mut names = names.unwrap_or_else(|error| {
            let text = format!("cannot read the store directory {store}: {error}");
            notes.push(Note::new(NoteCode::StoreUnreadable, text));
            Vec::new()
        });
        // What came since the database was read may have its row by now.
        names.retain(|unregistered| {
            !unregistered.exact || is_older(&store.as_path().join(&unregistered.name), began)
        });
        let mut roots = snapshot.roots.clone();
        roots.extend(running.roots.iter().cloned());
        StoreAnalysis::new(StoreData {
            store: store.clone(),
            graph,
            flags,
            roots,
            names,
            doubts,
            unknown_outputs,
            notes,
        })
    }
}

/// Whether a name is there and was there before.
fn is_older(path: &Utf8PathBuf, began: SystemTime) -> bool {
    let Ok(meta) = fs::symlink_metadata(path) else {
        return false;
    };
    let seconds = u64::try_from(meta.ctime()).unwrap_or(0);
    let changed = SystemTime::UNIX_EPOCH
        + Duration::from_secs(seconds)
        + Duration::from_nanos(u64::try_from(meta.ctime_nsec()).unwrap_or(0));
    changed < began.checked_sub(TICK).unwrap_or(began)
}

/// What of the file roots was not seen.
fn doubts_of(snapshot: &Snapshot) -> Vec<String> {
    let unreadable = |root: &&GcRoot| matches!(root.state, RootState::Unreadable(_));
    let hidden = snapshot.hidden_roots();
    let mut doubts: Vec<String> = hidden.map(|blocker| blocker.message.clone()).collect();
    let unreadable = snapshot.roots.iter().filter(unreadable).count();
    if doubts.is_empty() && unreadable > 0 {
        doubts.push(format!("{unreadable} roots cannot be read"));
    }
    if doubts.is_empty() {
        doubts.extend(snapshot.unseen_roots.clone());
    }
    doubts
}
