//! The work that nobody who answers from the database can leave out, and nothing else: one thread, no graph.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};

use super::stores::Store;

/// A scan of the needed columns, one reading of the store directory without a stat, and the links of all roots.
pub(crate) fn all(store: &Store) -> Duration {
    let begun = Instant::now();
    black_box(scan(&store.state().join("db/db.sqlite")));
    black_box(fs::read_dir(store.store()).map_or(0, Iterator::count));
    black_box(["gcroots", "profiles"].map(|dir| links(&store.state().join(dir))));
    begun.elapsed()
}

fn scan(database: &Path) -> i64 {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let uri = format!("file:{}?immutable=1", database.display());
    let connection = Connection::open_with_flags(uri, flags).unwrap();
    let mut sum = 0;
    for (query, columns) in [
        (
            "SELECT id, path, registrationTime, deriver, narSize FROM ValidPaths",
            5,
        ),
        ("SELECT referrer, reference FROM Refs", 2),
        ("SELECT drv, path FROM DerivationOutputs", 2),
    ] {
        let mut statement = connection.prepare(query).unwrap();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            for column in 0..columns {
                sum += i64::from(matches!(
                    black_box(row.get_ref(column).unwrap()),
                    rusqlite::types::ValueRef::Null
                ));
            }
        }
    }
    sum
}

fn links(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else {
        return 0;
    };
    entries.map(Result::unwrap).fold(0, |sum, entry| {
        let kind = entry.file_type().unwrap();
        if kind.is_symlink() {
            black_box(fs::read_link(entry.path()).unwrap());
            sum + 1
        } else if kind.is_dir() {
            sum + links(&entry.path())
        } else {
            sum
        }
    })
}
