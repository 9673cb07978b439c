//! `doctor`, and jobs that pause: the real program on stores that something is wrong with.

#![cfg(test)]

use std::fs;

use camino::Utf8PathBuf;
use nix_prune::adapters::journal::Journal;
use nix_prune::adapters::scratch::Scratch;
use nix_prune::domain::measure::{Age, Timestamp};
use nix_prune::domain::receipt::Receipt;
use nix_prune::ports::Remember;
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{Ran, listing, nixes, program, run, run_command, time};

/// A store of the newest Nix with three system generations.
fn machine() -> Option<Scratch> {
    let scratch = Scratch::new(Some(&nixes().last()?.bin)).unwrap();
    for n in 1..=3 {
        let path = scratch.add_path(&format!("system-{n}"), &[], 1000).unwrap();
        let date = time(&format!("2026-01-0{n}T00:00:00Z"));
        let system = scratch.state_dir().join("profiles/system");
        scratch.set_profile(&system, &path, date).unwrap();
    }
    Some(scratch)
}

fn state(scratch: &Scratch) -> Utf8PathBuf {
    scratch.base().join("state")
}

/// What is found, as NAME STATE, without what is in order.
fn found(ran: &Ran) -> Vec<String> {
    let document: Value = serde_json::from_str(&ran.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}{}", ran.stdout, ran.stderr));
    let checks = document["checks"].as_array().unwrap().iter();
    let text = |check: &Value, key: &str| check[key].as_str().unwrap().to_string();
    let found: Vec<String> = checks
        .filter(|check| check["state"] != "ok")
        .map(|check| format!("{} {}", text(check, "name"), text(check, "state")))
        .collect();
    let wrong = found.iter().any(|check| check.ends_with("error"));
    assert_eq!(document["sound"], !wrong);
    assert_eq!(ran.status, i32::from(wrong), "{}", ran.stdout);
    found
}

fn doctor(scratch: &Scratch) -> Ran {
    run(scratch, &["doctor", "--json"])
}

#[test]
fn where_all_is_well_it_says_so_and_changes_nothing() {
    let Some(scratch) = machine() else { return };
    let before = listing(scratch.base());
    assert_eq!(found(&doctor(&scratch)), Vec::<String>::new());
    let ran = run(&scratch, &["doctor"]);
    assert_eq!(ran.status, 0);
    for line in [
        "ok       nix       Nix 2.",
        "ok       settings  the built-in ones",
        "ok       store     3 valid paths",
    ] {
        assert!(ran.stdout.contains(line), "{line}: {}", ran.stdout);
    }
    assert_eq!(listing(scratch.base()), before);
    assert_eq!(run(&scratch, &["run", "--yes"]).status, 0);
    assert_eq!(found(&doctor(&scratch)), Vec::<String>::new());
}

#[test]
fn everything_is_looked_at_whatever_is_wrong_with_the_rest() {
    let Some(scratch) = machine() else { return };
    assert_eq!(run(&scratch, &["run", "--keep-last=2", "--yes"]).status, 0);
    // A hold that somebody removed, settings that are none, a state directory of another store, and no Nix.
    let runs = fs::read_dir(state(&scratch).join("holds")).unwrap();
    for run in runs {
        fs::remove_file(run.unwrap().path().join("0")).unwrap();
    }
    let settings = scratch.base().join("settings.json");
    fs::write(&settings, "{}").unwrap();
    let database = scratch.state_dir().join("db/db.sqlite");
    fs::rename(&database, scratch.base().join("database")).unwrap();
    let mut command = program(&scratch);
    command.args(["doctor", "--json", "--config", settings.as_str()]);
    let ran = run_command(command.args(["--nix-bin", scratch.base().as_str()]));
    assert_eq!(
        found(&ran),
        [
            "nix error",
            "settings error",
            "records warning",
            "roots error",
            "store warning"
        ]
    );
    assert!(ran.stdout.contains("store.mismatch"), "{}", ran.stdout);
}

#[test]
fn a_state_directory_that_is_a_file_is_found() {
    let Some(scratch) = machine() else { return };
    let file = scratch.base().join("file");
    fs::write(&file, "").unwrap();
    let ran = run(
        &scratch,
        &["doctor", "--json", "--state-dir", file.as_str()],
    );
    let found = found(&ran);
    assert!(found.contains(&"records error".to_string()), "{found:?}");
}

/// Runs of the default job that ended some minutes ago, each failed or not.
fn ran_before(scratch: &Scratch, failed: &[bool]) {
    let journal = Journal::at(state(scratch));
    let lock = journal.lock().unwrap();
    let now: Timestamp = serde_json::from_value(json!(jiff::Timestamp::now().to_string())).unwrap();
    for (back, failed) in (1..=failed.len()).rev().zip(failed) {
        let began = now.before(Age::minutes(u32::try_from(back).unwrap()));
        let outcome = if *failed { "failed" } else { "done" };
        let mut receipt: Receipt = serde_json::from_value(json!({
            "schema": "nix-prune/receipt/1", "run": "none", "kind": "run", "job": "default", "toolVersion": "0.1.0",
            "nixVersion": "2.34.8", "machine": "m", "store": scratch.store(), "startedAt": began,
            "finishedAt": began, "bytes": {}, "entries": [{
                "action": { "kind": "optimise" }, "risk": "low", "outcome": outcome, "at": began,
                "detail": null, "undo": null, "undoneBy": null,
            }],
        }))
        .unwrap();
        journal.begin(&lock, &mut receipt).unwrap();
    }
}

#[rstest]
#[case::five(&[true; 5], true)]
#[case::four(&[true; 4], false)]
#[case::the_last_one_did_not(&[true, true, true, true, true, false], false)]
#[case::one_between_did_not(&[true, true, true, false, true, true], false)]
#[case::six(&[false, true, true, true, true, true, true], true)]
fn a_job_whose_last_five_runs_failed_pauses_until_somebody_has_seen_it(
    #[case] failed: &[bool],
    #[case] pauses: bool,
) {
    let Some(scratch) = machine() else { return };
    ran_before(&scratch, failed);
    let again = ["run", "--yes", "--keep-last=1"];
    if pauses {
        let ran = run(&scratch, &again);
        assert_eq!(ran.status, 4, "{}{}", ran.stdout, ran.stderr);
        let says = "nothing was done: the job is paused, for its last";
        assert!(ran.stderr.contains(says), "{}", ran.stderr);
        assert!(
            ran.stderr.contains("doctor --acknowledge"),
            "{}",
            ran.stderr
        );
        let state = doctor(&scratch);
        assert_eq!(found(&state), ["jobs error"]);
        let other = [&again[..], &["--accept=roots.away"]].concat();
        assert_eq!(run(&scratch, &other).status, 4);
        let plan = run(&scratch, &["plan", "--accept=job.paused", "--json"]);
        assert!(!plan.stdout.contains("\"refusals\":[{"), "{}", plan.stdout);
        let seen = run(&scratch, &["doctor", "--acknowledge", "--json"]);
        assert_eq!(found(&seen), Vec::<String>::new());
    }
    let ran = run(&scratch, &again);
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
}
