//! Our own records: shared by two stores, on a disk that is full, or by the hundred.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;
use nix_prune::adapters::scratch::Scratch;

use super::{ends, fill, json, link, links, numbers, outcomes, profiles, store};
use crate::support::{by_hand, program_behind, run_command, script};

#[test]
fn two_stores_that_share_their_records_keep_to_their_own_holds() {
    let (Some(one), Some(two)) = (store(), store()) else {
        return;
    };
    let records = format!("--state-dir={}", one.base().join("state"));
    let (of_one, of_two) = (profiles(&one).join("system"), profiles(&two).join("system"));
    fill(&one, &of_one, 5);
    fill(&two, &of_two, 5);
    let before = links(&of_one);
    let first = [
        "run",
        &records,
        "--keep-last=2",
        "--undo-window=1s",
        "--yes",
        "--json",
    ];
    let run_of_one = json(&ends(&one, &first, 0));
    std::thread::sleep(Duration::from_millis(1100));
    // The other store's runs neither end nor try to end what has ended there.
    let ran = json(&ends(
        &two,
        &["run", &records, "--keep-last=2", "--yes", "--json"],
        0,
    ));
    assert_eq!(outcomes(&ran, "stale"), 0, "{ran}");
    let held = json(&ends(&two, &["hold", "list", &records, "--json"], 0));
    assert_eq!(held["holds"].as_array().unwrap().len(), 3, "{held}");
    let ended = json(&ends(
        &two,
        &["hold", "release", &records, "--all", "--yes", "--json"],
        0,
    ));
    assert_eq!(outcomes(&ended, "done"), 3, "{ended}");
    let name = run_of_one["run"].as_str().unwrap();
    let refused = ends(&two, &["undo", &records, name], 4);
    assert!(!refused.stderr.contains("plan"), "{}", refused.stderr);
    assert!(refused.stderr.contains("another"), "{}", refused.stderr);
    // A run without more ends nothing there: it takes one of that store.
    ends(&one, &["undo", &records], 0);
    assert_eq!(links(&of_one), before);
    assert_eq!(numbers(&of_two), [4, 5]);
}

#[test]
fn an_interrupted_run_of_another_store_is_left_for_that_store_to_settle() {
    let (Some(one), Some(two)) = (store(), store()) else {
        return;
    };
    let records = format!("--state-dir={}", one.base().join("state"));
    let system = profiles(&one).join("system");
    fill(&one, &system, 5);
    fill(&two, &profiles(&two).join("system"), 5);
    let before = links(&system);
    let ran = json(&ends(
        &one,
        &["run", &records, "--keep-last=2", "--yes", "--json"],
        0,
    ));
    let name = ran["run"].as_str().unwrap();
    // As if it had been killed behind every deed and before its record.
    let path = one.base().join(format!("state/runs/{name}.json"));
    let mut document: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    document["finishedAt"] = serde_json::Value::Null;
    for entry in document["entries"].as_array_mut().unwrap() {
        entry["outcome"] = "pending".into();
        entry["at"] = serde_json::Value::Null;
    }
    let interrupted = serde_json::to_string(&document).unwrap();
    fs::write(&path, &interrupted).unwrap();
    ends(&two, &["run", &records, "--keep-last=2", "--yes"], 0);
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        interrupted,
        "it was settled from elsewhere"
    );
    ends(&one, &["undo", &records, name], 0);
    assert_eq!(links(&system), before);
}

/// The only record, and a change to it.
fn rewrite(scratch: &Scratch, change: impl Fn(&mut serde_json::Value)) {
    let runs = scratch.base().join("state/runs");
    let path = runs
        .read_dir_utf8()
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .into_path();
    let text = fs::read_to_string(&path).unwrap();
    let mut document: serde_json::Value = serde_json::from_str(&text).unwrap();
    change(&mut document);
    fs::write(&path, serde_json::to_string(&document).unwrap()).unwrap();
}

#[test]
fn a_drop_that_outlives_its_run_is_held_and_can_be_undone() {
    let Some(scratch) = store() else { return };
    let system = profiles(&scratch).join("system");
    fill(&scratch, &system, 4);
    let before = links(&system);
    ends(
        &scratch,
        &["run", "--keep-last=2", "--no-collect", "--yes"],
        0,
    );
    // As if the run had been killed when its nix-env waited for the profile's lock: held, pending, and still there.
    for n in [1, 2] {
        let name = format!("system-{n}-link");
        let (target, seconds, nanoseconds) = before.get(&name).unwrap();
        let date =
            nix_prune::domain::measure::Timestamp::from_unix(*seconds, *nanoseconds).unwrap();
        link(&system.with_file_name(name), target, &date.to_string());
    }
    assert_eq!(links(&system), before);
    rewrite(&scratch, |document| {
        document["finishedAt"] = serde_json::Value::Null;
        for entry in document["entries"].as_array_mut().unwrap() {
            entry["outcome"] = "pending".into();
        }
    });
    ends(&scratch, &["run", "--keep-last=4", "--yes"], 0);
    // Now it gets the lock.
    let args = ["-p", system.as_str(), "--delete-generations", "1"];
    by_hand(&scratch, "nix-env", &args);
    by_hand(&scratch, "nix-collect-garbage", &[]);
    ends(&scratch, &["undo"], 0);
    assert_eq!(links(&system), before);
    ends(&scratch, &["undo"], 4);
}

#[test]
fn what_could_not_be_told_when_a_run_was_settled_can_be_undone_later() {
    let Some(scratch) = store() else { return };
    let profile = profiles(&scratch).join("per-user/somebody/profile");
    fill(&scratch, &profile, 4);
    let before = links(&profile);
    let selected = format!("--profile={profile}");
    ends(
        &scratch,
        &["run", &selected, "--keep-last=2", "--no-collect", "--yes"],
        0,
    );
    rewrite(&scratch, |document| {
        document["finishedAt"] = serde_json::Value::Null;
        for entry in document["entries"].as_array_mut().unwrap() {
            entry["outcome"] = "pending".into();
        }
    });
    let (dir, away) = (profile.parent().unwrap(), scratch.base().join("away"));
    fs::rename(dir, &away).unwrap();
    ends(
        &scratch,
        &["run", "--keep-last=2", "--no-collect", "--yes"],
        0,
    );
    fs::rename(&away, dir).unwrap();
    let history = ends(&scratch, &["history"], 0);
    assert!(history.stdout.contains("2 failed"), "{}", history.stdout);
    ends(&scratch, &["undo"], 0);
    assert_eq!(links(&profile), before);
}

#[test]
fn a_machine_that_changed_its_number_can_still_undo() {
    let Some(scratch) = store() else { return };
    let system = profiles(&scratch).join("system");
    fill(&scratch, &system, 5);
    let before = links(&system);
    ends(&scratch, &["run", "--keep-last=2", "--yes"], 0);
    // As on a machine whose /etc is made anew at each boot.
    rewrite(&scratch, |document| {
        document["machine"] = "0123456789abcdef0123456789abcdef".into();
    });
    ends(&scratch, &["undo"], 0);
    assert_eq!(links(&system), before);
}

/// A shell script in a mount namespace of its own, with a tiny file system for our records; `None` where that cannot
/// be had, which is said aloud.
fn with_a_tiny_disk(scratch: &Scratch, text: &str) -> Option<crate::support::Ran> {
    with_a_disk(scratch, "size=256k", text)
}

/// The same with a file system of another size, or with so many inodes.
fn with_a_disk(scratch: &Scratch, size: &str, text: &str) -> Option<crate::support::Ran> {
    let state = scratch.base().join("state");
    fs::create_dir_all(&state).unwrap();
    let text = format!(
        "set -u\nmount -t tmpfs -o {size},mode=755 none '{state}' || exit 99\nprune() {{ \"$0\" \"$@\"; }}\n\
         fill() {{ cat /dev/zero >'{state}/filler' 2>/dev/null; :; }}\n{text}\nexit"
    );
    Some(run_command(&mut program_behind(scratch, &text)?))
}

#[test]
fn a_disk_without_room_for_another_file_costs_nothing() {
    let mut ended = Vec::new();
    for inodes in [2, 5, 8, 9, 10, 11, 12, 40] {
        let Some(scratch) = store() else { return };
        let system = profiles(&scratch).join("system");
        fill(&scratch, &system, 5);
        let before = links(&system);
        // The next run has room, as after somebody has made some.
        let text = format!(
            "prune run --keep-last 2 --yes; echo \"STATUS $?\"\nmount -o remount,nr_inodes=1000 none '{}'\n\
             prune run --keep-last 2 --yes || exit 1\nwhile prune undo; do :; done; :",
            scratch.base().join("state")
        );
        let size = format!("nr_inodes={inodes}");
        let Some(ran) = with_a_disk(&scratch, &size, &text) else {
            return;
        };
        let said = format!("{inodes}: {}{}", ran.stdout, ran.stderr);
        assert_eq!(ran.status, 0, "{said}");
        let (_, behind) = ran.stdout.split_once("STATUS ").unwrap();
        let status = behind.lines().next().unwrap().to_string();
        assert!(status == "0" || said.contains("No space left"), "{said}");
        ended.push(status);
        assert_eq!(links(&system), before, "{said}");
    }
    let ways: BTreeSet<&str> = ended.iter().map(String::as_str).collect();
    assert!(
        ways.is_subset(&BTreeSet::from(["0", "3", "73"])),
        "{ended:?}"
    );
    assert!(ways.contains("0") && ways.contains("73"), "{ended:?}");
}

#[test]
fn a_disk_that_is_full_before_the_run_costs_nothing() {
    let Some(scratch) = store() else { return };
    let system = profiles(&scratch).join("system");
    fill(&scratch, &system, 5);
    let text = "fill\nprune run --keep-last 2 --yes\necho \"ended $?\"";
    let Some(ran) = with_a_tiny_disk(&scratch, text) else {
        return;
    };
    assert!(
        ran.stdout.contains("ended 73"),
        "{}{}",
        ran.stdout,
        ran.stderr
    );
    assert!(ran.stderr.contains("nothing was done"), "{}", ran.stderr);
    assert_eq!(numbers(&system), [1, 2, 3, 4, 5]);
}

#[test]
fn every_command_that_writes_records_fills_the_reserve_up() {
    let Some(scratch) = store() else { return };
    let system = profiles(&scratch).join("system");
    fill(&scratch, &system, 5);
    let reserve = scratch.base().join("state/reserve");
    let pin = format!("{system}:4");
    let keep = ["run", "--keep-last=2", "--yes"];
    let commands: [&[&str]; 7] = [
        &keep,
        &["undo"],
        &keep,
        &["hold", "release", "--all", "--yes"],
        &["pin", &pin],
        &["unpin", &pin],
        &["doctor", "--acknowledge"],
    ];
    for args in commands {
        let _ = fs::remove_dir_all(&reserve);
        let ran = crate::support::run(&scratch, args);
        let files = reserve.read_dir_utf8().map_or(0, Iterator::count);
        assert_eq!(files, 24, "{args:?}: {}{}", ran.stdout, ran.stderr);
    }
}

type Links = BTreeMap<String, (Utf8PathBuf, i64, i64)>;

/// A run whose disk fills behind the second drop, an undo on the full disk, and one with room again; also the links before
/// and afterwards.
fn filled_in_the_middle(before_the_run: &str) -> Option<(crate::support::Ran, [Links; 2])> {
    let scratch = store()?;
    let system = profiles(&scratch).join("system");
    // The lines of so many entries do not fit into the last block of their file.
    fill(&scratch, &system, 28);
    let before = links(&system);
    let state = scratch.base().join("state");
    // The disk is full from the moment behind the second drop.
    let bin = scratch.base().join("spies");
    fs::create_dir(&bin).unwrap();
    for tool in ["nix", "nix-env", "nix-store", "nix-collect-garbage"] {
        let real = scratch.bin().unwrap().join(tool);
        let text = if tool == "nix-env" {
            format!(
                "'{real}' \"$@\"; code=$?\necho x >>'{bin}/count'\n[ \"$(wc -l <'{bin}/count')\" = 2 ] && cat \
                 /dev/zero >'{state}/filler' 2>/dev/null\nexit $code"
            )
        } else {
            format!("exec '{real}' \"$@\"")
        };
        script(&bin.join(tool), &text);
    }
    let text = format!(
        "cd '{state}' && {before_the_run}\nprune run --nix-bin '{bin}' --keep-last 2 --yes\necho \"ended $?\"\nls '{dir}'\nprune undo\necho \"undo ended \
         $?\"\nrm '{state}/filler'\nprune history\nprune undo\necho \"last undo ended $?\"",
        dir = system.parent().unwrap()
    );
    let ran = with_a_tiny_disk(&scratch, &text)?;
    let after = links(&system);
    Some((ran, [before, after]))
}

#[test]
fn a_disk_that_fills_in_the_middle_does_not_stop_a_run_that_has_a_reserve() {
    // On a disk as small as this one, room is set aside when the run begins.
    let Some((ran, [before, after])) = filled_in_the_middle("true") else {
        return;
    };
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("\nended 0"), "{said}");
    assert!(!ran.stdout.contains("system-26-link\n"), "{said}");
    assert!(ran.stdout.contains("\nundo ended 0"), "{said}");
    assert_eq!(after, before, "{said}");
}

#[test]
fn a_disk_that_fills_in_the_middle_stops_the_run_and_the_next_one_settles_it() {
    // Where this is no directory, nothing can be set aside.
    let Some((ran, [before, after])) = filled_in_the_middle("touch reserve") else {
        return;
    };
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("\nended 73"), "{said}");
    assert!(ran.stderr.contains("stopped in the middle"), "{said}");
    assert!(
        !ran.stdout.contains("system-2-link\n"),
        "some were dropped: {said}"
    );
    assert!(
        ran.stdout.contains("system-26-link\n"),
        "and not all: {said}"
    );
    assert!(ran.stdout.contains("\nundo ended 73"), "{said}");
    assert!(ran.stdout.contains("unfinished"), "{said}");
    assert!(ran.stdout.contains("\nlast undo ended 0"), "{said}");
    assert_eq!(after, before, "{said}");
}

#[test]
fn years_of_records_do_not_slow_a_look_down() {
    let Some(scratch) = store() else { return };
    let system = profiles(&scratch).join("system");
    fill(&scratch, &system, 9);
    ends(&scratch, &["run", "--keep-last=2", "--yes"], 0);
    let runs = scratch.base().join("state/runs");
    let first = runs
        .read_dir_utf8()
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .into_path();
    let name = first.file_stem().unwrap().to_string();
    let text = fs::read_to_string(&first).unwrap();
    // Three years of a run a day, the holds of which were released long ago.
    let old = text.replace("\"done\"", "\"skipped\"");
    for n in 2..=1_000 {
        let other = format!("{name}-{n}");
        let old = old.replace(&format!("\"{name}\""), &format!("\"{other}\""));
        let old = old.replace(&format!("/{name}/"), &format!("/{other}/"));
        fs::write(runs.join(format!("{other}.json")), old).unwrap();
    }
    let begun = Instant::now();
    ends(&scratch, &["plan", "--keep-last=2"], 0);
    ends(&scratch, &["history", "--json"], 0);
    ends(
        &scratch,
        &["run", "--keep-last=2", "--no-collect", "--yes"],
        0,
    );
    let taken = begun.elapsed();
    assert!(taken < Duration::from_secs(60), "it took {taken:?}");
    ends(&scratch, &["undo", &name], 0);
    assert_eq!(numbers(&system), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
}
