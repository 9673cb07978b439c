//! Steps behind a record: what a reader sees after each, and after a cut or a change anywhere.

use std::fs;
use std::os::unix::fs::MetadataExt;

use camino::Utf8PathBuf;
use nix_prune::adapters::journal::{Journal, RunLock};
use nix_prune::domain::measure::Bytes;
use nix_prune::domain::receipt::{Outcome, Receipt};
use nix_prune::ports::{JournalError, RunJournal};

use super::{names, scratch};

const V1: &str = include_str!("../../fixtures/receipts/v1.json");

/// A run of nine actions that are all to be done.
fn begun(journal: &Journal, lock: &RunLock) -> Receipt {
    let mut receipt: Receipt = serde_json::from_str(V1).unwrap();
    for entry in &mut receipt.entries {
        entry.outcome = Outcome::Pending;
    }
    journal.begin(lock, &mut receipt).unwrap();
    receipt
}

/// Does one action after the other; gives the record as it should be after each, the first before all.
fn carried_out(journal: &Journal, lock: &RunLock) -> Vec<Receipt> {
    let mut receipt = begun(journal, lock);
    let mut states = vec![receipt.clone()];
    for index in 0..receipt.entries.len() {
        receipt.entries[index].outcome = Outcome::Done;
        receipt.entries[index].detail = Some(format!("step {index}\nof nine"));
        receipt.bytes.reported = Some(Bytes(index as u64));
        journal.record_step(lock, &receipt, index).unwrap();
        states.push(receipt.clone());
        assert_eq!(journal.receipts().unwrap(), [receipt.clone()]);
    }
    states
}

fn steps(journal: &Journal, receipt: &Receipt) -> Utf8PathBuf {
    journal.dir().join(format!("runs/{}.steps", receipt.run))
}

#[test]
fn a_step_does_not_write_the_record_anew() {
    let (_guard, _around, journal) = scratch();
    let lock = journal.lock().unwrap();
    let states = carried_out(&journal, &lock);
    let record = steps(&journal, &states[0]).with_extension("json");
    let text = fs::read_to_string(&record).unwrap();
    assert_eq!(serde_json::from_str::<Receipt>(&text).unwrap(), states[0]);
    let inode = fs::metadata(&record).unwrap().ino();
    let mut last = states[9].clone();
    for _ in 0..50 {
        last.entries[4].outcome = Outcome::Failed;
        journal.record_step(&lock, &last, 4).unwrap();
    }
    assert_eq!(fs::metadata(&record).unwrap().ino(), inode);
    assert_eq!(journal.receipt(&last.run).unwrap(), last);
}

#[test]
fn a_whole_record_takes_the_place_of_its_steps() {
    let (_guard, _around, journal) = scratch();
    let lock = journal.lock().unwrap();
    let mut last = carried_out(&journal, &lock).pop().unwrap();
    let path = steps(&journal, &last);
    let behind = fs::read(&path).unwrap();
    last.entries[0].outcome = Outcome::Stale;
    journal.record(&lock, &last).unwrap();
    assert_eq!(
        names(&journal.dir().join("runs")),
        ["20261122T221644Z.json"]
    );
    assert_eq!(journal.receipts().unwrap(), [last.clone()]);
    // Had it been killed before they were removed.
    fs::write(&path, &behind).unwrap();
    assert_eq!(journal.receipts().unwrap(), [last.clone()]);
    // And the next step goes behind the new record.
    last.entries[1].outcome = Outcome::Skipped;
    journal.record_step(&lock, &last, 1).unwrap();
    assert_eq!(journal.receipts().unwrap(), [last]);
}

#[test]
fn another_run_goes_on_where_one_was_killed() {
    let (_guard, _around, journal) = scratch();
    let mut receipt = carried_out(&journal, &journal.lock().unwrap())[3].clone();
    receipt.bytes.reported = None;
    let lock = journal.lock().unwrap();
    for index in [5, 3] {
        receipt.entries[index].outcome = Outcome::Skipped;
        journal.record_step(&lock, &receipt, index).unwrap();
        assert_eq!(journal.receipts().unwrap(), [receipt.clone()]);
    }
}

#[test]
fn steps_cut_off_anywhere_are_those_before() {
    let (_guard, _around, journal) = scratch();
    let states = carried_out(&journal, &journal.lock().unwrap());
    let path = steps(&journal, &states[0]);
    let text = fs::read(&path).unwrap();
    let head = text.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    for end in head..=text.len() {
        fs::write(&path, &text[..end]).unwrap();
        let whole = text[head..end].split(|&byte| byte == b'\n').count() - 1;
        assert_eq!(
            journal.receipts().unwrap(),
            [states[whole].clone()],
            "{end}"
        );
    }
    fs::remove_file(&path).unwrap();
    assert_eq!(journal.receipts().unwrap(), [states[0].clone()]);
}

#[test]
fn steps_that_somebody_changed_are_named() {
    let (_guard, _around, journal) = scratch();
    let states = carried_out(&journal, &journal.lock().unwrap());
    let path = steps(&journal, &states[0]);
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let [head, first, second, ..] = lines[..] else {
        panic!("{text}");
    };
    let other_action = second.replace("\"index\":1", "\"index\":0");
    let none = second.replace("\"index\":1", "\"index\":9");
    for changed in [
        "\n".to_string(),
        head.to_string(),
        format!("{head}\n{second}\n"),
        format!("{head}\n{first}\n{first}\n"),
        format!(
            "{head}\n{}\n{second}\n",
            first.replace("\"done\"", "\"stale\"")
        ),
        format!("{head}\n{first}\n{other_action}\n"),
        format!("{head}\n{first}\n{none}\n"),
        format!("{head}\n{first}\nnonsense\n{second}\n"),
        text.replacen("steps/1", "steps/2", 1),
    ] {
        fs::write(&path, &changed).unwrap();
        let read = journal.receipts();
        assert!(
            matches!(&read, Err(JournalError::Malformed { path, .. }) if *path == steps(&journal, &states[0])),
            "{changed}: {read:?}"
        );
    }
}

#[test]
fn what_is_no_file_is_not_read_for_steps() {
    let (_guard, around, journal) = scratch();
    let states = carried_out(&journal, &journal.lock().unwrap());
    let path = steps(&journal, &states[0]);
    let elsewhere = around.join("elsewhere");
    fs::rename(&path, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    journal.receipts().unwrap_err();
    fs::remove_file(&path).unwrap();
    let mode = nix::sys::stat::Mode::from_bits_truncate(0o600);
    nix::unistd::mkfifo(path.as_std_path(), mode).unwrap();
    journal.receipts().unwrap_err();
}
