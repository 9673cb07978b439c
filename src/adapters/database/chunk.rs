//! Rows on their way from the thread that reads them to the one that uses them.

use super::{PathRow, RowSink, Summary};

/// How many rows go at once: enough that handing over costs nothing, few enough to be gone before the next.
pub(super) const ROWS: usize = 8192;

/// Rows of one table.
pub(super) enum Chunk {
    Paths(Paths),
    References(Vec<(i64, i64)>),
    Outputs(Outputs),
}

impl Chunk {
    /// Gives the rows to a sink, and counts them.
    pub(super) fn pour(&self, sink: &mut impl RowSink, summary: &mut Summary) {
        match self {
            Self::Paths(paths) => paths.pour(sink, summary),
            Self::References(references) => {
                for &(referrer, reference) in references {
                    sink.reference(referrer, reference);
                }
                summary.references += references.len() as u64;
            }
            Self::Outputs(outputs) => outputs.pour(sink, summary),
        }
    }
}

/// Valid paths, their names one after the other in one text.
#[derive(Default)]
pub(super) struct Paths {
    text: String,
    rows: Vec<Path>,
}

struct Path {
    id: i64,
    nar_size: Option<u64>,
    registered: i64,
    name: usize,
    deriver: Option<usize>,
}

impl Paths {
    pub(super) fn new() -> Self {
        Self {
            // A name has some 50 bytes, and most paths have a deriver.
            text: String::with_capacity(ROWS * 100),
            rows: Vec::with_capacity(ROWS),
        }
    }

    pub(super) fn push(&mut self, row: PathRow<'_>) {
        self.text.push_str(row.base_name);
        if let Some(deriver) = row.deriver {
            self.text.push_str(deriver);
        }
        self.rows.push(Path {
            id: row.id,
            nar_size: row.nar_size,
            registered: row.registered,
            name: row.base_name.len(),
            deriver: row.deriver.map(str::len),
        });
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows.len() >= ROWS
    }

    fn pour(&self, sink: &mut impl RowSink, summary: &mut Summary) {
        let mut text = self.text.as_str();
        let mut next = |length: usize| {
            let (name, rest) = text.split_at_checked(length).unwrap_or_default();
            text = rest;
            name
        };
        for row in &self.rows {
            let base_name = next(row.name);
            let deriver = row.deriver.map(&mut next);
            summary.paths += 1;
            summary.sizes_unknown += u64::from(row.nar_size.is_none());
            sink.path(PathRow {
                id: row.id,
                base_name,
                nar_size: row.nar_size,
                registered: row.registered,
                deriver,
            });
        }
    }
}

/// Outputs of derivations, their names one after the other in one text.
#[derive(Default)]
pub(super) struct Outputs {
    text: String,
    pub(super) rows: Vec<(i64, usize)>,
}

impl Outputs {
    pub(super) fn push(&mut self, drv: i64, base_name: &str) {
        self.text.push_str(base_name);
        self.rows.push((drv, base_name.len()));
    }

    fn pour(&self, sink: &mut impl RowSink, summary: &mut Summary) {
        let mut text = self.text.as_str();
        for &(drv, length) in &self.rows {
            let (name, rest) = text.split_at_checked(length).unwrap_or_default();
            text = rest;
            sink.output(drv, name);
        }
        summary.outputs += self.rows.len() as u64;
    }
}
