//! No screen is wider than the terminal or longer than its bound.

use std::collections::BTreeSet;

use super::{Laptop, on_laptop};
use crate::render::assert_kept;

/// A terminal that breaks nothing.
const WIDE: u16 = 1000;

/// A screen that changes nothing, and its most lines at 60, 80 and 120 columns.
type Screen = (&'static str, [usize; 3]);

const SCREENS: [Screen; 10] = [
    ("status", [24, 24, 24]),
    ("plan", [24, 20, 20]),
    ("plan --full", [230, 200, 180]),
    ("generations", [160, 160, 160]),
    ("generations system", [66, 65, 65]),
    ("roots", [160, 160, 160]),
    ("du", [24, 24, 24]),
    ("dead", [30, 30, 30]),
    ("why /srv/laptop/nix/var/nix/profiles/system", [24, 24, 24]),
    ("why firefox", [60, 60, 60]),
];
const AFTER_RUNS: [Screen; 3] = [
    ("status", [24, 24, 24]),
    ("history", [6, 6, 6]),
    ("hold list", [16, 16, 16]),
];

/// The screens that are kept as they are at 80 columns.
const KEPT: [&str; 4] = ["plan", "du", "generations system", "roots"];

#[test]
fn screens_fit_the_terminal() {
    on_laptop("fit::screens_fit_the_terminal", |laptop| {
        let mut faults = screens(laptop, &SCREENS);
        for line in ["free 5M --yes", "run --yes"] {
            let (status, text) = screen(laptop, 80, line);
            assert_eq!(status, 0, "{line}: {text}");
            let (_, end) = text.trim_end().rsplit_once("\n\n").unwrap();
            faults.extend(too_long(&format!("end of {line}"), end, 8));
            faults.extend(too_wide(line, &text, 80));
        }
        faults.extend(screens(laptop, &AFTER_RUNS));
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    });
}

fn screen(laptop: &Laptop, columns: u16, line: &str) -> (i32, String) {
    let ran = laptop.run(columns, &line.split(' ').collect::<Vec<_>>());
    (ran.status, ran.stdout + &ran.stderr)
}

fn screens(laptop: &Laptop, screens: &[Screen]) -> Vec<String> {
    let mut faults = Vec::new();
    for (line, bounds) in screens {
        let (_, wide) = screen(laptop, WIDE, line);
        for (columns, most) in [60, 80, 120].into_iter().zip(*bounds) {
            let (status, text) = screen(laptop, columns, line);
            let name = format!("{line} at {columns}");
            assert_eq!(status, 0, "{name}: {text}");
            faults.extend(too_long(&name, &text, most));
            faults.extend(too_wide(&name, &text, columns.into()));
            faults.extend(broken_words(&name, &text, &wide));
            if columns == 80 && *line == "plan" {
                faults.extend(said_twice(&text));
            }
            if columns == 80 && KEPT.contains(line) {
                let file = line.replace(' ', "-");
                assert_kept(&format!("tests/fixtures/laptop/{file}.txt"), &masked(&text));
            }
        }
    }
    faults
}

fn too_long(name: &str, text: &str, most: usize) -> Option<String> {
    let count = text.lines().count();
    (count > most).then(|| format!("{name}: {count} lines, more than {most}:\n{text}"))
}

/// Lines that do not fold.
const UNFOLDED: [&str; 5] = [
    " generations (current: ",
    ": disk ",
    "% of inodes used",
    "undo RUN`",
    "hold release RUN`",
];

/// A line may be wider only if it is one word, such as a path.
fn too_wide(name: &str, text: &str, columns: usize) -> Vec<String> {
    let folds = |line: &&str| !UNFOLDED.iter().any(|part| line.contains(part));
    let wide = text
        .lines()
        .filter(|line| line.chars().count() > columns && line.trim().contains(' '))
        .filter(folds);
    wide.map(|line| format!("{name}: too wide: {line}"))
        .collect()
}

/// A word that no wide terminal shows was broken.
fn broken_words(name: &str, text: &str, wide: &str) -> Vec<String> {
    let whole: BTreeSet<&str> = wide.split_whitespace().collect();
    let parts = text
        .split_whitespace()
        .filter(|word| !word.contains('…') && !word.starts_with('#') && !whole.contains(word));
    parts
        .map(|word| format!("{name}: part of a word: {word}"))
        .collect()
}

fn said_twice(plan: &str) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let rows = plan.lines().filter(|line| !line.is_empty());
    let again = rows.filter(|line| !seen.insert(*line));
    let mut faults: Vec<String> = again.map(|line| format!("plan: twice: {line}")).collect();
    for name in [
        "system",
        "alice/home-manager",
        "bob/profile",
        "root/channels",
        "103",
    ] {
        let count = plan.split_whitespace().filter(|word| *word == name).count();
        if count != 1 {
            faults.push(format!("plan: {count} times: {name}"));
        }
    }
    faults
}

/// Without what differs from day to day and from machine to machine: times, and the fullness of the disk.
fn masked(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let line = shaped(&shaped(line, "0000-00-00"), "00:00");
        let words: Vec<&str> = line.split_whitespace().collect();
        if line.contains("% full") {
            let number = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit());
            let words = words
                .iter()
                .map(|word| if number(word) { "N" } else { word });
            return words.collect::<Vec<_>>().join(" ");
        }
        match words.as_slice() {
            // The day has one digit or two, and the column its width.
            ["now" | "sooner", ..] => words.join(" "),
            [day, month, rest @ ..] if line.starts_with("  ") && is_day(day, month) => {
                format!("DAY {}", rest.join(" "))
            }
            _ => line,
        }
    });
    lines.map(|line| line + "\n").collect()
}

fn is_day(day: &str, month: &str) -> bool {
    let months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec";
    day.parse::<u8>().is_ok() && months.split(' ').any(|name| name == month)
}

/// With every place that has digits where `shape` has them, and else the same, replaced by it.
fn shaped(line: &str, shape: &str) -> String {
    let mut chars: Vec<char> = line.chars().collect();
    let shape: Vec<char> = shape.chars().collect();
    for at in 0..chars.len().saturating_sub(shape.len() - 1) {
        let fits = chars[at..].iter().zip(&shape).all(|(c, like)| match like {
            '0' => c.is_ascii_digit(),
            same => c == same,
        });
        if fits {
            chars[at..at + shape.len()].copy_from_slice(&shape);
        }
    }
    chars.into_iter().collect()
}
