//! Tables with headings, fitted to the width of the terminal.

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width, presets};

use super::{Page, Paint, Style};

/// A table without borders; only its last column is ever broken into lines, and that only when it is prose.
pub(super) struct Grid {
    header: Vec<&'static str>,
    numbers: Vec<usize>,
    prose: bool,
    rows: Vec<Vec<String>>,
}

const INDENT: &str = "  ";

impl Grid {
    /// A table with these headings.
    pub(super) fn new(header: &[&'static str]) -> Self {
        Self {
            header: header.to_vec(),
            numbers: Vec::new(),
            prose: false,
            rows: Vec::new(),
        }
    }

    /// Sets these columns flush right.
    pub(super) fn numbers(mut self, columns: &[usize]) -> Self {
        self.numbers = columns.to_vec();
        self
    }

    /// Lets the last column be broken at spaces; never used for paths, which a reader wants to copy.
    pub(super) fn prose(mut self) -> Self {
        self.prose = true;
        self
    }

    /// Adds a row of texts that are escaped already.
    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Writes the table, if it has rows.
    pub(super) fn write(&self, page: &mut Page, style: Style) {
        if self.rows.is_empty() {
            return;
        }
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        let dim = |name: &&'static str| style.paint(name, Paint::Dim);
        table.set_header(self.header.iter().map(dim).collect::<Vec<_>>());
        for row in &self.rows {
            table.add_row(row.clone());
        }
        if let (Some(width), true) = (style.width, self.prose) {
            table.set_content_arrangement(ContentArrangement::Dynamic);
            table.set_width(width.saturating_sub(2));
        } else {
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
        let last = self.header.len().saturating_sub(1);
        for (index, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, if index == last { 0 } else { 2 }));
            if self.numbers.contains(&index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
            column.set_constraint(if index == last && self.prose {
                ColumnConstraint::LowerBoundary(Width::Fixed(24))
            } else {
                ColumnConstraint::ContentWidth
            });
        }
        for line in table.lines() {
            page.line(format!("{INDENT}{line}"));
        }
    }
}
