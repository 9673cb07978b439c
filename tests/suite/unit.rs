//! The program as the process of a unit of systemd: what the journal and the service manager are told.

#![cfg(test)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::process::Stdio;

use camino::Utf8Path;
use nix::sys::stat::fstat;
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

/// A journal that keeps what it is sent.
struct FakeJournal {
    _lines: UnixListener,
    stream: UnixStream,
    entries: UnixDatagram,
}

impl FakeJournal {
    fn new(dir: &Utf8Path) -> Self {
        let entries = UnixDatagram::bind(dir.join("socket")).unwrap();
        entries.set_nonblocking(true).unwrap();
        Self {
            _lines: UnixListener::bind(dir.join("stdout")).unwrap(),
            stream: UnixStream::connect(dir.join("stdout")).unwrap(),
            entries,
        }
    }

    /// Runs a command as the process of a unit, and gives its entries.
    fn run(&self, scratch: &Scratch, args: &[&str]) -> (i32, Vec<BTreeMap<String, String>>) {
        let stat = fstat(&self.stream).unwrap();
        let stderr = OwnedFd::from(self.stream.try_clone().unwrap());
        let mut command = program(scratch);
        command
            .env("JOURNAL_STREAM", format!("{}:{}", stat.st_dev, stat.st_ino))
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr);
        let ended = status(command.status().unwrap());
        let mut bytes = vec![0; 100_000];
        let mut entries = Vec::new();
        while let Ok(length) = self.entries.recv(&mut bytes) {
            entries.push(entry(&bytes[..length]));
        }
        (ended, entries)
    }
}

/// An entry of the native protocol, each of whose values has its length.
fn entry(mut bytes: &[u8]) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    while !bytes.is_empty() {
        let end = bytes.iter().position(|byte| *byte == b'\n').unwrap();
        let (length, rest) = bytes[end + 1..].split_at(8);
        let length = usize::try_from(u64::from_le_bytes(length.try_into().unwrap())).unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        fields.insert(text(&bytes[..end]), text(&rest[..length]));
        bytes = &rest[length + 1..];
    }
    fields
}

/// The identifiers of the catalogue, in its order: begun, ended, failed, check, goal, paused.
fn message_ids() -> Vec<&'static str> {
    let catalogue = include_str!("../../contrib/systemd/nix-prune.catalog");
    let ids = catalogue
        .lines()
        .filter_map(|line| line.strip_prefix("-- "));
    ids.collect()
}

#[test]
fn a_run_writes_entries_with_fields_to_the_journal() {
    let Some(nix) = nixes().last() else { return };
    let scratch = Scratch::new(Some(&nix.bin)).unwrap();
    for number in 1..=4 {
        let path = scratch
            .add_path(&format!("system-{number}"), &[], 1000)
            .unwrap();
        let date = crate::support::time(&format!("2026-01-0{number}T00:00:00Z"));
        let system = scratch.state_dir().join("profiles/system");
        scratch.set_profile(&system, &path, date).unwrap();
    }
    let journal = FakeJournal::new(scratch.base());
    let [begun, ended, failed, _, missed, _] = message_ids()[..] else {
        panic!("{:?}", message_ids())
    };
    let found = |entries: &[BTreeMap<String, String>], id: &str| {
        let entry = entries
            .iter()
            .find(|entry| entry.get("MESSAGE_ID").is_some_and(|it| it == id));
        entry
            .unwrap_or_else(|| panic!("no {id}: {entries:?}"))
            .clone()
    };

    let (status, entries) = journal.run(&scratch, &["run", "--keep-last=2", "--yes"]);
    assert_eq!(status, 0, "{entries:?}");
    assert_eq!(found(&entries, begun)["NIX_PRUNE_JOB"], "default");
    let end = found(&entries, ended);
    assert_eq!(
        (&*end["NIX_PRUNE_RESULT"], &*end["PRIORITY"]),
        ("done", "5")
    );
    assert!(
        end["NIX_PRUNE_BYTES"].parse::<i64>().unwrap() >= 0,
        "{end:?}"
    );
    let receipt = run_command(program(&scratch).args(["history", "last", "--json"]));
    let receipt: Value = serde_json::from_str(&receipt.stdout).unwrap();
    assert_eq!(end["NIX_PRUNE_RUN"], receipt["run"].as_str().unwrap());
    let known = |entry: &BTreeMap<String, String>| {
        entry["SYSLOG_IDENTIFIER"] == "nix-prune" && !entry["MESSAGE"].contains('\n')
    };
    assert!(entries.iter().all(known), "{entries:?}");

    let (status, entries) = journal.run(&scratch, &["run", "--max-store=1K", "--yes"]);
    assert_eq!(status, 5, "{entries:?}");
    let goal = found(&entries, missed);
    assert_eq!(
        (&*goal["NIX_PRUNE_RESULT"], &*goal["PRIORITY"]),
        ("budget", "3")
    );
    assert!(
        goal["NIX_PRUNE_BYTES"].parse::<i64>().unwrap() > 0,
        "{goal:?}"
    );

    let no_nix = ["--nix-bin=/nowhere", "run", "--yes"];
    let (status, entries) = journal.run(&scratch, &no_nix);
    assert_eq!(status, 69, "{entries:?}");
    assert_eq!(found(&entries, failed)["NIX_PRUNE_RESULT"], "nix");
    // A command that is no run has no event of one.
    let (status, entries) = journal.run(&scratch, &["history", "20000101T000000Z"]);
    assert!(status != 0 && !entries.is_empty());
    assert!(
        entries
            .iter()
            .all(|entry| !entry.contains_key("MESSAGE_ID")),
        "{entries:?}"
    );
}
