//! Batches of rows, passed from the reading thread to the consumer.

use super::rows::wrong;
use super::{Fault, PathRow, RowSink, Summary};
use crate::adapters::store_dir::is_base_name;
use crate::domain::store_path::StoreDir;

/// How many rows go at once: enough that handing over costs nothing, few enough to be gone before the next.
pub(super) const ROWS: usize = 8192;

/// Rows of one table.
pub(super) enum Chunk {
    Paths(Paths),
    References(Vec<(i64, i64)>),
    Outputs(Outputs),
    /// Outputs that only realisations have, with whether there are more in a form that is not known.
    Realised(Outputs, bool),
    /// How many entries an index has.
    Index {
        table: &'static str,
        index: String,
        entries: u64,
    },
}

impl Chunk {
    /// Checks the rows, gives them to a sink, and counts them.
    pub(super) fn pour(
        &self,
        names: &Names<'_>,
        sink: &mut impl RowSink,
        summary: &mut Summary,
    ) -> Result<(), Fault> {
        match self {
            Self::Paths(paths) => paths.pour(names, sink, summary),
            Self::References(references) => {
                for &(referrer, reference) in references {
                    sink.reference(referrer, reference);
                }
                summary.references += references.len() as u64;
                Ok(())
            }
            Self::Outputs(outputs) => {
                outputs.pour(names, sink, "DerivationOutputs")?;
                summary.outputs += outputs.rows.len() as u64;
                Ok(())
            }
            Self::Realised(outputs, unknown) => {
                summary.unknown_outputs |= unknown;
                outputs.pour(names, sink, "ValidPaths")
            }
            Self::Index {
                table,
                index,
                entries,
            } => {
                let rows = match *table {
                    "ValidPaths" => summary.paths,
                    "Refs" => summary.references,
                    _ => summary.outputs,
                };
                if rows == *entries {
                    return Ok(());
                }
                let index = index.clone();
                Err(Fault::Index { table, index })
            }
        }
    }
}

/// Takes the store directory off.
pub(super) struct Names<'s> {
    store: &'s StoreDir,
    prefix: String,
}

impl<'s> Names<'s> {
    pub(super) fn of(store: &'s StoreDir) -> Self {
        let prefix = store.prefix();
        Self { store, prefix }
    }

    fn base_name<'a>(
        &self,
        path: &'a [u8],
        table: &'static str,
        id: i64,
    ) -> Result<&'a str, Fault> {
        let Ok(text) = str::from_utf8(path) else {
            return Err(wrong(table, id, "has a text for a path that is not UTF-8"));
        };
        match text.strip_prefix(self.prefix.as_str()) {
            Some(name) if is_base_name(name) => Ok(name),
            Some(_) => Err(wrong(
                table,
                id,
                &format!("contains `{text}`, which is not a store path"),
            )),
            None if text.starts_with('/') => Err(Fault::OtherStore {
                row: id,
                path: text.to_string(),
                store: self.store.to_string(),
            }),
            None => Err(wrong(
                table,
                id,
                &format!("has `{text}`, which is not a path"),
            )),
        }
    }
}

/// Valid paths, their texts one after the other.
pub(super) struct Paths {
    text: Vec<u8>,
    rows: Vec<Path>,
}

/// A valid path, with the length of its text, and of its deriver's.
pub(super) struct Path {
    pub(super) id: i64,
    pub(super) nar_size: Option<u64>,
    pub(super) registered: i64,
    pub(super) length: usize,
    pub(super) deriver: Option<usize>,
}

impl Paths {
    pub(super) fn new() -> Self {
        Self {
            // A path has some 60 bytes, and most have a deriver.
            text: Vec::with_capacity(ROWS * 120),
            rows: Vec::with_capacity(ROWS),
        }
    }

    pub(super) fn push(&mut self, row: Path, path: &[u8], deriver: &[u8]) {
        self.text.extend_from_slice(path);
        self.text.extend_from_slice(deriver);
        self.rows.push(row);
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows.len() >= ROWS
    }

    fn pour(
        &self,
        names: &Names<'_>,
        sink: &mut impl RowSink,
        summary: &mut Summary,
    ) -> Result<(), Fault> {
        let mut rest = self.text.as_slice();
        for row in &self.rows {
            let mut next = |length: usize| {
                let (text, behind) = rest.split_at_checked(length).unwrap_or_default();
                rest = behind;
                names.base_name(text, "ValidPaths", row.id)
            };
            let base_name = next(row.length)?;
            let deriver = row.deriver.map(next).transpose()?;
            summary.paths += 1;
            sink.path(PathRow {
                id: row.id,
                base_name,
                nar_size: row.nar_size,
                registered: row.registered,
                deriver,
            });
        }
        Ok(())
    }
}

/// Outputs of derivations, their texts one after the other.
#[derive(Default)]
pub(super) struct Outputs {
    text: Vec<u8>,
    pub(super) rows: Vec<(i64, usize)>,
}

impl Outputs {
    pub(super) fn push(&mut self, drv: i64, path: &[u8]) {
        self.text.extend_from_slice(path);
        self.rows.push((drv, path.len()));
    }

    fn pour(
        &self,
        names: &Names<'_>,
        sink: &mut impl RowSink,
        table: &'static str,
    ) -> Result<(), Fault> {
        let mut rest = self.text.as_slice();
        for &(drv, length) in &self.rows {
            let (text, behind) = rest.split_at_checked(length).unwrap_or_default();
            rest = behind;
            sink.output(drv, names.base_name(text, table, drv)?);
        }
        Ok(())
    }
}
