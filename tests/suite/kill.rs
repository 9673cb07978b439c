//! The real program with a real Nix: killed before each change that it makes and around each child that it starts, and
//! out of room from each change on.
//!
//! Every run of the tests counts all the points and takes some of them; with `NIX_PRUNE_TEST_KILLS=all` it takes every
//! one.

#![cfg(test)]
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod full;
mod leftovers;
mod tracer;
pub(crate) mod world;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use nix::errno::Errno;
use nix_prune::domain::plan::Action;
use nix_prune::domain::receipt::{Outcome, Receipt, Undo};
use tracer::{Step, Then};
use world::World;

use crate::safety::is_current;
use crate::support::{Nix, is_root, nixes, skipped, words};

/// What is killed.
struct Case {
    /// What it is called in the table.
    name: &'static str,
    /// The command.
    args: &'static [&'static str],
    /// What is done before.
    before: &'static [&'static str],
    /// What settles it.
    next: &'static [&'static str],
    /// Whether it lets go of holds whose windows are open.
    releases: bool,
}

const RUN: &[&str] = &["run", "all", "--yes"];

/// Needs root.
const DIRECT: &str = "`run`, direct collection";

const CASES: [Case; 5] = [
    Case {
        name: "`run`, selective collection",
        args: RUN,
        before: &[],
        next: RUN,
        releases: false,
    },
    Case {
        name: "`run`, full collection",
        args: &["run", "all", "--collect-method=full", "--yes"],
        before: &[],
        next: RUN,
        releases: false,
    },
    Case {
        name: "`undo`",
        args: &["undo"],
        before: RUN,
        next: &["undo"],
        releases: false,
    },
    Case {
        name: "`hold release --all`",
        args: &["hold", "release", "--all", "--yes"],
        before: RUN,
        next: RUN,
        releases: true,
    },
    Case {
        name: DIRECT,
        args: &["run", "all", "--collect-method=direct", "--yes"],
        before: &[],
        next: RUN,
        releases: false,
    },
];

/// What is done to the program at a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Harm {
    /// It is killed; a child that runs goes on to its own end.
    Kill,
    /// It is killed with the child that runs, as by a power cut.
    Cut,
    /// From here on nothing of its own can be written: the disk is full.
    Full,
}

/// The steps of a command that nothing happens to.
fn steps(world: &World, case: &Case) -> Vec<Step> {
    let mut steps = Vec::new();
    let traced = world.traced(case.args, &mut |step| {
        steps.push(step.clone());
        Then::GoOn
    });
    world::expect(&traced.ran, &[0]);
    steps
}

/// Each step with each harm that can be done there.
fn points(steps: &[Step]) -> Vec<(usize, Harm)> {
    let mut points = Vec::new();
    for (nth, step) in steps.iter().enumerate() {
        points.push((nth, Harm::Kill));
        match step {
            Step::Running => points.push((nth, Harm::Cut)),
            Step::Change(..) => points.push((nth, Harm::Full)),
            _ => {}
        }
    }
    points
}

/// What a full disk does to a change: what needs no room goes on.
fn on_a_full_disk(step: &Step) -> Then {
    match step {
        Step::Change("create" | "write" | "sync" | "make" | "rename to" | "link", _) => {
            Then::Fail(Errno::ENOSPC)
        }
        _ => Then::GoOn,
    }
}

/// Does harm, and sees that nothing is lost, the next run puts everything right, and undo works.
/// As long as what `disk` gives is there, which is from the beginning until it is settled, the disk is as it makes it.
fn harm_at<D>(
    world: &World,
    case: &Case,
    steps: &[Step],
    (at, harm): (usize, Harm),
    disk: &dyn Fn() -> Option<D>,
) {
    world.restore();
    let disk = disk();
    let mut nth = 0;
    let traced = world.traced(case.args, &mut |step| {
        nth += 1;
        if nth - 1 < at {
            return Then::GoOn;
        }
        if nth - 1 == at {
            assert_eq!(
                Some(step),
                steps.get(at),
                "the steps are not always the same"
            );
        }
        match harm {
            Harm::Kill => Then::Die,
            Harm::Cut => Then::DieWithChild,
            Harm::Full => on_a_full_disk(step),
        }
    });
    if harm == Harm::Full {
        // What only tidies up may fail in silence; all else is told, with what to do.
        world::expect(&traced.ran, &[0, 1, 3, 73]);
        let said = traced.ran.status == 0 || traced.ran.stderr.contains("No space left");
        assert!(
            said || traced.ran.stdout.contains("No space left"),
            "{}",
            traced.ran.stderr
        );
    } else {
        assert!(traced.killed, "it ended before: {}", traced.ran.stderr);
    }
    world.kept();
    world.not_collected();
    if case.args.contains(&"undo") {
        world.ends(case.next, &[0, 4]);
        drop(disk);
    } else {
        // The recovery comes before the plan, so that no step of the plan is stale.
        world.ends(case.next, &[0]);
        drop(disk);
        world.everything_done();
        world.kept();
        world.told_truly(case.releases);
    }
    if case.releases {
        return;
    }
    world.not_collected();
    for _ in 0..4 {
        if world.ends(&["undo"], &[0, 4]).status == 4 {
            break;
        }
    }
    world.told_truly(false);
    world.all_back();
}

/// Counts the points of a case, does harm at those that are chosen, and tells what failed.
fn try_case(
    nix: &Nix,
    case: &Case,
    failures: &mut Vec<String>,
    chosen: impl Fn(usize, usize) -> bool,
) -> Vec<Step> {
    let world = World::new(nix);
    if !case.before.is_empty() {
        world.ends(case.before, &[0]);
    }
    world.save();
    let steps = steps(&world, case);
    let points = points(&steps);
    let count = points.len();
    for (nth, point) in points.into_iter().enumerate() {
        if !chosen(nth, count) {
            continue;
        }
        let roomy = || None::<()>;
        let attempt = AssertUnwindSafe(|| harm_at(&world, case, &steps, point, &roomy));
        if let Err(cause) = catch_unwind(attempt) {
            let (step, harm) = (steps.get(point.0), point.1);
            let (name, version) = (case.name, &nix.version);
            let why = words(&*cause);
            failures.push(format!(
                "{name} with {version}, {harm:?} at {step:?}: {why}"
            ));
        }
    }
    steps
}

/// What a case comes to in the table.
fn row(case: &Case, steps: &[Step]) -> String {
    let count = |harm: Harm| points(steps).iter().filter(|point| point.1 == harm).count();
    let changes = steps
        .iter()
        .filter(|s| matches!(s, Step::Change(..)))
        .count();
    let children = steps.iter().filter(|s| **s == Step::Running).count();
    let (kills, cuts, full) = (count(Harm::Kill), count(Harm::Cut), count(Harm::Full));
    format!(
        "| {} | {changes} | {children} | {kills} | {cuts} | {full} |\n",
        case.name
    )
}

const HEAD: &str = "\
| command | changes of its own | children | points to be killed at | with the child | points from which the disk is full |
| --- | --- | --- | --- | --- | --- |
";

#[test]
fn killed_or_out_of_room_at_any_point_nothing_is_lost_and_undo_works() {
    let Some((newest, older)) = nixes().split_last() else {
        return;
    };
    if !tracer::possible() {
        return skipped("kills at every point: no process can be traced here");
    }
    let all = std::env::var("NIX_PRUNE_TEST_KILLS").is_ok_and(|what| what == "all");
    let mut table = HEAD.to_string();
    let mut failures = Vec::new();
    for (nth, case) in CASES.iter().enumerate() {
        if case.name == DIRECT && !is_root() {
            skipped("kills in a direct collection: it needs root");
            continue;
        }
        // Another few points in each case; a prime, so that all kinds of points are among them. And the last ones, at which
        // the run tidies up.
        let chosen = |point, count| all || point % 47 == 5 + nth || point + 2 >= count;
        let steps = try_case(newest, case, &mut failures, chosen);
        table.push_str(&row(case, &steps));
    }
    for (nth, nix) in older.iter().enumerate() {
        let every = if all { 7 } else { 97 };
        let cases = CASES.iter().filter(|case| match case.name {
            DIRECT => is_root(),
            name => name == CASES[0].name,
        });
        for case in cases {
            try_case(nix, case, &mut failures, |point, _| {
                point % every == 3 + nth
            });
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    if newest.version.ends_with(" 2.34.8") && is_root() {
        is_current("kills", &table);
    }
}

#[test]
fn an_interrupted_run_is_recovered_before_the_plan_is_made() {
    for nix in nixes() {
        let world = World::new(nix);
        let state = world.scratch.base().join("state");
        let baseline = fs::read(state.join("root-baseline.json")).unwrap();
        world.ends(RUN, &[0]);
        // As if it had been killed before it made the hold for the vanished root.
        let mut receipt = world.receipts().pop().unwrap();
        receipt.finished_at = None;
        for entry in &mut receipt.entries {
            if let (Action::HoldRoot(_), Some(Undo::Held { hold, .. })) =
                (&entry.action, &entry.undo)
            {
                fs::remove_file(hold).unwrap();
                entry.outcome = Outcome::Pending;
            }
        }
        let record = state.join(format!("runs/{}.json", receipt.run));
        fs::write(record, serde_json::to_string(&receipt).unwrap()).unwrap();
        fs::write(state.join("root-baseline.json"), baseline).unwrap();
        world.ends(RUN, &[0]);
        world.everything_done();
        world.not_collected();
        world.told_truly(false);
    }
}

/// Rows go before files, so more files may be left than there are valid paths. Without a record they are another store's.
#[test]
fn files_that_a_direct_collection_left_are_collected_by_the_next_one() {
    if !is_root() {
        return skipped("files that a direct collection left: it needs root");
    }
    for nix in nixes() {
        let world = World::new(nix);
        let direct = &["run", "all", "--collect-method=direct", "--yes"];
        world.ends(direct, &[0]);
        let store = world.scratch.store().as_path();
        let valid = fs::read_dir(store).unwrap().count();
        let left = |n: usize| store.join(format!("{n:0>32}-left"));
        (0..valid + 40).for_each(|n| fs::write(left(n), "").unwrap());
        // What came just now may have its row in a moment.
        std::thread::sleep(std::time::Duration::from_millis(50));
        let refused = world.ends(direct, &[4]);
        assert!(refused.stderr.contains("store.mismatch"), "{refused:?}");
        let mut receipts = world.receipts();
        let collects = |run: &Receipt| {
            run.entries
                .iter()
                .any(|it| it.action.collection().is_some())
        };
        let mut run = receipts.remove(receipts.iter().rposition(collects).unwrap());
        run.finished_at = None;
        for entry in &mut run.entries {
            if entry.action.collection().is_some() {
                entry.outcome = Outcome::Pending;
            }
        }
        let record = world
            .scratch
            .base()
            .join(format!("state/runs/{}.json", run.run));
        fs::write(record, serde_json::to_string(&run).unwrap()).unwrap();
        world.ends(direct, &[0]);
        assert!(!left(0).exists() && !left(valid).exists());
    }
}
