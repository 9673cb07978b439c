//! A database and a store directory that do not belong together: Nix would delete what the database does not know.

use rstest::rstest;

use super::*;
use crate::support::{program, run_command};

/// Runs our program with another state directory.
fn with_state(scratch: &Scratch, state: &Utf8PathBuf, args: &[&str]) -> Ran {
    run_command(program(scratch).env("NIX_STATE_DIR", state).args(args))
}

fn database(scratch: &Scratch) -> Utf8PathBuf {
    scratch.state_dir().join("db/db.sqlite")
}

fn lose_every_row(scratch: &Scratch) {
    let connection = rusqlite::Connection::open(database(scratch)).unwrap();
    connection
        .execute_batch("DELETE FROM Refs; DELETE FROM ValidPaths")
        .unwrap();
}

/// Names as builds leave them behind that were killed.
fn leave_behind(scratch: &Scratch, count: usize) -> Vec<Utf8PathBuf> {
    let name = |n: usize| format!("{n:0>32}-left");
    let paths = (0..count).map(|n| scratch.store().as_path().join(name(n)));
    let paths: Vec<Utf8PathBuf> = paths.collect();
    for path in &paths {
        fs::create_dir(path).unwrap();
    }
    paths
}

#[test]
fn accident_the_state_of_another_store_collects_nothing() {
    let (Some(ours), Some(other)) = (machine(), machine()) else {
        return;
    };
    // The store directory of one with the state of another, which was never used or has other paths.
    let empty = ours.base().join("empty");
    fs::create_dir(&empty).unwrap();
    let used = other.state_dir();
    for (state, says) in [
        (&used, "belongs to another store"),
        (&empty, "does not exist"),
    ] {
        for args in [
            ["run", "--yes", "--json"],
            ["run", "--yes", "--accept=roots.away"],
            ["run", "--yes", "--collect-method=full"],
        ] {
            let ran = with_state(&ours, state, &args);
            assert_eq!(ran.status, 4, "{args:?}: {}{}", ran.stdout, ran.stderr);
            for says in [says, "--accept store.mismatch"] {
                assert!(ran.stderr.contains(says), "{says}: {}", ran.stderr);
            }
        }
        assert!(on_disk(&ours, "dead") && on_disk(&ours, "system-1"));
        assert!(on_disk(&other, "dead"));
    }
    assert_eq!(empty.read_dir_utf8().unwrap().count(), 0);
    ends(&ours, &["run", "--yes"], 0);
    assert!(!on_disk(&ours, "dead") && on_disk(&ours, "system-1"));
}

#[test]
fn a_database_that_lost_its_rows_collects_nothing_until_that_is_let_pass() {
    let Some(scratch) = machine() else { return };
    lose_every_row(&scratch);
    let plan = json(&ends(&scratch, &["plan", "--json"], 0));
    assert_eq!(codes(&plan["failedChecks"]), ["store.mismatch"]);
    let says = plan["failedChecks"][0]["message"].as_str().unwrap();
    assert!(
        says.starts_with("5 roots point to existing paths"),
        "{says}"
    );
    ends(&scratch, &["run", "--yes"], 4);
    ends(&scratch, &["run", "--yes", "--accept=roots.vanished"], 4);
    assert!(on_disk(&scratch, "dead") && on_disk(&scratch, "system-5"));
    let accept = ["run", "--yes", "--json", "--accept=store.mismatch"];
    let receipt = json(&ends(&scratch, &accept, 0));
    assert_eq!(codes(&receipt["acceptedChecks"]), ["store.mismatch"]);
}

/// The database of another store in the same place, whose paths nobody ever saw here.
#[test]
fn a_database_none_of_whose_paths_is_there_collects_nothing() {
    let Some(nix) = nixes().last() else { return };
    let scratch = Scratch::new(Some(&nix.bin)).unwrap();
    scratch.add_path("dead", &[], 10).unwrap();
    let connection = rusqlite::Connection::open(database(&scratch)).unwrap();
    connection
        .execute_batch("UPDATE ValidPaths SET path = path || '-of-another'")
        .unwrap();
    drop(connection);
    let ran = ends(&scratch, &["run", "--yes"], 4);
    let says = "of 1 valid paths 0 exist, and 1 existing paths are not in the database";
    assert!(ran.stderr.contains(says), "{}", ran.stderr);
    assert!(on_disk(&scratch, "dead"));
}

/// The rows of the newest generation are lost, as with a copy of yesterday: a collection would delete the running system.
#[test]
fn one_generation_that_an_old_copy_of_the_database_does_not_know_is_enough() {
    let Some(scratch) = machine() else { return };
    let old = scratch.base().join("yesterday");
    fs::copy(database(&scratch), &old).unwrap();
    let path = scratch.add_path("system-6", &[], 1000).unwrap();
    let date = time("2026-01-06T00:00:00Z");
    scratch.set_profile(&system(&scratch), &path, date).unwrap();
    for behind in ["-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{behind}", database(&scratch)));
    }
    fs::copy(&old, database(&scratch)).unwrap();
    let ran = ends(&scratch, &["run", "--yes"], 4);
    assert!(
        ran.stderr.contains("1 root points to existing paths"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("system-6"), "{}", ran.stderr);
    assert!(on_disk(&scratch, "system-6") && on_disk(&scratch, "dead"));
}

#[rstest]
#[case::by_name(&[])]
#[case::wholly(&["--collect-method=full"])]
fn a_saved_plan_is_stopped_by_a_database_that_lost_its_rows_since(#[case] how: &[&str]) {
    let Some(scratch) = machine() else { return };
    let file = scratch.base().join("plan");
    ends(
        &scratch,
        &[&["plan", "--out", file.as_str()], how].concat(),
        0,
    );
    lose_every_row(&scratch);
    let ran = ends(&scratch, &["apply", "--yes", file.as_str()], 4);
    assert!(
        ran.stderr.contains("are not in the database"),
        "{}",
        ran.stderr
    );
    assert!(on_disk(&scratch, "dead") && on_disk(&scratch, "system-5"));
}

/// What a crash leaves of a store that is hardly begun, and of one that is in use, is what a collection is for.
#[rstest]
#[case::no_path_is_valid(0)]
#[case::one(1)]
#[case::two(2)]
#[case::a_store_in_use(6)]
fn what_a_crash_left_is_collected(#[case] valid: usize) {
    let Some(nix) = nixes().last() else { return };
    let scratch = Scratch::new(Some(&nix.bin)).unwrap();
    let paths: Vec<_> = (0..valid.max(1))
        .map(|n| scratch.add_path(&format!("path-{n}"), &[], 10).unwrap())
        .collect();
    if valid == 0 {
        // The path stays, and is one more that was left behind.
        lose_every_row(&scratch);
    } else if let Some(path) = paths.first() {
        let date = time("2026-01-01T00:00:00Z");
        scratch.set_profile(&system(&scratch), path, date).unwrap();
    }
    let left = leave_behind(&scratch, 3);
    if valid == 6 {
        // A row without its path.
        fs::remove_file(paths[5].to_absolute_path(scratch.store())).unwrap();
    }
    ends(&scratch, &["run", "--yes"], 0);
    assert!(left.iter().all(|path| !path.exists()));
    assert_eq!(
        paths[0].to_absolute_path(scratch.store()).exists(),
        valid > 0
    );
}
