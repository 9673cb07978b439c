//! What others do between a plan, a run and an undo.

use std::fs;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use super::{ends, fill, json, links, numbers, on_disk, outcomes, profiles, store, store_of};
use crate::support::{Over, by_hand, command, listing, run, with_each_nix};

#[test]
fn a_collection_by_hand_of_everything_old_takes_nothing_that_we_hold() {
    with_each_nix(|nix| {
        let scratch = store_of(nix);
        let default = profiles(&scratch).join("default");
        fill(&scratch, &default, 6);
        let before = links(&default);
        ends(&scratch, &["run", "--keep-last=4", "--yes"], 0);
        by_hand(&scratch, "nix-collect-garbage", &["-d"]);
        assert_eq!(numbers(&default), [6], "that was the user's own doing");
        ends(&scratch, &["undo"], 0);
        assert_eq!(numbers(&default), [1, 2, 6]);
        for name in [
            "default-1-link",
            "default-2-link",
            "default-6-link",
            "default",
        ] {
            assert_eq!(links(&default).get(name), before.get(name), "{name}");
        }
    });
}

#[test]
fn a_rollback_between_plan_and_apply_makes_the_plan_stale() {
    with_each_nix(|nix| {
        let scratch = store_of(nix);
        let system = profiles(&scratch).join("system");
        fill(&scratch, &system, 5);
        ends(&scratch, &["plan", "--keep-last=2", "--out=p.json"], 0);
        by_hand(&scratch, "nix-env", &["-p", system.as_str(), "--rollback"]);
        let before = listing(&scratch.state_dir());
        let ran = ends(&scratch, &["apply", "p.json", "--yes"], 4);
        assert!(
            ran.stderr.contains("the current generation"),
            "{}",
            ran.stderr
        );
        assert_eq!(listing(&scratch.state_dir()), before);
    });
}

#[test]
fn whoever_switches_generations_during_runs_keeps_the_current_one() {
    let Some(scratch) = store() else { return };
    let profile = profiles(&scratch).join("default");
    fill(&scratch, &profile, 6);
    let stop = AtomicBool::new(false);
    let bin = scratch.bin().unwrap().join("nix-env");
    let begun = Instant::now();
    ends(&scratch, &["plan", "--keep-last=1", "--no-collect"], 0);
    let plan = begun.elapsed();
    thread::scope(|scope| {
        let switcher = scope.spawn(|| {
            let mut switches = 0;
            for n in (1..=6u64).cycle() {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let path = scratch.path_named(&format!("profilesdefault-{n}")).unwrap();
                let path = path.to_absolute_path(scratch.store());
                let mut command = command(&bin);
                command
                    .env_clear()
                    .env("PATH", std::env::var_os("PATH").unwrap_or_default())
                    .envs(scratch.env())
                    .args(["-p", profile.as_str()])
                    .stdin(Stdio::null());
                if n % 3 == 0 {
                    command.args(["--rollback"]);
                } else {
                    command.args(["--set", path.as_str()]);
                }
                // Now and then long enough for a run to get something done, on a slow machine as well.
                thread::sleep(plan * u32::try_from(n * 193 % 700).unwrap() / 60);
                // It may fail where two want the same: what counts is what is left.
                let _ = command.output();
                assert!(profile.exists(), "the profile leads nowhere");
                switches += 1;
            }
            switches
        });
        let over = Over(&stop);
        let (mut played, mut removed) = (0, false);
        while played < 20 || (!removed && played < 100) {
            let args = ["run", "--keep-last=1", "--no-collect", "--yes", "--json"];
            let ran = run(&scratch, &args);
            (played, removed) = (played + 1, removed || ran.status != 1);
            assert!(
                [0, 1, 3].contains(&ran.status),
                "{}{}",
                ran.stdout,
                ran.stderr
            );
            assert!(
                profile.exists(),
                "the current generation was lost: {}",
                ran.stdout
            );
        }
        drop(over);
        assert!(switcher.join().unwrap() > 0);
    });
    by_hand(&scratch, "nix-collect-garbage", &[]);
    for n in 1..=6 {
        assert!(
            on_disk(&scratch, &format!("profilesdefault-{n}")),
            "{n} is not held"
        );
    }
    ends(&scratch, &["undo"], 0);
}

#[test]
fn a_profile_that_its_owner_deleted_is_not_made_again() {
    let Some(scratch) = store() else { return };
    let profile = profiles(&scratch).join("per-user/somebody/profile");
    fill(&scratch, &profile, 5);
    ends(&scratch, &["run", "--keep-last=2", "--yes"], 0);
    fs::remove_dir_all(profile.parent().unwrap()).unwrap();
    let ran = ends(&scratch, &["undo", "--json"], 4);
    assert_eq!(outcomes(&json(&ran), "stale"), 3, "{}", ran.stdout);
    assert!(!profile.parent().unwrap().exists());
    // A directory of roots that is gone may be a loss; its owner says that it is none.
    let run = ["run", "--keep-last=2", "--yes"];
    let refused = ends(&scratch, &run, 4);
    assert!(refused.stderr.contains("--accept roots.vanished"));
    let accepted = [&run[..], &["--accept", "roots.vanished"]].concat();
    ends(&scratch, &accepted, 0);
    assert!(
        on_disk(&scratch, "somebodyprofile-1"),
        "it is held until its window ends"
    );
}

#[test]
fn an_undo_is_not_undone_and_a_shorter_window_shortens_no_promise() {
    let Some(scratch) = store() else { return };
    let system = profiles(&scratch).join("system");
    fill(&scratch, &system, 6);
    ends(
        &scratch,
        &["run", "--keep-last=4", "--undo-window=30d", "--yes"],
        0,
    );
    // A later run with a window of a second ends none of the promises made before.
    ends(
        &scratch,
        &["run", "--keep-last=3", "--undo-window=1s", "--yes"],
        0,
    );
    thread::sleep(std::time::Duration::from_millis(1100));
    ends(&scratch, &["run", "--keep-last=3", "--yes"], 0);
    assert_eq!(numbers(&system), [4, 5, 6]);
    assert!(on_disk(&scratch, "profilessystem-1") && on_disk(&scratch, "profilessystem-2"));
    assert!(
        !on_disk(&scratch, "profilessystem-3"),
        "its own window was a second"
    );
    let undone = json(&ends(&scratch, &["undo", "--json"], 0));
    assert_eq!(numbers(&system), [1, 2, 4, 5, 6]);
    let undo = undone["run"].as_str().unwrap();
    ends(&scratch, &["undo", undo], 4);
    ends(&scratch, &["undo"], 4);
    assert_eq!(numbers(&system), [1, 2, 4, 5, 6]);
}

#[test]
fn a_clock_that_went_back_ends_no_window_that_is_open_again() {
    let Some(scratch) = store() else { return };
    let system = profiles(&scratch).join("system");
    fill(&scratch, &system, 5);
    ends(
        &scratch,
        &["run", "--keep-last=3", "--undo-window=1s", "--yes"],
        0,
    );
    thread::sleep(std::time::Duration::from_millis(1100));
    ends(&scratch, &["plan", "--keep-last=3", "--out=p.json"], 0);
    // The same as a clock that is set back: the records say later.
    let runs = scratch.base().join("state/runs");
    for entry in runs.read_dir_utf8().unwrap() {
        let path = entry.unwrap().into_path();
        let text = fs::read_to_string(&path).unwrap();
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        let until = document["entries"][0]["undo"]["until"].as_str().unwrap();
        fs::write(&path, text.replace(until, "2199-01-01T00:00:00Z")).unwrap();
    }
    let ran = ends(&scratch, &["apply", "p.json", "--yes"], 4);
    assert!(ran.stderr.contains("hold"), "{}", ran.stderr);
    assert!(on_disk(&scratch, "profilessystem-1"));
}
