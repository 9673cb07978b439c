//! Deletion of rows from Nix's database, with a second opinion on each set of paths.
//!
//! The check and the deletion are one transaction, so that no path can be registered in between. The check does not use the store
//! graph: it asks the indexes of the database, as Nix's collector does, whether anything that stays keeps a path of the set. A set
//! that nothing outside keeps and that contains no root is dead, however it was chosen.

use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};

use crate::domain::graph::KeepFlags;
use crate::domain::store_path::StoreDir;
use crate::ports::{Interrupt, PerformError};

/// How long another writer is waited for, and how often it is looked whether somebody asked to stop.
const BUSY: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(100);
/// What `SQLite` keeps in memory of the database, in KiB.
const CACHE_KIB: i64 = 256 << 10;

/// Tables and triggers of Nix 2.8 to 2.34. What else is there might keep paths, or do more when they are deleted.
const KNOWN: [&str; 9] = [
    "ValidPaths",
    "Refs",
    "DerivationOutputs",
    "SchemaMigrations",
    "sqlite_sequence",
    "Realisations",
    "RealisationsRefs",
    "DeleteSelfRefs",
    "DeleteSelfRefsViaRealisations",
];

const UNKNOWN: &str =
    "select name from sqlite_schema where type <> 'index' and name not like 'sqlite_%'";
/// Whether the database itself refuses to delete a path that another one refers to.
const RESTRICTS: &str = "select count(*) from pragma_foreign_key_list('Refs')
    where \"from\" = 'reference' and \"table\" = 'ValidPaths' and on_delete = 'RESTRICT'";
const SET: &str = "create temp table chosen (id integer primary key not null)";
const CHOOSE: &str = "insert into temp.chosen select id from main.ValidPaths where path = ?1";
const SPARE: &str = "delete from temp.chosen where id = ?1";

const NEW: &str = "select c.id, p.path from temp.chosen c cross join main.ValidPaths p on p.id = c.id where c.id > ?1";
/// A path of the set, and one outside that keeps it. A path is kept by its referrers, ...
const REFERRERS: &str = "select c.id, p.path, v.id, v.path from temp.chosen c
    cross join main.Refs r on r.reference = c.id cross join main.ValidPaths v on v.id = r.referrer
    cross join main.ValidPaths p on p.id = c.id
    where r.referrer not in (select id from temp.chosen)";
/// ... a derivation by the valid outputs that it made, if Nix keeps derivations, ...
const OUTPUTS: &str = "select c.id, p.path, v.id, v.path from temp.chosen c
    cross join main.DerivationOutputs o on o.drv = c.id cross join main.ValidPaths v on v.path = o.path
    cross join main.ValidPaths p on p.id = c.id
    where v.deriver = p.path and v.id not in (select id from temp.chosen)";
/// ... and an output by its valid derivations, if Nix keeps outputs.
const DERIVERS: &str = "select c.id, p.path, v.id, v.path from temp.chosen c
    cross join main.ValidPaths p on p.id = c.id
    cross join main.DerivationOutputs o on o.path = p.path cross join main.ValidPaths v on v.id = o.drv
    where v.id not in (select id from temp.chosen)";

const DELETE_REFERENCES: &str =
    "delete from main.Refs where referrer in (select id from temp.chosen)";
const DELETE_PATHS: [&str; 2] = [
    "delete from main.DerivationOutputs where drv in (select id from temp.chosen)",
    "delete from main.ValidPaths where id in (select id from temp.chosen)",
];

/// The database, open for writing.
pub(super) struct Rows {
    connection: Connection,
    log: Utf8PathBuf,
    prefix: String,
    flags: KeepFlags,
    /// The last path that was registered before the collection began.
    newest: i64,
}

/// A path that stays, and why.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kept {
    /// Its base name.
    pub(super) name: String,
    pub(super) why: String,
}

impl Kept {
    pub(super) fn new(name: &str, why: &str) -> Self {
        Self {
            name: name.to_string(),
            why: why.to_string(),
        }
    }
}

impl Rows {
    /// Opens the database of a state directory, whose paths lie in `store`.
    ///
    /// # Errors
    /// [`PerformError::Unsupported`] when it is not as Nix 2.8 to 2.34 make it.
    pub(super) fn open(
        state_dir: &Utf8Path,
        store: &StoreDir,
        flags: KeepFlags,
    ) -> Result<Self, PerformError> {
        let file = state_dir.join("db/db.sqlite");
        let open = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&file, open).map_err(failed)?;
        prepare(&connection).map_err(failed)?;
        if let Some(why) = unsupported(&connection).map_err(failed)? {
            return Err(PerformError::Unsupported(why));
        }
        let newest = "select coalesce(max(id), 0) from ValidPaths";
        let newest = connection.query_row(newest, [], |row| row.get(0));
        Ok(Self {
            newest: newest.map_err(failed)?,
            connection,
            log: state_dir.join("db/db.sqlite-wal"),
            prefix: store.prefix(),
            flags,
        })
    }

    /// Begins a change, as soon as nobody else writes.
    ///
    /// # Errors
    /// When somebody else writes for a minute; [`PerformError::Interrupted`].
    pub(super) fn begin<'a>(
        &'a self,
        interrupt: &'a dyn Interrupt,
    ) -> Result<Change<'a>, PerformError> {
        self.lock(interrupt)?;
        Ok(Change {
            rows: self,
            interrupt,
        })
    }

    fn lock(&self, interrupt: &dyn Interrupt) -> Result<(), PerformError> {
        let begun = Instant::now();
        while let Err(error) = self.connection.execute_batch("begin immediate") {
            let is_busy = error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy);
            if interrupt.requested() {
                let what = "waiting for the database".to_string();
                return Err(PerformError::Interrupted { what });
            }
            if !is_busy || begun.elapsed() >= BUSY {
                return Err(failed(error));
            }
        }
        Ok(())
    }

    /// Moves the log into the database as far as nobody reads, if it has more than so many bytes.
    pub(super) fn move_log(&self, most: u64) {
        self.checkpoint("pragma wal_checkpoint(passive)", most);
    }

    /// Does the same and gives its room back.
    pub(super) fn shrink_log(&self, most: u64) {
        self.checkpoint("pragma wal_checkpoint(truncate)", most);
    }

    /// Readers are not waited for: while one is, nobody can write.
    fn checkpoint(&self, checkpoint: &str, most: u64) {
        let length = std::fs::metadata(&self.log).map_or(0, |log| log.len());
        if length <= most {
            return;
        }
        let wait = |time| self.connection.busy_timeout(time);
        let done = wait(Duration::ZERO)
            .and_then(|()| self.connection.query_row(checkpoint, [], |_| Ok(())));
        let done = wait(PAUSE).and(done);
        // The next one does it.
        if let Err(error) = done {
            tracing::debug!(%error, "the log of the database stays as it is");
        }
    }
}

/// A change under way; nobody else can register a path meanwhile. It is undone when it is dropped without a commit.
pub(super) struct Change<'a> {
    rows: &'a Rows,
    interrupt: &'a dyn Interrupt,
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        // Nothing is left to undo after a commit, and the connection undoes the rest when it closes.
        let _ = self.rows.connection.execute_batch("rollback");
    }
}

impl Change<'_> {
    /// Deletes the rows of these paths, as far as they have any, and returns those that stay, with their rows.
    ///
    /// A path stays if something newer than the collection keeps it, or something that `is_spared`.
    ///
    /// # Errors
    /// [`PerformError::Disagreement`] when a path is kept by what was there before.
    pub(super) fn delete(
        &self,
        names: &[&str],
        is_spared: impl Fn(&str) -> bool,
    ) -> Result<Vec<Kept>, PerformError> {
        let connection = &self.rows.connection;
        let delete = |statement| connection.execute(statement, []).map_err(failed);
        self.choose(names).map_err(failed)?;
        let mut kept = self.spare_new().map_err(failed)?;
        // The references to the set that are left then come from paths outside. To look for those is faster than to sort all of them.
        delete(DELETE_REFERENCES)?;
        if !self.keepers().map_err(failed)?.is_empty() {
            connection.execute_batch("rollback").map_err(failed)?;
            self.rows.lock(self.interrupt)?;
            self.choose(names).map_err(failed)?;
            kept = self.spare(is_spared)?;
            delete(DELETE_REFERENCES)?;
        }
        for statement in DELETE_PATHS {
            delete(statement)?;
        }
        Ok(kept)
    }

    /// Ends the change. It is on the disk once this returns, so that files may be deleted: no power cut brings a row back.
    ///
    /// # Errors
    /// Nothing was deleted then.
    pub(super) fn commit(self) -> Result<(), PerformError> {
        let connection = &self.rows.connection;
        connection.execute_batch("commit").map_err(failed)
    }

    fn choose(&self, names: &[&str]) -> rusqlite::Result<()> {
        self.rows
            .connection
            .execute("delete from temp.chosen", [])?;
        let mut choose = self.rows.connection.prepare(CHOOSE)?;
        for name in names {
            choose.execute([format!("{}{name}", self.rows.prefix)])?;
        }
        Ok(())
    }

    /// Takes everything out of the set that something outside keeps.
    fn spare(&self, is_spared: impl Fn(&str) -> bool) -> Result<Vec<Kept>, PerformError> {
        let mut all = self.spare_new().map_err(failed)?;
        loop {
            let keepers = self.keepers().map_err(failed)?;
            if keepers.is_empty() {
                return Ok(all);
            }
            for keeper in keepers {
                let name = self.base_name(&keeper.kept);
                let by = self.base_name(&keeper.path);
                let is_new = keeper.id > self.rows.newest;
                let follows = all.iter().any(|kept| kept.name == by);
                if !is_new && !follows && !is_spared(by) {
                    return Err(disagreement(name, &keeper.path));
                }
                let mut spare = self.rows.connection.prepare(SPARE).map_err(failed)?;
                if spare.execute([keeper.kept_id]).map_err(failed)? > 0 {
                    all.push(Kept::new(name, &format!("{} keeps it", keeper.path)));
                }
            }
        }
    }

    /// Takes out what had no row when the collection began.
    fn spare_new(&self) -> rusqlite::Result<Vec<Kept>> {
        let mut new = self.rows.connection.prepare(NEW)?;
        let new = new.query_map([self.rows.newest], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let new: Vec<(i64, String)> = new.collect::<rusqlite::Result<Vec<(i64, String)>>>()?;
        let mut spare = self.rows.connection.prepare(SPARE)?;
        let mut kept = Vec::new();
        for (id, path) in new {
            spare.execute([id])?;
            kept.push(Kept::new(
                self.base_name(&path),
                "it was registered meanwhile",
            ));
        }
        Ok(kept)
    }

    fn keepers(&self) -> rusqlite::Result<Vec<Keeper>> {
        let queries = [
            Some(REFERRERS),
            self.rows.flags.derivations.then_some(OUTPUTS),
            self.rows.flags.outputs.then_some(DERIVERS),
        ];
        let mut keepers = Vec::new();
        for query in queries.into_iter().flatten() {
            let mut query = self.rows.connection.prepare(query)?;
            let found = query.query_map([], |row| {
                Ok(Keeper {
                    kept_id: row.get(0)?,
                    kept: row.get(1)?,
                    id: row.get(2)?,
                    path: row.get(3)?,
                })
            })?;
            keepers.extend(found.collect::<rusqlite::Result<Vec<Keeper>>>()?);
        }
        Ok(keepers)
    }

    fn base_name<'a>(&self, path: &'a str) -> &'a str {
        path.strip_prefix(&self.rows.prefix).unwrap_or(path)
    }
}

/// A path of the set, and one outside that keeps it.
struct Keeper {
    kept_id: i64,
    kept: String,
    id: i64,
    path: String,
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(PAUSE)?;
    // The last one that closes would remove the files beside the database, and lock out every other user until root runs Nix again.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // More than Nix: files are deleted only when no power cut brings their rows back.
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    // While files are removed, instead of in a transaction that others wait for.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.execute(SET, []).map(drop)
}

/// Why this database is not known.
fn unsupported(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let mut names = connection.prepare(UNKNOWN)?;
    let names = names.query_map([], |row| row.get::<_, String>(0))?;
    for name in names {
        let name = name?;
        if !KNOWN.contains(&name.as_str()) {
            return Ok(Some(format!(
                "the database has `{name}`, which is not known"
            )));
        }
        if name == "Realisations" {
            let count = "select count(*) from (select 1 from Realisations limit 1)";
            if connection.query_row(count, [], |row| row.get::<_, i64>(0))? > 0 {
                let why = "the store has outputs of content-addressed derivations";
                return Ok(Some(why.to_string()));
            }
        }
    }
    let restricts: i64 = connection.query_row(RESTRICTS, [], |row| row.get(0))?;
    let enforces: bool = connection.pragma_query_value(None, "foreign_keys", |row| row.get(0))?;
    Ok((restricts == 0 || !enforces).then(|| {
        "the database does not refuse to delete a path that another one refers to".to_string()
    }))
}

fn disagreement(name: &str, keeper: &str) -> PerformError {
    super::disagreement(name, format!("the database has {keeper}, which keeps it"))
}

fn failed(error: rusqlite::Error) -> PerformError {
    PerformError::Nix {
        what: "changing the database".to_string(),
        source: error.into(),
    }
}

/// Whether the disk had no room for the log.
pub(in crate::adapters) fn is_full(error: &PerformError) -> bool {
    let PerformError::Nix { source, .. } = error else {
        return false;
    };
    let error = source.downcast_ref::<rusqlite::Error>();
    let error = error.and_then(rusqlite::Error::sqlite_error);
    error.is_some_and(|error| {
        // The file beside the log cannot grow.
        error.code == ErrorCode::DiskFull || error.extended_code == ffi::SQLITE_IOERR_SHMSIZE
    })
}

#[cfg(test)]
mod tests;
