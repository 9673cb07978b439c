use std::fs;
use std::os::unix::fs::symlink;

use camino::Utf8Path;
use nix_prune::adapters::journal::{Journal, RunLock};
use nix_prune::domain::measure::{Span, Timestamp};
use nix_prune::domain::receipt::Receipt;
use nix_prune::ports::RunJournal;
use rstest::rstest;
use serde_json::json;

use super::{SECOND, receipt, scratch, time};

fn days(days: u32) -> Timestamp {
    time(SECOND).after(Span::days(days))
}

/// A record for each of so many days.
fn ended(journal: &Journal, lock: &RunLock, runs: u32) {
    for day in 0..runs {
        let mut receipt = receipt(days(day));
        receipt.finished_at = Some(days(day));
        journal.begin(lock, &mut receipt).unwrap();
    }
}

#[rstest]
#[case::few_however_old(100, 5000, 0)]
#[case::one_more_than_a_hundred(101, 5000, 1)]
#[case::young_ones_stay(150, 365, 0)]
#[case::those_that_are_older_than_a_year(150, 375, 10)]
fn old_records_go_but_for_a_hundred(
    #[case] runs: u32,
    #[case] today: u32,
    #[case] expected: usize,
) {
    let (_guard, _around, journal) = scratch();
    let lock = journal.lock().unwrap();
    ended(&journal, &lock, runs);
    assert_eq!(journal.prune(&lock, days(today)).unwrap(), expected);
    let left = journal.receipts().unwrap();
    let began: Vec<Timestamp> = left.iter().map(|receipt| receipt.started_at).collect();
    let expected: Vec<Timestamp> = (0..runs).map(days).skip(expected).collect();
    assert_eq!(began, expected);
    // A clock that went back removes nothing.
    assert_eq!(journal.prune(&lock, days(0)).unwrap(), 0);
}

#[test]
fn a_run_that_was_interrupted_stays_and_so_do_all_later_ones() {
    let (_guard, _around, journal) = scratch();
    let lock = journal.lock().unwrap();
    ended(&journal, &lock, 150);
    let mut open = journal.receipts().unwrap().swap_remove(5);
    open.finished_at = None;
    journal.record(&lock, &open).unwrap();
    assert_eq!(journal.prune(&lock, days(5000)).unwrap(), 5);
    assert_eq!(journal.receipts().unwrap().len(), 145);
}

/// A run that dropped a generation which is held, or was once.
fn dropped(journal: &Journal, lock: &RunLock) -> Receipt {
    let mut dropped = receipt(days(0));
    dropped.finished_at = Some(days(0));
    journal.begin(lock, &mut dropped).unwrap();
    let hold = journal.hold_link(lock, &dropped.run, 0).unwrap();
    let path = "qy6b1agd6xdycxqvx72lb846xwz2gqcv-default-2";
    let entry = json!({
        "action": {
            "kind": "dropGeneration", "profile": "/p", "profileKind": "user", "number": 2,
            "target": format!("/nix/store/{path}"), "storePath": path, "created": days(0), "current": 3,
            "owner": { "uid": 0, "name": "root" }, "hold": "7d",
        },
        "risk": "medium", "outcome": "done", "at": days(0), "detail": null,
        "undo": { "kind": "restoreGeneration", "hold": hold, "until": days(7) }, "undoneBy": null,
    });
    dropped.entries = vec![serde_json::from_value(entry).unwrap()];
    journal.record(lock, &dropped).unwrap();
    dropped
}

#[test]
fn a_run_that_holds_anything_stays_until_that_has_ended() {
    let (_guard, _around, journal) = scratch();
    let lock = journal.lock().unwrap();
    let dropped = dropped(&journal, &lock);
    let hold = journal.holds_dir().join(dropped.run.as_str()).join("0");
    let target = "/nix/store/qy6b1agd6xdycxqvx72lb846xwz2gqcv-default-2";
    symlink(Utf8Path::new(target), &hold).unwrap();
    ended(&journal, &lock, 150);
    assert_eq!(journal.prune(&lock, days(5000)).unwrap(), 0);
    // A hold whose link is gone is missing until a run says that it has ended.
    fs::remove_file(&hold).unwrap();
    assert_eq!(journal.prune(&lock, days(5000)).unwrap(), 0);
    let mut dropped = dropped;
    dropped.entries[0].undo = None;
    journal.record(&lock, &dropped).unwrap();
    assert_eq!(journal.prune(&lock, days(5000)).unwrap(), 51);
}
