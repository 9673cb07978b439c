//! Outputs of content-addressed derivations, which have no row in `DerivationOutputs`.
//!
//! A realisation names its derivation by a hash that can be computed only from the texts of the derivation and its dependencies. The
//! name of an output consists of the names of its derivation and of the output. So every derivation of that name without another
//! recorded output counts as its deriver. That keeps more than Nix does, never less.

use std::collections::HashMap;

use rusqlite::Connection;

use super::Fault;
use super::chunk::{Chunk, Outputs, ROWS};
use super::rows::{each_row, number, text};

const REALISED: &str = "SELECT DISTINCT v.id, v.path, r.outputName FROM Realisations r
                        JOIN ValidPaths v ON v.id = r.outputPath";
const DERIVATIONS: &str = "SELECT id, path FROM ValidPaths WHERE path LIKE '%.drv'";
const RECORDED: &str = "SELECT count(*) FROM DerivationOutputs WHERE drv = ?1 AND id = ?2";

/// Outputs by the names of their derivations.
type ByDrv = HashMap<Vec<u8>, Vec<Realised>>;

/// An output, by what it is called and where it is.
struct Realised {
    output: String,
    path: Vec<u8>,
}

/// Reads the outputs that realisations record.
pub(super) fn scan(
    connection: &Connection,
    give: &mut dyn FnMut(Chunk) -> bool,
) -> Result<(), Fault> {
    let mut unknown = has_unknown_form(connection)?;
    let mut chunk = Outputs::default();
    if has_columns(connection, "Realisations")? {
        let (by_drv, odd) = realised(connection)?;
        unknown |= odd;
        if !by_drv.is_empty() {
            chunk = match by_name(connection, &by_drv, give)? {
                Some(chunk) => chunk,
                None => return Ok(()),
            };
        }
    }
    give(Chunk::Realised(chunk, unknown));
    Ok(())
}

/// The realised outputs by the names of their derivations, and whether the name of one does not show its derivation.
fn realised(connection: &Connection) -> Result<(ByDrv, bool), Fault> {
    let mut by_drv = ByDrv::new();
    let mut odd = false;
    each_row(connection, REALISED, [], |row| {
        let id = number(row, 0, "ValidPaths", 0)?;
        let path = text(row, 1, "ValidPaths", id)?;
        let output = text(row, 2, "Realisations", id)?;
        match drv_name(path, output) {
            Some(drv) => by_drv.entry(drv).or_default().push(Realised {
                output: String::from_utf8_lossy(output).into_owned(),
                path: path.to_vec(),
            }),
            None => odd = true,
        }
        Ok(true)
    })?;
    Ok((by_drv, odd))
}

/// Gives each derivation of one of these names its outputs; `None` when nobody takes them any more.
fn by_name(
    connection: &Connection,
    by_drv: &ByDrv,
    give: &mut dyn FnMut(Chunk) -> bool,
) -> Result<Option<Outputs>, Fault> {
    let mut chunk = Outputs::default();
    let mut recorded = connection.prepare(RECORDED)?;
    let more = each_row(connection, DERIVATIONS, [], |row| {
        let drv = number(row, 0, "ValidPaths", 0)?;
        let name = name_of(text(row, 1, "ValidPaths", drv)?);
        let name = name.and_then(|name| name.strip_suffix(b".drv"));
        for Realised { output, path } in name.and_then(|it| by_drv.get(it)).into_iter().flatten() {
            let count: i64 = recorded.query_row((drv, output), |row| row.get(0))?;
            if count > 0 {
                continue;
            }
            chunk.push(drv, path);
            let full = chunk.rows.len() == ROWS;
            if full && !give(Chunk::Realised(std::mem::take(&mut chunk), false)) {
                return Ok(false);
            }
        }
        Ok(true)
    })?;
    Ok(more.then_some(chunk))
}

/// Whether there are rows of a table that later versions have in place of this one.
fn has_unknown_form(connection: &Connection) -> Result<bool, Fault> {
    const TABLES: &str = "SELECT name FROM sqlite_schema WHERE type = 'table' AND
                          (name LIKE 'BuildTrace%' OR name = 'Realisations')";
    let mut statement = connection.prepare(TABLES)?;
    let names = statement.query_map([], |row| row.get::<_, String>(0))?;
    for name in names.collect::<Result<Vec<_>, _>>()? {
        if name == "Realisations" && has_columns(connection, &name)? {
            continue;
        }
        let quoted = name.replace('"', "\"\"");
        let any = format!("SELECT count(*) FROM (SELECT 1 FROM \"{quoted}\" LIMIT 1)");
        if connection.query_row(&any, [], |row| row.get::<_, i64>(0))? > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

fn has_columns(connection: &Connection, table: &str) -> Result<bool, Fault> {
    const COLUMNS: &str =
        "SELECT count(*) FROM pragma_table_info(?1) WHERE name IN ('outputName', 'outputPath')";
    let count: i64 = connection.query_row(COLUMNS, [table], |row| row.get(0))?;
    Ok(count == 2)
}

/// The name of the derivation that has an output of this name at this path.
fn drv_name(path: &[u8], output: &[u8]) -> Option<Vec<u8>> {
    let name = name_of(path)?;
    if output == b"out" {
        return Some(name.to_vec());
    }
    let drv = name.strip_suffix(output)?.strip_suffix(b"-")?;
    Some(drv.to_vec())
}

/// What stands behind the hash in the name of a store path.
fn name_of(path: &[u8]) -> Option<&[u8]> {
    const HASH: usize = crate::domain::store_path::ENCODED_DIGEST_SIZE;
    let base = path.rsplit(|&byte| byte == b'/').next()?;
    base.get(HASH..)?.strip_prefix(b"-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("a-1.0", "out", Some("a-1.0"))]
    #[case("a-1.0-dev", "dev", Some("a-1.0"))]
    #[case("a-1.0-dev", "out", Some("a-1.0-dev"))]
    #[case("a-1.0", "dev", None)]
    #[case("dev", "dev", None)]
    fn an_output_has_the_name_of_its_derivation(
        #[case] name: &str,
        #[case] output: &str,
        #[case] expected: Option<&str>,
    ) {
        let path = format!("/nix/store/00bgd045z0d4icpbc2yyz4gx48ak44la-{name}");
        let found = drv_name(path.as_bytes(), output.as_bytes());
        assert_eq!(found.as_deref(), expected.map(str::as_bytes));
        assert_eq!(drv_name(b"/nix/store/short", b"out"), None);
    }
}
