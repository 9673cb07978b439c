//! Check that the indexes match their tables: Nix finds paths, referrers and derivers through the indexes and treats a missing
//! path as garbage, while the scans read the tables.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{slice, thread};

use foldhash::quality::FixedState;
use rusqlite::Connection;
use rusqlite::functions::{Aggregate, Context, FunctionFlags};
use rusqlite::types::ValueRef;

use super::Fault;
use super::chunk::Chunk;
use crate::adapters::threads::joined;

const TABLES: [&str; 3] = ["Refs", "ValidPaths", "DerivationOutputs"];

/// The indexes that Nix's collector uses.
const NEEDED: [&str; 3] = [
    "sqlite_autoindex_ValidPaths_1",
    "IndexReference",
    "IndexDerivationOutputs",
];

/// Counts the entries of the indexes that Nix's collector uses.
pub(super) fn count(
    connection: &Connection,
    give: &mut dyn FnMut(Chunk) -> bool,
) -> Result<(), Fault> {
    for table in TABLES {
        for index in indexes_of(connection, table)? {
            if !NEEDED.contains(&index.name.as_str()) {
                continue;
            }
            let entries = index.count(connection, table)?;
            let index = index.name;
            if !give(Chunk::Index {
                table,
                index,
                entries,
            }) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Compares every index with its table, row by row, in several threads where their connections see the same moment.
///
/// # Errors
/// [`Fault::Index`] for one that does not match.
pub(super) fn compare(
    open: &(dyn Fn() -> Result<Connection, Fault> + Sync),
    threads: usize,
) -> Result<(), Fault> {
    let connection = open()?;
    let mut all = Vec::new();
    for table in TABLES {
        all.push((table, indexes_of(&connection, table)?));
    }
    // The table with the most rows comes first; a transaction ends with its connection.
    let mut parts: Vec<Part<'_>> = all
        .iter()
        .flat_map(|(table, of)| parts(table, of))
        .collect();
    parts.reverse();
    let (parts, sums) = (Mutex::new(parts), Mutex::new(Vec::new()));
    let work = |connection: Connection| -> Result<(), Fault> {
        let _transaction = connection.unchecked_transaction()?;
        loop {
            let part = lock(&parts).pop();
            let Some(part) = part else { return Ok(()) };
            let found = part.sums(&connection)?;
            lock(&sums).extend(found);
        }
    };
    thread::scope(|scope| {
        let helpers = (1..threads).map(|_| {
            let connection = open()?;
            let builder = thread::Builder::new();
            let helper = builder.spawn_scoped(scope, || work(connection));
            helper.map_err(Fault::NoThread)
        });
        let helpers = helpers.collect::<Result<Vec<_>, Fault>>()?;
        let done = work(connection);
        helpers.into_iter().map(joined).fold(done, Result::and)
    })?;
    let mut expected = HashMap::new();
    for (table, index, sum) in lock(&sums).drain(..) {
        if *expected.entry((table, index)).or_insert(sum) != sum {
            let index = index.to_string();
            return Err(Fault::Index { table, index });
        }
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is scanned at once.
enum Part<'a> {
    /// A table, for the sums that all of its indexes should have.
    Table(&'static str, &'a [Index]),
    /// One index, for its own.
    Index(&'static str, &'a Index),
}

fn parts<'a>(table: &'static str, indexes: &'a [Index]) -> impl Iterator<Item = Part<'a>> {
    let all = (!indexes.is_empty()).then_some(Part::Table(table, indexes));
    let each = indexes.iter().map(move |index| Part::Index(table, index));
    all.into_iter().chain(each)
}

impl<'a> Part<'a> {
    /// Sums over the rows, in whatever order they come, each with its table and index.
    fn sums(&self, connection: &Connection) -> Result<Vec<(&'static str, &'a str, u64)>, Fault> {
        let (table, indexes, how) = match self {
            Self::Table(table, indexes) => (*table, *indexes, "NOT INDEXED".to_string()),
            Self::Index(table, index) => {
                let how = format!("INDEXED BY {}", quoted(&index.name));
                (*table, slice::from_ref(*index), how)
            }
        };
        let mut columns: Vec<&str> = vec!["rowid"];
        let mut places = Vec::new();
        for index in indexes {
            let of = index.columns.iter().map(|name| {
                let known = columns.iter().position(|known| known == name);
                known.unwrap_or_else(|| {
                    columns.push(name);
                    columns.len() - 1
                })
            });
            places.push([0].into_iter().chain(of).collect());
        }
        let all: Vec<String> = columns.iter().map(|name| quoted(name)).collect();
        let sums = Sums {
            places,
            state: FixedState::default(),
        };
        connection.create_aggregate_function(SUMS, -1, FunctionFlags::SQLITE_UTF8, sums)?;
        let query = format!("SELECT {SUMS}({}) FROM {table} {how}", all.join(", "));
        let sums: Vec<u8> = connection.query_row(&query, [], |row| row.get(0))?;
        let sums = sums.as_chunks().0.iter().copied().map(u64::from_le_bytes);
        let named = indexes.iter().zip(sums);
        Ok(named
            .map(|(index, sum)| (table, index.name.as_str(), sum))
            .collect())
    }
}

/// Sums over rows of the hashes of some of their values, as a function of `SQLite`: much less per row than to fetch them.
struct Sums {
    /// Which arguments each sum is of.
    places: Vec<Vec<usize>>,
    state: FixedState,
}

const SUMS: &str = "nix_prune_sums";

/// The hashes of the values of a row, and the sums so far.
struct Accumulator {
    values: Vec<u64>,
    sums: Vec<u64>,
}

impl Aggregate<Accumulator, Vec<u8>> for Sums {
    fn init(&self, _: &mut Context<'_>) -> rusqlite::Result<Accumulator> {
        Ok(Accumulator {
            values: Vec::new(),
            sums: vec![0; self.places.len()],
        })
    }

    fn step(&self, row: &mut Context<'_>, so_far: &mut Accumulator) -> rusqlite::Result<()> {
        let Accumulator { values, sums } = so_far;
        values.clear();
        values.extend((0..row.len()).map(|n| self.hash(row.get_raw(n))));
        for (sum, places) in sums.iter_mut().zip(&self.places) {
            let mut hasher = self.state.build_hasher();
            let of = places.iter().filter_map(|place| values.get(*place));
            of.for_each(|value| hasher.write_u64(*value));
            *sum = sum.wrapping_add(hasher.finish());
        }
        Ok(())
    }

    fn finalize(
        &self,
        _: &mut Context<'_>,
        so_far: Option<Accumulator>,
    ) -> rusqlite::Result<Vec<u8>> {
        let sums = so_far.map_or_else(|| vec![0; self.places.len()], |so_far| so_far.sums);
        Ok(sums.into_iter().flat_map(u64::to_le_bytes).collect())
    }
}

impl Sums {
    fn hash(&self, value: ValueRef<'_>) -> u64 {
        match value {
            ValueRef::Null => self.state.hash_one(()),
            ValueRef::Integer(number) => self.state.hash_one(number),
            ValueRef::Real(number) => self.state.hash_one(number.to_bits()),
            ValueRef::Text(text) => self.state.hash_one(text),
            ValueRef::Blob(bytes) => self.state.hash_one((1u8, bytes)),
        }
    }
}

struct Index {
    name: String,
    columns: Vec<String>,
}

/// The indexes of a table. One that Nix has and that is missing here only makes Nix slow.
fn indexes_of(connection: &Connection, table: &str) -> Result<Vec<Index>, Fault> {
    const NAMES: &str = "SELECT name FROM pragma_index_list(?1) WHERE NOT partial";
    const COLUMNS: &str = "SELECT name FROM pragma_index_info(?1) WHERE name IS NOT NULL";
    let column = |row: &rusqlite::Row<'_>| row.get::<_, String>(0);
    let mut names = connection.prepare(NAMES)?;
    let mut columns = connection.prepare(COLUMNS)?;
    let names: Vec<String> = names
        .query_map([table], column)?
        .collect::<Result<_, _>>()?;
    let mut all = Vec::new();
    for name in names {
        let columns: Vec<String> = columns
            .query_map([&name], column)?
            .collect::<Result<_, _>>()?;
        if !columns.is_empty() {
            all.push(Index { name, columns });
        }
    }
    Ok(all)
}

impl Index {
    fn count(&self, connection: &Connection, table: &str) -> Result<u64, Fault> {
        // With a condition that all fulfil, for a count of all rows is taken from whichever tree is the smallest.
        let first = self.columns.first().map(|name| quoted(name));
        let (first, index) = (first.unwrap_or_default(), quoted(&self.name));
        let statement =
            format!("SELECT count(*) FROM {table} INDEXED BY {index} WHERE {first} > ?1");
        let least = i64::MIN;
        let count: i64 = connection.query_row(&statement, [least], |row| row.get(0))?;
        Ok(u64::try_from(count).unwrap_or_default())
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use rusqlite::config::DbConfig;

    use super::*;

    const SCHEMA: &str = "
        create table ValidPaths (id integer primary key, path text unique);
        create table DerivationOutputs (drv integer, id text, path text);
        create table Refs (referrer integer, reference integer);
        create index IndexReference on Refs(reference);
        create table Other (referrer integer, reference integer);
        create index OtherIndex on Other(reference);
        insert into Refs values (1, 7), (2, 8), (3, 8), (4, 9);
        insert into Other select * from Refs;";
    /// `Refs` gets the index of the other table.
    const SWAP: &str = "pragma writable_schema = 1;
        update sqlite_schema set rootpage = (select rootpage from sqlite_schema where name = 'OtherIndex')
        where name = 'IndexReference';";

    #[rstest]
    #[case::the_same("", true)]
    #[case::another_value("update Other set reference = 5 where rowid = 2", false)]
    #[case::another_row_with_the_same_value("update Other set rowid = 5 where rowid = 2", false)]
    #[case::one_less("delete from Other where rowid = 1", false)]
    #[case::one_more("insert into Other values (4, 9)", false)]
    #[case::a_text_for_a_number("update Other set reference = 'x' where rowid = 2", false)]
    fn an_index_has_the_rows_of_its_table(#[case] change: &str, #[case] matches: bool) {
        let (_dir, base) = crate::support::scratch();
        let file = base.join("db.sqlite");
        let connection = Connection::open(&file).unwrap();
        connection.execute_batch(SCHEMA).unwrap();
        connection.execute_batch(change).unwrap();
        let defensive = DbConfig::SQLITE_DBCONFIG_DEFENSIVE;
        connection.set_db_config(defensive, false).unwrap();
        connection.execute_batch(SWAP).unwrap();
        drop(connection);
        for threads in [1, 3] {
            let compared = compare(&|| Ok(Connection::open(&file)?), threads);
            match compared {
                Ok(()) => assert!(matches),
                Err(Fault::Index { table, index }) => {
                    assert!(!matches);
                    assert_eq!((table, index.as_str()), ("Refs", "IndexReference"));
                }
                Err(fault) => panic!("{fault:?}"),
            }
        }
    }
}
