//! Check that the indexes match their tables: Nix finds paths, referrers and derivers through the indexes and treats a missing
//! path as garbage, while the scans read the tables.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::Fault;
use super::chunk::Chunk;

const TABLES: [&str; 3] = ["ValidPaths", "Refs", "DerivationOutputs"];

/// The indexes that Nix's collector uses.
const NEEDED: [&str; 3] = [
    "sqlite_autoindex_ValidPaths_1",
    "IndexReference",
    "IndexDerivationOutputs",
];

/// Counts the entries of the indexes that a collector uses; thoroughly, every index is compared with its table.
pub(super) fn scan(
    connection: &Connection,
    thorough: bool,
    give: &mut dyn FnMut(Chunk) -> bool,
) -> Result<(), Fault> {
    for table in TABLES {
        for index in indexes_of(connection, table)? {
            let is_needed = NEEDED.contains(&index.name.as_str());
            if !thorough && !is_needed {
                continue;
            }
            if thorough && index.digest(connection, table)? != index.expected(connection, table)? {
                let index = index.name;
                return Err(Fault::Index { table, index });
            }
            if !is_needed {
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

    fn digest(&self, connection: &Connection, table: &str) -> Result<u64, Fault> {
        self.digest_by(
            connection,
            table,
            &format!("INDEXED BY {}", quoted(&self.name)),
        )
    }

    fn expected(&self, connection: &Connection, table: &str) -> Result<u64, Fault> {
        self.digest_by(connection, table, "NOT INDEXED")
    }

    /// A sum over the rows, in whatever order they come.
    fn digest_by(&self, connection: &Connection, table: &str, how: &str) -> Result<u64, Fault> {
        let columns: Vec<String> = self.columns.iter().map(|name| quoted(name)).collect();
        let columns = columns.join(", ");
        let mut statement =
            connection.prepare(&format!("SELECT rowid, {columns} FROM {table} {how}"))?;
        let width = statement.column_count();
        let mut rows = statement.query([])?;
        let mut sum = 0u64;
        while let Some(row) = rows.next()? {
            let mut hasher = DefaultHasher::new();
            for column in 0..width {
                match row.get_ref(column)? {
                    ValueRef::Null => 0u8.hash(&mut hasher),
                    ValueRef::Integer(number) => number.hash(&mut hasher),
                    ValueRef::Real(number) => number.to_bits().hash(&mut hasher),
                    ValueRef::Text(text) => text.hash(&mut hasher),
                    ValueRef::Blob(bytes) => (1u8, bytes).hash(&mut hasher),
                }
            }
            sum = sum.wrapping_add(hasher.finish());
        }
        Ok(sum)
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
