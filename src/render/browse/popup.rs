//! Windows over the list: the help, why a path is alive, and questions.

use super::keys::KEYS;
use super::model::{Effect, Model};
use crate::render::json::WhyDocument;
use crate::render::table::grid::{Column, Grid};
use crate::render::table::{self, Page, Paint, Style, View};
use crate::render::text::escape;

/// A window over the list.
#[derive(Debug)]
pub(super) enum Popup {
    /// The keys.
    Help {
        /// The first line on the screen.
        top: usize,
    },
    /// What keeps a path alive.
    Why {
        /// The chains.
        document: Box<WhyDocument>,
        /// The first line on the screen.
        top: usize,
    },
    /// A question about something that is done at once.
    Question {
        /// What is done on a yes.
        effect: Effect,
        /// What is asked; ours but for names, which are escaped.
        text: String,
    },
}

impl Popup {
    /// The first line on the screen, of what can be scrolled.
    pub(super) fn top(&mut self) -> Option<&mut usize> {
        match self {
            Self::Help { top } | Self::Why { top, .. } => Some(top),
            Self::Question { .. } => None,
        }
    }

    pub(super) fn title(&self) -> &'static str {
        match self {
            Self::Help { .. } => "Help",
            Self::Why { .. } => "Why it is alive",
            Self::Question { .. } => "Please confirm",
        }
    }

    pub(super) fn keys(&self) -> &'static str {
        match self {
            Self::Help { .. } | Self::Why { .. } => "Up, Down scroll  Esc back",
            Self::Question { .. } => "y yes  any other key: no",
        }
    }

    /// The lines of the window, in the width of the view.
    pub(super) fn text(&self, view: &View) -> String {
        match self {
            Self::Help { .. } => help(view),
            Self::Why { document, .. } => table::why(document, view),
            Self::Question { text, .. } => table::prose(text, view.style),
        }
    }
}

fn help(view: &View) -> String {
    let mut page = Page::default();
    let mut grid = Grid::new(&[Column::new("Key"), Column::new("Does").wrap().at_least(20)]);
    for (key, _, does) in KEYS {
        grid.row([view.paint(key, Paint::Bold), does.to_string()]);
    }
    grid.write(&mut page, view.style);
    page.gap();
    for paragraph in HELP {
        page.prose("", paragraph, view.style);
    }
    page.finish()
}

const HELP: [&str; 5] = [
    "Nothing is removed while this screen is open. `x` leaves it, shows the plan of what is marked as `nix-prune run` does, and asks.",
    "FREES is what a row frees in addition to the marked ones, ALONE what it frees if nothing else is removed. Paths that several rows \
     share are freed with the last of them. Sizes are NAR sizes.",
    "A marked generation or root is held until its undo window ends: `nix-prune undo` restores it, and its space is free after that. \
     Without an undo window its space is free at once and it cannot be restored.",
    "Rows with a dash cannot be removed. The line below the list says why.",
    "Mouse: click selects, a click on [ ] or a double click marks, the wheel scrolls.",
];

/// The text of a view in the width of a window.
pub(super) fn view_of(model: &Model, width: u16) -> View {
    View {
        style: Style {
            width: Some(width),
            ..model.view.style
        },
        ..model.view.clone()
    }
}

/// The question before a generation's hold is released.
pub(super) fn question_of_release(held: &str, warning: Option<String>) -> String {
    let warning = warning.map_or(String::new(), |warning| format!("{warning} "));
    format!("{warning}Release the hold on {}?", escape(held))
}
