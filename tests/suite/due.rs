//! `due`: what a timer asks often, so it must answer by the settings and the file system alone, and never a wrong no.

#![cfg(test)]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rstest::rstest;

use crate::support::{Ran, command, run_command};

/// Asks with these settings, where there is no Nix, no store database and no state directory, but a store directory.
fn asked(settings: &str, args: &[&str]) -> (Ran, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path();
    fs::create_dir(base.join("store")).unwrap();
    fs::write(base.join("settings.json"), settings).unwrap();
    fs::set_permissions(base.join("settings.json"), PermissionsExt::from_mode(0o644)).unwrap();
    let mut command = command(env!("CARGO_BIN_EXE_nix-prune"));
    command
        .env_clear()
        .env("PATH", "/nowhere")
        .env("HOME", base)
        .env("NIX_STORE_DIR", base.join("store"))
        .env("NIX_STATE_DIR", base.join("state"))
        .arg("--config")
        .arg(base.join("settings.json"))
        .args(["--state-dir", "/nowhere/state", "due"])
        .args(args);
    (run_command(&mut command), dir)
}

fn with_budget(budget: &str) -> String {
    format!(
        r#"{{ "version": 2, "jobs": {{
            "daily": {{ "budget": {budget}, "operations": {{ "collect": {{}} }} }},
            "free": {{ "operations": {{ "collect": {{}} }} }},
            "off": {{ "enabled": false }} }} }}"#
    )
}

#[rstest]
#[case::reached(
    r#"{ "minFree": "1K" }"#,
    "daily",
    1,
    "Not due: the goal is reached: at least 1.00 KiB free.\n"
)]
#[case::missed(
    r#"{ "minFree": "8000000T" }"#,
    "daily",
    0,
    " must be freed for at least 8000000.00 TiB free.\n"
)]
#[case::two_reached(
    r#"{ "minFree": "1K", "minFreeInodes": "1" }"#,
    "daily",
    1,
    "Not due: the goal is reached: at least 1.00 KiB free.\n"
)]
#[case::the_other_missed(
    r#"{ "minFree": "1K", "minFreeInodes": "1000000000000000" }"#,
    "daily",
    0,
    " inodes must be freed for at least 1000000000000000 inodes free.\n"
)]
#[case::untold(r#"{ "maxStore": "1T" }"#, "daily", 0, "without scanning the store.\n")]
#[case::none(r#"{ "minFree": "1K" }"#, "free", 0, "Due: the job has no budget.\n")]
fn the_exit_status_is_the_answer(
    #[case] budget: &str,
    #[case] job: &str,
    #[case] status: i32,
    #[case] says: &str,
) {
    let (ran, dir) = asked(&with_budget(budget), &[job]);
    assert_eq!(ran.status, status, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.ends_with(says), "{}", ran.stdout);
    assert_eq!(ran.stderr, "");
    // Nothing was made, and nothing was missing: neither Nix nor its state directory was asked for.
    let mut names: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["settings.json", "store"]);
}

#[rstest]
#[case::no_json("no JSON", &["daily"])]
#[case::invalid(r#"{ "version": 2, "jobs": { "daily": { "budget": { "minFree": "much" }, "operations": { "collect": {} } } } }"#, &["daily"])]
#[case::unknown(r#"{ "version": 2, "jobs": { "daily": { "operations": { "collect": {} } } } }"#, &["weekly"])]
#[case::disabled(r#"{ "version": 2, "jobs": { "daily": { "enabled": false } } }"#, &["daily"])]
fn what_cannot_be_answered_is_never_a_no(#[case] settings: &str, #[case] args: &[&str]) {
    // systemd takes 1 to 254 of a condition for "not now", and only 255 for a failure that its owner hears of.
    let (ran, _dir) = asked(settings, args);
    assert_eq!(ran.status, 255, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(ran.stdout, "");
    assert!(ran.stderr.starts_with("nix-prune: "), "{}", ran.stderr);
}

#[test]
fn a_store_that_is_not_there_is_never_a_no() {
    let (_, dir) = asked("{}", &[]);
    fs::remove_dir(dir.path().join("store")).unwrap();
    let settings = dir.path().join("settings.json");
    fs::write(&settings, with_budget(r#"{ "minFree": "1K" }"#)).unwrap();
    let mut command = command(env!("CARGO_BIN_EXE_nix-prune"));
    command
        .env_clear()
        .env("NIX_STORE_DIR", dir.path().join("store"))
        .args(["--config", settings.to_str().unwrap(), "due", "daily"]);
    let ran = run_command(&mut command);
    assert_eq!(ran.status, 255, "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stderr.contains("cannot read the free space"),
        "{}",
        ran.stderr
    );
}
