//! A file system of 64 MiB, in a mount namespace of its own, where what is free is what `statvfs` says.

use camino::Utf8Path;
use nix::sys::statvfs::statvfs;

use super::{OWN, from_to, json, numbers, own_profile, thirty};
use crate::support::{nixes, on_small_disk, run};

const TEST: &str = "budget::small_disk::just_enough_is_freed_on_a_small_disk";

#[test]
fn just_enough_is_freed_on_a_small_disk() {
    on_small_disk(TEST, "size=64m", || nixes().last().map_or((), on_it));
}

fn free(path: &Utf8Path) -> u64 {
    let stat = statvfs(path.as_std_path()).unwrap();
    stat.blocks_available() * stat.fragment_size()
}

fn on_it(nix: &crate::support::Nix) {
    let scratch = thirty(nix);
    let profile = own_profile(&scratch);
    let store = scratch.store().as_path();
    // Records and the database are on the same disk, and take some room meanwhile.
    let before = free(store);
    let goal = before + 5 * OWN + OWN / 2;
    let until = goal.to_string();
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
    assert_eq!(now["available"], before);
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
