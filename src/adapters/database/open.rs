//! Opening the database without changing anything.

use std::fs;
use std::io;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use nix::fcntl::AtFlags;
use nix::unistd::{AccessFlags, faccessat};
use rusqlite::{Connection, Error as SqliteError, ErrorCode, OpenFlags, ffi};

use super::{DatabaseError, Fault};
use crate::adapters::files::stamp::{Stamp, age};

/// The clock of file times ticks every 10 ms at the slowest.
const TICK: Duration = Duration::from_millis(20);

/// `SQLite`'s smallest database: its header.
const HEADER_SIZE: u64 = 100;

/// The files of a database at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    database: Stamp,
    wal: u64,
    journal: u64,
}

/// The files of a database of which nobody has written any for a moment, so that the next change will show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) state: State,
    wal: Option<Stamp>,
}

impl Settled {
    /// Looks at the files; `None` while they change, or cannot be seen.
    pub(super) fn of(file: &Utf8Path) -> Option<Self> {
        Stamp::of(file.as_std_path())?;
        let state = State::of(file).ok()?;
        let wal = format!("{file}-wal");
        let wal = match state.wal {
            0 => None,
            // SQLite gives it its owner anew each time that root opens it.
            _ => Some(Stamp::of_content(wal.as_ref())?),
        };
        Some(Self { state, wal })
    }
}

impl State {
    /// Looks at the files. When the database was written just now, waits until another write would show.
    pub(super) fn of(file: &Utf8Path) -> Result<Self, DatabaseError> {
        let mut meta = metadata_of(file)?;
        if age(&meta).is_none_or(|age| age < TICK) {
            std::thread::sleep(TICK);
            meta = metadata_of(file)?;
        }
        if !meta.is_file() || meta.len() < HEADER_SIZE {
            return Err(Fault::NotADatabase.of(file));
        }
        Ok(Self {
            database: Stamp::of_metadata(&meta),
            wal: size_beside(file, "-wal")?,
            journal: size_beside(file, "-journal")?,
        })
    }

    /// Whether reading takes `SQLite`'s locks, so that no change can come between.
    ///
    /// Rows in a `-wal` file can be read only so. Without them there may be no `-shm` file to keep the locks in, and
    /// making one is not for us: then the database is read as if it could not change, and whether it did is seen
    /// from its times afterwards.
    pub(super) fn is_locked_by_reading(&self) -> bool {
        self.wal > 0
    }

    /// Opens the database for reading.
    pub(super) fn open(
        &self,
        file: &Utf8Path,
        busy_timeout: Duration,
    ) -> Result<Connection, Fault> {
        // Not by opening: to close the file again would drop the locks of every connection of this process.
        faccessat(
            nix::fcntl::AT_FDCWD,
            file.as_std_path(),
            AccessFlags::R_OK,
            AtFlags::AT_EACCESS,
        )
        .map_err(|errno| Fault::Unreadable(errno.into()))?;
        if !self.is_locked_by_reading() && self.journal > 0 {
            // With `use-sqlite-wal = false` a transaction is under way, or was cut off and has to be rolled back.
            return Err(Fault::Busy);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_URI;
        let connection = Connection::open_with_flags(self.uri(file), flags)?;
        connection.busy_timeout(busy_timeout)?;
        Ok(connection)
    }

    fn uri(&self, file: &Utf8Path) -> String {
        let escaped: String = file
            .as_str()
            .chars()
            .flat_map(|c| match c {
                // What would end the path, or begin an escape.
                '%' | '?' | '#' => format!("%{:02x}", u32::from(c)).chars().collect(),
                _ => vec![c],
            })
            .collect();
        // Without `readonly_shm` root would write to the `-shm` file, or make it.
        let how = if self.is_locked_by_reading() {
            "readonly_shm=1"
        } else {
            "immutable=1"
        };
        format!("file:{escaped}?mode=ro&{how}")
    }

    /// Says what an error of `SQLite`'s means here.
    pub(super) fn explain(&self, error: SqliteError) -> Fault {
        let failure = match &error {
            SqliteError::SqlInputError { error, .. } => Some(*error),
            other => other.sqlite_error().copied(),
        };
        let Some(failure) = failure else {
            return Fault::Sqlite(error);
        };
        match failure.code {
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Fault::Busy,
            ErrorCode::NotADatabase => Fault::NotADatabase,
            ErrorCode::DatabaseCorrupt => Fault::Damaged(error),
            // A bad sector, or a file that is shorter than it says.
            ErrorCode::SystemIoFailure
                if matches!(
                    failure.extended_code,
                    ffi::SQLITE_IOERR_READ
                        | ffi::SQLITE_IOERR_SHORT_READ
                        | ffi::SQLITE_IOERR_CORRUPTFS
                ) =>
            {
                Fault::Damaged(error)
            }
            ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::FileLockingProtocolFailed
                if self.is_locked_by_reading() =>
            {
                Fault::WalUnreadable(error)
            }
            _ if failure.extended_code == ffi::SQLITE_ERROR => Fault::Layout(error),
            _ => Fault::Sqlite(error),
        }
    }
}

fn metadata_of(file: &Utf8Path) -> Result<fs::Metadata, DatabaseError> {
    fs::metadata(file).map_err(|error| Fault::of_metadata(error).of(file))
}

/// The size of a file beside the database, 0 without one: `SQLite` takes both for the same.
fn size_beside(file: &Utf8Path, suffix: &str) -> Result<u64, DatabaseError> {
    let file = Utf8PathBuf::from(format!("{file}{suffix}"));
    match fs::metadata(&file) {
        Ok(meta) => Ok(meta.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(Fault::Unreadable(error).of(file)),
    }
}
