//! `browse` on a terminal: marks, figures, what is carried out, and how the terminal is given back.

#![cfg(test)]
// Helpers are not tests to clippy, but they fail like tests.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::symlink;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{Termios, tcgetattr};
use nix_prune::adapters::scratch::Scratch;
use nix_prune::adapters::terminal::Screen;
use rstest::rstest;

use crate::support::{OnTerminal, listing, new_terminal, nixes, program, run, time};

/// What the screen ends with: no mouse, the cursor, the usual screen.
const LEFT: &str = "\x1b[?1006l\x1b[?1000l\x1b[?25h\x1b[?1049l";

/// Five system generations of a path each, and a dead path.
fn machine() -> Option<Scratch> {
    let nix = nixes().last()?;
    let scratch = Scratch::new(Some(&nix.bin)).unwrap();
    let system = scratch.state_dir().join("profiles/system");
    for n in 1..=5 {
        let path = scratch
            .add_path(&format!("system-{n}"), &[], 3000 * n)
            .unwrap();
        let date = time(&format!("2026-01-0{n}T00:00:00Z"));
        scratch.set_profile(&system, &path, date).unwrap();
    }
    scratch.add_path("dead", &[], 7000).unwrap();
    Some(scratch)
}

struct Browser {
    terminal: OnTerminal,
    before: Termios,
}

impl Browser {
    fn start(scratch: &Scratch) -> Self {
        let mut command = program(scratch);
        command
            .arg("browse")
            .env("LC_ALL", "C.UTF-8")
            .env("NO_COLOR", "1");
        let mut browser = Self::on(&mut command);
        let seen = browser.terminal.until("leave");
        assert!(seen.contains("\x1b[?1049h"), "{seen:?}");
        browser
    }

    fn on(command: &mut Command) -> Self {
        let terminal = OnTerminal::start_sized(command.env("TERM", "xterm"), (100, 24));
        // The settings of a new terminal, as the program is not yet that far or not at all.
        let fresh = new_terminal(None);
        let before = tcgetattr(fresh.slave.as_fd()).unwrap();
        Self { terminal, before }
    }

    fn press(&mut self, keys: &str) {
        self.terminal.terminal.write_all(keys.as_bytes()).unwrap();
    }

    /// Draws everything again, and gives what is drawn.
    fn redrawn(&mut self) -> String {
        self.press("\u{c}");
        let mut seen = self.terminal.until("\x1b[2J");
        // What follows may have come with it.
        while !seen.rsplit("\x1b[2J").next().unwrap().contains("leave") {
            let more = self.terminal.until("leave");
            assert!(!more.is_empty(), "the program has ended: {seen:?}");
            seen += &more;
        }
        seen.rsplit("\x1b[2J").next().unwrap().to_string()
    }

    /// The line of the marks.
    fn marks(&mut self) -> String {
        let seen = self.redrawn();
        let line = seen.split("\x1b[").find(|part| part.contains("marked: "));
        line.unwrap_or(&seen).to_string()
    }

    /// Reads to the end, and checks that the terminal is as it was.
    fn end(mut self) -> (String, i32) {
        let seen = self.terminal.until("\u{0}never");
        let now = tcgetattr(self.terminal.terminal.as_fd()).unwrap();
        let flags = |it: &Termios| (it.input_flags, it.output_flags, it.local_flags);
        assert_eq!(flags(&now), flags(&self.before));
        (seen, self.terminal.end())
    }
}

fn generations(scratch: &Scratch) -> usize {
    let dir = scratch.state_dir().join("profiles");
    let names = dir.read_dir_utf8().unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().to_string());
    names.filter(|name| name.ends_with("-link")).count()
}

#[test]
fn marks_change_the_figure_and_leaving_changes_nothing() {
    let Some(scratch) = machine() else { return };
    let before = listing(&scratch.state_dir());
    let mut browser = Browser::start(&scratch);
    let first = browser.marks();
    assert!(first.contains("1 marked: frees "), "{first}");
    // Down to the first generation below the heading.
    browser.press("2j ");
    let second = browser.marks();
    assert!(second.contains("2 marked: frees "), "{second}");
    assert!(second.contains("restorable until then"), "{second}");
    let freed = |line: &str, until: &str| {
        let (before, _) = line.split_once(until).unwrap();
        let mut words = before.rsplitn(3, ' ');
        let (unit, number) = (words.next().unwrap(), words.next().unwrap());
        format!("{number} {unit}")
    };
    // The generation keeps a path of 3000 bytes and a little more, which is dead once its hold ends.
    assert_eq!(freed(&first, " now"), freed(&second, " now"));
    assert_eq!(freed(&second, " on "), "3.03 KiB", "{second}");
    browser.press("u");
    let third = browser.marks();
    assert!(third.contains("no undo window"), "{third}");
    assert_ne!(freed(&first, " now"), freed(&third, " now"), "{third}");
    browser.press("q");
    let (seen, status) = browser.end();
    assert!(seen.contains(LEFT), "{seen:?}");
    assert_eq!(status, 0);
    assert_eq!(generations(&scratch), 5);
    let same = |name: &String| name.starts_with("profiles") || name.starts_with("gcroots");
    let after = listing(&scratch.state_dir());
    for (name, entry) in before.iter().filter(|(name, _)| same(name)) {
        assert_eq!(after.get(name), Some(entry), "{name}");
    }
}

/// The current generation keeps a path of its own.
#[test]
fn what_cannot_be_marked_has_a_size() {
    let Some(scratch) = machine() else { return };
    let mut browser = Browser::start(&scratch);
    browser.press("2\x1b[F");
    browser.terminal.until("Kept:");
    let drawn = browser.redrawn();
    assert!(drawn.contains("14.7"), "{drawn:?}");
    assert!(!drawn.contains(" 0 B"), "{drawn:?}");
    browser.press("q");
    assert_eq!(browser.end().1, 0);
}

#[test]
fn marks_are_carried_out_after_a_yes_and_undone() {
    let Some(scratch) = machine() else { return };
    let before = run(&scratch, &["generations", "--no-sizes"]).stdout;
    let mut browser = Browser::start(&scratch);
    browser.press("2j  x");
    let asked = browser.terminal.until("[y/N]");
    let (_, plan) = asked.split_once(LEFT).unwrap();
    assert!(plan.contains("Marked by hand"), "{plan}");
    assert!(
        plan.contains("Remove 2 generations (restorable until "),
        "{plan}"
    );
    assert!(plan.contains("delete 1 dead path"), "{plan}");
    assert_eq!(generations(&scratch), 5);
    browser.press("y\n");
    let (seen, status) = browser.end();
    assert!(seen.contains("Removed 2 generations"), "{seen}");
    assert_eq!(status, 0);
    assert_eq!(generations(&scratch), 3);
    let undone = run(&scratch, &["undo", "--yes"]);
    assert_eq!(undone.status, 0, "{}", undone.stderr);
    let after = run(&scratch, &["generations", "--no-sizes"]).stdout;
    assert_eq!(after, before);
}

/// Settings that were written while the screen was open hold, and a link that leads elsewhere by now was not marked.
#[test]
fn marks_are_of_what_is_there_when_they_are_carried_out() {
    let Some(scratch) = machine() else { return };
    let mut browser = Browser::start(&scratch);
    browser.press("2j   ");
    let marks = browser.marks();
    assert!(marks.contains("4 marked: "), "{marks}");
    let dir = scratch.home().join(".config/nix-prune");
    fs::create_dir_all(&dir).unwrap();
    let settings = r#"{
        "version": 2,
        "protect": { "generations": [{ "profile": "system", "number": 1 }] },
        "jobs": { "daily": { "operations": { "collect": {} } } }
    }"#;
    fs::write(dir.join("config.json"), settings).unwrap();
    let profile = scratch.state_dir().join("profiles/system");
    let other = scratch.add_path("other", &[], 100).unwrap();
    fs::remove_file(format!("{profile}-2-link")).unwrap();
    symlink(
        other.to_absolute_path(scratch.store()),
        format!("{profile}-2-link"),
    )
    .unwrap();
    browser.press("x");
    let asked = browser.terminal.until("[y/N]");
    assert!(asked.contains("Left out: 2 marked items"), "{asked}");
    assert!(asked.contains("Remove 1 generation (restorable"), "{asked}");
    browser.press("y\n");
    let (_, status) = browser.end();
    assert_eq!(status, 0);
    let is_there = |n: u32| fs::symlink_metadata(format!("{profile}-{n}-link")).is_ok();
    assert_eq!(
        [1, 2, 3, 4, 5].map(is_there),
        [true, true, false, true, true]
    );
}

/// An answer is to a question that could be read.
#[test]
fn what_was_typed_ahead_is_no_answer() {
    let Some(scratch) = machine() else { return };
    let mut browser = Browser::start(&scratch);
    browser.press("2j xy\n");
    let asked = browser.terminal.until("[y/N]");
    assert!(!asked.contains("Removed"), "{asked}");
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(generations(&scratch), 5);
    browser.press("n\n");
    let (_, status) = browser.end();
    assert_eq!((status, generations(&scratch)), (4, 5));
}

/// Also no answer, a key that leaves elsewhere, and the end of the input.
#[rstest]
#[case("n\n", "aborted")]
#[case("\n", "aborted")]
#[case("\x1b\n", "aborted")]
#[case("\x04", "interrupted")]
fn a_no_leaves_what_is_marked(#[case] keys: &str, #[case] says: &str) {
    let Some(scratch) = machine() else { return };
    let mut browser = Browser::start(&scratch);
    browser.press("2j  x");
    browser.terminal.until("[y/N]");
    browser.press(keys);
    let (seen, status) = browser.end();
    let says = format!("{says}; nothing was changed");
    assert!(seen.contains(&says), "{seen}");
    assert_eq!((status, generations(&scratch)), (4, 5));
}

#[test]
fn a_pin_is_set_with_its_reason_and_removed_and_the_screen_comes_back() {
    let Some(scratch) = machine() else { return };
    let mut browser = Browser::start(&scratch);
    let pins = || run(&scratch, &["pin", "list"]).stdout;
    // Drawn anew, as otherwise only what changed is.
    browser.press("2jp\u{c}");
    browser.terminal.until("Reason to pin system:1");
    browser.press("the last good kernel\n");
    browser
        .terminal
        .until("Pinned system:1: the last good kernel.");
    let pinned = pins();
    assert!(pinned.contains("system:1"), "{pinned}");
    assert!(pinned.contains("the last good kernel"), "{pinned}");
    browser.press("p");
    browser.terminal.until("Unpinned system:1.");
    assert!(!pins().contains("system:1"), "{}", pins());
    // Without a reason, and not at all.
    browser.press("p\n");
    browser.terminal.until("Pinned system:1.");
    browser.press("jp\u{c}");
    browser.terminal.until("Reason to pin system:2");
    browser.press("\x1b");
    // With the next key at once it would be one with Alt.
    std::thread::sleep(std::time::Duration::from_millis(300));
    browser.press("q");
    assert_eq!(browser.end().1, 0);
    let pinned = pins();
    assert!(pinned.contains("system:1"), "{pinned}");
    assert!(!pinned.contains("system:2"), "{pinned}");
}

const PANICS: &str = "NIX_PRUNE_TEST_PANICS";

/// Takes the terminal and panics in the middle of a drawing, in a process of its own.
#[test]
fn child_panics_while_it_draws() {
    if std::env::var_os(PANICS).is_none() {
        return;
    }
    let mut screen = Screen::take().unwrap();
    let style = ratatui::style::Style::new();
    let drawn = screen.draw(|frame| frame.buffer_mut().set_string(0, 0, "drawn", style));
    drawn.unwrap();
    let failed = screen.draw(|_| panic!("the drawing failed"));
    failed.unwrap();
}

#[test]
fn a_panic_gives_the_terminal_back_before_its_message() {
    let mut child = crate::support::command(std::env::current_exe().unwrap());
    child
        .args(["--exact", "browse::child_panics_while_it_draws"])
        .args(["--nocapture", "--test-threads=1"])
        .env(PANICS, "1");
    let browser = Browser::on(&mut child);
    // It has the other end of the terminal, which would never end.
    drop(child);
    let (seen, status) = browser.end();
    let (screen, usual) = seen
        .split_once(LEFT)
        .unwrap_or_else(|| panic!("the screen was not left: {seen:?}"));
    assert!(screen.contains("\x1b[?1049h"), "{screen:?}");
    assert!(screen.contains("drawn"), "{screen:?}");
    assert!(!screen.contains("the drawing failed"), "{screen:?}");
    // Lines end as on a terminal that is not raw.
    assert!(usual.contains("the drawing failed\r\n"), "{usual:?}");
    assert!(!usual.contains("\x1b[?1049h"), "{usual:?}");
    assert_ne!(status, 0);
}

#[rstest]
#[case(Signal::SIGTERM)]
#[case(Signal::SIGINT)]
#[case(Signal::SIGHUP)]
fn a_signal_gives_the_terminal_back(#[case] signal: Signal) {
    let Some(scratch) = machine() else { return };
    let mut browser = Browser::start(&scratch);
    browser.press("2j ");
    kill(browser.terminal.pid(), signal).unwrap();
    let (seen, _) = browser.end();
    assert!(seen.ends_with(LEFT), "{seen:?}");
    assert_eq!(generations(&scratch), 5);
}

#[test]
fn hostile_names_do_nothing_to_the_terminal() {
    let Some(scratch) = machine() else { return };
    let odd = "\x1b]0;owned\x07\x1b[2J\u{202e}\n";
    let path = scratch.add_path("linked", &[], 10).unwrap();
    let link = scratch.home().join(format!("a{odd}b"));
    scratch.add_root(&link, &path).unwrap();
    let mut browser = Browser::start(&scratch);
    browser.press("3j\n");
    let seen = browser.terminal.until("\\x1b]0;owned\\x07\\x1b[2J");
    assert!(!seen.contains("\x1b]0;"), "{seen:?}");
    assert!(!seen.contains('\u{202e}'), "{seen:?}");
    browser.press("qq");
    assert_eq!(browser.end().1, 0);
}

#[test]
fn without_a_terminal_other_commands_are_named() {
    let Some(scratch) = machine() else { return };
    let ran = run(&scratch, &["browse"]);
    assert_eq!(ran.status, 2);
    for command in ["nix-prune status", "nix-prune du", "nix-prune plan --json"] {
        assert!(ran.stderr.contains(command), "{}", ran.stderr);
    }
    let mut command = program(&scratch);
    let mut dumb = OnTerminal::start(command.arg("browse").env("TERM", "dumb"));
    let seen = dumb.until("plan --json");
    assert!(seen.contains("cannot"), "{seen}");
    assert_eq!(dumb.end(), 2);
}
