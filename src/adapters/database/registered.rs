//! How far the database has come: what was registered since it was read before.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::{Database, DatabaseError, Fault, open, rows};
use crate::domain::maintenance::Registrations;
use crate::domain::store_path::{StorePath, StorePathRef};

/// Nix declares the column so that `SQLite` uses no number twice, and keeps the greatest one here.
const LAST: &str = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'ValidPaths'), 0), \
                    coalesce((SELECT max(registrationTime) FROM ValidPaths), 0)";
const SINCE: &str = "SELECT path FROM ValidPaths WHERE id > ?1";

impl Database {
    /// How many paths were registered since `since`; `None` where that is not known.
    pub fn new_paths(&self, since: Registrations) -> Option<u64> {
        let seen = self.registrations(since.last_id);
        let (now, paths) = seen.ok().filter(|(now, _)| now.continues(since))?;
        let new = u64::try_from(paths.len()).ok()?;
        // Without a new row none is younger, or it is not the database that it seems to be.
        (new > 0 || now.newest <= since.newest).then_some(new)
    }

    /// How far it has come, and the paths with a number above `above`.
    ///
    /// # Errors
    /// When it cannot be read at one moment, or is not the database of such a store.
    pub fn registrations(
        &self,
        above: i64,
    ) -> Result<(Registrations, Vec<StorePath<String>>), DatabaseError> {
        self.check_schema()?;
        let of = |fault: Fault| fault.of(&self.file);
        let state = open::State::of(&self.file)?;
        let database = fs::metadata(&self.file)
            .map_err(|error| of(Fault::of_metadata(error)))?
            .ino();
        let links = fs::symlink_metadata(self.store.as_path().join(".links"));
        let links = links.ok().map(|links| links.ino());
        let read = || -> Result<_, Fault> {
            let connection = state.open(&self.file, self.busy_timeout)?;
            // Rolled back when it is dropped: both queries are of one moment.
            let _transaction = connection.unchecked_transaction()?;
            let (last_id, newest) =
                connection.query_row(LAST, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let seen = Registrations {
                last_id,
                newest,
                database,
                links,
            };
            let mut paths = Vec::new();
            rows::each_row(&connection, SINCE, [above], |row| {
                let text: String = row.get(0)?;
                let path = StorePathRef::from_absolute_path(text.as_str().into(), &self.store);
                // A row that is not understood is no path that was measured; the readers of the whole database report it.
                paths.extend(path.ok().map(|path| path.to_owned()));
                Ok(true)
            })?;
            Ok((seen, paths))
        };
        let found = read().map_err(|fault| match fault {
            Fault::Sqlite(error) => of(state.explain(error)),
            fault => of(fault),
        })?;
        if !state.is_locked_by_reading() && open::State::of(&self.file)? != state {
            return Err(of(Fault::Changing));
        }
        Ok(found)
    }
}
