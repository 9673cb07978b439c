//! The keys: what the bottom line and the help show.

/// A key, the word of the bottom line, and what it does.
pub(super) const KEYS: [(&str, &str, &str); 15] = [
    (
        "Space",
        "mark",
        "Mark or unmark the row; on a heading, all of its rows",
    ),
    (
        "Enter",
        "why",
        "Show what keeps the path alive; of a package, list its paths. Also w",
    ),
    (
        "x",
        "apply",
        "Show the plan of what is marked, ask, and carry it out",
    ),
    (
        "u",
        "undo window",
        "Switch the undo window off or on: without one the space is free at once",
    ),
    (
        "p",
        "pin",
        "Pin the generation with a reason, so that it is never removed, or unpin it",
    ),
    (
        "r",
        "release",
        "Release the hold; its generation can no longer be restored",
    ),
    (
        "/",
        "filter",
        "Show only rows whose name has a text; Esc shows all",
    ),
    (
        "s",
        "sort",
        "Sort by size, age or name; again for the next order",
    ),
    (
        "g",
        "group",
        "Group by profile, kind or run, by owner, or not at all",
    ),
    ("c", "clear", "Unmark everything"),
    (
        "Tab, 1-7",
        "tabs",
        "Go to another tab; also the arrows to the left and right",
    ),
    (
        "Up, Down",
        "scroll",
        "Move; also j, k, page up and down, Home, End",
    ),
    (
        "^L",
        "draw",
        "Draw the screen anew; ^Z suspends the program",
    ),
    ("?", "help", "Show this help"),
    ("q", "leave", "Leave; nothing is removed. Also Esc and ^C"),
];

/// The tabs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tab {
    Overview,
    Generations,
    Roots,
    Leftovers,
    Packages,
    DeadPaths,
    Holds,
}

impl Tab {
    pub(super) const ALL: [Self; 7] = [
        Self::Overview,
        Self::Generations,
        Self::Roots,
        Self::Leftovers,
        Self::Packages,
        Self::DeadPaths,
        Self::Holds,
    ];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Generations => "Generations",
            Self::Roots => "Roots",
            Self::Leftovers => "Leftovers",
            Self::Packages => "Packages",
            Self::DeadPaths => "Dead paths",
            Self::Holds => "Holds",
        }
    }

    /// The title where all of them do not fit.
    pub(super) fn short(self) -> &'static str {
        match self {
            Self::Overview => "All",
            Self::Generations => "Gens",
            Self::Leftovers => "Left",
            Self::Packages => "Pkgs",
            Self::DeadPaths => "Dead",
            Self::Roots | Self::Holds => self.title(),
        }
    }

    pub(super) fn index(self) -> usize {
        Self::ALL.iter().position(|tab| *tab == self).unwrap_or(0)
    }

    /// The tab so many places to the right, round the end.
    pub(super) fn step(self, by: usize) -> Self {
        let at = (self.index() + by) % Self::ALL.len();
        Self::ALL.get(at).copied().unwrap_or(self)
    }

    /// The keys of the bottom line, the most important first.
    pub(super) fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Overview => &["Tab, 1-7", "x", "Up, Down", "u", "c"],
            Self::Generations => &["Space", "Enter", "x", "u", "p", "/", "s", "g"],
            Self::Roots => &["Space", "Enter", "x", "u", "/", "s", "g"],
            Self::Leftovers => &["Space", "x", "/", "s", "g"],
            Self::Packages => &["Enter", "/", "s", "Up, Down"],
            Self::DeadPaths => &["Space", "Enter", "x", "/", "s"],
            Self::Holds => &["Space", "Enter", "r", "x", "/", "s", "g"],
        }
    }
}
