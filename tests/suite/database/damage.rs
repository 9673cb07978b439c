//! Damage is told apart from what only cannot be read: Nix finds paths by indexes and takes what it does not find for garbage.

use std::fs;
use std::io::{Seek, SeekFrom, Write};

use camino::Utf8Path;
use nix_prune::adapters::database::{DatabaseError, Fault};
use nix_prune::ports::StoreReadTrouble;
use rstest::rstest;
use rusqlite::Connection;

use super::{Fixture, StoreData, add, name};

/// A database with thirty paths, references between them, and outputs.
fn fixture() -> Fixture {
    let fixture = Fixture::quiet();
    let writer = fixture.writer();
    for n in 3..30 {
        add(&writer, n);
        writer
            .execute("INSERT INTO Refs VALUES (?1, ?2)", [n, n - 1])
            .unwrap();
        let output = format!("/nix/store/{}", name(n));
        writer
            .execute(
                "INSERT INTO DerivationOutputs VALUES (1, ?1, ?2)",
                (n.to_string(), output),
            )
            .unwrap();
    }
    writer.close().unwrap();
    fixture
}

/// Writes an empty page, or noise, in the place of the first page of a tree.
pub(crate) fn spoil(database: &Utf8Path, tree: &str, is_noise: bool) {
    let writer = Connection::open(database).unwrap();
    let query = "SELECT rootpage, (SELECT page_size FROM pragma_page_size), type FROM sqlite_schema WHERE name = ?1";
    let (page, size, kind): (i64, i64, String) = writer
        .query_row(query, [tree], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .unwrap();
    writer.close().unwrap();
    let mut text = vec![0; usize::try_from(size).unwrap()];
    text[0] = if kind == "index" { 10 } else { 13 };
    text[5..7].copy_from_slice(&u16::try_from(size).unwrap().to_be_bytes());
    if is_noise {
        text.fill(0xff);
    }
    let mut file = fs::File::options().write(true).open(database).unwrap();
    let start = u64::try_from((page - 1) * size).unwrap();
    file.seek(SeekFrom::Start(start)).unwrap();
    file.write_all(&text).unwrap();
}

fn empty(fixture: &Fixture, tree: &str) {
    spoil(&fixture.db().join("db.sqlite"), tree, false);
}

/// Changes rows while the database does not know that it has an index on them.
fn change_without_index(fixture: &Fixture, index: &str, change: &str) {
    let reopened = |sql: &str| {
        let writer = fixture.writer();
        writer.pragma_update(None, "writable_schema", "on").unwrap();
        writer.execute_batch(sql).unwrap();
        writer.close().unwrap();
    };
    reopened(&format!(
        "CREATE TABLE Kept AS SELECT * FROM sqlite_schema WHERE name = '{index}';
         DELETE FROM sqlite_schema WHERE name = '{index}'"
    ));
    reopened(change);
    reopened("INSERT INTO sqlite_schema SELECT * FROM Kept; DROP TABLE Kept");
}

fn thorough(fixture: &Fixture) -> Result<StoreData, DatabaseError> {
    let database = fixture.database();
    database.compare_indexes(2)?;
    database.read(StoreData::default).map(|(seen, _)| seen)
}

fn is_damage(error: &DatabaseError) -> bool {
    error.fault.trouble().0 == StoreReadTrouble::Damaged
}

fn assert_index(error: &DatabaseError, expected: &str) {
    assert!(is_damage(error), "{error}");
    assert!(
        matches!(&error.fault, Fault::Index { index, .. } if index == expected),
        "{error}"
    );
    assert!(
        error.fault.trouble().1.contains("REINDEX"),
        "{}",
        error.fault.trouble().1
    );
}

#[test]
fn a_database_that_is_in_order_passes_both_looks() {
    let fixture = fixture();
    let (seen, summary) = fixture.read().unwrap();
    assert_eq!((summary.paths, summary.references), (29, 29));
    assert_eq!(thorough(&fixture).unwrap(), seen);
    // With rows in the WAL as well.
    let (live, writer) = Fixture::new("wal");
    add(&writer, 3);
    assert_eq!(live.paths(), [1, 2, 3]);
    assert_eq!(thorough(&live).unwrap().paths.len(), 3);
    // An index that is not there makes Nix slow, and nothing else.
    let writer = fixture.writer();
    writer
        .execute_batch(
            "DROP INDEX IndexReference; CREATE INDEX Own ON Refs(reference) WHERE reference > 9;
             CREATE INDEX OfDerivers ON ValidPaths(deriver)",
        )
        .unwrap();
    writer.close().unwrap();
    assert_eq!(thorough(&fixture).unwrap(), seen);
}

#[rstest]
#[case("sqlite_autoindex_ValidPaths_1", true)]
#[case("IndexReference", true)]
#[case("IndexDerivationOutputs", true)]
#[case("IndexReferrer", false)]
#[case("sqlite_autoindex_Refs_1", false)]
#[case("sqlite_autoindex_DerivationOutputs_1", false)]
fn an_index_that_lost_its_entries_is_damage(#[case] index: &str, #[case] by_any_look: bool) {
    let fixture = fixture();
    empty(&fixture, index);
    assert_index(&thorough(&fixture).unwrap_err(), index);
    match fixture.read() {
        Err(error) => assert_index(&error, index),
        Ok(_) => assert!(!by_any_look, "{index}"),
    }
}

#[rstest]
#[case("ValidPaths")]
#[case("Refs")]
#[case("DerivationOutputs")]
fn a_table_that_lost_its_rows_is_damage(#[case] table: &str) {
    let fixture = fixture();
    empty(&fixture, table);
    let error = fixture.read().unwrap_err();
    assert!(matches!(error.fault, Fault::Index { .. }), "{error}");
    assert!(is_damage(&error));
}

#[rstest]
#[case::entries_missing("IndexReference", "INSERT INTO Refs VALUES (5, 1)", true)]
#[case::entries_too_many("IndexReference", "DELETE FROM Refs WHERE referrer = 9", true)]
#[case::others_of_the_same_number(
    "IndexReference",
    "UPDATE Refs SET reference = 2 WHERE referrer = 9",
    false
)]
#[case::of_another_row(
    "IndexReference",
    "UPDATE Refs SET rowid = 100000 WHERE rowid = (SELECT max(rowid) FROM Refs)",
    false
)]
#[case::outputs_of_the_same_number(
    "IndexDerivationOutputs",
    "UPDATE DerivationOutputs SET path = '/nix/store/00000000000000000000000000000001-x' WHERE id = '7'",
    false
)]
fn an_index_that_disagrees_with_its_table_is_damage(
    #[case] index: &str,
    #[case] change: &str,
    #[case] by_any_look: bool,
) {
    let fixture = fixture();
    change_without_index(&fixture, index, change);
    assert_index(&thorough(&fixture).unwrap_err(), index);
    match fixture.read() {
        Err(error) => assert_index(&error, index),
        Ok(_) => assert!(!by_any_look, "{index}"),
    }
}

/// A copy of the database in which one row was changed by hand.
fn changed(change: &str) -> DatabaseError {
    let fixture = fixture();
    let writer: Connection = fixture.writer();
    writer.execute_batch(change).unwrap();
    writer.close().unwrap();
    fixture.read().unwrap_err()
}

#[rstest]
#[case("UPDATE ValidPaths SET path = CAST(path AS BLOB) WHERE id = 2")]
#[case("UPDATE ValidPaths SET path = path || char(27) WHERE id = 2")]
#[case("UPDATE ValidPaths SET path = '/nix/store/notapath' WHERE id = 2")]
#[case("UPDATE ValidPaths SET path = 7 WHERE id = 2")]
#[case("UPDATE ValidPaths SET deriver = x'00' WHERE id = 2")]
#[case("UPDATE ValidPaths SET narSize = 'abc' WHERE id = 2")]
#[case("UPDATE ValidPaths SET registrationTime = 1.5 WHERE id = 2")]
#[case("UPDATE Refs SET reference = x'01' WHERE referrer = 5")]
#[case("UPDATE DerivationOutputs SET path = 'unknown' WHERE id = '7'")]
fn a_row_that_cannot_be_is_damage_and_no_command_that_stops_at_it_is_advised(#[case] change: &str) {
    let error = changed(change);
    assert!(matches!(error.fault, Fault::Row { .. }), "{error}");
    assert!(is_damage(&error), "{error}");
    // Executed with 2.8, 2.26 and 2.34: it fails at a path that is none, or passes over the row.
    assert!(
        !error.fault.trouble().1.contains("nix-store"),
        "{}",
        error.fault.trouble().1
    );
    assert!(
        error.fault.trouble().1.contains("backup"),
        "{}",
        error.fault.trouble().1
    );
}

#[test]
fn what_only_cannot_be_read_is_no_damage() {
    let read = |change: &dyn Fn(&Utf8Path)| {
        let fixture = fixture();
        change(&fixture.db());
        let error = fixture.read().unwrap_err();
        assert!(!is_damage(&error), "{error}");
        error
    };
    let missing = read(&|db| fs::remove_file(db.join("db.sqlite")).unwrap());
    assert!(matches!(missing.fault, Fault::Missing));
    let newer = read(&|db| fs::write(db.join("schema"), "11").unwrap());
    assert!(matches!(newer.fault, Fault::UnknownSchema { .. }));
    let (fixture, writer) = Fixture::new("truncate");
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    add(&writer, 3);
    writer.cache_flush().unwrap();
    let busy = fixture.read().unwrap_err();
    assert!(matches!(busy.fault, Fault::Busy), "{busy}");
    assert!(!is_damage(&busy));
}
