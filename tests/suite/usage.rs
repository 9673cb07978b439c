//! Wrong input from outside: the message, the exit status, and the document of it with `--json`.

#![cfg(test)]

use std::fs::OpenOptions;
use std::process::Stdio;

use clap::Parser;
use nix_prune::adapters::scratch::Scratch;
use nix_prune::cli::args::Cli;
use rstest::rstest;
use serde_json::Value;

use crate::support::{OnTerminal, nixes, program, run, time};

fn scratch() -> Option<Scratch> {
    let nix = nixes().last()?;
    Some(Scratch::new(Some(&nix.bin)).unwrap())
}

#[rstest]
#[case::bare_size(
    "plan --max-store 10",
    2,
    "`10` is not a size; use a number with a unit"
)]
#[case::bare_free(
    "plan --until-free 10",
    2,
    "neither a size such as 50G nor a percentage"
)]
#[case::no_unit("plan --max-store 10x", 2, "`10x` is not a size")]
#[case::percent_of_the_store("plan --max-store 5%", 2, "`5%` is not a size")]
#[case::used_is_a_percentage("plan --max-used 50G", 2, "use a percentage from 10% to 95%")]
#[case::used_out_of_range("plan --max-used 99%", 2, "between 10 and 95, not 99")]
#[case::two_readings("plan --keep-within 6m", 2, "minutes or months; use `6min` or `6mo`")]
#[case::two_readings_of_a_window("run --undo-window 1h6m", 2, "use `1h6min` or `1h6mo`")]
#[case::two_readings_of_youth("plan --keep-recent 2m", 2, "use `2min` or `2mo`")]
#[case::two_readings_of_a_wait("undo --wait 3m", 2, "use `3min` or `3mo`")]
#[case::two_readings_of_an_end("pin system:1 --until 6m", 2, "use `6min` or `6mo`")]
#[case::bare_age("plan --keep-within 6", 2, "`6` is not a duration")]
#[case::bare_amount("free 20", 2, "`20` has no unit")]
#[case::nothing("free 0", 2, "use a larger size")]
#[case::no_part("free 0%", 2, "use a larger size")]
#[case::more_than_there_is("free 100000T", 2, "the file system of the store has only")]
#[case::all_there_is("free 100%", 2, "the file system of the store has only")]
#[case::more_inodes_than_there_are("free 9999999999999 --inodes", 2, "has only")]
#[case::no_amount("free much", 2, "`much` is neither a size such as 50G")]
#[case::inodes_as_bytes("free 20G --inodes", 2, "needs a number such as 50000")]
#[case::no_inodes("free 0 --inodes", 2, "use a larger size")]
#[case::inodes_with_a_unit("plan --until-free-inodes 5G", 2, "neither a number of inodes")]
#[case::all_inodes("plan --until-free-inodes 91%", 2, "between 1% and 90%, not 91%")]
#[case::slip_in_a_job("plan defualt", 2, "Did you mean default?")]
#[case::slip_in_a_code("plan --accept roots.awy", 2, "did you mean `roots.away`?")]
#[case::window_and_none("run --now --undo-window 3d", 2, "cannot be used with")]
#[case::no_config("plan --config /nope", 78, "--config")]
fn wrong_input_says_what_is_right(#[case] line: &str, #[case] exit: i32, #[case] says: &str) {
    let Some(scratch) = scratch() else { return };
    let words: Vec<&str> = line.split(' ').collect();
    let ran = run(&scratch, &words);
    assert_eq!(ran.status, exit, "{}", ran.stderr);
    assert!(ran.stderr.contains(says), "{}", ran.stderr);
    assert_eq!(ran.stdout, "");
    // The same as a document, where that is asked for.
    let ran = run(&scratch, &[&words[..], &["--json"]].concat());
    assert_eq!(ran.status, exit, "{}", ran.stderr);
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    let schema = serde_json::to_value(nix_prune::render::schema("error").unwrap()).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    assert!(schema.is_valid(&document), "{document}");
    assert_eq!(document["error"]["exit"], exit);
    let code = if exit == 2 { "usage" } else { "settings" };
    assert_eq!(document["error"]["code"], code);
    let said = document["error"].to_string();
    assert!(said.contains(says), "{said}");
}

#[rstest]
#[case("plan --max-store 10GiB")]
#[case("plan --max-store 10GB")]
#[case("plan --max-store 10G")]
#[case("plan --max-store 10g")]
#[case("plan --until-free 1.5g")]
#[case("plan --until-free 20%")]
#[case("plan --max-used 80%")]
#[case("plan --until-free-inodes 1%")]
#[case("plan --until-free-inodes 1000")]
#[case("plan --keep-within 90min")]
#[case("plan --keep-within 6mo")]
#[case("plan --keep-within 1y")]
fn sizes_and_durations_are_as_people_write_them(#[case] line: &str) {
    let words = ["nix-prune"].into_iter().chain(line.split(' '));
    Cli::try_parse_from(words).unwrap();
}

#[test]
fn what_is_missing_is_not_called_unsafe() {
    let Some(scratch) = scratch() else { return };
    let ran = run(&scratch, &["plan", "--config", "/nope"]);
    assert!(ran.stderr.contains("config init"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("owner"), "{}", ran.stderr);
}

#[rstest]
#[case(&["plan"])]
#[case(&["plan", "--json"])]
#[case(&["plan", "--out", "-"])]
#[case(&["history", "--json"])]
#[case(&["completions", "bash"])]
#[case(&["man"])]
#[case(&["--help"])]
fn output_that_is_lost_is_a_failure(#[case] args: &[&str]) {
    let Some(scratch) = scratch() else { return };
    let full = || OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut ran = program(&scratch);
    let ran = ran.args(args).stdout(full()).stderr(Stdio::null());
    assert_eq!(ran.status().unwrap().code(), Some(1));
}

#[test]
fn a_dumb_terminal_has_no_colours() {
    let Some(scratch) = scratch() else { return };
    let path = scratch.add_path("system", &[], 10).unwrap();
    let profile = scratch.state_dir().join("profiles/system");
    let date = time("2026-01-01T00:00:00Z");
    scratch.set_profile(&profile, &path, date).unwrap();
    let shown = |term: &str| {
        let args = ["generations", "--color=auto"];
        let mut shown = OnTerminal::start(program(&scratch).args(args).env("TERM", term));
        shown.until("no other end")
    };
    assert!(!shown("dumb").contains('\u{1b}'));
    assert!(shown("xterm").contains('\u{1b}'));
}
