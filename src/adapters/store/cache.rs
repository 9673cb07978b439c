//! The valid paths and the names in the store directory as they were read last, for as long as nothing has changed: a run looks
//! several times.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

use camino::Utf8Path;

use super::listing::Listing;
use super::paths::{DatabaseRead, Sink};
use crate::adapters::database::{Database, DatabaseError, Version};
use crate::adapters::files::stamp::Stamp;
use crate::adapters::threads::processors;
use crate::domain::analysis::UnregisteredPath;
use crate::domain::graph::StoreGraph;

/// What a database holds.
#[derive(Debug, Clone)]
pub(super) struct Rows {
    pub(super) graph: Arc<StoreGraph>,
    /// Whether there are outputs of content-addressed derivations in a form that is not known.
    pub(super) unknown_outputs: bool,
}

/// The names of a graph and a listing that only the listing has.
type Unknown = (Arc<StoreGraph>, Arc<Listing>, Vec<UnregisteredPath>);

/// What was read last.
#[derive(Debug, Default)]
pub struct StoreCache {
    rows: Mutex<Option<(Version, Rows)>>,
    names: Mutex<Option<(Stamp, Arc<Listing>)>>,
    unknown: Mutex<Option<Unknown>>,
    /// The version whose indexes were found right.
    compared: Mutex<Option<Version>>,
    /// A comparison of the indexes that was begun ahead, which gives the version that it found right.
    ahead: Mutex<Option<JoinHandle<Option<Version>>>>,
}

impl StoreCache {
    /// Begins to compare the indexes of a database with their tables, so that a thorough look finds that done if nothing has changed
    /// by then. It reads the database, and whoever is to write to it in this process looks thoroughly first.
    pub(super) fn compare_ahead(&self, database: Database) {
        let compare = move || {
            let before = database.version()?;
            // The others read meanwhile.
            database.compare_indexes(processors() / 2).ok()?;
            Some(before).filter(|before| Some(before) == database.version().as_ref())
        };
        match Builder::new().spawn(compare) {
            Ok(begun) => *lock(&self.ahead) = Some(begun),
            Err(error) => tracing::debug!(%error, "cannot start a thread"),
        }
    }

    /// Waits for the comparison that was begun ahead; gives the version that it found right.
    pub(super) fn compared_ahead(&self) -> Option<Version> {
        let begun = lock(&self.ahead).take()?;
        // A panic there was printed, and found nothing right.
        begun.join().ok().flatten()
    }

    /// The rows of a database.
    pub(super) fn rows(&self, database: &Database) -> DatabaseRead {
        let before = database.version();
        let known = lock(&self.rows).clone();
        if let Some((_, rows)) = known.filter(|(version, _)| Some(version) == before.as_ref()) {
            return Ok(Ok(rows));
        }
        // A graph is large: the old one ends before there is a new one.
        *lock(&self.rows) = None;
        *lock(&self.unknown) = None;
        let (sink, summary) = database.read(Sink::default)?;
        let rows = match sink.graph() {
            Ok(graph) => Rows {
                graph: Arc::new(graph),
                unknown_outputs: summary.unknown_outputs,
            },
            Err(error) => return Ok(Err(error)),
        };
        let same = before.filter(|before| Some(before) == database.version().as_ref());
        *lock(&self.rows) = same.map(|version| (version, rows.clone()));
        Ok(Ok(rows))
    }

    /// Compares every index of a database with its table, unless that was done for this version, here or `ahead`.
    pub(super) fn compare(
        &self,
        database: &Database,
        ahead: Option<Version>,
    ) -> Result<(), DatabaseError> {
        let before = database.version();
        let mut compared = lock(&self.compared);
        let known = [ahead, compared.take()];
        if before.is_none() || !known.contains(&before) {
            database.compare_indexes(processors())?;
        }
        *compared = before.filter(|before| Some(before) == database.version().as_ref());
        Ok(())
    }

    /// The names in a store directory.
    pub(super) fn names(&self, store: &Utf8Path) -> io::Result<Arc<Listing>> {
        let before = Stamp::of(store.as_std_path());
        let known = lock(&self.names).clone();
        if let Some((_, names)) = known.filter(|(stamp, _)| Some(*stamp) == before) {
            return Ok(names);
        }
        let names = Arc::new(Listing::read(store)?);
        let same = before.filter(|before| Some(*before) == Stamp::of(store.as_std_path()));
        *lock(&self.names) = same.map(|stamp| (stamp, Arc::clone(&names)));
        Ok(names)
    }

    /// The names that are those of no valid path.
    pub(super) fn unknown(
        &self,
        graph: &Arc<StoreGraph>,
        names: &Arc<Listing>,
    ) -> Vec<UnregisteredPath> {
        let mut kept = lock(&self.unknown);
        if let Some((of, among, unknown)) = &*kept
            && Arc::ptr_eq(of, graph)
            && Arc::ptr_eq(among, names)
        {
            return unknown.clone();
        }
        let unknown = names.unknown_to(graph);
        *kept = Some((Arc::clone(graph), Arc::clone(names), unknown.clone()));
        unknown
    }
}

/// A thread that panics leaves nothing half done in here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::thread;
    use std::time::Duration;

    use camino::Utf8PathBuf;
    use rstest::rstest;
    use rusqlite::Connection;

    use super::*;
    use crate::adapters::database::Fault;
    use crate::domain::store_path::StoreDir;

    const A: &str = "00000000000000000000000000000000-a";
    const B: &str = "11111111111111111111111111111111-b";
    const TABLES: &str = "
        create table ValidPaths (id integer primary key autoincrement not null, path text unique not null,
            registrationTime integer not null, deriver text, narSize integer);
        create table Refs (referrer integer not null, reference integer not null, primary key (referrer, reference));
        create index IndexReference on Refs(reference);
        create table DerivationOutputs (drv integer not null, id text not null, path text not null, primary key (drv, id));
        create index IndexDerivationOutputs on DerivationOutputs(path);";

    struct World {
        dir: Utf8PathBuf,
        writer: Connection,
        cache: StoreCache,
        _dir: tempfile::TempDir,
    }

    impl World {
        fn new(mode: &str) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let path = Utf8PathBuf::from_path_buf(dir.path().to_path_buf()).unwrap();
            fs::create_dir(path.join("db")).unwrap();
            fs::write(path.join("db/schema"), "10").unwrap();
            let writer = Connection::open(path.join("db/db.sqlite")).unwrap();
            writer.pragma_update(None, "journal_mode", mode).unwrap();
            writer.execute_batch(TABLES).unwrap();
            Self {
                dir: path,
                writer,
                cache: StoreCache::default(),
                _dir: dir,
            }
        }

        fn add(&self, name: &str) {
            let insert = "insert into ValidPaths (path, registrationTime) values (?1, 1)";
            let path = format!("/nix/store/{name}");
            self.writer.execute(insert, [path]).unwrap();
        }

        fn database(&self) -> Database {
            Database::new(&self.dir, StoreDir::new("/nix/store".into()).unwrap())
        }

        fn rows(&self) -> Rows {
            self.cache.rows(&self.database()).unwrap().unwrap()
        }

        /// Whether the comparison of this version is known.
        fn is_compared(&self) -> bool {
            let compared = lock(&self.cache.compared).clone();
            compared.is_some() && compared == self.database().version()
        }
    }

    fn settle() {
        thread::sleep(Duration::from_millis(150));
    }

    #[rstest]
    #[case::with_a_log("wal")]
    #[case::without("delete")]
    fn the_database_is_read_again_once_it_has_changed(#[case] mode: &str) {
        let world = World::new(mode);
        world.add(A);
        settle();
        let first = world.rows();
        assert_eq!(first.graph.len(), 1);
        assert!(Arc::ptr_eq(&first.graph, &world.rows().graph));
        world.add(B);
        // Right behind the change, and after it.
        assert_eq!(world.rows().graph.len(), 2);
        settle();
        assert_eq!(world.rows().graph.len(), 2);
        world.writer.execute("delete from ValidPaths", []).unwrap();
        settle();
        assert!(world.rows().graph.is_empty());
    }

    #[rstest]
    #[case::with_a_log("wal")]
    #[case::without("delete")]
    fn the_indexes_are_compared_again_once_the_database_has_changed(#[case] mode: &str) {
        let world = World::new(mode);
        world.add(A);
        settle();
        world.rows();
        assert!(!world.is_compared());
        let compare = || world.cache.compare(&world.database(), None);
        compare().unwrap();
        assert!(world.is_compared());
        world.add(B);
        assert!(!world.is_compared());
        settle();
        assert!(!world.is_compared());
        compare().unwrap();
        assert!(world.is_compared());
        damage(&world.dir.join("db/db.sqlite"));
        settle();
        assert!(matches!(compare().unwrap_err().fault, Fault::Index { .. }));
        assert!(!world.is_compared());
        assert!(compare().is_err());
    }

    #[test]
    fn a_comparison_ahead_counts_for_the_version_that_it_saw() {
        let world = World::new("delete");
        world.add(A);
        settle();
        let database = world.database();
        world.cache.compare_ahead(database.clone());
        world.rows();
        let seen = world.cache.compared_ahead();
        assert!(seen.is_some() && seen == database.version());
        world.cache.compare_ahead(database.clone());
        while !lock(&world.cache.ahead).as_ref().unwrap().is_finished() {
            thread::sleep(Duration::from_millis(5));
        }
        damage(&world.dir.join("db/db.sqlite"));
        settle();
        let ahead = world.cache.compared_ahead();
        let error = world.cache.compare(&database, ahead).unwrap_err();
        assert!(matches!(error.fault, Fault::Index { .. }), "{error:?}");
        assert!(lock(&world.cache.ahead).is_none());
    }

    #[test]
    fn a_comparison_ahead_finds_damage() {
        let world = World::new("delete");
        damage(&world.dir.join("db/db.sqlite"));
        settle();
        world.cache.compare_ahead(world.database());
        assert_eq!(world.cache.compared_ahead(), None);
    }

    /// Moves an output while the database does not know that it has an index on it.
    fn damage(file: &Utf8Path) {
        let with_schema = |change: &str| {
            let connection = Connection::open(file).unwrap();
            connection
                .set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_DEFENSIVE, false)
                .unwrap();
            connection
                .pragma_update(None, "writable_schema", true)
                .unwrap();
            connection.execute_batch(change).unwrap();
        };
        with_schema(&format!(
            "insert into DerivationOutputs values (1, 'out', '/nix/store/{A}');
             create table Kept as select * from sqlite_schema where name = 'IndexDerivationOutputs';
             delete from sqlite_schema where name = 'IndexDerivationOutputs'"
        ));
        with_schema(&format!(
            "update DerivationOutputs set path = '/nix/store/{B}'"
        ));
        with_schema("insert into sqlite_schema select * from Kept; drop table Kept");
    }

    #[test]
    fn names_are_read_again_once_the_directory_has_changed() {
        let world = World::new("delete");
        world.add(A);
        let store = world.dir.join("store");
        fs::create_dir(&store).unwrap();
        fs::write(store.join(B), "").unwrap();
        settle();
        let graph = world.rows().graph;
        let unknown = |names: &Arc<Listing>| world.cache.unknown(&graph, names).len();
        let first = world.cache.names(&store).unwrap();
        assert_eq!(unknown(&first), 1);
        let again = world.cache.names(&store).unwrap();
        assert!(Arc::ptr_eq(&first, &again) && unknown(&again) == 1);
        fs::write(store.join("other"), "").unwrap();
        assert_eq!(unknown(&world.cache.names(&store).unwrap()), 2);
        settle();
        assert_eq!(unknown(&world.cache.names(&store).unwrap()), 2);
    }
}
