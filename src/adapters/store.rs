//! The store as a whole: database, store directory, roots and Nix's settings, joined.

mod listing;
mod paths;
mod strangers;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::thread;
use std::time::{Duration, SystemTime};

use camino::{Utf8Path, Utf8PathBuf};
use nix::unistd::geteuid;

use super::disk::{DiskError, DiskUse, Meter};
use super::nix_cli::NixCli;
use super::places::Places;
use super::runtime_roots::{RuntimeRoots, read_processes, read_temporary};
use super::tally::Tally;
use super::threads::begin;
use crate::domain::budget::{Figure, Standing};
use crate::domain::collect::{NotSelective, Selection};
use crate::domain::graph::KeepFlags;
use crate::domain::inspection::{Inspection, Seen, Stray};
use crate::domain::refusal::{Refusal, RefusalCode};
use crate::domain::root::{Dangling, GcRoot, RootKind, RootState};
use crate::domain::snapshot::Snapshot;
use crate::ports::{Inspect, InspectError, Interrupt, Look, Running, Survey, SurveyError, told};
use listing::Listing;
use paths::ValidPaths;
use strangers::Both;

/// What both flags keep is the most that Nix could keep: where they are not known, less looks dead.
const CAUTIOUS: KeepFlags = KeepFlags {
    derivations: true,
    outputs: true,
};

/// How long a file's time may lag behind the clock.
const TICK: Duration = Duration::from_millis(20);

/// Looks into the store of this machine.
pub struct StoreReader<'a> {
    /// Where it is.
    pub places: &'a Places,
    /// Where processes are: `/proc`.
    pub proc: &'a Utf8Path,
    /// Nix, to be asked for its settings; without it all is kept that Nix may keep.
    pub nix: Option<&'a NixCli>,
    /// What the environment says of how the store is reached: `NIX_REMOTE`.
    pub remote: Option<String>,
    /// Tells when to stop.
    pub interrupt: &'a (dyn Interrupt + Sync),
}

impl Inspect for StoreReader<'_> {
    fn look(&self, survey: &impl Survey) -> Result<Look, SurveyError> {
        let began = SystemTime::now();
        thread::scope(|scope| {
            let names = begin(scope, || self.names());
            let flags = begin(scope, || self.flags());
            let paths = self.valid_paths();
            let (names, flags) = (names.result(), flags.result());
            // While the names are looked up, what keeps paths is looked for: behind the paths, so that nothing is missed.
            let (unknown, kept) = thread::scope(|scope| {
                let unknown = begin(scope, || unknown(&paths, &names));
                let kept = survey.snapshot().map(|snapshot| (snapshot, self.running()));
                (unknown.result(), kept)
            });
            let (mut snapshot, running) = kept?;
            let strangers = names.as_ref().ok();
            let strangers = strangers.and_then(|names| self.mismatch(&paths, names, &snapshot));
            snapshot.refusals.extend(strangers);
            let seen = (&snapshot, &running);
            let names = names.map(|_| unknown);
            let store = paths.map(|paths| self.join(paths, seen, names, flags, began));
            Ok(Look {
                snapshot,
                store,
                running,
            })
        })
    }
}

/// A survey that also tells what is dead.
pub struct StoreSurvey<'a, S> {
    /// Looks at profiles and file roots.
    pub survey: &'a S,
    /// Looks into the store.
    pub reader: StoreReader<'a>,
    /// For a collection by name alone: the refusals that were accepted. Another root that cannot be read by then keeps
    /// something that is not seen, and nothing is dead for sure.
    pub accepted: Option<Vec<Refusal>>,
}

impl<S: Survey> Survey for StoreSurvey<'_, S> {
    fn snapshot(&self) -> Result<Snapshot, SurveyError> {
        self.reader.guarded(self.survey)
    }

    fn standing(&self, figure: Figure) -> Standing {
        let standing = self.survey.standing(figure);
        if figure == Figure::OnDisk {
            return standing;
        }
        let paths = self.reader.valid_paths().ok();
        let all = paths
            .map(|paths| paths.graph)
            .map(|graph| graph.nar_size(&graph.set_of([]).complement()));
        Standing {
            store_bytes: all,
            ..standing
        }
    }

    fn dead(&self) -> Result<Selection, NotSelective> {
        // With cautious flags less would go than Nix collects, and nobody would know.
        self.reader.flags().map_err(NotSelective::Unknown)?;
        let unknown = |error: &dyn std::error::Error| NotSelective::Unknown(told(error));
        let look = self.reader.look(self.survey).map_err(|e| unknown(&e))?;
        let hides = |refusal: &&Refusal| {
            let accepted = self.accepted.as_deref();
            refusal.code == RefusalCode::RootsUnreadable
                && accepted.is_some_and(|accepted| !refusal.is_among(accepted))
        };
        if let Some(refusal) = look.snapshot.refusals.iter().find(hides) {
            return Err(NotSelective::Unknown(refusal.message.clone()));
        }
        let inspection = look.store.map_err(|e| unknown(&e))?;
        Ok(inspection.into_selection())
    }
}

impl StoreReader<'_> {
    /// What deleting these paths, and names that are no paths, would free on disk.
    ///
    /// # Errors
    /// When the store directory cannot be opened, or somebody asked to stop.
    pub fn measure<N: AsRef<str> + Sync>(
        &self,
        names: &[N],
        tally: &Tally,
    ) -> Result<DiskUse, DiskError> {
        let store = self.places.store.as_path();
        Meter::new(store, self.interrupt, &tally.measured).measure(names)
    }

    /// A snapshot that tells, too, when the database and the store directory do not belong together.
    fn guarded(&self, survey: &impl Survey) -> Result<Snapshot, SurveyError> {
        thread::scope(|scope| {
            let names = begin(scope, || self.names());
            let paths = self.valid_paths();
            let mut snapshot = survey.snapshot()?;
            let strangers = names.result().ok();
            let strangers = strangers.and_then(|names| self.mismatch(&paths, &names, &snapshot));
            snapshot.refusals.extend(strangers);
            Ok(snapshot)
        })
    }

    /// Whether the database and the store directory belong together. What came while we looked is no stranger: the
    /// database is asked once more, after everything else was seen.
    fn mismatch(
        &self,
        paths: &Result<ValidPaths, InspectError>,
        names: &Listing,
        snapshot: &Snapshot,
    ) -> Option<Refusal> {
        let look = |paths: &Result<ValidPaths, InspectError>| {
            let both = Both {
                graph: paths.as_ref().map(|paths| &paths.graph),
                names,
                store: &self.places.store,
            };
            both.mismatch(snapshot)
        };
        let found = look(paths)?;
        let found = if found.may_pass {
            look(&self.valid_paths())?
        } else {
            found
        };
        Some(found.refusal)
    }

    fn flags(&self) -> Result<KeepFlags, String> {
        let nix = self.nix.ok_or("Nix was not found")?;
        nix.keep_flags(!self.collects())
            .map_err(|error| told(&error))
    }

    /// Whether a collection would be done with our own rights, and not a daemon's.
    fn collects(&self) -> bool {
        let remote = self.remote.as_deref().unwrap_or_default();
        let db = self.places.state_dir.join("db");
        let ours = || fs::metadata(db).is_ok_and(|db| db.uid() == geteuid().as_raw());
        !remote.starts_with("unix://") && remote != "daemon" && (geteuid().is_root() || ours())
    }

    /// Reads the roots that live and die with processes. Read them after what they may keep.
    pub fn running(&self) -> Running {
        let store = &self.places.store;
        let temporary = read_temporary(&self.places.state_dir, store);
        let processes = read_processes(self.proc, store);
        let is_there = |root: &GcRoot| {
            let target = root.target.as_ref().map(fs::symlink_metadata);
            !matches!(target, Some(Err(error)) if error.kind() == io::ErrorKind::NotFound)
        };
        let mut roots = temporary.to_gc_roots(RootKind::Temporary, store);
        for root in &mut roots {
            if !is_there(root) {
                // It is going to be built.
                root.state = RootState::Dangling(Dangling::PathGone);
            }
        }
        // An environment may name any path; one that is not there keeps nothing.
        let processes_roots = processes.to_gc_roots(RootKind::Process, store);
        roots.extend(processes_roots.into_iter().filter(is_there));
        let mut not_seen = hidden(
            &temporary,
            "file of temporary roots",
            "files of temporary roots",
        );
        not_seen.extend(hidden(&processes, "process", "processes"));
        Running {
            roots,
            hidden: not_seen,
        }
    }

    fn names(&self) -> io::Result<Listing> {
        Listing::read(self.places.store.as_path())
    }

    fn join(
        &self,
        paths: ValidPaths,
        (snapshot, running): (&Snapshot, &Running),
        names: io::Result<Vec<Stray>>,
        flags: Result<KeepFlags, String>,
        began: SystemTime,
    ) -> Inspection {
        let store = &self.places.store;
        let ValidPaths {
            graph,
            note,
            outputs_untold,
        } = paths;
        let mut doubts = doubts_of(snapshot);
        doubts.extend(running.hidden.iter().cloned());
        let mut notes: Vec<String> = note.into_iter().collect();
        let flags = flags.unwrap_or_else(|why| {
            notes.push(format!(
                "keep-derivations and keep-outputs are not known, so both are taken for set, and more may be dead than \
                 is told: {why}"
            ));
            CAUTIOUS
        });
        // Nothing else hangs on outputs.
        doubts.extend(outputs_untold.filter(|_| flags.outputs));
        let mut names = names.unwrap_or_else(|error| {
            notes.push(format!(
                "the store directory {store} cannot be read: {error}"
            ));
            Vec::new()
        });
        // What came since the database was read may have its row by now.
        names.retain(|stray| !stray.exact || is_older(&store.as_path().join(&stray.name), began));
        let mut roots = snapshot.roots.clone();
        roots.extend(running.roots.iter().cloned());
        Inspection::new(Seen {
            store: store.clone(),
            graph,
            flags,
            roots,
            names,
            doubts,
            notes,
        })
    }
}

/// Names that no valid path has.
fn unknown(paths: &Result<ValidPaths, InspectError>, names: &io::Result<Listing>) -> Vec<Stray> {
    match (paths, names) {
        (Ok(paths), Ok(names)) => names.unknown_to(&paths.graph),
        _ => Vec::new(),
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
    let mut doubts: Vec<String> = hidden.map(|refusal| refusal.message.clone()).collect();
    let unreadable = snapshot.roots.iter().filter(unreadable).count();
    if doubts.is_empty() && unreadable > 0 {
        doubts.push(format!("{unreadable} roots cannot be read"));
    }
    if doubts.is_empty() {
        let told = snapshot
            .notes
            .iter()
            .filter(|note| note.contains("cannot be read; the daemon"));
        doubts.extend(told.cloned());
    }
    doubts
}

/// What of the roots of processes was not seen.
fn hidden(roots: &RuntimeRoots, one: &str, many: &str) -> Vec<String> {
    let mut doubts = Vec::new();
    match roots.denied {
        0 => {}
        1 => doubts.push(format!("1 {one} cannot be looked into")),
        n => doubts.push(format!("{n} {many} cannot be looked into")),
    }
    if roots.others_hidden {
        doubts.push("the processes of other users are hidden".to_string());
    }
    doubts.extend(roots.problems.iter().cloned());
    if roots.more_problems > 0 {
        doubts.push(format!("{} more problems with {many}", roots.more_problems));
    }
    doubts
}
