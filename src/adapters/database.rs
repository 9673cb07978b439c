//! Read-only access to the Nix database: writes neither the database nor any file beside it.
//!
//! `SQLite`'s own read-only connections do not guarantee that. A connection that may write beside the database creates `-wal` and
//! `-shm`, and deletes them when it closes last, which locks out every other user until root runs Nix again. So root reads here as
//! any user does: nothing is created, and `-shm` is not opened for writing. One trace remains: `SQLite` as root changes the owner
//! of `-wal` and `-shm` to the owner of the database, as every Nix command run by root does.

mod chunk;
mod indexes;
mod open;
mod realised;
mod rows;

use std::io;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use rusqlite::Connection;

use super::files::read_bounded;
use super::threads::joined;
use crate::domain::store_path::StoreDir;
use crate::ports::Cause;
use chunk::Chunk;
use rows::ScanError;

/// The only layout of the database that Nix has used since 2014.
const SCHEMA: &str = "10";
/// More than any number of a layout takes, in bytes.
const SCHEMA_SIZE: u64 = 64;

/// How many chunks of paths may wait to be taken.
const WAITING: usize = 64;

/// How many chunks of references may: enough that reading them goes on while the paths of a large store are entered, in
/// at most 64 MiB.
const EDGES_WAITING: usize = 512;

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
    /// Of these, paths of unknown size.
    pub sizes_unknown: u64,
    /// References.
    pub references: u64,
    /// Outputs of derivations.
    pub outputs: u64,
    /// Whether there are outputs of content-addressed derivations in a form that is not known.
    pub outputs_untold: bool,
}

/// Nix's database in one state directory.
#[derive(Debug, Clone)]
pub struct Database {
    file: Utf8PathBuf,
    schema: Utf8PathBuf,
    store: StoreDir,
    patience: Duration,
    thorough: bool,
}

impl Database {
    /// The database in `state_dir`, whose paths lie in `store`.
    pub fn new(state_dir: &Utf8Path, store: StoreDir) -> Self {
        Self {
            file: state_dir.join("db/db.sqlite"),
            schema: state_dir.join("db/schema"),
            store,
            patience: Duration::from_secs(5),
            thorough: false,
        }
    }

    /// The same, comparing every index with its table row by row, and not only their lengths. Nix finds its paths by the
    /// indexes.
    #[must_use]
    pub fn thoroughly(self) -> Self {
        Self {
            thorough: true,
            ..self
        }
    }

    /// The same, but giving up sooner or later while another process keeps the database locked.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
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
        self.check_schema()?;
        let mut attempt = 1;
        loop {
            let mut sink = fresh();
            let state = open::State::of(&self.file)?;
            let result = self.read_in(&state, &mut sink);
            let certain = match &result {
                // SQLite's locks have kept the moment.
                Ok(_) if state.is_locked_by_reading() => true,
                Err(DatabaseError::Busy { .. }) => state.is_locked_by_reading(),
                _ => open::State::of(&self.file)? == state,
            };
            if certain {
                return result.map(|summary| (sink, summary));
            }
            if attempt == ATTEMPTS {
                let file = self.file.clone();
                return Err(match result {
                    Err(busy @ DatabaseError::Busy { .. }) => busy,
                    _ => DatabaseError::Changing { file },
                });
            }
            // Longer each time; all together as long as one lock is waited for.
            std::thread::sleep(self.patience * attempt / (ATTEMPTS * (ATTEMPTS - 1) / 2));
            attempt += 1;
        }
    }

    fn read_in(
        &self,
        state: &open::State,
        sink: &mut impl RowSink,
    ) -> Result<Summary, DatabaseError> {
        let connection = state.open(&self.file, self.patience)?;
        // A second one sees the same moment only where no change can come unseen: see `State`. Else one reads all.
        let scanned = if state.is_locked_by_reading() {
            self.read_alone(connection, sink)
        } else {
            let open = || state.open(&self.file, self.patience);
            self.read_by_several([connection, open()?, open()?], sink)
        };
        scanned.map_err(|error| match error {
            rows::ScanError::Sqlite(error) => state.explain(&self.file, error),
            rows::ScanError::Thread(source) => DatabaseError::NoThread {
                file: self.file.clone(),
                source,
            },
            rows::ScanError::Row { table, row, why } => DatabaseError::Row {
                file: self.file.clone(),
                table,
                row,
                why,
            },
            rows::ScanError::Index { table, index } => DatabaseError::Index {
                file: self.file.clone(),
                table,
                index,
            },
            rows::ScanError::OtherStore { row, path } => DatabaseError::OtherStore {
                file: self.file.clone(),
                row,
                path,
                store: self.store.to_string(),
            },
        })
    }

    /// Starts a thread that reads. What it gives has to be taken meanwhile, so this cannot be done without one.
    fn thread<'scope, T: Send + 'scope>(
        scope: &'scope thread::Scope<'scope, '_>,
        work: impl FnOnce() -> T + Send + 'scope,
    ) -> Result<thread::ScopedJoinHandle<'scope, T>, ScanError> {
        let started = thread::Builder::new().spawn_scoped(scope, work);
        started.map_err(ScanError::Thread)
    }

    /// One thread reads while this one puts in order what was read.
    fn read_alone(
        &self,
        connection: Connection,
        sink: &mut impl RowSink,
    ) -> Result<Summary, ScanError> {
        let (chunks, received) = mpsc::sync_channel::<Chunk>(WAITING);
        let thorough = self.thorough;
        thread::scope(|scope| {
            let reader = Self::thread(scope, move || {
                let mut give = |chunk| chunks.send(chunk).is_ok();
                rows::scan(&connection, thorough, &mut give)
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
    ) -> Result<Summary, ScanError> {
        let (paths, all_paths) = mpsc::sync_channel::<Chunk>(WAITING);
        let (edges, most_edges) = mpsc::sync_channel::<Chunk>(EDGES_WAITING);
        let (rest, other_edges) = mpsc::sync_channel::<Chunk>(EDGES_WAITING);
        let (counts, indexes) = mpsc::sync_channel::<Chunk>(WAITING);
        let thorough = self.thorough;
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
                indexes::scan(&third, thorough, &mut |chunk| counts.send(chunk).is_ok())
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
    ) -> Result<Summary, ScanError> {
        let names = chunk::Names::of(&self.store);
        let mut summary = Summary::default();
        // The lengths of the indexes come last, behind all rows that they are compared with.
        chunks.try_for_each(|chunk| chunk.pour(&names, sink, &mut summary))?;
        Ok(summary)
    }

    fn check_schema(&self) -> Result<(), DatabaseError> {
        let found = read_bounded(&self.schema, SCHEMA_SIZE).map_err(|source| {
            let file = self.schema.clone();
            match source.kind() {
                io::ErrorKind::NotFound => DatabaseError::Missing { file },
                _ => DatabaseError::Unreadable { file, source },
            }
        })?;
        if found.trim_end() == SCHEMA {
            return Ok(());
        }
        Err(DatabaseError::UnknownSchema {
            file: self.schema.clone(),
            found: found.trim_end().chars().take(20).collect(),
        })
    }
}

/// Why the database cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// There is no database.
    #[error("{file} does not exist")]
    Missing {
        /// What is not there.
        file: Utf8PathBuf,
    },
    /// A file cannot be opened or looked at.
    #[error("cannot read {file}")]
    Unreadable {
        /// The file.
        file: Utf8PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The system has no room for a thread.
    #[error("cannot start a thread to read {file}")]
    NoThread {
        /// The database.
        file: Utf8PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not a database.
    #[error("{file} is not an SQLite database")]
    NotADatabase {
        /// The file.
        file: Utf8PathBuf,
    },
    /// The file is a broken database.
    #[error("{file} is damaged")]
    Damaged {
        /// The file.
        file: Utf8PathBuf,
        /// What `SQLite` says.
        source: Cause,
    },
    /// Another process keeps it locked, or was cut off while it wrote.
    #[error("{file} is locked by another process")]
    Busy {
        /// The file.
        file: Utf8PathBuf,
    },
    /// It changed each time while it was read.
    #[error("{file} kept changing while it was read")]
    Changing {
        /// The file.
        file: Utf8PathBuf,
    },
    /// There are changes in the `-wal` file that cannot be read without writing.
    #[error("{file}-wal holds changes that cannot be read without writing to {file}-shm")]
    WalUnreadable {
        /// The database.
        file: Utf8PathBuf,
        /// What `SQLite` says.
        source: Cause,
    },
    /// The database is of another layout than ours.
    #[error("{file} has database schema `{found}`; supported is {SCHEMA}")]
    UnknownSchema {
        /// The file that names the schema.
        file: Utf8PathBuf,
        /// What it says.
        found: String,
    },
    /// A table or column is missing.
    #[error("{file} lacks a table or column of Nix's database")]
    Layout {
        /// The database.
        file: Utf8PathBuf,
        /// What `SQLite` says.
        source: Cause,
    },
    /// A row holds what it cannot.
    #[error("{file}: row {row} of {table} {why}")]
    Row {
        /// The database.
        file: Utf8PathBuf,
        /// The table.
        table: &'static str,
        /// The id of the row, or of the path that it belongs to.
        row: i64,
        /// What is wrong with it.
        why: String,
    },
    /// An index and its table are not of one moment.
    #[error("{file} is damaged: the index {index} does not match the rows of {table}")]
    Index {
        /// The database.
        file: Utf8PathBuf,
        /// The table.
        table: &'static str,
        /// The index.
        index: String,
    },
    /// The database is of another store directory.
    #[error("{file} belongs to another store: its path {row} is {path}, which is not in {store}")]
    OtherStore {
        /// The database.
        file: Utf8PathBuf,
        /// The id of the path.
        row: i64,
        /// The path.
        path: String,
        /// The store directory.
        store: String,
    },
    /// `SQLite` failed in another way.
    #[error("cannot read {file}")]
    Sqlite {
        /// The database.
        file: Utf8PathBuf,
        /// What `SQLite` says.
        source: Cause,
    },
}

/// What to do about a row that is wrong.
pub const BAD_ROW: &str = "Nix has no command that repairs a row. Copy the directory db of the state directory, stop nix-daemon, and restore \
                           db.sqlite from the youngest backup from before the damage, or repair or delete that row with sqlite3. Nix deletes \
                           paths that are not in the database, so run `nix-prune doctor` before you collect garbage.";

impl DatabaseError {
    /// Whether the database is known to be wrong, so that Nix would delete by it what is alive. What only cannot be read
    /// is no damage.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::NotADatabase { .. }
            | Self::Damaged { .. }
            | Self::Layout { .. }
            | Self::Row { .. }
            | Self::Index { .. } => true,
            Self::Missing { .. }
            | Self::Unreadable { .. }
            | Self::Busy { .. }
            | Self::Changing { .. }
            | Self::WalUnreadable { .. }
            | Self::UnknownSchema { .. }
            | Self::OtherStore { .. }
            | Self::NoThread { .. }
            | Self::Sqlite { .. } => false,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Missing { .. } => {
                "Set NIX_STATE_DIR to the state directory of the store, or run a Nix command once to create it."
            }
            Self::Unreadable { .. } => "Run as root, or as a user who may read the database.",
            Self::NoThread { .. } => {
                "Raise the limit on processes with `ulimit -u`, or with TasksMax= in a unit."
            }
            Self::NotADatabase { .. } | Self::Damaged { .. } | Self::Layout { .. } => {
                "Copy the directory db of the state directory, stop nix-daemon, and restore db.sqlite from the youngest backup from before the damage. \
                 Without a backup, write what can be read of the copy into a new file with `sqlite3 COPY .recover`, which not every sqlite3 has. Then check it with `nix-store --verify` \
                 and `nix-prune doctor` before you collect garbage."
            }
            Self::Busy { .. } | Self::Changing { .. } => {
                "Try again when no other Nix command is running; run `nix-store --verify` as root if none is."
            }
            Self::WalUnreadable { .. } => {
                "Run a Nix command as root, such as `nix-store --verify`; it recreates the file."
            }
            Self::UnknownSchema { .. } => {
                "Use a version of this tool that knows the version of Nix."
            }
            Self::OtherStore { .. } => {
                "Set NIX_STORE_DIR and NIX_STATE_DIR to the directories of one store."
            }
            Self::Row { .. } => BAD_ROW,
            Self::Index { .. } => {
                "Copy the directory db of the state directory, stop nix-daemon, and rebuild the index as root with `sqlite3 db.sqlite REINDEX`, or restore \
                 db.sqlite from the youngest backup from before the damage. Then check it with `nix-store --verify` and `nix-prune doctor` \
                 before you collect garbage."
            }
            Self::Sqlite { .. } => "Fix the cause, and try again.",
        }
    }
}
