//! What a plan predicts is what a collection frees, to the block.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;

use camino::Utf8Path;
use nix_prune::adapters::scratch::Scratch;

use super::number;
use super::world::World;
use crate::support::{by_hand, nixes, run, with_each_nix};

/// The blocks of every inode below the store directory, each once, in bytes.
fn blocks(dir: &Utf8Path, seen: &mut HashMap<(u64, u64), u64>) {
    for entry in dir.read_dir_utf8().unwrap() {
        let path = entry.unwrap().into_path();
        let data = path.symlink_metadata().unwrap();
        seen.insert((data.dev(), data.ino()), data.blocks() * 512);
        if data.is_dir() {
            blocks(&path, seen);
        }
    }
}

fn on_disk(scratch: &Scratch) -> HashMap<(u64, u64), u64> {
    let mut seen = HashMap::new();
    blocks(scratch.store().as_path(), &mut seen);
    seen
}

/// What `plan` says that it frees: paths, and bytes on disk.
///
/// It says nothing while it cannot see what every process of the machine uses, and other tests start odd ones: then once
/// more.
fn predicted(scratch: &Scratch) -> (u64, u64) {
    let mut said = String::new();
    for _ in 0..40 {
        // What came just now is not told for unregistered.
        std::thread::sleep(std::time::Duration::from_millis(25));
        // Some stores have roots that lead to what was never registered, and lose it.
        let accept = "--accept=store.mismatch";
        let ran = run(
            scratch,
            &["plan", "--json", "--exact", "--undo-window", "0s", accept],
        );
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        let plan: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        let number = |name: &str| plan["prediction"][name].as_u64();
        if let (Some(paths), Some(bytes)) = (number("paths"), number("diskBytes")) {
            return (paths, bytes);
        }
        said = format!(
            "{}{} {}",
            ran.stderr, plan["failedChecks"], plan["prediction"]["notes"]
        );
        std::thread::sleep(std::time::Duration::from_millis(250));
    }
    panic!("nothing is predicted: {said}");
}

/// Collects, and tells what went: all of it but the directories that stay, whose size is their own business.
fn collected(scratch: &Scratch, before: &HashMap<(u64, u64), u64>) -> u64 {
    by_hand(scratch, "nix-collect-garbage", &[]);
    let after = on_disk(scratch);
    let gone = before
        .iter()
        .filter(|(inode, _)| !after.contains_key(inode));
    gone.map(|(_, bytes)| bytes).sum()
}

#[test]
fn trap_26_what_is_predicted_on_disk_is_what_a_collection_frees() {
    let nixes = nixes();
    let mut freed = 0;
    // `NIX_PRUNE_TEST_COLLECTED` says how many.
    let stores = number("NIX_PRUNE_TEST_COLLECTED", 20);
    for (seed, nix) in (1_000..1_000 + stores).zip(nixes.iter().cycle()) {
        let world = World::new(nix, seed);
        let before = on_disk(&world.scratch);
        let (_, predicted) = predicted(&world.scratch);
        let gone = collected(&world.scratch, &before);
        assert_eq!(predicted, gone, "seed {seed} with {}", nix.version);
        freed += gone;
    }
    assert!(nixes.is_empty() || freed > 0, "nothing was ever freed");
    println!("{freed} bytes on disk predicted in {stores} stores, and freed, inode by inode");
}

#[test]
fn trap_27_after_an_optimisation_the_figure_on_disk_holds_and_the_other_does_not() {
    with_each_nix(|nix| {
        let scratch = Scratch::new(Some(&nix.bin)).unwrap();
        let text = vec![b'x'; 50_000];
        let tree = |name: &str| nix_prune::adapters::scratch::NewPath {
            contents: nix_prune::adapters::scratch::Contents::Tree(vec![
                ("same".to_string(), text.clone()),
                (format!("own-{name}"), name.repeat(9_000).into_bytes()),
            ]),
            ..nix_prune::adapters::scratch::NewPath::file(name, 0)
        };
        scratch
            .add_paths(&[tree("dead-1"), tree("dead-2"), tree("kept")])
            .unwrap();
        let kept = scratch.path_named("kept").unwrap();
        scratch
            .add_root(&scratch.home().join("result"), &kept)
            .unwrap();
        by_hand(&scratch, "nix-store", &["--optimise"]);
        let before = on_disk(&scratch);
        let (paths, predicted) = predicted(&scratch);
        assert_eq!(paths, 2);
        let dead = run(&scratch, &["dead", "--json", "--exact"]).stdout;
        let dead: serde_json::Value = serde_json::from_str(&dead).unwrap();
        let nar = dead["total"]["narBytes"].as_u64().unwrap();
        let gone = collected(&scratch, &before);
        assert_eq!(predicted, gone);
        // The file that all three have stays, once.
        assert!(gone < 2 * 60_000 + 40_000, "{gone}");
        // The store's own sizes know nothing of that: the file counts in each of the two.
        assert!(nar > gone + 80_000, "{nar} NAR size, {gone} on disk");
        println!("{nar} NAR size, {gone} on disk");
    });
}

#[test]
fn what_is_dropped_and_held_frees_nothing_before_its_window_ends() {
    with_each_nix(|nix| {
        let scratch = Scratch::new(Some(&nix.bin)).unwrap();
        let system = scratch.state_dir().join("profiles/system");
        for n in 1..=3 {
            let path = scratch
                .add_path(&format!("system-{n}"), &[], 30_000)
                .unwrap();
            let date = crate::support::time(&format!("2025-0{n}-01T00:00:00Z"));
            scratch.set_profile(&system, &path, date).unwrap();
        }
        scratch.add_path("dead", &[], 10_000).unwrap();
        let plan = |args: &[&str]| {
            let mut all = vec!["plan", "--json", "--keep-last", "2"];
            all.extend(args);
            let ran = run(&scratch, &all);
            let plan: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
            plan["prediction"].clone()
        };
        let held = plan(&[]);
        assert_eq!(held["paths"], 1, "{held}");
        assert_eq!(held["whenWindowsEnd"]["paths"], 1, "{held}");
        assert!(held["whenWindowsEnd"]["narBytes"].as_u64().unwrap() > 30_000);
        let not_held = plan(&["--undo-window", "0s"]);
        assert_eq!(not_held["paths"], 2, "{not_held}");
        assert_eq!(not_held["whenWindowsEnd"]["paths"], 0, "{not_held}");
        let ran = run(&scratch, &["run", "--json", "--keep-last", "2", "--yes"]);
        let receipt: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(
            receipt["bytes"]["predicted"], held["diskBytes"],
            "{receipt}"
        );
        assert_eq!(receipt["bytes"]["paths"], 1, "{receipt}");
    });
}

#[test]
fn what_an_ended_hold_keeps_is_freed_now() {
    with_each_nix(|nix| {
        let scratch = Scratch::new(Some(&nix.bin)).unwrap();
        let system = scratch.state_dir().join("profiles/system");
        for n in 1..=3 {
            let path = scratch
                .add_path(&format!("system-{n}"), &[], 30_000)
                .unwrap();
            let date = crate::support::time(&format!("2025-0{n}-01T00:00:00Z"));
            scratch.set_profile(&system, &path, date).unwrap();
        }
        let keep = ["--keep-last", "2", "--undo-window", "1s"];
        let ran = run(&scratch, &[&["run", "--yes"][..], &keep].concat());
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        std::thread::sleep(std::time::Duration::from_millis(1_100));
        let before = on_disk(&scratch);
        let ran = run(&scratch, &[&["run", "--yes", "--json"][..], &keep].concat());
        let receipt: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        let after = on_disk(&scratch);
        let gone = before
            .iter()
            .filter(|(inode, _)| !after.contains_key(inode));
        let gone: u64 = gone.map(|(_, bytes)| bytes).sum();
        assert!(gone >= 30_000, "{receipt}");
        assert_eq!(receipt["bytes"]["predicted"], gone, "{receipt}");
        assert_eq!(receipt["bytes"]["paths"], 1, "{receipt}");
    });
}
