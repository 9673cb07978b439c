//! Everything at once: builders, switches of generations, two runs of ours, and a collection by hand.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use camino::Utf8Path;
use nix_prune::adapters::scratch::Scratch;

use super::{ends, fill, home_profiles, numbers, on_disk, profiles, store};
use crate::support::{Over, by_hand, command, run};

/// A path that is built of another one, which only the builder knows of meanwhile.
const BUILD: &str = r#"let build = name: from: derivation { inherit name from; system = builtins.currentSystem;
    builder = "/bin/sh"; args = [ "-c" "echo ${name} $from >$out" ]; };
  in build "whole-NUMBER" (build "part-NUMBER" "")"#;

fn rounds() -> usize {
    let asked = std::env::var("NIX_PRUNE_TEST_RACES").ok();
    asked.map_or(3, |text| text.parse().expect("a number"))
}

fn nix(scratch: &Scratch, tool: &str) -> Command {
    let mut command = command(scratch.bin().unwrap().join(tool));
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .envs(scratch.env())
        .stdin(Stdio::null());
    command
}

/// Builds while the others work: every second one for a root, the others for nobody. Tells how many were built.
fn build(scratch: &Scratch, results: &Utf8Path, first: usize, stop: &AtomicBool) -> usize {
    let mut number = first;
    while number < first + 2 || !stop.load(Ordering::Relaxed) {
        let expression = BUILD.replace("NUMBER", &number.to_string());
        let mut command = nix(scratch, "nix-build");
        command.args(["-E", &expression]);
        let link = results.join(number.to_string());
        if number.is_multiple_of(2) {
            command.args(["--out-link", link.as_str()]);
        } else {
            command.arg("--no-out-link");
        }
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "a build lost what it needs: {said}"
        );
        if number.is_multiple_of(2) {
            assert!(link.exists(), "{link} is a root and leads nowhere");
        }
        number += 1;
    }
    number
}

fn switch(scratch: &Scratch, profile: &Utf8Path, round: usize, stop: &AtomicBool) {
    for n in round.. {
        let mut command = nix(scratch, "nix-env");
        command.args(["-p", profile.as_str()]);
        if n % 3 == 0 {
            command.arg("--rollback");
        } else {
            let path = scratch
                .path_named(&format!("profilesdefault-{}", n % 4 + 1))
                .unwrap();
            let path = path.to_absolute_path(scratch.store());
            command.args(["--set", path.as_str()]);
        }
        // It may fail where the generation that it wants to go back to is gone: what counts is what is left.
        let _ = command.output().unwrap();
        assert!(profile.exists(), "the profile leads nowhere");
        if stop.load(Ordering::Relaxed) {
            return;
        }
    }
}

/// So many rounds are played on one store: with each it has more generations and holds, and takes longer.
const TOGETHER: usize = 10;

#[test]
fn builders_rollbacks_and_collections_beside_runs_lose_nothing() {
    let (mut played, mut built, mut ended) = (0, 0, BTreeMap::new());
    while played < rounds() {
        let some = TOGETHER.min(rounds() - played);
        let Some(more) = on_one_store(some, &mut ended) else {
            return;
        };
        (played, built) = (played + some, built + more);
        println!("{played} rounds, {built} builds, exit statuses of runs: {ended:?}");
    }
}

/// Plays some rounds, and tells how many paths were built.
fn on_one_store(rounds: usize, ended: &mut BTreeMap<i32, usize>) -> Option<usize> {
    let scratch = store()?;
    let profile = profiles(&scratch).join("default");
    fill(&scratch, &profile, 4);
    let results = scratch.home().join("results");
    fs::create_dir(&results).unwrap();
    let mut built = 0;
    for round in 0..rounds {
        let stop = AtomicBool::new(false);
        built = thread::scope(|scope| {
            let builder = scope.spawn(|| build(&scratch, &results, built, &stop));
            let switcher = scope.spawn(|| switch(&scratch, &profile, round, &stop));
            let runs: Vec<_> = ["auto", "full"]
                .map(|how| format!("--collect-method={how}"))
                .map(|how| {
                    let scratch = &scratch;
                    scope.spawn(move || run(scratch, &["run", "--keep-last=1", "--yes", &how]))
                })
                .into_iter()
                .collect();
            let over = Over(&stop);
            let collected = nix(&scratch, "nix-collect-garbage").output().unwrap();
            assert!(collected.status.success());
            for ran in runs {
                let ran = ran.join().unwrap();
                let said = format!("{}{}", ran.stdout, ran.stderr);
                // Done, something had changed, or the other one was at it.
                assert!(
                    [0, 1, 3, 4, 75].contains(&ran.status),
                    "{}: {said}",
                    ran.status
                );
                *ended.entry(ran.status).or_insert(0) += 1;
            }
            drop(over);
            switcher.join().unwrap();
            builder.join().unwrap()
        });
        assert!(profile.exists(), "round {round}: the profile leads nowhere");
        let current = profile.read_link_utf8().unwrap();
        assert!(
            profile.with_file_name(current).is_symlink(),
            "round {round}"
        );
        let mut alive = vec![profile.to_string()];
        for link in results.read_dir_utf8().unwrap() {
            let link = link.unwrap().into_path();
            assert!(link.exists(), "round {round}: {link} leads nowhere");
            alive.push(link.into_string());
        }
        // What they need as well.
        let mut needs = vec!["-qR"];
        needs.extend(alive.iter().map(String::as_str));
        for path in by_hand(&scratch, "nix-store", &needs).stdout.lines() {
            assert!(fs::exists(path).unwrap(), "round {round}: {path} vanished");
        }
        for n in 1..=4 {
            let name = format!("profilesdefault-{n}");
            assert!(
                on_disk(&scratch, &name),
                "round {round}: {name} is neither there nor held"
            );
        }
    }
    by_hand(&scratch, "nix-store", &["--verify", "--check-contents"]);
    ends(&scratch, &["run", "--keep-last=1", "--yes"], 0);
    assert!(!numbers(&profile).is_empty());
    Some(built)
}

/// What somebody removes while a run goes on. Each is a root that the rules keep.
#[derive(Debug, Clone, Copy)]
enum Lost {
    Result,
    Project,
    Generation,
    Pinned,
    Profile,
}

const LOST: [Lost; 5] = [
    Lost::Result,
    Lost::Project,
    Lost::Generation,
    Lost::Pinned,
    Lost::Profile,
];

impl Lost {
    /// Removes it, and names what it kept.
    fn remove(self, scratch: &Scratch) -> &'static [&'static str] {
        let system = profiles(scratch).join("system");
        let project = scratch.home().join("project");
        let delete = |number| {
            let mut command = nix(scratch, "nix-env");
            command.args(["-p", system.as_str(), "--delete-generations", number]);
            assert!(command.output().unwrap().status.success());
        };
        match self {
            Self::Result => fs::remove_file(project.join("result")).unwrap(),
            Self::Project => fs::remove_dir_all(&project).unwrap(),
            Self::Generation => delete("6"),
            Self::Pinned => delete("2"),
            Self::Profile => fs::remove_dir_all(home_profiles(scratch)).unwrap(),
        }
        match self {
            Self::Result | Self::Project => &["project"],
            Self::Generation => &["profilessystem-6"],
            Self::Pinned => &["profilessystem-2"],
            Self::Profile => &["profilesprofile-1", "profilesprofile-2"],
        }
    }
}

/// A machine that a run has seen, with one of each. Tells how long that run took.
fn machine_with_all() -> Option<(Scratch, Duration)> {
    let scratch = store()?;
    let system = profiles(&scratch).join("system");
    fill(&scratch, &system, 7);
    fill(&scratch, &home_profiles(&scratch).join("profile"), 2);
    let path = scratch.add_path("project", &[], 10).unwrap();
    let link = scratch.home().join("project/result");
    fs::create_dir_all(link.parent().unwrap()).unwrap();
    scratch.add_root(&link, &path).unwrap();
    scratch.add_path("dead", &[], 10).unwrap();
    ends(&scratch, &["pin", "system:2"], 0);
    let begun = Instant::now();
    ends(
        &scratch,
        &["run", "--keep-last=50", "--no-collect", "--yes"],
        0,
    );
    Some((scratch, begun.elapsed()))
}

#[test]
fn what_vanishes_at_any_moment_of_a_run_is_held() {
    let (mut ended, mut held, mut too_late) = (BTreeMap::new(), 0, 0);
    for round in 0..rounds() {
        let Some((scratch, first)) = machine_with_all() else {
            return;
        };
        let lost = LOST[round % LOST.len()];
        let method = ["auto", "full", "selective"][round / LOST.len() % 3];
        let method = format!("--collect-method={method}");
        // A run that removes four generations takes some times as long as one that removes none.
        let moment = first.mul_f64(f64::from(u32::try_from(round * 7 % 20).unwrap()) / 5.0);
        let args = ["run", "--keep-last=2", "--yes", &method];
        let (ran, at, names) = thread::scope(|scope| {
            let ran = scope.spawn(|| {
                let ran = run(&scratch, &args);
                (ran, SystemTime::now())
            });
            thread::sleep(moment);
            let names = lost.remove(&scratch);
            let at = SystemTime::now();
            let (ran, end) = ran.join().unwrap();
            (ran, end.duration_since(at).unwrap_or_default(), names)
        });
        let what = format!("round {round}: {lost:?} {method}, {at:?} before the end");
        let said = format!("{what}: {}{}", ran.stdout, ran.stderr);
        assert!([0, 3, 4].contains(&ran.status), "{}: {said}", ran.status);
        *ended.entry(ran.status).or_insert(0) += 1;
        // Between our last look and its own, Nix takes what vanishes.
        if method.ends_with("full")
            && at < first
            && !names.iter().all(|name| on_disk(&scratch, name))
        {
            too_late += 1;
            continue;
        }
        for name in names {
            assert!(on_disk(&scratch, name), "{name} is lost: {said}");
        }
        let next = run(&scratch, &["run", "--keep-last=2", "--yes"]);
        let said = format!("{said}{}{}", next.stdout, next.stderr);
        // A profile whose place is gone stops the next one.
        assert!([0, 4].contains(&next.status), "{}: {said}", next.status);
        if next.status == 0 {
            by_hand(&scratch, "nix-collect-garbage", &[]);
            held += 1;
        }
        for name in names {
            assert!(on_disk(&scratch, name), "{name} is lost later: {said}");
        }
    }
    println!("exit statuses of runs: {ended:?}; held {held} times, too late {too_late} times");
}
