//! Tables and sentences for a terminal or a log.
//!
//! Everything from the file system, the settings or Nix passes through [`super::text::escape`] once it is in a
//! sentence; only text of this module can colour the terminal or begin a new line.

use jiff::tz::TimeZone;

use crate::domain::budget::size_argument;
use crate::domain::job::JobName;
use crate::domain::measure::{Bytes, Timestamp};
use crate::domain::snapshot::Snapshot;

use super::text;
use grid::columns;

pub(super) mod budget;
mod damage;
mod ended;
pub(super) mod grid;
mod history;
mod holds;
pub(super) mod listing;
mod package;
mod pins;
pub(super) mod plan;
pub(super) mod receipt;
pub(super) mod status;
mod store;
mod undo;
mod usage;

pub use budget::shortfall;
pub use ended::{NotDone, not_done, run_ended};
pub use history::{history, unusual};
pub use holds::{holds, open_windows};
pub use listing::{generations, pin, roots, roots_tsv};
pub use package::package;
pub use pins::pin_list;
pub(super) use plan::fullness;
pub use plan::{plan, plan_in_full, question, stop};
pub use receipt::receipt;
pub use status::status;
pub use store::{dead, dead_by_package, dead_total, du, why};
pub use undo::{undo_preview, undo_question, undone};
pub use usage::usage;

/// How the output is dressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Style {
    /// Whether to use colours.
    pub color: bool,
    /// The columns to fit long texts in; `None` to break no line.
    pub width: Option<u16>,
}

/// A text of words, broken at spaces where the style has a width.
pub fn prose(text: &str, style: Style) -> String {
    let mut page = Page::default();
    page.prose("", text, style);
    page.finish()
}

/// For whom, where and when a view is made.
#[derive(Debug, Clone)]
pub struct View {
    /// How it is dressed.
    pub style: Style,
    /// The time zone in which times are printed.
    pub zone: TimeZone,
    /// The moment that ages are counted from.
    pub now: Timestamp,
    /// What a suggested command begins with: the name of this program, and the options that were given for every command.
    pub program: String,
    /// Whether the policy of the machine lets undo windows end early, so that `free` can free what they hold.
    pub may_end_windows: bool,
}

impl View {
    /// A view of what a snapshot shows.
    pub fn of(snapshot: &Snapshot, style: Style) -> Self {
        Self {
            style,
            zone: snapshot.zone.clone(),
            now: snapshot.taken_at,
            program: "nix-prune".to_string(),
            may_end_windows: true,
        }
    }

    /// The command that frees so much now, by the rules of a job; `None` where the policy forbids it.
    fn free_command(&self, size: Bytes, job: Option<&JobName>) -> Option<String> {
        let (program, size) = (&self.program, size_argument(size));
        let job = job.filter(|job| !job.is_by_hand());
        let job = job.map(ToString::to_string).filter(|job| job != "default");
        let job = job.map_or(String::new(), |job| format!(" {job}"));
        self.may_end_windows
            .then(|| format!("{program} free {size}{job}"))
    }

    pub(super) fn time(&self, time: Timestamp) -> String {
        text::time(time, &self.zone)
    }

    /// The day of a time: `5 Dec`, with the year where it is another one than now.
    pub(super) fn day(&self, time: Timestamp) -> String {
        let (day, now) = (time.in_zone(&self.zone), self.now.in_zone(&self.zone));
        let form = match (day.year() == now.year(), day.date() == now.date()) {
            (true, true) => "%H:%M",
            (true, false) => "%-d %b",
            (false, _) => "%-d %b %Y",
        };
        day.strftime(form).to_string()
    }

    pub(super) fn paint(&self, text: &str, paint: Paint) -> String {
        self.style.paint(text, paint)
    }
}

/// A way to set a text off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paint {
    Bold,
    Dim,
    Red,
    Yellow,
    Green,
}

const RESET: char = '\u{206b}';

impl Paint {
    const ALL: [Self; 5] = [Self::Bold, Self::Dim, Self::Red, Self::Yellow, Self::Green];

    /// What stands for the colour until the table is laid out: a character without a width that no text from
    /// outside has, as escaping takes it away.
    fn mark(self) -> char {
        match self {
            Self::Bold => '\u{2061}',
            Self::Dim => '\u{2062}',
            Self::Red => '\u{2063}',
            Self::Yellow => '\u{2064}',
            Self::Green => '\u{206a}',
        }
    }

    fn code(self) -> &'static str {
        match self {
            Self::Bold => "\x1b[1m",
            Self::Dim => "\x1b[2m",
            Self::Red => "\x1b[31m",
            Self::Yellow => "\x1b[33m",
            Self::Green => "\x1b[32m",
        }
    }
}

impl Style {
    pub(super) fn paint(self, text: &str, paint: Paint) -> String {
        if self.color && !text.is_empty() {
            format!("{}{text}{RESET}", paint.mark())
        } else {
            text.to_string()
        }
    }
}

/// The lines of a view, gathered.
#[derive(Debug, Default)]
pub(super) struct Page {
    text: String,
}

impl Page {
    /// Adds a line of our own making.
    pub(super) fn line(&mut self, line: impl AsRef<str>) {
        self.text.push_str(line.as_ref().trim_end());
        self.text.push('\n');
    }

    /// Adds a line that loses its end where it is too long.
    pub(super) fn cut_line(&mut self, line: impl AsRef<str>, style: Style) {
        match style.width.map(usize::from) {
            Some(width) => self.line(grid::fit_line(line.as_ref(), width)),
            None => self.line(line),
        }
    }

    /// Adds a text of words behind a prefix, broken at spaces where the style has a width. Further lines are indented as far as
    /// the prefix is long.
    pub(super) fn prose(&mut self, prefix: &str, text: &str, style: Style) {
        let width = style.width.map_or(usize::MAX, usize::from);
        let indent = " ".repeat(columns(prefix));
        let mut line = prefix.to_string();
        let mut is_begun = false;
        for word in text.split(' ') {
            if is_begun && columns(&line) + 1 + columns(word) > width {
                self.line(&line);
                line.clone_from(&indent);
            } else if is_begun {
                line.push(' ');
            }
            line.push_str(word);
            is_begun = true;
        }
        self.line(line);
    }

    /// Adds an empty line, unless there is one or nothing stands above it.
    pub(super) fn gap(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    /// Adds a heading with a gap above it.
    fn heading(&mut self, view: &View, heading: &str) {
        self.gap();
        self.line(view.paint(heading, Paint::Bold));
    }

    /// The text, with the colours in place of their marks.
    pub(super) fn finish(self) -> String {
        let mut text = self.text;
        text.truncate(text.trim_end_matches('\n').len());
        text.push('\n');
        for paint in Paint::ALL {
            text = text.replace(paint.mark(), paint.code());
        }
        text.replace(RESET, "\x1b[0m")
    }
}
