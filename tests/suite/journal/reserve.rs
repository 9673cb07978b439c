//! What is set aside for a run on a full disk. That it is enough there is shown with a real one, beside the kills.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use nix_prune::adapters::journal::Journal;
use nix_prune::ports::RunJournal;

use super::{SECOND, names, receipt, scratch, time};
use crate::support::listing;

fn stocked(journal: &Journal) {
    journal.restock(&journal.lock().unwrap());
}

#[test]
fn room_is_set_aside_once_and_made_up_for() {
    let (_guard, _around, journal) = scratch();
    stocked(&journal);
    let reserve = journal.dir().join("reserve");
    assert_eq!(names(&reserve).len(), 24);
    for name in names(&reserve) {
        let file = fs::metadata(reserve.join(name)).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
        assert!(file.blocks() * 512 >= 16 << 10, "{file:?}");
    }
    let before = listing(&reserve);
    stocked(&journal);
    assert_eq!(listing(&reserve), before);
    // A copy of the directory has files without blocks.
    fs::remove_file(reserve.join("7")).unwrap();
    fs::write(reserve.join("8"), "").unwrap();
    fs::remove_file(reserve.join("9")).unwrap();
    fs::write(reserve.join("9"), "cut off").unwrap();
    stocked(&journal);
    for name in names(&reserve) {
        let blocks = fs::metadata(reserve.join(name)).unwrap().blocks();
        assert!(blocks * 512 >= 16 << 10);
    }
}

#[test]
fn the_reserve_is_as_large_as_the_records() {
    let (_guard, _around, journal) = scratch();
    let lock = journal.lock().unwrap();
    let mut run = receipt(time(SECOND));
    run.nix_version = "x".repeat(50_000);
    journal.begin(&lock, &mut run).unwrap();
    journal.restock(&lock);
    let file = fs::metadata(journal.dir().join("reserve/0")).unwrap();
    assert!(file.blocks() * 512 >= 75_000);
    // And no larger than what a small disk can spare.
    run.nix_version = "x".repeat(5_000_000);
    journal.record(&lock, &run).unwrap();
    journal.restock(&lock);
    let file = fs::metadata(journal.dir().join("reserve/0")).unwrap();
    assert!(file.blocks() * 512 <= 512 << 10);
}

#[test]
fn a_reserve_that_leads_elsewhere_is_not_used() {
    let (_guard, around, journal) = scratch();
    drop(journal.lock().unwrap());
    fs::create_dir(around.join("other")).unwrap();
    symlink(around.join("other"), journal.dir().join("reserve")).unwrap();
    stocked(&journal);
    assert_eq!(names(&around.join("other")), [""; 0]);
    fs::remove_file(journal.dir().join("reserve")).unwrap();
    fs::create_dir(journal.dir().join("reserve")).unwrap();
    fs::write(around.join("file"), "untouched").unwrap();
    symlink(around.join("file"), journal.dir().join("reserve/0")).unwrap();
    stocked(&journal);
    let file = fs::metadata(around.join("file")).unwrap();
    assert!(file.blocks() * 512 < 16 << 10);
}
