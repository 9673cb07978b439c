//! Table scans: each table once, in the order on disk, without an allocation for each row. Work that does not need `SQLite` is left to
//! the consumer of the batches.

use rusqlite::types::{Type, ValueRef};
use rusqlite::{Connection, Row};

use super::chunk::{Chunk, Outputs, Path, Paths, ROWS};
use super::{Fault, indexes, realised};

const PATHS: &str = "SELECT id, path, registrationTime, deriver, narSize FROM ValidPaths";
const REFERENCES: &str = "SELECT referrer, reference FROM Refs WHERE rowid > ?1 AND rowid <= ?2";
const LAST_REFERENCE: &str = "SELECT max(rowid) FROM Refs";
const OUTPUTS: &str = "SELECT drv, path FROM DerivationOutputs";

/// Reads all tables in one transaction, so that they belong together, and gives the rows to `give` some thousands at a
/// time; ends early, without an error, when that refuses.
pub(super) fn scan(
    connection: &Connection,
    give: &mut dyn FnMut(Chunk) -> bool,
) -> Result<(), Fault> {
    // Rolled back when it is dropped; there is nothing to commit.
    let _transaction = connection.unchecked_transaction()?;
    let more = scan_paths(connection, give)? && scan_references(connection, Span::ALL, give)?;
    if more {
        scan_outputs(connection, give)?;
        indexes::count(connection, give)?;
    }
    Ok(())
}

/// References by the numbers of their rows: those above the first, up to the last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    above: i64,
    up_to: i64,
}

impl Span {
    const ALL: Self = Self {
        above: i64::MIN,
        up_to: i64::MAX,
    };

    /// The first three quarters and the rest: as much as is read while another reads all paths, and what both read then.
    pub(super) fn split(connection: &Connection) -> Result<(Self, Self), Fault> {
        let last: Option<i64> = connection.query_row(LAST_REFERENCE, [], |row| row.get(0))?;
        let at = last.unwrap_or(0) / 4 * 3;
        let first = Self {
            up_to: at,
            ..Self::ALL
        };
        let rest = Self {
            above: at,
            ..Self::ALL
        };
        Ok((first, rest))
    }
}

/// Takes rows as long as `take` wants more; returns whether it does.
pub(super) fn each_row(
    connection: &Connection,
    query: &str,
    params: impl rusqlite::Params,
    mut take: impl FnMut(&Row<'_>) -> Result<bool, Fault>,
) -> Result<bool, Fault> {
    let mut statement = connection.prepare(query)?;
    let mut rows = statement.query(params)?;
    while let Some(row) = rows.next()? {
        if !take(row)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Reads the valid paths; returns whether more is wanted.
pub(super) fn scan_paths(
    connection: &Connection,
    give: &mut dyn FnMut(Chunk) -> bool,
) -> Result<bool, Fault> {
    let mut chunk = Paths::new();
    let more = each_row(connection, PATHS, [], |row| {
        push_path(&mut chunk, row)?;
        Ok(!chunk.is_full() || give(Chunk::Paths(std::mem::replace(&mut chunk, Paths::new()))))
    })?;
    Ok(more && give(Chunk::Paths(chunk)))
}

/// Reads references; returns whether more is wanted.
pub(super) fn scan_references(
    connection: &Connection,
    span: Span,
    give: &mut dyn FnMut(Chunk) -> bool,
) -> Result<bool, Fault> {
    let mut chunk = Vec::with_capacity(ROWS);
    let span = [span.above, span.up_to];
    let more = each_row(connection, REFERENCES, span, |row| {
        let referrer = number(row, 0, "Refs", 0)?;
        chunk.push((referrer, number(row, 1, "Refs", referrer)?));
        if chunk.len() < ROWS {
            return Ok(true);
        }
        let full = std::mem::replace(&mut chunk, Vec::with_capacity(ROWS));
        Ok(give(Chunk::References(full)))
    })?;
    Ok(more && give(Chunk::References(chunk)))
}

/// Reads the outputs of derivations, and behind them those that only realisations have.
pub(super) fn scan_outputs(
    connection: &Connection,
    give: &mut dyn FnMut(Chunk) -> bool,
) -> Result<(), Fault> {
    let mut chunk = Outputs::default();
    let more = each_row(connection, OUTPUTS, [], |row| {
        let drv = number(row, 0, "DerivationOutputs", 0)?;
        chunk.push(drv, text(row, 1, "DerivationOutputs", drv)?);
        Ok(chunk.rows.len() < ROWS || give(Chunk::Outputs(std::mem::take(&mut chunk))))
    })?;
    if more && give(Chunk::Outputs(chunk)) {
        realised::scan(connection, give)?;
    }
    Ok(())
}

fn push_path(chunk: &mut Paths, row: &Row<'_>) -> Result<(), Fault> {
    const TABLE: &str = "ValidPaths";
    let id = number(row, 0, TABLE, 0)?;
    let path = text(row, 1, TABLE, id)?;
    // An empty deriver is what very old versions wrote for none.
    let deriver = match row.get_ref(3)? {
        ValueRef::Null | ValueRef::Text(b"") => None,
        _ => Some(text(row, 3, TABLE, id)?),
    };
    // Nix itself takes 0 for "not known".
    let nar_size = match row.get_ref(4)? {
        ValueRef::Null | ValueRef::Integer(0) => None,
        _ => Some(
            u64::try_from(number(row, 4, TABLE, id)?)
                .map_err(|_| wrong(TABLE, id, "has a negative size"))?,
        ),
    };
    let row = Path {
        id,
        nar_size,
        registered: number(row, 2, TABLE, id)?,
        length: path.len(),
        deriver: deriver.map(<[u8]>::len),
    };
    chunk.push(row, path, deriver.unwrap_or_default());
    Ok(())
}

pub(super) fn text<'a>(
    row: &'a Row<'_>,
    column: usize,
    table: &'static str,
    id: i64,
) -> Result<&'a [u8], Fault> {
    match row.get_ref(column)? {
        ValueRef::Text(text) => Ok(text),
        other => {
            let kind = named(other.data_type());
            Err(wrong(table, id, &format!("has {kind} for a path")))
        }
    }
}

pub(super) fn number(
    row: &Row<'_>,
    column: usize,
    table: &'static str,
    id: i64,
) -> Result<i64, Fault> {
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

pub(super) fn wrong(table: &'static str, row: i64, why: &str) -> Fault {
    Fault::Row {
        table,
        row,
        why: why.to_string(),
    }
}
