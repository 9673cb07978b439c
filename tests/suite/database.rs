//! Nix's database is read in every state that it can be in, and nothing about it changes.

#![cfg(test)]

pub(crate) mod damage;
pub(crate) mod real;
mod realised;

use crate::support::as_ordinary_user;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use nix_prune::adapters::database::{Database, DatabaseError, Fault, PathRow, RowSink, Summary};
use nix_prune::domain::store_path::StoreDir;
use rstest::rstest;
use rusqlite::Connection;
use tempfile::TempDir;

const TABLES: &str = "
    CREATE TABLE ValidPaths (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, path TEXT UNIQUE NOT NULL,
        hash TEXT NOT NULL, registrationTime INTEGER NOT NULL, deriver TEXT, narSize INTEGER, ultimate INTEGER,
        sigs TEXT, ca TEXT);
    CREATE TABLE Refs (referrer INTEGER NOT NULL, reference INTEGER NOT NULL, PRIMARY KEY (referrer, reference));
    CREATE INDEX IndexReferrer ON Refs(referrer);
    CREATE INDEX IndexReference ON Refs(reference);
    CREATE TABLE DerivationOutputs (drv INTEGER NOT NULL, id TEXT NOT NULL, path TEXT NOT NULL,
        PRIMARY KEY (drv, id));
    CREATE INDEX IndexDerivationOutputs ON DerivationOutputs(path);";

fn name(n: u32) -> String {
    format!("{n:032}-path-{n}")
}

#[derive(Default, Debug, PartialEq)]
struct StoreData {
    paths: BTreeMap<i64, (String, Option<u64>, i64, Option<String>)>,
    references: BTreeSet<(i64, i64)>,
    outputs: BTreeSet<(i64, String)>,
}

impl RowSink for StoreData {
    fn path(&mut self, row: PathRow<'_>) {
        let path = (
            row.base_name.to_string(),
            row.nar_size,
            row.registered,
            row.deriver.map(str::to_string),
        );
        assert!(self.paths.insert(row.id, path).is_none());
    }
    fn reference(&mut self, referrer: i64, reference: i64) {
        assert!(self.references.insert((referrer, reference)));
    }
    fn output(&mut self, drv: i64, base_name: &str) {
        self.outputs.insert((drv, base_name.to_string()));
    }
}

/// A state directory as Nix leaves it.
struct Fixture {
    state: Utf8PathBuf,
    _dir: TempDir,
}

impl Fixture {
    /// With the given journal mode and the paths 1 and 2, of which 2 refers to both; the writer stays connected.
    fn new(mode: &str) -> (Self, Connection) {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let state = Utf8Path::from_path(dir.path()).unwrap().join("a b%41#?&ü");
        fs::create_dir_all(state.join("db")).unwrap();
        fs::write(state.join("db/schema"), "10").unwrap();
        let writer = Connection::open(state.join("db/db.sqlite")).unwrap();
        writer.pragma_update(None, "journal_mode", mode).unwrap();
        writer.execute_batch(TABLES).unwrap();
        for n in [1, 2] {
            add(&writer, n);
        }
        writer
            .execute_batch("INSERT INTO Refs VALUES (2, 1), (2, 2)")
            .unwrap();
        (Self { state, _dir: dir }, writer)
    }

    /// As after the last process has gone in an orderly way: without `-wal` and `-shm`.
    fn quiet() -> Self {
        let (fixture, writer) = Self::new("wal");
        writer.close().unwrap();
        assert_eq!(fixture.files(), ["db.sqlite", "schema"]);
        fixture
    }

    fn db(&self) -> Utf8PathBuf {
        self.state.join("db")
    }

    fn writer(&self) -> Connection {
        Connection::open(self.db().join("db.sqlite")).unwrap()
    }

    fn files(&self) -> Vec<String> {
        let entries = self.db().read_dir_utf8().unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().to_string())
            .collect();
        names.sort();
        names
    }

    /// The same files in another place, as after every process has been killed.
    fn killed(&self) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let state = Utf8Path::from_path(dir.path()).unwrap().to_path_buf();
        fs::create_dir(state.join("db")).unwrap();
        for file in self.files() {
            fs::copy(self.db().join(&file), state.join("db").join(&file)).unwrap();
        }
        Self { state, _dir: dir }
    }

    fn database(&self) -> Database {
        let store = StoreDir::new("/nix/store".into()).unwrap();
        Database::new(&self.state, store).with_busy_timeout(Duration::from_millis(200))
    }

    /// Reads, and sees that nothing has changed by it.
    fn read(&self) -> Result<(StoreData, Summary), DatabaseError> {
        let before = listing(&self.db());
        let result = self.database().read(StoreData::default);
        assert_eq!(listing(&self.db()), before);
        result
    }

    fn paths(&self) -> Vec<i64> {
        self.read().unwrap().0.paths.into_keys().collect()
    }
}

fn add(writer: &Connection, n: u32) {
    writer
        .execute(
            "INSERT INTO ValidPaths VALUES (?1, ?2, 'sha256:0', 1000 + ?1, NULL, 100 * ?1, NULL, NULL, NULL)",
            (n, format!("/nix/store/{}", name(n))),
        )
        .unwrap();
}

/// All that can be seen of a directory and its files, but the times of the last reading, and but the time at which
/// root's `SQLite` gave `-wal` and `-shm` to the owner that they have.
fn listing(dir: &Utf8Path) -> Vec<String> {
    let entries = dir.read_dir_utf8().unwrap();
    let mut paths: Vec<Utf8PathBuf> = entries
        .map(|entry| entry.unwrap().path().to_path_buf())
        .collect();
    paths.push(dir.to_path_buf());
    paths.sort();
    let line = |path: &Utf8PathBuf| {
        let m = fs::symlink_metadata(path).unwrap();
        let chowned = path.as_str().ends_with("-wal") || path.as_str().ends_with("-shm");
        let changed = (!chowned).then(|| (m.ctime(), m.ctime_nsec()));
        let owned = (m.ino(), m.mode(), m.uid(), m.gid());
        let content = (m.len(), m.blocks(), m.mtime(), m.mtime_nsec());
        format!("{path} {owned:?} {content:?} {changed:?}")
    };
    paths.iter().map(line).collect()
}

#[test]
fn every_column_arrives() {
    let fixture = Fixture::quiet();
    let writer = fixture.writer();
    writer
        .execute_batch(&format!(
            "UPDATE ValidPaths SET deriver = '/nix/store/{}', narSize = NULL WHERE id = 1;
             UPDATE ValidPaths SET deriver = '' WHERE id = 2;
             INSERT INTO DerivationOutputs VALUES (2, 'out', '/nix/store/{}');
             CREATE TABLE Realisations (id INTEGER PRIMARY KEY, drvPath TEXT);
             INSERT INTO Realisations VALUES (1, 'anything');",
            name(7),
            name(8)
        ))
        .unwrap();
    writer.close().unwrap();
    let (seen, summary) = fixture.read().unwrap();
    let expected = StoreData {
        paths: BTreeMap::from([
            (1, (name(1), None, 1001, Some(name(7)))),
            (2, (name(2), Some(200), 1002, None)),
        ]),
        references: BTreeSet::from([(2, 1), (2, 2)]),
        outputs: BTreeSet::from([(2, name(8))]),
    };
    assert_eq!(seen, expected);
    let expected = Summary {
        paths: 2,
        references: 2,
        outputs: 1,
        // This table of realisations is none that is known.
        unknown_outputs: true,
    };
    assert_eq!(summary, expected);
}

#[test]
fn rows_in_the_wal_of_a_live_writer_are_seen_and_unfinished_ones_are_not() {
    let (fixture, writer) = Fixture::new("wal");
    assert_eq!(fixture.paths(), [1, 2]);
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    add(&writer, 3);
    assert_eq!(fixture.paths(), [1, 2]);
    writer.execute_batch("COMMIT").unwrap();
    assert_eq!(fixture.paths(), [1, 2, 3]);
    assert_eq!(
        fixture.files(),
        ["db.sqlite", "db.sqlite-shm", "db.sqlite-wal", "schema"]
    );
}

/// Each path that a writer adds comes with a reference to it, so that two moments mixed show in a reference to nothing,
/// or in a path that nothing refers to.
#[rstest]
#[case::with_a_wal("wal")]
#[case::without("delete")]
fn what_is_read_beside_a_writer_is_of_one_moment(#[case] mode: &str) {
    let (fixture, writer) = Fixture::new(mode);
    writer.pragma_update(None, "synchronous", "off").unwrap();
    let enough = &AtomicBool::new(false);
    let (mut reads, mut moments) = (0, BTreeSet::new());
    thread::scope(|scope| {
        scope.spawn(move || {
            for n in 3.. {
                if enough.load(Ordering::Relaxed) {
                    break;
                }
                writer.execute_batch("BEGIN IMMEDIATE").unwrap();
                add(&writer, n);
                writer
                    .execute("INSERT INTO Refs VALUES (?1, ?1)", [n])
                    .unwrap();
                writer.execute_batch("COMMIT").unwrap();
                // Without a WAL nobody reads while somebody writes without a pause.
                if mode == "delete" {
                    thread::sleep(Duration::from_millis(30));
                }
            }
        });
        let _over = crate::support::Over(enough);
        let began = Instant::now();
        while moments.len() < 20 && began.elapsed() < Duration::from_secs(60) {
            let Ok((seen, _)) = fixture.database().read(StoreData::default) else {
                continue;
            };
            reads += 1;
            let paths: Vec<i64> = seen.paths.into_keys().filter(|id| *id > 2).collect();
            let referred: Vec<i64> = seen.references.into_iter().map(|(_, to)| to).collect();
            let referred: Vec<i64> = referred.into_iter().filter(|id| *id > 2).collect();
            moments.insert(paths.len());
            assert_eq!(paths, referred);
        }
    });
    assert!(
        moments.len() > 3,
        "{reads} reads of {} moments",
        moments.len()
    );
}

#[test]
fn rows_in_the_wal_of_a_killed_writer_are_seen() {
    let (fixture, _writer) = Fixture::new("wal");
    assert_eq!(fixture.killed().paths(), [1, 2]);
}

#[test]
fn a_removed_or_empty_wal_is_not_made_anew() {
    let fixture = Fixture::quiet();
    assert_eq!(fixture.paths(), [1, 2]);
    fs::write(fixture.db().join("db.sqlite-wal"), "").unwrap();
    assert_eq!(fixture.paths(), [1, 2]);
}

#[test]
fn a_wal_without_shm_is_an_error_and_not_rows_missed() {
    let (fixture, _writer) = Fixture::new("wal");
    let copy = fixture.killed();
    fs::remove_file(copy.db().join("db.sqlite-shm")).unwrap();
    let error = copy.read().unwrap_err();
    assert!(
        matches!(error.fault, Fault::WalUnreadable { .. }),
        "{error:?}"
    );
}

#[test]
fn a_directory_that_nobody_may_write_to_is_read() {
    for fixture in [Fixture::quiet(), Fixture::new("wal").0.killed()] {
        for file in fixture.files() {
            let file = fixture.db().join(file);
            fs::set_permissions(file, fs::Permissions::from_mode(0o444)).unwrap();
        }
        fs::set_permissions(fixture.db(), fs::Permissions::from_mode(0o555)).unwrap();
        assert_eq!(fixture.paths(), [1, 2]);
        fs::set_permissions(fixture.db(), fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn without_a_wal_a_transaction_under_way_is_waited_for_and_then_named() {
    let (fixture, writer) = Fixture::new("truncate");
    assert_eq!(fixture.paths(), [1, 2]);
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    add(&writer, 3);
    writer.cache_flush().unwrap();
    let error = fixture.read().unwrap_err();
    assert!(matches!(error.fault, Fault::Busy), "{error:?}");
    writer.execute_batch("COMMIT").unwrap();
    assert_eq!(fixture.paths(), [1, 2, 3]);
}

#[test]
fn a_database_locked_for_good_is_busy_before_long() {
    let (fixture, writer) = Fixture::new("wal");
    writer
        .pragma_update(None, "locking_mode", "exclusive")
        .unwrap();
    add(&writer, 3);
    let begun = Instant::now();
    let error = fixture.read().unwrap_err();
    assert!(matches!(error.fault, Fault::Busy), "{error:?}");
    assert!(begun.elapsed() < Duration::from_secs(30));
}

/// Changes the database while it is read without locks, as a checkpoint would.
struct Meddler<'a> {
    fixture: &'a Fixture,
    times: &'a std::cell::Cell<u32>,
    paths: usize,
}

impl RowSink for Meddler<'_> {
    fn path(&mut self, row: PathRow<'_>) {
        self.paths += 1;
        if row.id == 1 && self.times.get() > 0 {
            self.times.set(self.times.get() - 1);
            let writer = self.fixture.writer();
            writer
                .execute_batch("UPDATE ValidPaths SET narSize = narSize + 1")
                .unwrap();
            writer.close().unwrap();
        }
    }
    fn reference(&mut self, _: i64, _: i64) {}
    fn output(&mut self, _: i64, _: &str) {}
}

#[rstest]
#[case(1, true)]
#[case(100, false)]
fn what_changed_while_it_was_read_is_read_anew_and_given_up_at_last(
    #[case] changes: u32,
    #[case] succeeds: bool,
) {
    let fixture = Fixture::quiet();
    let times = std::cell::Cell::new(changes);
    let mut sinks = 0;
    let result = fixture.database().read(|| {
        sinks += 1;
        Meddler {
            fixture: &fixture,
            times: &times,
            paths: 0,
        }
    });
    match result {
        Ok((sink, summary)) => {
            assert!(succeeds);
            assert_eq!((sinks, sink.paths, summary.paths), (2, 2, 2));
        }
        Err(error) => {
            assert!(!succeeds);
            assert!(matches!(error.fault, Fault::Changing), "{error:?}");
            assert_eq!(sinks, 5);
        }
    }
}

#[rstest]
#[case::missing("rm", "does not exist")]
#[case::missing_schema("rm-schema", "schema does not exist")]
#[case::newer_schema("schema", "has database schema `11`; supported is 10")]
#[case::text("text", "is not an SQLite database")]
#[case::empty("empty", "is not an SQLite database")]
#[case::a_directory("directory", "is not an SQLite database")]
#[case::cut_off("cut", "is damaged")]
#[case::table("DROP TABLE Refs", "lacks a table or column")]
#[case::column(
    "ALTER TABLE ValidPaths DROP COLUMN narSize",
    "lacks a table or column"
)]
#[case::outside(
    "UPDATE ValidPaths SET path = '/gnu/store/x' WHERE id = 2",
    "belongs to another store: its path 2 is /gnu/store/x, which is not in /nix/store"
)]
#[case::name(
    "UPDATE ValidPaths SET path = '/nix/store/.links' WHERE id = 2",
    "row 2 of ValidPaths contains `/nix/store/.links`, which is not a store path"
)]
#[case::below(
    "UPDATE ValidPaths SET path = path || '/bin' WHERE id = 2",
    "which is not a store path"
)]
#[case::deriver(
    "UPDATE ValidPaths SET deriver = 'unknown' WHERE id = 2",
    "row 2 of ValidPaths has `unknown`"
)]
#[case::bytes(
    "UPDATE ValidPaths SET path = x'ff' WHERE id = 2",
    "row 2 of ValidPaths has bytes for a path"
)]
#[case::not_utf_8(
    "UPDATE ValidPaths SET path = CAST(x'2fff' AS TEXT) WHERE id = 2",
    "row 2 of ValidPaths has a text for a path"
)]
#[case::time(
    "UPDATE ValidPaths SET registrationTime = 'late' WHERE id = 1",
    "row 1 of ValidPaths has a text for a number"
)]
#[case::size(
    "UPDATE ValidPaths SET narSize = -1 WHERE id = 1",
    "row 1 of ValidPaths has a negative size"
)]
#[case::reference(
    "UPDATE Refs SET reference = 'x' WHERE reference = 1",
    "row 2 of Refs has a text for a number"
)]
fn what_cannot_be_believed_is_an_error_with_advice(#[case] harm: &str, #[case] expected: &str) {
    let fixture = Fixture::quiet();
    let file = fixture.db().join("db.sqlite");
    match harm {
        "rm" => fs::remove_file(&file).unwrap(),
        "rm-schema" => fs::remove_file(fixture.db().join("schema")).unwrap(),
        "schema" => fs::write(fixture.db().join("schema"), "11").unwrap(),
        "text" => fs::write(&file, "nothing of the kind\n".repeat(500)).unwrap(),
        "empty" => fs::write(&file, "").unwrap(),
        "directory" => {
            fs::remove_file(&file).unwrap();
            fs::create_dir(&file).unwrap();
        }
        "cut" => {
            let writer = fixture.writer();
            for n in 3..2000 {
                add(&writer, n);
            }
            writer.close().unwrap();
            let file = fs::File::options().write(true).open(&file).unwrap();
            file.set_len(file.metadata().unwrap().len() / 2).unwrap();
        }
        sql => {
            let writer = fixture.writer();
            writer.execute_batch(sql).unwrap();
            writer.close().unwrap();
        }
    }
    let error = fixture.read().unwrap_err();
    assert!(error.to_string().contains(expected), "{error}");
    assert!(error.fault.trouble().1.ends_with('.'));
}

const CHILD: &str = "NIX_PRUNE_TEST_DATABASE";

/// The part of the tests below that runs as another user.
#[test]
fn child_reads_what_it_is_told() {
    // Only as a child of the test that starts it, as another user.
    let Ok(told) = std::env::var(CHILD) else {
        return;
    };
    let (store, state) = told.split_once(':').unwrap();
    let store = StoreDir::new(store.into()).unwrap();
    let (seen, _) = Database::new(state.into(), store)
        .read(StoreData::default)
        .unwrap();
    println!("\nSEEN {}", seen.paths.len());
}

/// Reads as nobody, or as ourselves when we are not root: the number of paths.
fn read_as_ordinary_user(store: &StoreDir, state: &Utf8Path) -> usize {
    let told = format!("{store}:{state}");
    let text = as_ordinary_user("database::child_reads_what_it_is_told", CHILD, &told);
    let seen = text.lines().find_map(|line| line.strip_prefix("SEEN "));
    seen.unwrap_or_else(|| panic!("{text}")).parse().unwrap()
}

#[test]
fn another_user_reads_what_root_reads() {
    let store = StoreDir::new("/nix/store".into()).unwrap();
    let (live, _writer) = Fixture::new("wal");
    for fixture in [Fixture::quiet(), live.killed(), live] {
        // Root first: had it written, there would be nothing to read for the other.
        assert_eq!(fixture.paths(), [1, 2]);
        let before = listing(&fixture.db());
        assert_eq!(read_as_ordinary_user(&store, &fixture.state), 2);
        assert_eq!(listing(&fixture.db()), before);
        assert_eq!(fixture.paths(), [1, 2]);
    }
}

const EXPRESSION: &str = r#"
let make = name: refs: derivation {
  inherit name; system = builtins.currentSystem; builder = "/bin/sh";
  args = [ "-c" "echo $refs $out > $out; echo $out > $dev" ]; refs = refs; outputs = [ "out" "dev" ];
};
in make "b" [ (make "a" [ ]) ./expression.nix ]
"#;

/// What `nix-store --dump-db` says: path, size, deriver, references.
fn dumped(text: &str) -> BTreeMap<String, (u64, String, BTreeSet<String>)> {
    let mut lines = text.lines();
    let mut all = BTreeMap::new();
    while let Some(path) = lines.next() {
        let mut next = || lines.next().unwrap().to_string();
        let (_hash, size, deriver, count) = (next(), next(), next(), next());
        let references = (0..count.parse().unwrap()).map(|_| next()).collect();
        all.insert(
            path.to_string(),
            (size.parse().unwrap(), deriver, references),
        );
    }
    all
}

#[test]
fn real_nix_says_the_same_of_its_store_and_nothing_changes() {
    for bin in real::versions() {
        let nix = real::RealStore::new(&bin);
        fs::set_permissions(nix.root(), fs::Permissions::from_mode(0o755)).unwrap();
        nix.build(EXPRESSION);
        let db = nix.state_dir().join("db");
        let before = listing(&db);
        let database = Database::new(&nix.state_dir(), nix.store_dir());
        let (seen, _) = database.read(StoreData::default).unwrap();
        assert_eq!(
            read_as_ordinary_user(&nix.store_dir(), &nix.state_dir()),
            seen.paths.len()
        );
        assert_eq!(listing(&db), before);

        let absolute = |name: &str| format!("{}/{name}", nix.store_dir());
        let mut ours: BTreeMap<_, _> = seen
            .paths
            .values()
            .map(|(name, size, _, deriver)| {
                let deriver = deriver.as_deref().map(absolute).unwrap_or_default();
                (absolute(name), (size.unwrap(), deriver, BTreeSet::new()))
            })
            .collect();
        for (referrer, reference) in &seen.references {
            let (from, to) = (&seen.paths[referrer].0, &seen.paths[reference].0);
            let entry = ours.get_mut(&absolute(from)).unwrap();
            entry.2.insert(absolute(to));
        }
        let theirs = dumped(&nix.run("nix-store", &["--dump-db"]));
        assert_eq!(ours, theirs);
        assert!(ours.values().any(|(_, deriver, _)| !deriver.is_empty()));
        for (drv, output) in &seen.outputs {
            let drv = absolute(&seen.paths[drv].0);
            let outputs = nix.run("nix-store", &["--query", "--outputs", &drv]);
            assert!(outputs.lines().any(|line| line == absolute(output)));
        }
        assert_eq!(seen.outputs.len(), 4);
    }
}
