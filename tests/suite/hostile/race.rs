//! Everything at once: builders, switches of generations, two runs of ours, and a collection by hand.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use camino::Utf8Path;
use nix_prune::adapters::scratch::Scratch;

use super::{ends, fill, numbers, on_disk, profiles, store};
use crate::support::{by_hand, run};

/// A path that is built of another one, which only the builder knows of meanwhile.
const BUILD: &str = r#"let build = name: from: derivation { inherit name from; system = builtins.currentSystem;
    builder = "/bin/sh"; args = [ "-c" "echo ${name} $from >$out" ]; };
  in build "whole-NUMBER" (build "part-NUMBER" "")"#;

fn rounds() -> usize {
    let asked = std::env::var("NIX_PRUNE_TEST_RACES").ok();
    asked.map_or(3, |text| text.parse().expect("a number"))
}

fn nix(scratch: &Scratch, tool: &str) -> Command {
    let mut command = Command::new(scratch.bin().unwrap().join(tool));
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
            let runs: Vec<_> = ["auto", "whole"]
                .map(|how| format!("--collect-method={how}"))
                .map(|how| {
                    let scratch = &scratch;
                    scope.spawn(move || run(scratch, &["run", "--keep-last=1", "--yes", &how]))
                })
                .into_iter()
                .collect();
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
            stop.store(true, Ordering::Relaxed);
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
