//! Direct collection: deletes dead store paths with Nix's own protocol, in place of Nix's collector.
//!
//! `docs/decisions/0042-direct-collection.md` lists what this relies on in each version of Nix.

mod claims;
mod files;
mod foreign;
mod lock;
mod roots;
mod rows;
mod server;
mod store;
#[cfg(test)]
mod under_way;
#[cfg(test)]
mod world;

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use camino::Utf8Path;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::files::remove::StoreFiles;
use super::nix_dirs::NixDirs;
use super::progress_counter::ProgressCounter;
use super::runtime_roots::remove_stale;
use crate::domain::graph::KeepFlags;
use crate::domain::measure::Bytes;
use crate::domain::store_path::StorePath;
use crate::ports::{
    Deleted, DirectCollection, DirectStep, Finished, Interrupt, PerformError, UndeletedPath,
};
use claims::hash_of;
use files::Remover;
use lock::Locks;
use roots::Roots;
pub(super) use rows::is_full;
use rows::{Kept, Rows};
use server::Server;

/// Where processes are.
const PROC: &str = "/proc";
/// What is mounted where, for this process.
const MOUNTS: &str = "/proc/self/mountinfo";
/// How long the transaction of a step should take: a build that registers a path waits for it.
const TRANSACTION: Duration = Duration::from_millis(400);
/// How many paths the first step takes: few, because no file is removed before it has ended.
const FIRST_PATHS: usize = 512;
/// The fewest and the most paths of a step.
const MIN_PATHS: usize = 16;
const MAX_PATHS: usize = 64 << 10;
/// How old the second look at the roots may be when a step begins.
const ROOTS_AGE: Duration = Duration::from_secs(2);
/// How long the log of the database may be, in bytes: behind a step, and while the last files are removed.
const MAX_LOG_BYTES: u64 = 32 << 20;
const LOG_BYTES_AT_END: u64 = 1 << 20;
/// How many files may be open: one for each level of a directory in each thread.
const OPEN_FILES: u64 = 16 << 10;

/// What a collection needs to know.
pub(super) struct Setup<'a> {
    pub(super) places: &'a NixDirs,
    pub(super) flags: KeepFlags,
    pub(super) interrupt: Arc<dyn Interrupt + Send + Sync>,
    pub(super) counter: Arc<ProgressCounter>,
    /// How long another collection is waited for.
    pub(super) most: Duration,
    /// What Nix's collector finds dead, where somebody wants that compared.
    pub(super) dead_for_nix: Option<HashSet<String>>,
}

/// A collection under way. The server ends before the locks.
pub(super) struct Direct<'a> {
    setup: Setup<'a>,
    remover: Remover,
    /// The roots before it was looked for what is dead.
    first: Roots,
    state: Mutex<State>,
    server: Server,
    _locks: Locks,
}

struct State {
    rows: Rows,
    /// The roots as they are now, and when they were read.
    roots: Option<(Roots, Instant)>,
    /// What stays, so that what it keeps stays as well.
    spared: BTreeSet<String>,
    /// How many paths the next step should take.
    paths: usize,
    is_linked: bool,
}

impl<'a> Direct<'a> {
    /// Waits for the locks and begins.
    ///
    /// # Errors
    /// [`PerformError::Unsupported`] where it is not known to be safe.
    pub(super) fn begin(setup: Setup<'a>) -> Result<Self, PerformError> {
        let NixDirs {
            state_dir, store, ..
        } = setup.places;
        raise_limit();
        let locks = Locks::wait(state_dir, setup.most, &*setup.interrupt)?;
        // From here on builds are answered: nothing is deleted before the roots are read.
        let server = Server::start(state_dir, store.prefix());
        let server = server.map_err(|source| PerformError::File {
            what: format!("serve builds in {state_dir}/gc-socket"),
            source,
        })?;
        // They keep nothing. If they stay, they only take time.
        if let Err(error) = remove_stale(state_dir) {
            tracing::debug!(%error, "temporary roots whose owner is dead stay");
        }
        let first = Roots::read(state_dir, store, Utf8Path::new(PROC))?;
        // Names beside a path that is to be built have its hash.
        for hash in first.running.iter().filter_map(|name| hash_of(name)) {
            server.claims().need(hash);
        }
        let rows = Rows::open(state_dir, store, setup.flags)?;
        let files = store::open_writable(store.as_path())
            .and_then(|dir| StoreFiles::new(dir, Arc::clone(&setup.interrupt)))
            .and_then(|files| Remover::start(files, server.claims(), Arc::clone(&setup.counter)));
        let remover = files.map_err(|source| PerformError::File {
            what: format!("open the store directory {store} for writing"),
            source,
        })?;
        let state = State {
            rows,
            roots: None,
            spared: BTreeSet::new(),
            paths: FIRST_PATHS,
            is_linked: false,
        };
        Ok(Self {
            setup,
            remover,
            first,
            state: Mutex::new(state),
            server,
            _locks: locks,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why a path stays by the second look at the roots.
    ///
    /// # Errors
    /// [`PerformError::Disagreement`] when it was a root before the first look and is one still.
    fn root(&self, name: &str, now: &Roots) -> Result<Option<&'static str>, PerformError> {
        if now.has_same(&self.first, name) {
            return Err(disagreement(name, "it is a garbage-collector root".into()));
        }
        // Temporary roots count until the end, as for Nix.
        let running = [&now.running, &self.first.running];
        let is_running = running.iter().any(|roots| roots.contains(name));
        let dead_for_nix = self.setup.dead_for_nix.as_ref();
        Ok(if is_running {
            Some("a process uses it")
        } else if now.lasting.contains_key(name) {
            Some("it has become a root")
        } else if dead_for_nix.is_some_and(|dead| !dead.contains(name)) {
            Some("it is not dead for Nix's collector")
        } else {
            None
        })
    }

    /// Deletes these paths but for those that came alive; nothing when a build asked for one of them meanwhile.
    ///
    /// Builds still find the paths valid until the end. They are claimed only then, so that a build that asks is answered at once,
    /// with the path still there: a client of Nix that has just found it valid relies on that.
    fn step(
        &self,
        state: &mut State,
        names: &[String],
        kept: &mut Vec<Kept>,
    ) -> Result<Option<HashSet<String>>, PerformError> {
        // Threads have work while the next rows are deleted, and no claim is old.
        self.remover.wait(state.paths);
        // Before the roots are read, so that none is old where another writer is waited for.
        let change = state.rows.begin(&*self.setup.interrupt)?;
        let is_old = |read_at: &Instant| read_at.elapsed() > ROOTS_AGE;
        if state
            .roots
            .as_ref()
            .is_none_or(|(_, read_at)| is_old(read_at))
        {
            let places = self.setup.places;
            let read_at = Instant::now();
            let roots = Roots::read(&places.state_dir, &places.store, Utf8Path::new(PROC))?;
            state.roots = Some((roots, read_at));
        }
        let mounted = self.mounted()?;
        let claims = self.server.claims();
        let mut chosen: Vec<&str> = Vec::with_capacity(names.len());
        for (name, is_needed) in names.iter().zip(claims.are_needed(names)) {
            let root = match &state.roots {
                Some((now, _)) => self.root(name, now)?,
                None => None,
            };
            let is_mounted = mounted.contains(name);
            let why = root
                .or(is_mounted.then_some("something is mounted there"))
                .or(is_needed.then_some("a build needs it"));
            match why {
                Some(why) => kept.push(Kept::new(name, why)),
                None => chosen.push(name),
            }
        }
        let spared = &mut state.spared;
        spared.extend(kept.iter().map(|kept| kept.name.clone()));
        let begun = Instant::now();
        let stays = change.delete(&chosen, |by| spared.contains(by))?;
        let staying: HashSet<&str> = stays.iter().map(|kept| kept.name.as_str()).collect();
        chosen.retain(|name| !staying.contains(name));
        spared.extend(stays.iter().map(|kept| kept.name.clone()));
        if !claims.claim(&chosen) {
            return Ok(None);
        }
        if let Err(error) = change.commit() {
            for name in &chosen {
                claims.release(name);
            }
            return Err(error);
        }
        state.paths = next_count(chosen.len(), begun.elapsed());
        self.remover.remove(chosen.iter().map(ToString::to_string));
        kept.extend(stays);
        state.rows.move_log(MAX_LOG_BYTES);
        Ok(Some(chosen.into_iter().map(str::to_string).collect()))
    }

    /// Removes the names that are not those of store paths.
    fn remove_foreign(
        &self,
        state: &mut State,
        finished: &mut Finished,
    ) -> Result<(), PerformError> {
        let mounted = self.mounted()?;
        let files = self.remover.files();
        for name in foreign::names(files).map_err(|source| self.unread(source))? {
            let shown = name.to_string_lossy();
            let removed = if mounted.iter().any(|mounted| *mounted == shown) {
                Err(io::Error::other("something is mounted there"))
            } else {
                foreign::remove(files, &name)
            };
            match removed {
                Ok(Some(freed)) => {
                    finished.names += 1;
                    finished.bytes.0 += freed.bytes;
                    state.is_linked |= freed.is_linked;
                }
                Ok(None) => {}
                Err(error) => finished.left.push(format!("{shown}: {error}")),
            }
        }
        Ok(())
    }

    fn unread(&self, source: io::Error) -> PerformError {
        PerformError::File {
            what: format!("read the store directory {}", self.setup.places.store),
            source,
        }
    }

    fn mounted(&self) -> Result<Vec<String>, PerformError> {
        files::mounted_below(Utf8Path::new(MOUNTS), self.setup.places.store.as_path()).map_err(
            |source| PerformError::File {
                what: format!("read {MOUNTS}"),
                source,
            },
        )
    }
}

impl DirectCollection for Direct<'_> {
    fn delete(&self, batches: &[Vec<StorePath<String>>]) -> DirectStep {
        let mut state = self.state();
        let mut may_retry = true;
        let (taken, paths, names, kept, done) = loop {
            let (taken, paths) = leading(batches, state.paths);
            let names: Vec<String> = paths.iter().map(ToString::to_string).collect();
            let mut kept = Vec::new();
            match self.step(&mut state, &names, &mut kept) {
                Ok(Some(gone)) => break (taken, paths, names, kept, Ok(gone)),
                // Whoever asks for one path may ask for more: fewer at once are done sooner.
                Ok(None) => {}
                Err(error) if is_full(&error) && may_retry => {
                    // A shorter log may have room, files that are gone make some, and then there is more.
                    self.remover.wait(0);
                    state.rows.shrink_log(0);
                    may_retry = taken > 1;
                }
                Err(error) => break (taken, paths, names, kept, Err(error)),
            }
            state.paths = (paths.len() / 4).max(1);
        };
        let (gone, outcome) = match done {
            Ok(gone) => (gone, Ok(())),
            Err(error) => (HashSet::new(), Err(error)),
        };
        let mut deleted = Deleted {
            paths: Vec::with_capacity(gone.len()),
            bytes: Some(Bytes(0)),
            refused: Vec::new(),
            outcome,
        };
        let kept: std::collections::HashMap<String, String> =
            kept.into_iter().map(|kept| (kept.name, kept.why)).collect();
        for (path, name) in paths.into_iter().zip(&names) {
            if gone.contains(name) {
                deleted.paths.push(path.clone());
            } else if let Some(why) = kept.get(name) {
                let (path, why) = (path.clone(), why.clone());
                deleted.refused.push(UndeletedPath { path, why });
            }
        }
        DirectStep { taken, deleted }
    }

    fn finish(&self, whole: bool) -> Finished {
        let mut state = self.state();
        let mut finished = Finished {
            names: 0,
            bytes: Bytes(0),
            unfinished: 0,
            left: Vec::new(),
            outcome: Ok(()),
        };
        let files = self.remover.files();
        // While the files of paths are removed. Moving it first holds nobody up; only giving its room back takes the lock of writers.
        state.rows.move_log(LOG_BYTES_AT_END);
        state.rows.shrink_log(LOG_BYTES_AT_END);
        if whole {
            finished.outcome = self.remove_foreign(&mut state, &mut finished);
        }
        let removed = self.remover.settle();
        state.is_linked |= removed.freed.is_linked;
        finished.bytes.0 += removed.freed.bytes;
        finished.unfinished = removed.unfinished;
        finished.left.extend(removed.left);
        if whole || state.is_linked {
            match files::remove_unused_links(files) {
                Ok(freed) => {
                    finished.bytes.0 += freed;
                    state.is_linked = false;
                }
                Err(source) => {
                    let unread = Err(self.unread(source));
                    finished.outcome = finished.outcome.and(unread);
                }
            }
        }
        state.rows.shrink_log(0);
        finished
    }
}

/// As many leading batches as have about so many paths, at least one.
fn leading(batches: &[Vec<StorePath<String>>], most: usize) -> (usize, Vec<&StorePath<String>>) {
    let mut taken = 0;
    let mut paths = Vec::new();
    for batch in batches {
        if taken > 0 && paths.len() + batch.len() > most {
            break;
        }
        paths.extend(batch);
        taken += 1;
    }
    (taken, paths)
}

/// How many paths the next step should take, after one of so many took so long.
fn next_count(paths: usize, took: Duration) -> usize {
    let took = took.as_millis().max(1);
    let next = TRANSACTION.as_millis().saturating_mul(paths as u128) / took;
    // So that the threads have files to remove until the next step has ended.
    let next = next.min(paths as u128 * 3 / 2);
    usize::try_from(next)
        .unwrap_or(MAX_PATHS)
        .clamp(MIN_PATHS, MAX_PATHS)
}

fn disagreement(name: &str, keeper: String) -> PerformError {
    let path = name.to_string();
    PerformError::Disagreement { path, keeper }
}

/// Lets more files be open, as far as that is allowed.
fn raise_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(now, most)| {
        setrlimit(Resource::RLIMIT_NOFILE, now.max(OPEN_FILES.min(most)), most)
    });
    if let Err(error) = raised {
        tracing::debug!(%error, "the limit of open files cannot be raised");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::fast(4096, 350, 4681)]
    #[case::much_too_fast(4096, 1, 6144)]
    #[case::slow(4096, 1600, 1024)]
    #[case::never_fewer(20, 60_000, MIN_PATHS)]
    #[case::never_more(60_000, 50, MAX_PATHS)]
    #[case::nothing(0, 0, MIN_PATHS)]
    fn the_next_step_takes_as_long_as_a_step_should(
        #[case] paths: usize,
        #[case] milliseconds: u64,
        #[case] next: usize,
    ) {
        assert_eq!(next_count(paths, Duration::from_millis(milliseconds)), next);
    }

    #[rstest]
    #[case::all(&[3, 3], 10, 2)]
    #[case::as_many_as_fit(&[3, 3, 3], 6, 2)]
    #[case::at_least_one(&[9, 1], 4, 1)]
    #[case::nothing(&[], 4, 0)]
    fn a_step_takes_leading_batches(
        #[case] sizes: &[usize],
        #[case] most: usize,
        #[case] taken: usize,
    ) {
        let name = "00000000000000000000000000000000-a";
        let path = crate::domain::store_path::StorePathRef::from_base_name(name).unwrap();
        let batches: Vec<_> = sizes.iter().map(|&n| vec![path.to_owned(); n]).collect();
        let (count, paths) = leading(&batches, most);
        assert_eq!((count, paths.len()), (taken, sizes[..taken].iter().sum()));
    }

    #[rstest]
    #[case(rusqlite::ffi::SQLITE_FULL, true)]
    #[case(rusqlite::ffi::SQLITE_IOERR_SHMSIZE, true)]
    #[case(rusqlite::ffi::SQLITE_CORRUPT, false)]
    fn a_full_disk_is_told_from_other_errors(#[case] code: i32, #[case] expected: bool) {
        let error = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
        let error = PerformError::Nix {
            what: "changing the database".to_string(),
            source: error.into(),
        };
        assert_eq!(is_full(&error), expected);
        assert!(!is_full(&disagreement("a", "b".to_string())));
    }
}
