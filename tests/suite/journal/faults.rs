//! Faults need a process of their own: this binary, called again for one test, with the place in the environment.

use std::env;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use nix_prune::adapters::journal::Journal;
use nix_prune::domain::receipt::{Receipt, RunId};
use nix_prune::ports::{JournalError, RunJournal};

use super::{SECOND, is_root, names, receipt, scratch, time};

const V1: &str = include_str!("../../fixtures/receipts/v1.json");
const PLACE: &str = "NIX_PRUNE_TEST_JOURNAL";

/// The journal to work on, in the process that was called to fail.
fn called() -> Option<Journal> {
    env::var(PLACE).ok().map(|dir| Journal::at(dir.into()))
}

/// Calls this binary for `test` alone, behind some words of shell, and waits until it prints `ready`.
fn call(test: &str, shell: &str, journal: &Journal) -> (Child, BufReader<impl Read>) {
    let this = env::current_exe().unwrap();
    let mut child = crate::support::command("/bin/sh")
        .args(["-c", &format!("{shell}exec \"$0\" \"$@\"")])
        .arg(this)
        .args([
            "--exact",
            &format!("journal::faults::{test}"),
            "--nocapture",
            "--test-threads=1",
        ])
        .env(PLACE, journal.dir().as_str())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("ready") {
        line.clear();
        assert_ne!(
            output.read_line(&mut line).unwrap(),
            0,
            "the child said nothing"
        );
    }
    (child, output)
}

fn wait_for_the_end_of_input() {
    println!("ready");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

/// A record of about `size` bytes.
fn large(receipt: &Receipt, size: usize) -> Receipt {
    Receipt {
        nix_version: "x".repeat(size),
        ..receipt.clone()
    }
}

#[test]
fn the_lock_of_another_process_is_seen_and_ends_with_it() {
    if let Some(journal) = called() {
        let _lock = journal.lock().unwrap();
        return wait_for_the_end_of_input();
    }
    let (_guard, _around, journal) = scratch();
    let (mut child, _output) = call(
        "the_lock_of_another_process_is_seen_and_ends_with_it",
        "",
        &journal,
    );
    let Err(JournalError::Locked { holder, .. }) = journal.lock() else {
        panic!("two locks");
    };
    assert!(
        holder
            .unwrap()
            .starts_with(&format!("process {} since ", child.id()))
    );
    // Reading needs no lock.
    assert_eq!(journal.receipts().unwrap(), []);
    child.kill().unwrap();
    child.wait().unwrap();
    journal.lock().unwrap();
}

#[test]
fn a_child_process_does_not_keep_the_lock() {
    if called().is_some() {
        return wait_for_the_end_of_input();
    }
    let (_guard, _around, journal) = scratch();
    let lock = journal.lock().unwrap();
    let (mut child, _output) = call("a_child_process_does_not_keep_the_lock", "", &journal);
    drop(lock);
    journal.lock().unwrap();
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_run_killed_at_any_moment_leaves_a_whole_record() {
    if let Some(journal) = called() {
        let lock = journal.lock().unwrap();
        let mut receipt = receipt(time(SECOND));
        journal.begin(&lock, &mut receipt).unwrap();
        println!("ready");
        loop {
            for size in [5_000, 1] {
                journal.record(&lock, &large(&receipt, size)).unwrap();
            }
        }
    }
    let (_guard, _around, journal) = scratch();
    let runs = journal.dir().join("runs");
    let mut leftovers = 0;
    for round in 0..20 {
        let (mut child, _output) = call(
            "a_run_killed_at_any_moment_leaves_a_whole_record",
            "",
            &journal,
        );
        thread::sleep(Duration::from_micros(700 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        let before = names(&runs).len();
        for record in journal.receipts().unwrap() {
            assert!(["2.34.8".len(), 1, 5_000].contains(&record.nix_version.len()));
        }
        drop(journal.lock().unwrap());
        leftovers += before - names(&runs).len();
    }
    assert_eq!(journal.receipts().unwrap().len(), 20);
    println!("{leftovers} of 20 kills left a temporary file");
}

#[test]
fn a_full_disk_leaves_the_old_record() {
    if let Some(journal) = called() {
        let lock = journal.lock().unwrap();
        let old = journal.receipts().unwrap().remove(0);
        let record = journal.record(&lock, &large(&old, 1 << 20));
        assert!(
            matches!(record, Err(JournalError::Write { .. })),
            "{record:?}"
        );
        let begun = journal.begin(&lock, &mut large(&old, 1 << 20));
        assert!(
            matches!(begun, Err(JournalError::Write { .. })),
            "{begun:?}"
        );
        return wait_for_the_end_of_input();
    }
    let (_guard, _around, journal) = scratch();
    let mut old = receipt(time(SECOND));
    journal.begin(&journal.lock().unwrap(), &mut old).unwrap();
    // No file may grow beyond some blocks: the write begins and fails halfway, as on a full disk.
    let full = "trap '' XFSZ; ulimit -f 8; ";
    let (mut child, _output) = call("a_full_disk_leaves_the_old_record", full, &journal);
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    assert_eq!(journal.receipts().unwrap(), [old]);
    assert_eq!(
        names(&journal.dir().join("runs")),
        ["20261122T221644Z.json"]
    );
}

#[test]
fn a_full_disk_leaves_the_steps_before() {
    if let Some(journal) = called() {
        let lock = journal.lock().unwrap();
        let mut receipt = journal.receipts().unwrap().remove(0);
        journal.record(&lock, &receipt).unwrap();
        receipt.entries[1].detail = Some("x".repeat(300));
        let failed = (0..100).find_map(|_| journal.record_step(&lock, &receipt, 1).err());
        assert!(
            matches!(failed, Some(JournalError::Write { .. })),
            "{failed:?}"
        );
        return wait_for_the_end_of_input();
    }
    let (_guard, _around, journal) = scratch();
    let mut old: Receipt = serde_json::from_str(V1).unwrap();
    journal.begin(&journal.lock().unwrap(), &mut old).unwrap();
    let full = "trap '' XFSZ; ulimit -f 40; ";
    let (mut child, _output) = call("a_full_disk_leaves_the_steps_before", full, &journal);
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    old.entries[1].detail = Some("x".repeat(300));
    assert_eq!(journal.receipts().unwrap(), [old]);
}

#[test]
fn a_run_killed_between_steps_leaves_a_whole_record() {
    if let Some(journal) = called() {
        let lock = journal.lock().unwrap();
        let mut receipt: Receipt = serde_json::from_str(V1).unwrap();
        journal.begin(&lock, &mut receipt).unwrap();
        println!("ready");
        loop {
            for index in 0..receipt.entries.len() {
                let detail = receipt.entries[index].detail.take();
                receipt.entries[index].detail = detail.or_else(|| Some("x".repeat(4_000)));
                journal.record_step(&lock, &receipt, index).unwrap();
            }
            journal.record(&lock, &receipt).unwrap();
        }
    }
    let (_guard, _around, journal) = scratch();
    for round in 0..20 {
        let test = "a_run_killed_between_steps_leaves_a_whole_record";
        let (mut child, _output) = call(test, "", &journal);
        thread::sleep(Duration::from_micros(700 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        for receipt in journal.receipts().unwrap() {
            assert_eq!(receipt.entries.len(), 9);
        }
    }
    assert_eq!(journal.receipts().unwrap().len(), 20);
}

#[test]
fn the_umask_does_not_decide_who_reads_the_history() {
    if let Some(journal) = called() {
        let lock = journal.lock().unwrap();
        let mut receipt = receipt(time(SECOND));
        journal.begin(&lock, &mut receipt).unwrap();
        journal.hold_link(&lock, &receipt.run, 0).unwrap();
        return wait_for_the_end_of_input();
    }
    let dir_mode = if is_root() { 0o755 } else { 0o700 };
    for umask in ["umask 077; ", "umask 000; "] {
        let (_guard, _around, journal) = scratch();
        let test = "the_umask_does_not_decide_who_reads_the_history";
        let (mut child, _output) = call(test, umask, &journal);
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
        let run = RunId::at(time(SECOND), 1);
        let mode = |path: Utf8PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        for dir in [
            String::new(),
            "runs".into(),
            "holds".into(),
            format!("holds/{run}"),
        ] {
            assert_eq!(mode(journal.dir().join(dir)), dir_mode);
        }
        // What Nix printed may name secrets.
        assert_eq!(mode(journal.dir().join(format!("runs/{run}.json"))), 0o600);
        assert_eq!(mode(journal.dir().join("lock")), 0o600);
    }
}

#[test]
fn what_killed_runs_left_goes_under_the_lock_only() {
    let (_guard, _around, journal) = scratch();
    let lock = journal.lock().unwrap();
    journal.begin(&lock, &mut receipt(time(SECOND))).unwrap();
    let left = [
        journal.dir().join(".nix-prune-tmp-1"),
        journal.dir().join("runs/.nix-prune-tmp-2"),
    ];
    for path in &left {
        fs::write(path, "half").unwrap();
    }
    journal.lock().unwrap_err();
    journal.receipts().unwrap();
    assert!(left.iter().all(|path| path.exists()));
    drop(lock);
    journal.lock().unwrap();
    assert!(!left.iter().any(|path| path.exists()));
    assert_eq!(journal.receipts().unwrap().len(), 1);
}

#[test]
fn places_that_cannot_be_written_to_are_named() {
    let (_guard, around, journal) = scratch();
    fs::write(journal.dir(), "").unwrap();
    let locked = journal.lock();
    assert!(
        matches!(&locked, Err(JournalError::Write { path, .. }) if path == journal.dir()),
        "{locked:?}"
    );

    let journal = Journal::at(around.join("other"));
    let lock = journal.lock().unwrap();
    fs::write(journal.dir().join("runs"), "").unwrap();
    let begun = journal.begin(&lock, &mut receipt(time(SECOND)));
    assert!(
        matches!(&begun, Err(JournalError::Write { path, .. }) if path.ends_with("/runs")),
        "{begun:?}"
    );
    fs::write(journal.holds_dir(), "").unwrap();
    let held = journal.hold_link(&lock, &RunId::at(time(SECOND), 1), 0);
    assert!(matches!(held, Err(JournalError::Write { .. })), "{held:?}");
}

#[test]
fn a_directory_that_is_read_only_is_named() {
    // Root may write anywhere, so that it meets the fault in a place of the kernel's where nobody can.
    let (_guard, around, journal) = scratch();
    let journal = if is_root() {
        Journal::at(Utf8Path::new("/proc/nix-prune").to_path_buf())
    } else {
        fs::set_permissions(&around, Permissions::from_mode(0o555)).unwrap();
        journal
    };
    let locked = journal.lock();
    assert!(
        matches!(locked, Err(JournalError::Write { .. })),
        "{locked:?}"
    );
    assert_eq!(journal.receipts().unwrap(), []);
    fs::set_permissions(&around, Permissions::from_mode(0o755)).unwrap();
}
