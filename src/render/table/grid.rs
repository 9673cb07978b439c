//! Tables with headings, fitted to the width of the terminal.

use super::{Page, Paint, Style};

mod cut;
#[cfg(test)]
mod tests;

pub(super) use cut::columns;
use cut::{cut_end, cut_front, cut_middle, wrap};

const INDENT: &str = "  ";
const GAP: &str = "  ";
/// The least width of a column that may be cut or broken, while there is a column to drop.
const MIN_FITTED_COLUMNS: usize = 24;

/// A column: its heading, and what becomes of it where the terminal is narrow.
#[derive(Debug, Clone, Copy)]
pub(in crate::render) struct Column {
    heading: &'static str,
    is_right: bool,
    importance: Option<u8>,
    fit: Fit,
    least: usize,
}

/// How a value that is too long is fitted into its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    Full,
    CutEnd,
    CutMiddle,
    CutFront,
    Wrap,
    WrapNames,
}

impl Column {
    /// A column that is neither dropped nor cut.
    pub(in crate::render) const fn new(heading: &'static str) -> Self {
        Self {
            heading,
            is_right: false,
            importance: None,
            fit: Fit::Full,
            least: MIN_FITTED_COLUMNS,
        }
    }

    /// Set flush right, as numbers are.
    pub(in crate::render) const fn right(mut self) -> Self {
        self.is_right = true;
        self
    }

    /// May be dropped; the column with the least importance is dropped first.
    pub(in crate::render) const fn importance(mut self, importance: u8) -> Self {
        self.importance = Some(importance);
        self
    }

    /// A long value loses its end.
    pub(in crate::render) const fn cut_end(mut self) -> Self {
        self.fit = Fit::CutEnd;
        self
    }

    /// A long value loses its middle, for names whose two ends tell them apart.
    pub(in crate::render) const fn cut_middle(mut self) -> Self {
        self.fit = Fit::CutMiddle;
        self
    }

    /// A long value loses its front, for paths.
    pub(in crate::render) const fn cut_front(mut self) -> Self {
        self.fit = Fit::CutFront;
        self
    }

    /// A long value continues on the next line, for sentences.
    pub(in crate::render) const fn wrap(mut self) -> Self {
        self.fit = Fit::Wrap;
        self
    }

    /// A long value continues on the next line, and a name in it that is longer than a line loses its front.
    pub(in crate::render) const fn wrap_names(mut self) -> Self {
        self.fit = Fit::WrapNames;
        self
    }

    /// May be cut or broken down to this width.
    pub(in crate::render) const fn at_least(mut self, width: usize) -> Self {
        self.least = width;
        self
    }

    /// The least width of the column where its values have this one.
    fn least(self, natural: usize) -> usize {
        match self.fit {
            Fit::Full => natural,
            _ => natural.min(self.least),
        }
    }

    fn fit(self, text: &str, width: usize) -> Vec<String> {
        match self.fit {
            _ if columns(text) <= width => vec![text.to_string()],
            Fit::Full | Fit::CutEnd => vec![cut_end(text, width)],
            Fit::CutMiddle => vec![cut_middle(text, width)],
            Fit::CutFront => vec![cut_front(text, width)],
            Fit::Wrap => wrap(text, width),
            Fit::WrapNames => {
                let fitted = |name: &str| {
                    if columns(name) > width {
                        cut_front(name, width)
                    } else {
                        name.to_string()
                    }
                };
                let names: Vec<String> = text.split(' ').map(fitted).collect();
                wrap(&names.join(" "), width)
            }
        }
    }
}

/// A table without borders. Columns without any text are left out.
pub(in crate::render) struct Grid {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

/// A column as it is shown.
struct Placed {
    index: usize,
    column: Column,
    width: usize,
}

impl Grid {
    /// A table with these columns.
    pub(in crate::render) fn new(columns: &[Column]) -> Self {
        Self {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row of texts that are escaped already; a missing text is an empty one.
    pub(in crate::render) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Writes the table, if it has rows.
    pub(in crate::render) fn write(&self, page: &mut Page, style: Style) {
        if self.rows.is_empty() {
            return;
        }
        let placed = self.placed(style.width.map(usize::from));
        let headings = placed.iter().map(|placed| {
            let heading = placed.column.heading.to_uppercase();
            let fitted = placed.column.fit(&heading, placed.width);
            style.paint(&fitted.concat(), Paint::Dim)
        });
        line(&placed, &headings.collect::<Vec<_>>(), page, style);
        for row in &self.rows {
            let cells = placed.iter().map(|placed| {
                let text = row.get(placed.index).map_or("", String::as_str);
                placed.column.fit(text, placed.width)
            });
            let cells: Vec<Vec<String>> = cells.collect();
            let height = cells.iter().map(Vec::len).max().unwrap_or_default();
            for at in 0..height {
                let texts = cells.iter().map(|lines| lines.get(at).cloned());
                let texts: Vec<String> = texts.map(Option::unwrap_or_default).collect();
                line(&placed, &texts, page, style);
            }
        }
    }

    /// The columns that are shown, and how wide. Columns are dropped until the others have their least widths; then the
    /// widest are cut.
    fn placed(&self, width: Option<usize>) -> Vec<Placed> {
        let place = |(index, &column): (usize, &Column)| {
            let cells = self.rows.iter().filter_map(|row| row.get(index));
            let widest = cells.map(|text| columns(text)).max().unwrap_or_default();
            let width = widest.max(columns(column.heading));
            (widest > 0).then_some(Placed {
                index,
                column,
                width,
            })
        };
        let mut placed: Vec<Placed> = self.columns.iter().enumerate().filter_map(place).collect();
        let Some(width) = width else {
            return placed;
        };
        let least = |placed: &Placed| placed.column.least(placed.width);
        while total(&placed, least) > width {
            let droppable = placed.iter().enumerate().rev();
            let droppable = droppable.filter_map(|(at, it)| Some((it.column.importance?, at)));
            let Some((_, at)) = droppable.min_by_key(|(importance, _)| *importance) else {
                break;
            };
            placed.remove(at);
        }
        for it in &mut placed {
            it.width = it.width.min(width.max(least(it)));
        }
        while total(&placed, |it| it.width) > width {
            let can_shrink = |it: &&mut Placed| it.width > it.column.least(it.width);
            let Some(widest) = placed
                .iter_mut()
                .filter(can_shrink)
                .max_by_key(|it| it.width)
            else {
                break;
            };
            widest.width -= 1;
        }
        placed
    }
}

fn total(placed: &[Placed], width: impl Fn(&Placed) -> usize) -> usize {
    let gaps = placed.len().saturating_sub(1) * GAP.len();
    INDENT.len() + gaps + placed.iter().map(width).sum::<usize>()
}

fn line(placed: &[Placed], texts: &[String], page: &mut Page, style: Style) {
    let mut line = INDENT.to_string();
    for (at, (placed, text)) in placed.iter().zip(texts).enumerate() {
        if at > 0 {
            line.push_str(GAP);
        }
        let space = " ".repeat(placed.width.saturating_sub(columns(text)));
        let (before, after) = if placed.column.is_right {
            (space.as_str(), "")
        } else {
            ("", space.as_str())
        };
        line.extend([before, text, after]);
    }
    // Where not even the columns fit that are never dropped.
    page.cut_line(line.trim_end(), style);
}

/// The line, cut at its end where it is wider.
pub(super) fn fit_line(line: &str, width: usize) -> String {
    if columns(line) > width {
        cut_end(line, width)
    } else {
        line.to_string()
    }
}
