//! The same on a disk that is really full, to its last block or to its last inode: what was set aside is enough to begin, to
//! end, and to settle what was killed.

use std::fs;
use std::io::Write;

use camino::{Utf8Path, Utf8PathBuf};
use nix_prune::adapters::scratch::{NewPath, Scratch};

use super::*;
use crate::support::{by_hand, on_small_disk, run, with_each_nix};

/// What takes all that is left; dropping it frees the disk.
struct Ballast(Utf8PathBuf);

impl Ballast {
    fn blocks(disk: &Utf8Path) -> Self {
        let ballast = Self::new(disk);
        let mut file = fs::File::create(ballast.0.join("blocks")).unwrap();
        for size in [1 << 20, 1 << 12, 1] {
            while file.write_all(&vec![1; size]).is_ok() {}
        }
        assert!(fs::write(ballast.0.join("more"), "x").is_err());
        ballast
    }

    fn inodes(disk: &Utf8Path) -> Self {
        let ballast = Self::new(disk);
        let more = |nth: &u32| fs::File::create(ballast.0.join(nth.to_string())).is_ok();
        assert!((0..20_000).take_while(more).count() < 20_000);
        ballast
    }

    fn new(disk: &Utf8Path) -> Self {
        let dir = disk.join("ballast");
        fs::create_dir(&dir).unwrap();
        Self(dir)
    }
}

impl Drop for Ballast {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

type Fill = fn(&Utf8Path) -> Ballast;

fn full(world: &World, fill: Fill) -> Ballast {
    fill(world.scratch.base().parent().unwrap())
}

fn commands_on(nix: &Nix, fill: Fill) {
    for case in &CASES {
        let world = World::new(nix);
        if !case.before.is_empty() {
            world.ends(case.before, &[0]);
        }
        let ballast = full(&world, fill);
        world.ends(case.args, &[0]);
        drop(ballast);
        world.everything_done();
        world.kept();
        world.not_collected();
        world.told_truly(case.releases);
    }
}

#[test]
fn every_command_works_on_a_disk_without_a_block() {
    on_small_disk(
        "kill::full::every_command_works_on_a_disk_without_a_block",
        "size=24m",
        || with_each_nix(|nix| commands_on(nix, Ballast::blocks)),
    );
}

#[test]
fn every_command_works_on_a_disk_without_an_inode() {
    on_small_disk(
        "kill::full::every_command_works_on_a_disk_without_an_inode",
        "size=64m,nr_inodes=3000",
        || {
            if let Some(nix) = nixes().last() {
                commands_on(nix, Ballast::inodes);
            }
        },
    );
}

/// `free` with this amount, on a disk on which nothing is free.
fn free_on(nix: &Nix, fill: Fill, amount: &[&str]) {
    let scratch = untouched(nix);
    // The files of the reserve that are given up meanwhile are not what was asked for.
    let small: Vec<String> = (0..60).map(|n| format!("small-{n}")).collect();
    let small: Vec<NewPath> = small.iter().map(|name| NewPath::file(name, 10)).collect();
    scratch.add_paths(&small).unwrap();
    let ran = run(&scratch, &["run", "--yes", "--no-collect"]);
    world::expect(&ran, &[0]);
    let ballast = fill(scratch.base().parent().unwrap());
    for command in [&["status"][..], &["plan"], &["du"]] {
        world::expect(&run(&scratch, command), &[0]);
    }
    let ran = run(&scratch, &[&["free"], amount, &["--yes"]].concat());
    world::expect(&ran, &[0]);
    drop(ballast);
    by_hand(&scratch, "nix-store", &["--verify", "--check-contents"]);
}

#[test]
fn free_works_on_a_disk_without_a_block() {
    on_small_disk(
        "kill::full::free_works_on_a_disk_without_a_block",
        "size=64m",
        || with_each_nix(|nix| free_on(nix, Ballast::blocks, &["2M"])),
    );
}

#[test]
fn free_works_on_a_disk_without_an_inode() {
    on_small_disk(
        "kill::full::free_works_on_a_disk_without_an_inode",
        "size=64m,nr_inodes=3000",
        || with_each_nix(|nix| free_on(nix, Ballast::inodes, &["3", "--inodes"])),
    );
}

/// Kills each command on a full disk, settles that on the full disk, and sees that nothing is lost.
fn killed_on(nix: &Nix, fill: Fill, every: usize) {
    let mut failures = Vec::new();
    for (nth, case) in CASES.iter().enumerate() {
        let world = World::new(nix);
        if !case.before.is_empty() {
            world.ends(case.before, &[0]);
        }
        world.save();
        let on_disk = || Some(full(&world, fill));
        let ballast = on_disk();
        let steps = steps(&world, case);
        drop(ballast);
        let kills = points(&steps).into_iter().filter(|at| at.1 != Harm::Full);
        for point in kills.skip(3 + nth).step_by(every) {
            let attempt = AssertUnwindSafe(|| harm_at(&world, case, &steps, point, &on_disk));
            if let Err(cause) = catch_unwind(attempt) {
                let step = steps.get(point.0);
                let why = words(&*cause);
                failures.push(format!("{}, {:?} at {step:?}: {why}", case.name, point.1));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn killed_at_any_point_on_a_full_disk_nothing_is_lost_and_the_next_run_settles_it() {
    if !tracer::possible() {
        return skipped("kills on a full disk: no process can be traced here");
    }
    let all = std::env::var("NIX_PRUNE_TEST_KILLS").is_ok_and(|what| what == "all");
    let every = if all { 1 } else { 53 };
    on_small_disk(
        "kill::full::killed_at_any_point_on_a_full_disk_nothing_is_lost_and_the_next_run_settles_it",
        "size=48m",
        || {
            if let Some(nix) = nixes().last() {
                killed_on(nix, Ballast::blocks, every);
            }
        },
    );
}

/// The disk has room again a moment later, or never had too little: one write of a record fails, and the run does not.
#[test]
fn a_record_that_finds_no_room_once_is_written_with_what_was_set_aside() {
    let Some(nix) = nixes().last() else { return };
    if !tracer::possible() {
        return skipped("a single refused write: no process can be traced here");
    }
    let needs_room = |step: &Step| match step {
        Step::Change("create" | "write" | "sync" | "make" | "rename to", place) => [
            "the record of a run",
            "the steps of a run",
            "the state directory",
            "the holds",
        ]
        .contains(&place.as_str()),
        _ => false,
    };
    for case in &CASES {
        let world = World::new(nix);
        if !case.before.is_empty() {
            world.ends(case.before, &[0]);
        }
        world.save();
        let steps = steps(&world, case);
        let places = steps
            .iter()
            .enumerate()
            .filter(|(_, step)| needs_room(step));
        let places: Vec<usize> = places.map(|(nth, _)| nth).collect();
        assert!(places.len() > 10, "{places:?}");
        for at in places.into_iter().step_by(23) {
            world.restore();
            let mut nth = 0;
            let traced = world.traced(case.args, &mut |_| {
                nth += 1;
                if nth - 1 == at {
                    Then::Fail(Errno::ENOSPC)
                } else {
                    Then::GoOn
                }
            });
            world::expect(&traced.ran, &[0]);
            world.everything_done();
            world.kept();
        }
    }
}

/// A scratch store with dead paths and Nix's own reserve, on which no run of ours ever was.
fn untouched(nix: &Nix) -> Scratch {
    let scratch = Scratch::new(Some(&nix.bin)).unwrap();
    let config = scratch.base().join("etc/nix.conf");
    let text = fs::read_to_string(&config).unwrap();
    let text = text.replace("gc-reserved-space = 0", "gc-reserved-space = 8388608");
    fs::write(&config, text).unwrap();
    let dead: Vec<String> = (0..5).map(|n| format!("dead-{n}")).collect();
    let dead: Vec<NewPath> = dead
        .iter()
        .map(|name| NewPath::file(name, 1 << 20))
        .collect();
    scratch.add_paths(&dead).unwrap();
    scratch
}

#[test]
fn the_first_run_ever_on_a_full_disk_begins_with_what_nix_has_set_aside() {
    on_small_disk(
        "kill::full::the_first_run_ever_on_a_full_disk_begins_with_what_nix_has_set_aside",
        "size=64m",
        || with_each_nix(first_run),
    );
}

fn first_run(nix: &Nix) {
    let scratch = untouched(nix);
    let reserved = scratch.state_dir().join("db/reserved");
    assert_eq!(reserved.metadata().unwrap().len(), 8 << 20);
    let disk = scratch.base().parent().unwrap();
    let ballast = Ballast::blocks(disk);
    let ran = run(&scratch, &["run", "--yes"]);
    world::expect(&ran, &[0]);
    assert!(
        !scratch
            .path_named("dead-1")
            .unwrap()
            .to_absolute_path(scratch.store())
            .exists()
    );
    drop(ballast);
    // Without any reserve nothing is done, and the message says what to do: not to use another directory.
    let scratch = untouched(nix);
    fs::remove_file(scratch.state_dir().join("db/reserved")).unwrap();
    let ballast = Ballast::blocks(disk);
    let ran = run(&scratch, &["run", "--yes"]);
    world::expect(&ran, &[73]);
    assert!(ran.stderr.contains("nothing was done"), "{}", ran.stderr);
    assert!(ran.stderr.contains("Free 1 MiB"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("--state-dir"), "{}", ran.stderr);
    drop(ballast);
    by_hand(&scratch, "nix-store", &["--verify", "--check-contents"]);
    assert!(
        scratch
            .path_named("dead-1")
            .unwrap()
            .to_absolute_path(scratch.store())
            .exists()
    );
}
