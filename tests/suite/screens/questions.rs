//! What is asked at a terminal, and what each answer does.

use std::io::Write;

use rstest::rstest;

use super::{Laptop, contents, on_laptop};
use crate::support::OnTerminal;

/// ^C, at which a terminal may discard what was written last.
const INTERRUPT: &str = "\u{3}";

/// Our program on a terminal of its own, whose ^C reaches it.
fn on_terminal(laptop: &Laptop, args: &[&str]) -> OnTerminal {
    let words = ["--ctty", env!("CARGO_BIN_EXE_nix-prune")];
    OnTerminal::start(&mut laptop.program(80, "setsid", &[&words, args].concat()))
}

/// What was asked, the exit status, and what came after the answer.
fn answer(laptop: &Laptop, args: &[&str], until: &str, answer: &str) -> (String, i32, String) {
    let mut shown = on_terminal(laptop, args);
    let asked = shown.until(until);
    assert!(asked.contains(until), "{args:?}: {asked}");
    shown.terminal.write_all(answer.as_bytes()).unwrap();
    let rest = shown.until("no other end");
    (asked, shown.end(), rest)
}

#[test]
fn a_run_takes_a_yes() {
    on_laptop("questions::a_run_takes_a_yes", |laptop| {
        let before = contents();
        for (word, says) in [
            ("n\n", "aborted"),
            ("\n", "aborted"),
            (INTERRUPT, "interrupted"),
        ] {
            let (_, status, rest) = answer(laptop, &["run"], "[y/N] ", word);
            assert_eq!(status, 4, "{rest}");
            let says = format!("{says}; nothing was changed");
            assert!(rest.contains(&says) || word == INTERRUPT, "{rest}");
            assert!(contents() == before, "{word:?} changed something");
        }
        let (_, status, rest) = answer(laptop, &["run"], "[y/N] ", "y\n");
        assert_eq!(status, 0, "{rest}");
        assert!(rest.contains("Removed 103 generations"), "{rest}");
        assert!(contents() != before);
    });
}

#[rstest]
#[case::run("case_1_run", &["run", "--now"])]
#[case::free("case_2_free", &["free", "25M"])]
fn what_cannot_be_undone_takes_its_number(#[case] case: &str, #[case] args: &[&str]) {
    const NAME: &str = "questions::what_cannot_be_undone_takes_its_number";
    on_laptop(&format!("{NAME}::{case}"), |laptop| {
        let before = contents();
        let mut right = String::new();
        for wrong in ["1\n", INTERRUPT] {
            let (asked, status, rest) = answer(laptop, args, " to go on: ", wrong);
            assert_eq!(status, 4, "{wrong:?}: {rest}");
            let says = rest.contains("nothing was changed");
            assert!(says || wrong == INTERRUPT, "{rest}");
            let words = asked.trim_end_matches(" to go on: ");
            right = words.rsplit(' ').next().unwrap().to_string();
        }
        if args == ["run", "--now"] {
            assert_eq!(right, "103");
            let ran = laptop.run(80, &["run", "--now", "--yes"]);
            assert_eq!((ran.status, ran.stdout.as_str()), (4, ""));
            assert!(ran.stderr.contains("nothing was done"), "{}", ran.stderr);
        }
        assert!(contents() == before, "something was changed");
        let (_, status, rest) = answer(laptop, args, " to go on: ", &format!("{right}\n"));
        let removed = format!("Removed {right} generations for good");
        assert!(status == 0 && rest.contains(&removed), "{status}: {rest}");
    });
}
