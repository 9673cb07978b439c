//! The program as the process of a unit of systemd: what the journal and the service manager are told.

#![cfg(test)]

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;

use nix_prune::adapters::scratch::Scratch;
use rstest::rstest;
use serde_json::Value;

use crate::support::{command, nixes, program, run_command, script, status};

/// What a command writes to the journal, or beside it, and what the service manager hears.
fn as_unit(args: &[&str], is_journal: bool) -> (i32, String, Option<String>) {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path();
    let stderr = File::create(base.join("stderr")).unwrap();
    let stream = stderr.metadata().unwrap();
    let inode = stream.ino() + u64::from(!is_journal);
    let manager = UnixDatagram::bind(base.join("notify")).unwrap();
    manager.set_nonblocking(true).unwrap();
    let mut command = command(env!("CARGO_BIN_EXE_nix-prune"));
    command
        .env_clear()
        .env("PATH", "/nowhere")
        .env("HOME", base)
        .env("NIX_STATE_DIR", base.join("state"))
        .env("JOURNAL_STREAM", format!("{}:{inode}", stream.dev()))
        .env("NOTIFY_SOCKET", base.join("notify"))
        .args(["--state-dir", "/nowhere/state"])
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr);
    let ended = command.status().unwrap();
    let mut heard = [0; 1000];
    let heard = manager.recv(&mut heard).ok().map(|length| {
        let text = String::from_utf8_lossy(&heard[..length]);
        text.trim_end().to_string()
    });
    (
        status(ended),
        fs::read_to_string(base.join("stderr")).unwrap(),
        heard,
    )
}

#[rstest]
#[case::a_failure_with_a_hint(&["--config", "/nowhere/x.json", "run", "--yes"])]
#[case::a_wrong_command_line(&["run", "--kep-last", "3"])]
fn every_line_of_an_error_has_its_priority_in_the_journal(#[case] args: &[&str]) {
    let (journal_status, journal, _) = as_unit(args, true);
    let (file_status, file, _) = as_unit(args, false);
    assert_eq!(journal_status, file_status);
    assert!(file.lines().count() > 1, "{file}");
    assert!(!file.contains("<3>"), "{file}");
    assert!(
        journal.lines().all(|line| line.starts_with("<3>")),
        "{journal}"
    );
    assert_eq!(
        journal.replace("<3>", "").replace('\n', " "),
        file.trim_start_matches("nix-prune: ").replace('\n', " ")
    );
}

#[test]
fn the_service_manager_hears_why_it_failed() {
    let (_, said, heard) = as_unit(&["--config", "/nowhere/x.json", "run", "--yes"], true);
    let first = said.lines().next().unwrap();
    let message = first.trim_start_matches("<3>").trim_end_matches('.');
    assert_eq!(heard, Some(format!("STATUS={message}")));
}

#[test]
fn the_service_manager_of_the_user_is_asked_for_the_next_run() {
    let Some(nix) = nixes().last() else { return };
    let scratch = Scratch::new(Some(&nix.bin)).unwrap();
    let bin = scratch.base().join("systemctl-bin");
    fs::create_dir(&bin).unwrap();
    // systemctl finds the manager of a user by this variable
    script(
        &bin.join("systemctl"),
        r#"[ "$XDG_RUNTIME_DIR" = /run/user/7 ] && echo @1795385804"#,
    );
    let mut command = program(&scratch);
    let path = format!("{bin}:{}:/usr/bin:/bin", scratch.bin().unwrap());
    command
        .env("PATH", path)
        .env("XDG_RUNTIME_DIR", "/run/user/7")
        .args(["status", "--json"]);
    let ran = run_command(&mut command);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(document["jobs"][0]["nextRun"], "2026-11-22T22:16:44Z");
}
