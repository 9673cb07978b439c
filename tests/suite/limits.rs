//! The program under limits of the system, and with outputs that cannot be written: an error that says so, never a panic.

// The lints spare what has the attribute of a test, and not what tests call.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]
#![cfg(test)]

use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};

use camino::Utf8PathBuf;
use nix_prune::adapters::scratch::Scratch;
use rstest::rstest;

use crate::support::{is_root, nixes, skipped};

const PANIC: i32 = 101;

fn scratch() -> Option<Scratch> {
    let nix = nixes().last()?;
    let scratch = Scratch::new(Some(&nix.bin)).unwrap();
    scratch.add_path("dead", &[], 1_000).unwrap();
    Some(scratch)
}

/// Runs the program behind `before`, a piece of shell script, with `words`.
fn run(scratch: &Scratch, before: &str, words: &str) -> Output {
    let (binary, state) = (env!("CARGO_BIN_EXE_nix-prune"), state_dir(scratch));
    let script = format!("{before} exec '{binary}' --state-dir '{state}' {words}");
    command(scratch, &script).output().unwrap()
}

fn command(scratch: &Scratch, script: &str) -> Command {
    let mut command = crate::support::command("/bin/sh");
    command
        .args(["-c", script])
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", scratch.bin().unwrap()))
        .envs(scratch.env())
        .stdin(Stdio::null());
    command
}

fn state_dir(scratch: &Scratch) -> Utf8PathBuf {
    scratch.base().join("np")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[rstest]
fn a_limit_on_open_files_that_is_too_low_is_named(
    #[values("plan", "dead", "doctor", "roots", "run --yes", "undo")] words: &str,
) {
    let Some(scratch) = scratch() else { return };
    for limit in [6, 10, 20, 63] {
        let output = run(&scratch, &format!("ulimit -n {limit};"), words);
        assert_eq!(output.status.code(), Some(1), "{limit}: {}", text(&output));
        let expected = format!("the limit on open files is {limit}, and at least 64 are needed");
        assert!(text(&output).contains(&expected), "{}", text(&output));
    }
    assert!(!state_dir(&scratch).exists(), "nothing was begun");
    // A soft limit is raised.
    let output = run(&scratch, "ulimit -S -n 6;", "dead");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
}

#[test]
fn due_has_no_answer_without_open_files_and_one_without_an_output() {
    let Some(scratch) = scratch() else { return };
    let output = run(&scratch, "ulimit -n 6;", "due");
    assert_eq!(output.status.code(), Some(255), "{}", text(&output));
    let told = run(&scratch, "", "due").status.code();
    assert_eq!(run(&scratch, "", "due > /dev/full").status.code(), told);
}

/// Only a user other than root has such a limit.
#[rstest]
fn without_threads_there_is_an_answer_or_an_error(
    #[values("plan", "dead", "du", "doctor", "generations", "roots", "run --yes")] words: &str,
) {
    if !is_root() {
        return skipped(
            "limits on processes are not tested, because these tests do not run as root",
        );
    }
    let Some(scratch) = scratch() else { return };
    // Nobody else has this number, and so no process counts beside the program.
    let uid = 1_900_000_000 + std::process::id() % 1_000_000;
    let open = format!("chmod -R a+rwX '{}'", scratch.base());
    assert!(command(&scratch, &open).status().unwrap().success());
    for limit in 1..8 {
        let mut limited = command(
            &scratch,
            &format!(
                "ulimit -u {limit}; exec '{}' --state-dir '{}' {words}",
                env!("CARGO_BIN_EXE_nix-prune"),
                scratch.base().join("of-nobody")
            ),
        );
        let output = limited.uid(uid).gid(uid).output().unwrap();
        let told = text(&output);
        assert!(
            output.status.code().is_some_and(|code| code != PANIC),
            "{limit}: {told}"
        );
        assert!(!told.contains("panicked"), "{limit}: {told}");
    }
}

#[rstest]
fn an_output_that_cannot_be_written_is_a_failure(
    #[values(
        "dead",
        "du",
        "roots",
        "doctor",
        "man",
        "completions bash",
        "--help",
        "--version",
        "-vvv dead"
    )]
    words: &str,
) {
    let Some(scratch) = scratch() else { return };
    for to in ["> /dev/full", "> /dev/full 2> /dev/full"] {
        let output = run(&scratch, "", &format!("{words} {to}"));
        assert_eq!(output.status.code(), Some(1), "{to}: {}", text(&output));
    }
    assert!(OpenOptions::new().write(true).open("/dev/full").is_ok());
}

#[rstest]
fn without_a_standard_error_everything_is_done(
    #[values("2> /dev/full", "2>&-", "< /dev/null >&- 2>&-", "<&-")] to: &str,
) {
    let Some(scratch) = scratch() else { return };
    let output = run(&scratch, "", &format!("-vvv run --yes {to}"));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
}
