//! File systems of their own, each in a mount namespace, where what is free is what `statvfs` says.

use std::fs;

use camino::{Utf8Path, Utf8PathBuf};
use nix::sys::statvfs::statvfs;
use nix_prune::adapters::disk::settled_fullness;
use nix_prune::adapters::scratch::Scratch;

use super::{OWN, from_to, json, numbers, own_profile, thirty};
use crate::support::{Nix, command, nixes, on_mounted, on_small_disk, run};

const TEST: &str = "budget::small_disk::just_enough_is_freed_on_a_small_disk";

/// Mounts a btrfs in a file, which goes with the namespace.
const BTRFS: &str = "truncate -s 512M \"$IMAGE\" && mkfs.btrfs -q -f \"$IMAGE\" && mount -o loop \"$IMAGE\" \"$TMPDIR\"";

/// Runs a test of this name where there is a btrfs, with the newest Nix.
fn on_btrfs(name: &str, body: impl FnOnce(&Nix)) {
    let test = format!("budget::small_disk::{name}");
    on_mounted(&test, BTRFS, || nixes().last().map_or((), body));
}

#[test]
fn just_enough_is_freed_on_a_small_disk() {
    on_small_disk(TEST, "size=64m", || nixes().last().map_or((), on_it));
}

#[test]
fn just_enough_inodes_are_freed_on_a_disk_with_few() {
    on_small_disk(
        "budget::small_disk::just_enough_inodes_are_freed_on_a_disk_with_few",
        "size=64m,nr_inodes=1750",
        || nixes().last().map_or((), with_few_inodes),
    );
}

/// The first run makes the reserve, and every run a record: that much more is freed.
#[test]
fn what_the_run_itself_takes_is_freed_as_well() {
    on_small_disk(
        "budget::small_disk::what_the_run_itself_takes_is_freed_as_well",
        "size=64m,nr_inodes=1750",
        || nixes().last().map_or((), first_free),
    );
}

fn first_free(nix: &Nix) {
    let (scratch, _) = with_trees(nix, 10);
    let disk = || statvfs(scratch.store().as_path().as_std_path()).unwrap();
    let before = disk().files_available();
    let ran = run(&scratch, &["free", "40", "--inodes", "--yes"]);
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    let after = disk().files_available();
    assert!(after >= before + 40, "{before}, then {after}");
    for n in 0..9 {
        scratch
            .add_path(&format!("large-{n}"), &[], 1 << 20)
            .unwrap();
    }
    let before = free(scratch.store().as_path());
    let ran = run(&scratch, &["free", "4M", "--yes"]);
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    let after = free(scratch.store().as_path());
    assert!(after >= before + (4 << 20), "{before}, then {after}");
}

/// Dead paths of twenty inodes each, with their names.
fn with_trees(nix: &Nix, count: usize) -> (Scratch, Vec<String>) {
    let scratch = Scratch::new(Some(&nix.bin)).unwrap();
    let names: Vec<String> = (0..count).map(|n| format!("tree-{n}")).collect();
    for name in &names {
        scratch.add_path(name, &[], 10).unwrap();
        let path = scratch.path_named(name).unwrap();
        let path = path.to_absolute_path(scratch.store());
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        for n in 0..19 {
            fs::write(path.join(n.to_string()), "").unwrap();
        }
    }
    (scratch, names)
}

fn with_few_inodes(nix: &Nix) {
    let (scratch, names) = with_trees(nix, 10);
    let free = || {
        statvfs(scratch.store().as_path().as_std_path())
            .unwrap()
            .files_available()
    };
    let dead = || {
        names
            .iter()
            .filter(|name| {
                scratch
                    .path_named(name)
                    .unwrap()
                    .to_absolute_path(scratch.store())
                    .exists()
            })
            .count()
    };
    // The reserve and the record take some for themselves.
    assert_eq!(run(&scratch, &["run", "--yes", "--no-collect"]).status, 0);
    let before = free();
    let goal = (before + 50).to_string();
    let ran = run(
        &scratch,
        &["run", "--yes", "--json", "--until-free-inodes", &goal],
    );
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    let receipt = json(&ran);
    let planned = &receipt["budget"]["planned"];
    assert_eq!(
        (&planned["metric"], &planned["toFree"]),
        (&"inodes".into(), &52.into())
    );
    // Two are for the record.
    assert_eq!(planned["now"]["disk"]["inodes"]["free"], before - 2);
    assert_eq!(receipt["budget"]["missing"], 0);
    assert_eq!(dead(), 7);
    assert!(
        free() >= before + 50 && free() <= before + 60,
        "{before}, then {}",
        free()
    );
    // Bytes are enough already, so the inodes decide.
    let config = scratch.home().join(".config/nix-prune");
    fs::create_dir_all(&config).unwrap();
    let goal = free() + 25;
    let budget = format!(r#"{{ "minFree": "1M", "minFreeInodes": "{goal}" }}"#);
    let settings = format!(
        r#"{{ "version": 2, "jobs": {{ "default": {{ "budget": {budget}, "operations": {{ "collect": {{}} }} }} }} }}"#
    );
    fs::write(config.join("config.json"), settings).unwrap();
    let ran = run(&scratch, &["run", "--yes"]);
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(dead(), 5);
    // The same by hand, as a part of all of them: 2 % of 1750.
    let ran = run(&scratch, &["free", "2%", "--inodes", "--yes"]);
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(dead(), 3);
    let ran = run(&scratch, &["free", "100", "--inodes", "--yes"]);
    assert_eq!(ran.status, 5, "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stderr.contains(" inodes more must be freed"),
        "{}",
        ran.stderr
    );
    assert_eq!(dead(), 0);
}

#[test]
fn a_file_system_that_counts_late_costs_nothing_more() {
    let name = "a_file_system_that_counts_late_costs_nothing_more";
    on_btrfs(name, |nix| {
        let scratch = thirty(nix);
        let goal = free(scratch.store().as_path()) + 5 * OWN + OWN / 2;
        let args = [
            "run",
            "--yes",
            "--json",
            "--keep-last",
            "2",
            "--undo-window",
            "0s",
        ];
        for _ in 0..2 {
            let ran = run(
                &scratch,
                &[&args[..], &["--until-free", &format!("{goal}B")]].concat(),
            );
            assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
            let left = numbers(&own_profile(&scratch));
            assert!(left == from_to(7, 30) || left == from_to(8, 30), "{left:?}");
        }
    });
}

#[test]
fn what_a_snapshot_shares_is_not_removed_for_a_budget() {
    let name = "what_a_snapshot_shares_is_not_removed_for_a_budget";
    on_btrfs(name, |nix| {
        let scratch = thirty(nix);
        let dir = Utf8PathBuf::from(std::env::var("TMPDIR").unwrap());
        let ran = command("btrfs")
            .args(["subvolume", "snapshot", "-r"])
            .args([&dir, &dir.join("snapshot")])
            .output()
            .unwrap();
        assert!(ran.status.success(), "{ran:?}");
        let goal = format!("{}B", free(scratch.store().as_path()) + 20 * OWN);
        let args = ["run", "--yes", "--keep-last", "2", "--until-free", &goal];
        for release in ["never", "ifNeeded", "ifNeeded"] {
            let ran = run(
                &scratch,
                &[&args[..], &["--release-holds", release]].concat(),
            );
            assert_eq!(ran.status, 5, "{}{}", ran.stdout, ran.stderr);
            let why = "would free nothing on disk, because snapshots or copies share the blocks";
            assert!(ran.stderr.contains(why), "{}", ran.stderr);
            assert_eq!(numbers(&own_profile(&scratch)), from_to(1, 30));
        }
    });
}

fn free(path: &Utf8Path) -> u64 {
    settled_fullness(path).unwrap().available.0
}

fn on_it(nix: &Nix) {
    let scratch = thirty(nix);
    let profile = own_profile(&scratch);
    let store = scratch.store().as_path();
    // Records and the database are on the same disk, and take some room meanwhile.
    let before = free(store);
    let goal = before + 5 * OWN + OWN / 2;
    let until = format!("{goal}B");
    let run_with = |goal: &[&str]| {
        let args = ["run", "--yes", "--keep-last", "2", "--undo-window", "0s"];
        run(&scratch, &[&args, goal].concat())
    };
    let ran = run_with(&["--json", "--until-free", &until]);
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(numbers(&profile), from_to(7, 30));
    assert!(free(store) >= goal);
    assert!(free(store) < goal + OWN);
    let receipt = json(&ran);
    assert_eq!(receipt["budget"]["missing"], 0);
    let now = &receipt["budget"]["planned"]["now"]["disk"];
    // The first reserve and the record are still to come.
    let counted = now["available"].as_u64().unwrap();
    assert!(
        counted < before && counted > before - (1 << 20),
        "{counted}"
    );
    // As a part of the disk, what `df` calls used.
    let ran = run_with(&["--max-used", "30"]);
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    let disk = statvfs(store.as_std_path()).unwrap();
    let used = (disk.blocks() - disk.blocks_free()) * disk.fragment_size();
    assert!(used * 100 <= (used + free(store)) * 30, "{used}");
    let left = numbers(&profile);
    assert!(left.len() > 2, "{left:?}");
    // More than there is to have.
    let ran = run_with(&["--until-free", "63M"]);
    assert_eq!(ran.status, 5, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(numbers(&profile), [29, 30]);
}
