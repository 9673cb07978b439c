//! The scans: each table once, in the order in which it lies on disk, without an allocation a row.

use rusqlite::types::{Type, ValueRef};
use rusqlite::{Connection, Row};

use super::PathRow;
use super::chunk::{Chunk, Outputs, Paths, ROWS};
use crate::adapters::store_dir::is_base_name;
use crate::domain::store_path::StoreDir;

const PATHS: &str = "SELECT id, path, registrationTime, deriver, narSize FROM ValidPaths";
const REFERENCES: &str = "SELECT referrer, reference FROM Refs";
const OUTPUTS: &str = "SELECT drv, path FROM DerivationOutputs";

/// Why a scan ended early.
#[derive(Debug)]
pub(super) enum ScanError {
    Sqlite(rusqlite::Error),
    Row {
        table: &'static str,
        row: i64,
        why: String,
    },
}

impl From<rusqlite::Error> for ScanError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// Reads the three tables in one transaction, so that they belong together, and gives the rows to `give` some thousands
/// at a time; ends early, without an error, when that refuses.
pub(super) fn scan(
    connection: &Connection,
    store: &StoreDir,
    mut give: impl FnMut(Chunk) -> bool,
) -> Result<(), ScanError> {
    // Rolled back when it goes; there is nothing to commit.
    let transaction = connection.unchecked_transaction()?;
    let names = Names::of(store);
    let mut paths = transaction.prepare(PATHS)?;
    let mut references = transaction.prepare(REFERENCES)?;
    let mut outputs = transaction.prepare(OUTPUTS)?;

    let mut chunk = Paths::new();
    let mut rows = paths.query([])?;
    while let Some(row) = rows.next()? {
        chunk.push(names.path_row(row)?);
        if chunk.is_full() && !give(Chunk::Paths(std::mem::replace(&mut chunk, Paths::new()))) {
            return Ok(());
        }
    }
    if !give(Chunk::Paths(chunk)) {
        return Ok(());
    }
    let mut chunk = Vec::with_capacity(ROWS);
    let mut rows = references.query([])?;
    while let Some(row) = rows.next()? {
        let referrer = number(row, 0, "Refs", 0)?;
        chunk.push((referrer, number(row, 1, "Refs", referrer)?));
        if chunk.len() == ROWS {
            let full = std::mem::replace(&mut chunk, Vec::with_capacity(ROWS));
            if !give(Chunk::References(full)) {
                return Ok(());
            }
        }
    }
    if !give(Chunk::References(chunk)) {
        return Ok(());
    }
    let mut chunk = Outputs::default();
    let mut rows = outputs.query([])?;
    while let Some(row) = rows.next()? {
        let drv = number(row, 0, "DerivationOutputs", 0)?;
        chunk.push(drv, names.text(row, 1, "DerivationOutputs", drv)?);
        if chunk.rows.len() == ROWS && !give(Chunk::Outputs(std::mem::take(&mut chunk))) {
            return Ok(());
        }
    }
    give(Chunk::Outputs(chunk));
    Ok(())
}

/// Takes the store directory off.
struct Names {
    prefix: String,
}

impl Names {
    fn of(store: &StoreDir) -> Self {
        let dir = store.as_path().as_str().trim_end_matches('/');
        Self {
            prefix: format!("{dir}/"),
        }
    }

    fn path_row<'a>(&self, row: &'a Row<'_>) -> Result<PathRow<'a>, ScanError> {
        const TABLE: &str = "ValidPaths";
        let id = number(row, 0, TABLE, 0)?;
        // An empty deriver is what very old versions wrote for none.
        let deriver = match row.get_ref(3)? {
            ValueRef::Null | ValueRef::Text(b"") => None,
            _ => Some(self.text(row, 3, TABLE, id)?),
        };
        // Nix itself takes 0 for "not known".
        let nar_size = match row.get_ref(4)? {
            ValueRef::Null | ValueRef::Integer(0) => None,
            _ => Some(
                u64::try_from(number(row, 4, TABLE, id)?)
                    .map_err(|_| wrong(TABLE, id, "has a negative size"))?,
            ),
        };
        Ok(PathRow {
            id,
            base_name: self.text(row, 1, TABLE, id)?,
            nar_size,
            registered: number(row, 2, TABLE, id)?,
            deriver,
        })
    }

    fn text<'a>(
        &self,
        row: &'a Row<'_>,
        column: usize,
        table: &'static str,
        id: i64,
    ) -> Result<&'a str, ScanError> {
        let value = row.get_ref(column)?;
        let Ok(text) = value.as_str() else {
            let kind = value.data_type();
            return Err(wrong(table, id, &format!("has {} for a path", named(kind))));
        };
        match text.strip_prefix(self.prefix.as_str()) {
            Some(name) if is_base_name(name) => Ok(name),
            Some(_) => Err(wrong(
                table,
                id,
                &format!("has `{text}`, which is not a store path"),
            )),
            None => Err(wrong(
                table,
                id,
                &format!("has `{text}`, which is not in {}", self.prefix),
            )),
        }
    }
}

fn number(row: &Row<'_>, column: usize, table: &'static str, id: i64) -> Result<i64, ScanError> {
    match row.get_ref(column)? {
        ValueRef::Integer(number) => Ok(number),
        other => Err(wrong(
            table,
            id,
            &format!("has {} for a number", named(other.data_type())),
        )),
    }
}

fn named(kind: Type) -> &'static str {
    match kind {
        Type::Null => "nothing",
        Type::Integer => "an integer",
        Type::Real => "a fraction",
        Type::Text => "a text",
        Type::Blob => "bytes",
    }
}

fn wrong(table: &'static str, row: i64, why: &str) -> ScanError {
    ScanError::Row {
        table,
        row,
        why: why.to_string(),
    }
}
