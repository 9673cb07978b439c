//! Why the database cannot be read, and what to do about it.

use std::error::Error;
use std::fmt;
use std::io;

use camino::{Utf8Path, Utf8PathBuf};
use rusqlite::Error as SqliteError;

use super::SCHEMA;
use crate::ports::StoreReadTrouble;

/// A file of the database, and what is wrong with it.
#[derive(Debug)]
pub struct DatabaseError {
    /// The file.
    pub file: Utf8PathBuf,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with the database.
#[derive(Debug)]
pub enum Fault {
    /// It is not there.
    Missing,
    /// It cannot be opened or looked at.
    Unreadable(io::Error),
    /// The system cannot start another thread.
    NoThread(io::Error),
    /// The file is not a database.
    NotADatabase,
    /// The file is a broken database.
    Damaged(SqliteError),
    /// Another process keeps it locked, or was cut off while it wrote.
    Busy,
    /// It changed each time while it was read.
    Changing,
    /// There are changes in the `-wal` file that cannot be read without writing.
    WalUnreadable(SqliteError),
    /// It is of another layout than ours, by the file that names it.
    UnknownSchema(String),
    /// A table or column is missing.
    Layout(SqliteError),
    /// A row holds what it cannot.
    Row {
        /// The table.
        table: &'static str,
        /// The id of the row, or of the path that it belongs to.
        row: i64,
        /// What is wrong with it.
        why: String,
    },
    /// An index and its table are not of one moment.
    Index {
        /// The table.
        table: &'static str,
        /// The index.
        index: String,
    },
    /// It is of another store directory.
    OtherStore {
        /// The id of a path.
        row: i64,
        /// The path.
        path: String,
        /// The store directory.
        store: String,
    },
    /// `SQLite` failed in another way.
    Sqlite(SqliteError),
}

impl From<SqliteError> for Fault {
    fn from(error: SqliteError) -> Self {
        Self::Sqlite(error)
    }
}

/// What to do about a row that is wrong.
pub const BAD_ROW: &str = "Nix has no command that repairs a row. Copy the directory db of the state directory, stop nix-daemon, and restore \
                           db.sqlite from the youngest backup from before the damage, or repair or delete that row with sqlite3. Nix deletes \
                           paths that are not in the database, so run `nix-prune doctor` before you collect garbage.";

impl Fault {
    /// The fault of a file.
    pub(super) fn of(self, file: impl AsRef<Utf8Path>) -> DatabaseError {
        DatabaseError {
            file: file.as_ref().to_path_buf(),
            fault: self,
        }
    }

    /// What a file has that cannot be looked at.
    pub(super) fn of_metadata(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing,
            _ => Self::Unreadable(error),
        }
    }

    /// What kind of trouble it is, and what to do about it. Damage is what is known to be wrong, so that Nix would delete by it
    /// what is alive; what only cannot be read is none.
    pub fn trouble(&self) -> (StoreReadTrouble, &'static str) {
        match self {
            Self::Missing => (
                StoreReadTrouble::NoDatabase,
                "Set NIX_STATE_DIR to the state directory of the store, or run a Nix command once to create it.",
            ),
            Self::Unreadable(_) => (
                StoreReadTrouble::Denied,
                "Run as root, or as a user who may read the database.",
            ),
            Self::NoThread(_) => (
                StoreReadTrouble::Unusable,
                "Raise the limit on processes with `ulimit -u`, or with TasksMax= in a unit.",
            ),
            Self::NotADatabase | Self::Damaged(_) | Self::Layout(_) => (
                StoreReadTrouble::Damaged,
                "Copy the directory db of the state directory, stop nix-daemon, and restore db.sqlite from the youngest backup from before the damage. \
                 Without a backup, write what can be read of the copy into a new file with `sqlite3 COPY .recover`, which not every sqlite3 has. Then check it with `nix-store --verify` \
                 and `nix-prune doctor` before you collect garbage.",
            ),
            Self::Busy | Self::Changing => (
                StoreReadTrouble::Busy,
                "Try again when no other Nix command is running; run `nix-store --verify` as root if none is.",
            ),
            Self::WalUnreadable(_) => (
                StoreReadTrouble::Unusable,
                "Run a Nix command as root, such as `nix-store --verify`; it recreates the file.",
            ),
            Self::UnknownSchema(_) => (
                StoreReadTrouble::Unusable,
                "Use a version of this tool that knows the version of Nix.",
            ),
            Self::OtherStore { .. } => (
                StoreReadTrouble::NoDatabase,
                "Set NIX_STORE_DIR and NIX_STATE_DIR to the directories of one store.",
            ),
            Self::Row { .. } => (StoreReadTrouble::Damaged, BAD_ROW),
            Self::Index { .. } => (
                StoreReadTrouble::Damaged,
                "Copy the directory db of the state directory, stop nix-daemon, and rebuild the index as root with `sqlite3 db.sqlite REINDEX`, or restore \
                 db.sqlite from the youngest backup from before the damage. Then check it with `nix-store --verify` and `nix-prune doctor` \
                 before you collect garbage.",
            ),
            Self::Sqlite(_) => (StoreReadTrouble::Unusable, "Fix the cause, and try again."),
        }
    }
}

impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, fault } = self;
        match fault {
            Fault::Missing => write!(f, "{file} does not exist"),
            Fault::Unreadable(_) | Fault::Sqlite(_) => write!(f, "cannot read {file}"),
            Fault::NoThread(_) => write!(f, "cannot start a thread to read {file}"),
            Fault::NotADatabase => write!(f, "{file} is not an SQLite database"),
            Fault::Damaged(_) => write!(f, "{file} is damaged"),
            Fault::Busy => write!(f, "{file} is locked by another process"),
            Fault::Changing => write!(f, "{file} kept changing while it was read"),
            Fault::WalUnreadable(_) => write!(
                f,
                "{file}-wal holds changes that cannot be read without writing to {file}-shm"
            ),
            Fault::UnknownSchema(found) => write!(
                f,
                "{file} has database schema `{found}`; supported is {SCHEMA}"
            ),
            Fault::Layout(_) => write!(f, "{file} lacks a table or column of Nix's database"),
            Fault::Row { table, row, why } => write!(f, "{file}: row {row} of {table} {why}"),
            Fault::Index { table, index } => write!(
                f,
                "{file} is damaged: the index {index} does not match the rows of {table}"
            ),
            Fault::OtherStore { row, path, store } => write!(
                f,
                "{file} belongs to another store: its path {row} is {path}, which is not in {store}"
            ),
        }
    }
}

impl Error for DatabaseError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.fault {
            Fault::Unreadable(error) | Fault::NoThread(error) => Some(error),
            Fault::Damaged(error)
            | Fault::WalUnreadable(error)
            | Fault::Layout(error)
            | Fault::Sqlite(error) => Some(error),
            _ => None,
        }
    }
}
