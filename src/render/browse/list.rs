//! The rows of a tab: their order, the selected one, and the part that is on the screen.

use crate::domain::graph::NodeIdx;

/// One row. Its text is made when it is on the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Row {
    /// The heading of a group, by its place among the headings.
    Heading(usize),
    /// An item of the plan.
    Item(usize),
    /// A root that no item is about.
    Root(usize),
    /// A package.
    Package(usize),
    /// A store path.
    Path(NodeIdx),
    /// All dead paths, which a collection deletes together.
    DeadPaths,
}

/// A group of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Heading {
    /// What they have in common; not escaped.
    pub(super) title: String,
    /// The items among them.
    pub(super) items: Vec<usize>,
}

/// The order of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Sort {
    /// That of the plan, or the largest first where there is none.
    #[default]
    Usual,
    /// The largest first.
    Size,
    /// The oldest first.
    Age,
    /// By name.
    Name,
}

impl Sort {
    pub(super) fn next(self) -> Self {
        match self {
            Self::Usual => Self::Size,
            Self::Size => Self::Age,
            Self::Age => Self::Name,
            Self::Name => Self::Usual,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Usual => "usual",
            Self::Size => "size",
            Self::Age => "age",
            Self::Name => "name",
        }
    }
}

/// What rows are put together by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Grouping {
    /// What the tab is about: profiles, kinds of roots, classes of leftovers, runs.
    #[default]
    Usual,
    /// Owners.
    Owner,
    /// Nothing.
    Flat,
}

impl Grouping {
    pub(super) fn next(self) -> Self {
        match self {
            Self::Usual => Self::Owner,
            Self::Owner => Self::Flat,
            Self::Flat => Self::Usual,
        }
    }
}

/// The rows of a tab.
#[derive(Debug, Default)]
pub(super) struct List {
    pub(super) rows: Vec<Row>,
    pub(super) headings: Vec<Heading>,
    pub(super) cursor: usize,
    /// The first row on the screen.
    pub(super) top: usize,
    pub(super) sort: Sort,
    pub(super) grouping: Grouping,
    /// Only rows whose name has this are shown; empty for all.
    pub(super) filter: String,
    /// The package whose paths are shown.
    pub(super) package: Option<NodeIdx>,
}

impl List {
    /// The selected row.
    pub(super) fn selected(&self) -> Option<Row> {
        self.rows.get(self.cursor).copied()
    }

    /// Moves the selection, and no further than to the ends.
    pub(super) fn step(&mut self, rows: isize) {
        let last = self.rows.len().saturating_sub(1);
        self.cursor = self.cursor.saturating_add_signed(rows).min(last);
    }

    /// Moves the part on the screen so that the selected row is in it.
    pub(super) fn follow(&mut self, height: usize) {
        self.step(0);
        let height = height.max(1);
        let most = self.rows.len().saturating_sub(height);
        let least = (self.cursor + 1).saturating_sub(height);
        self.top = self.top.clamp(least, self.cursor.max(least)).min(most);
    }

    /// Takes other rows, and keeps the selection where its row still is.
    pub(super) fn replace(&mut self, rows: Vec<Row>, headings: Vec<Heading>) {
        let selected = self.selected();
        self.rows = rows;
        self.headings = headings;
        let found = selected.filter(|row| !matches!(row, Row::Heading(_)));
        let found = found.and_then(|row| self.rows.iter().position(|other| *other == row));
        self.cursor = found.unwrap_or(self.cursor);
        self.step(0);
    }
}
