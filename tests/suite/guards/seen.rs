//! What the last run saw and this one does not.

use super::*;

/// A directory of roots with a root in it, which a run has seen.
fn seen(scratch: &Scratch) -> Utf8PathBuf {
    let dir = scratch.state_dir().join("gcroots/machines");
    fs::create_dir_all(&dir).unwrap();
    let path = scratch.add_path("kept", &[], 10).unwrap();
    symlink(path.to_absolute_path(scratch.store()), dir.join("kept")).unwrap();
    ends(scratch, &["run", "--yes"], 0);
    dir
}

#[test]
fn a_vanished_directory_of_roots_stops_every_collection_until_it_is_let_pass() {
    let Some(scratch) = machine() else { return };
    let dir = seen(&scratch);
    fs::remove_dir_all(&dir).unwrap();
    for args in [
        ["run", "--yes", "--json"],
        ["run", "--yes", "--accept=roots.away"],
    ] {
        let ran = ends(&scratch, &args, 4);
        assert!(ran.stderr.contains("gcroots/machines"), "{}", ran.stderr);
        assert!(on_disk(&scratch, "kept"));
    }
    ends(&scratch, &["run", "--yes", "--accept=roots.vanished"], 0);
    // Who lets it pass has what the roots kept for an undo window more.
    assert!(on_disk(&scratch, "kept"));
    ends(&scratch, &["hold", "release", "--all", "--yes"], 0);
    ends(&scratch, &["run", "--yes"], 0);
    assert!(!on_disk(&scratch, "kept"));
}

#[test]
fn a_clock_that_was_set_back_stops_the_whole_run_until_it_is_let_pass_once() {
    let Some(scratch) = machine() else { return };
    let keep = ["run", "--keep-last=1", "--no-collect", "--yes"];
    ends(&scratch, &["run", "--yes"], 0);
    let record = scratch.base().join("state/root-baseline.json");
    let text = fs::read_to_string(&record).unwrap();
    let mut seen: Value = serde_json::from_str(&text).unwrap();
    seen["stores"][0]["takenAt"] = "2199-01-01T00:00:00Z".into();
    fs::write(&record, seen.to_string()).unwrap();
    let plan = json(&ends(&scratch, &["plan", "--json"], 0));
    assert_eq!(codes(&plan["failedChecks"]), ["clock.jumped"]);
    for accept in [None, Some("--accept=roots.vanished")] {
        let args: Vec<&str> = keep.into_iter().chain(accept).collect();
        let ran = ends(&scratch, &args, 4);
        assert!(
            ran.stderr.contains("--accept clock.jumped"),
            "{}",
            ran.stderr
        );
        assert_eq!(generations(&scratch), 5, "nothing at all was done");
    }
    let args: Vec<&str> = keep
        .into_iter()
        .chain(["--accept=clock.jumped", "--json"])
        .collect();
    let receipt = json(&ends(&scratch, &args, 0));
    assert_eq!(codes(&receipt["acceptedChecks"]), ["clock.jumped"]);
    assert_eq!(
        generations(&scratch),
        2,
        "the current one, and one to fall back to"
    );
    ends(&scratch, &keep, 0);
}

#[test]
fn a_saved_plan_that_is_stopped_stays_stopped() {
    let Some(scratch) = machine() else { return };
    ends(&scratch, &["run", "--yes"], 0);
    let (record, file) = (
        scratch.base().join("state/root-baseline.json"),
        scratch.base().join("plan"),
    );
    let text = fs::read_to_string(&record).unwrap();
    let mut seen: Value = serde_json::from_str(&text).unwrap();
    let right = seen["stores"][0]["takenAt"].clone();
    let mut set = |time: Value| {
        seen["stores"][0]["takenAt"] = time;
        fs::write(&record, seen.to_string()).unwrap();
    };
    set("2199-01-01T00:00:00Z".into());
    let plan = ["plan", "--keep-last=1", "--out", file.as_str()];
    let apply = ["apply", "--yes", file.as_str()];
    ends(&scratch, &plan, 0);
    ends(&scratch, &apply, 4);
    set(right.clone());
    ends(&scratch, &apply, 4);
    // One that was drawn when all was well is stopped by what came up since.
    ends(&scratch, &plan, 0);
    set("2199-01-01T00:00:00Z".into());
    let ran = ends(&scratch, &apply, 4);
    assert!(ran.stderr.contains("clock"), "{}", ran.stderr);
    assert_eq!(generations(&scratch), 5);
    set(right);
    ends(&scratch, &apply, 0);
}

#[test]
fn what_the_last_run_saw_and_cannot_be_read_stops_a_collection() {
    let Some(scratch) = machine() else { return };
    ends(&scratch, &["run", "--yes"], 0);
    fs::write(scratch.base().join("state/root-baseline.json"), "{").unwrap();
    let ran = ends(&scratch, &["run", "--yes"], 4);
    assert!(ran.stderr.contains("root-baseline.json"), "{}", ran.stderr);
    ends(
        &scratch,
        &["run", "--yes", "--accept=journal.unreadable"],
        0,
    );
    ends(&scratch, &["run", "--yes"], 0);
}

#[test]
fn a_baseline_under_its_former_name_is_read() {
    let Some(scratch) = machine() else { return };
    let dir = seen(&scratch);
    let state = scratch.base().join("state");
    let now = state.join("root-baseline.json");
    let text = fs::read_to_string(&now).unwrap();
    fs::remove_file(&now).unwrap();
    let former = text.replace("nix-prune/root-baseline/1", "nix-prune/seen/1");
    assert_ne!(text, former);
    fs::write(state.join("seen.json"), former).unwrap();
    fs::remove_dir_all(dir).unwrap();
    let plan = json(&ends(&scratch, &["plan", "--json"], 0));
    assert_eq!(codes(&plan["failedChecks"]), ["roots.vanished"]);
}
