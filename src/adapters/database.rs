//! Read-only access to the Nix database: writes neither the database nor any file beside it.
//!
//! `SQLite`'s own read-only connections do not guarantee that. A connection that may write beside the database creates `-wal` and
//! `-shm`, and deletes them when it closes last, which locks out every other user until root runs Nix again. So root reads here as
//! any user does: nothing is created, and `-shm` is not opened for writing. One trace remains: `SQLite` as root changes the owner
//! of `-wal` and `-shm` to the owner of the database, as every Nix command run by root does.

mod chunk;
mod error;
mod indexes;
mod open;
mod realised;
mod registered;
mod rows;

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use rusqlite::Connection;

use super::files::read_bounded;
use super::threads::joined;
use crate::domain::store_path::StoreDir;
use chunk::Chunk;

pub use error::{BAD_ROW, DatabaseError, Fault};

/// The only layout of the database that Nix has used since 2014.
const SCHEMA: &str = "10";
/// More than any number of a layout takes, in bytes.
const SCHEMA_SIZE: u64 = 64;

/// How many chunks of paths may wait to be taken.
const WAITING: usize = 64;

/// How many chunks of references may wait: enough that reading continues while the paths of a large store are entered,
/// in at most 64 MiB.
const EDGES_WAITING: usize = 512;

/// Nix declares the column so that `SQLite` uses no number twice, and keeps the greatest one here.
const LAST_ID: &str =
    "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'ValidPaths'), 0)";

/// The most threads that compare indexes: no more than one index is large.
const MAX_THREADS: usize = 4;

/// How often a database that changes under our eyes is read anew.
const ATTEMPTS: u32 = 5;

/// Takes what is in the database, row by row.
pub trait RowSink {
    /// Takes a valid path.
    fn path(&mut self, row: PathRow<'_>);
    /// Takes a reference, by the ids of both ends; one to itself is given too.
    fn reference(&mut self, referrer: i64, reference: i64);
    /// Takes an output that a derivation has, by its base name; the output need not be valid.
    fn output(&mut self, drv: i64, base_name: &str);
}

/// A valid path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathRow<'a> {
    /// The number that references use.
    pub id: i64,
    /// Its name below the store directory, which is a store path's.
    pub base_name: &'a str,
    /// Its size as an archive; unknown for what was registered long ago.
    pub nar_size: Option<u64>,
    /// When it was registered, in seconds since 1970.
    pub registered: i64,
    /// The base name of the derivation that it was built from; it need not be valid.
    pub deriver: Option<&'a str>,
}

/// How much was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Valid paths.
    pub paths: u64,
    /// References.
    pub references: u64,
    /// Outputs of derivations.
    pub outputs: u64,
    /// Whether there are outputs of content-addressed derivations in a form that is not known.
    pub unknown_outputs: bool,
}

/// Nix's database in one state directory.
#[derive(Debug, Clone)]
pub struct Database {
    file: Utf8PathBuf,
    schema: Utf8PathBuf,
    store: StoreDir,
    busy_timeout: Duration,
}

/// Identifies the content of the database at one moment. It is known only while nobody writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    files: open::Settled,
    last_id: i64,
}

impl Database {
    /// The database in `state_dir`, whose paths lie in `store`.
    pub fn new(state_dir: &Utf8Path, store: StoreDir) -> Self {
        Self {
            file: state_dir.join("db/db.sqlite"),
            schema: state_dir.join("db/schema"),
            store,
            busy_timeout: Duration::from_secs(5),
        }
    }

    /// The same, but giving up sooner or later while another process keeps the database locked.
    #[must_use]
    pub fn with_busy_timeout(self, busy_timeout: Duration) -> Self {
        Self {
            busy_timeout,
            ..self
        }
    }

    /// Reads everything, as it was at one moment, into a sink that `fresh` makes. When the database changed in a way
    /// that could have mixed two moments, all is read anew, into another sink.
    ///
    /// # Errors
    /// When the database cannot be read wholly, or holds what must not be believed.
    pub fn read<S: RowSink>(
        &self,
        mut fresh: impl FnMut() -> S,
    ) -> Result<(S, Summary), DatabaseError> {
        self.at_one_moment(|state| {
            let mut sink = fresh();
            let summary = self.read_in(state, &mut sink)?;
            Ok((sink, summary))
        })
    }

    /// Compares every index with its table row by row, in so many threads at most; reading compares only their lengths. Nix finds
    /// its paths by the indexes.
    ///
    /// # Errors
    /// [`Fault::Index`] for an index that does not match; otherwise as for reading.
    pub fn compare_indexes(&self, threads: usize) -> Result<(), DatabaseError> {
        self.at_one_moment(|state| {
            // A second connection sees the same moment only where no change can come unseen: see `State`.
            let threads = if state.is_locked_by_reading() {
                1
            } else {
                threads.clamp(1, MAX_THREADS)
            };
            indexes::compare(&|| state.open(&self.file, self.busy_timeout), threads)
        })
    }

    /// The version of the database now; `None` where a change could come unseen, or it cannot be read.
    pub fn version(&self) -> Option<Version> {
        let files = open::Settled::of(&self.file)?;
        // A writer may have written and not yet shown what it wrote.
        let last_id = || {
            let connection = files.state.open(&self.file, self.busy_timeout).ok()?;
            connection.query_row(LAST_ID, [], |row| row.get(0)).ok()
        };
        let last_id = last_id()?;
        Some(Version { files, last_id })
    }

    /// Does what reads, and does it anew when the database changed meanwhile in a way that could have mixed two moments.
    fn at_one_moment<T>(
        &self,
        mut read: impl FnMut(&open::State) -> Result<T, Fault>,
    ) -> Result<T, DatabaseError> {
        self.check_schema()?;
        let mut attempt = 1;
        loop {
            let state = open::State::of(&self.file)?;
            let result = read(&state).map_err(|fault| match fault {
                Fault::Sqlite(error) => state.explain(error),
                fault => fault,
            });
            let certain = match &result {
                // SQLite's locks have kept the moment.
                Ok(_) if state.is_locked_by_reading() => true,
                Err(Fault::Busy) => state.is_locked_by_reading(),
                _ => open::State::of(&self.file)? == state,
            };
            let result = match result {
                result if certain => result,
                Err(Fault::Busy) if attempt == ATTEMPTS => Err(Fault::Busy),
                _ if attempt == ATTEMPTS => Err(Fault::Changing),
                _ => {
                    // Longer each time; all together as long as one lock is waited for.
                    std::thread::sleep(
                        self.busy_timeout * attempt / (ATTEMPTS * (ATTEMPTS - 1) / 2),
                    );
                    attempt += 1;
                    continue;
                }
            };
            return result.map_err(|fault| fault.of(&self.file));
        }
    }

    fn read_in(&self, state: &open::State, sink: &mut impl RowSink) -> Result<Summary, Fault> {
        let open = || state.open(&self.file, self.busy_timeout);
        let connection = open()?;
        // A second one sees the same moment only where no change can come unseen: see `State`. Else one reads all.
        if state.is_locked_by_reading() {
            self.read_alone(connection, sink)
        } else {
            self.read_by_several([connection, open()?, open()?], sink)
        }
    }

    /// Starts a thread that reads. What it gives has to be taken meanwhile, so this cannot be done without one.
    fn thread<'scope, T: Send + 'scope>(
        scope: &'scope thread::Scope<'scope, '_>,
        work: impl FnOnce() -> T + Send + 'scope,
    ) -> Result<thread::ScopedJoinHandle<'scope, T>, Fault> {
        let started = thread::Builder::new().spawn_scoped(scope, work);
        started.map_err(Fault::NoThread)
    }

    /// One thread reads while this one puts in order what was read.
    fn read_alone(
        &self,
        connection: Connection,
        sink: &mut impl RowSink,
    ) -> Result<Summary, Fault> {
        let (chunks, received) = mpsc::sync_channel::<Chunk>(WAITING);
        thread::scope(|scope| {
            let reader = Self::thread(scope, move || {
                let mut give = |chunk| chunks.send(chunk).is_ok();
                rows::scan(&connection, &mut give)
            })?;
            let poured = self.pour(received.into_iter(), sink);
            joined(reader).and(poured)
        })
    }

    /// Two threads read: one most of the references, the other the paths and then the rest. A third looks at the indexes.
    fn read_by_several(
        &self,
        [connection, second, third]: [Connection; 3],
        sink: &mut impl RowSink,
    ) -> Result<Summary, Fault> {
        let (paths, all_paths) = mpsc::sync_channel::<Chunk>(WAITING);
        let (edges, most_edges) = mpsc::sync_channel::<Chunk>(EDGES_WAITING);
        let (rest, other_edges) = mpsc::sync_channel::<Chunk>(EDGES_WAITING);
        let (counts, indexes) = mpsc::sync_channel::<Chunk>(WAITING);
        let (early, late) = rows::Span::split(&connection)?;
        thread::scope(|scope| {
            let of_edges = Self::thread(scope, move || {
                let mut give = |chunk| edges.send(chunk).is_ok();
                rows::scan_references(&second, early, &mut give).map(drop)
            })?;
            let of_paths = Self::thread(scope, move || {
                rows::scan_paths(&connection, &mut |chunk| paths.send(chunk).is_ok())?;
                drop(paths);
                let mut give = |chunk| rest.send(chunk).is_ok();
                if rows::scan_references(&connection, late, &mut give)? {
                    rows::scan_outputs(&connection, &mut give)?;
                }
                Ok(())
            })?;
            let of_indexes = Self::thread(scope, move || {
                indexes::count(&third, &mut |chunk| counts.send(chunk).is_ok())
            })?;
            // In the order of the rows, so that all paths come first and edges lie as they lie in the database.
            let chunks = all_paths.into_iter().chain(most_edges).chain(other_edges);
            let poured = self.pour(chunks.chain(indexes), sink);
            let read = [joined(of_paths), joined(of_edges), joined(of_indexes)];
            read.into_iter().collect::<Result<(), _>>().and(poured)
        })
    }

    /// Gives the rows to the sink. At the first that is wrong it ends, and the readers with it, for nobody takes what they
    /// have.
    fn pour(
        &self,
        mut chunks: impl Iterator<Item = Chunk>,
        sink: &mut impl RowSink,
    ) -> Result<Summary, Fault> {
        let names = chunk::Names::of(&self.store);
        let mut summary = Summary::default();
        // The lengths of the indexes come last, behind all rows that they are compared with.
        chunks.try_for_each(|chunk| chunk.pour(&names, sink, &mut summary))?;
        Ok(summary)
    }

    fn check_schema(&self) -> Result<(), DatabaseError> {
        let found = read_bounded(&self.schema, SCHEMA_SIZE)
            .map_err(|error| Fault::of_metadata(error).of(&self.schema))?;
        if found.trim_end() == SCHEMA {
            return Ok(());
        }
        let found = found.trim_end().chars().take(20).collect();
        Err(Fault::UnknownSchema(found).of(&self.schema))
    }
}
