//! The real program from outside: what it prints, how it ends, and that bad input costs nothing.

#![cfg(test)]

mod undo;

use std::fs;
use std::io::{BufRead, BufReader, Lines, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStderr, Stdio};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use nix_prune::adapters::collector::collector;
use nix_prune::adapters::scratch::Scratch;
use rstest::rstest;
use serde_json::Value;

use crate::support::{
    OnTerminal, Ran, actions_of, by_hand, listing, nixes, on_small_disk, program, run, run_command,
    script, skipped, status, time, wait_for, with_each_nix,
};

/// A scratch store with nine system generations, of the newest Nix that is there.
fn machine() -> Option<Scratch> {
    let nix = nixes().last()?;
    Some(filled(Scratch::new(Some(&nix.bin)).unwrap()))
}

fn filled(scratch: Scratch) -> Scratch {
    for n in 1..=9 {
        let path = scratch.add_path(&format!("system-{n}"), &[], 1000).unwrap();
        let date = time(&format!("2026-01-0{n}T00:00:00Z"));
        scratch.set_profile(&system(&scratch), &path, date).unwrap();
    }
    scratch
}

fn system(scratch: &Scratch) -> Utf8PathBuf {
    scratch.state_dir().join("profiles/system")
}

fn numbers(scratch: &Scratch) -> Vec<u32> {
    let dir = scratch.state_dir().join("profiles");
    let names = dir
        .read_dir_utf8()
        .unwrap()
        .map(|e| e.unwrap().file_name().to_string());
    let mut numbers: Vec<u32> = names
        .filter_map(|name| {
            name.strip_prefix("system-")?
                .strip_suffix("-link")?
                .parse()
                .ok()
        })
        .collect();
    numbers.sort_unstable();
    numbers
}

const ALL: [u32; 9] = [1, 2, 3, 4, 5, 6, 7, 8, 9];

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}{}", ran.stdout, ran.stderr))
}

/// It ended so, said this, and every generation is still there.
fn refused(scratch: &Scratch, ran: &Ran, status: i32, says: &str) {
    assert_eq!(ran.status, status, "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stderr.contains(says),
        "{:?} says nothing of {says:?}",
        ran.stderr
    );
    assert_eq!(numbers(scratch), ALL);
}

#[test]
fn what_only_reads_changes_nothing() {
    let Some(scratch) = machine() else { return };
    by_hand(&scratch, "nix-store", &["--gc", "--print-roots"]);
    fs::write(scratch.base().join("nix/store/junkfile"), "trap 45").unwrap();
    for args in [
        vec!["plan"],
        vec!["plan", "--json", "--keep-last", "1"],
        vec!["generations"],
        vec!["generations", "--json", "system"],
        vec!["roots"],
        vec!["roots", "--json"],
        vec!["history"],
        vec!["history", "--json"],
        vec!["hold", "list"],
        vec!["pin", "list"],
        vec!["hold", "list", "--json"],
    ] {
        let before = listing(scratch.base());
        let ran = run(&scratch, &args);
        assert_eq!(ran.status, 0, "{args:?}: {}", ran.stderr);
        assert_eq!(
            listing(scratch.base()),
            before,
            "{args:?} changed something"
        );
    }
}

#[test]
fn json_is_one_document_and_nothing_else_is_on_standard_output() {
    let Some(scratch) = machine() else { return };
    for args in [
        vec!["plan", "--json"],
        vec!["generations", "--json"],
        vec!["roots", "--json"],
        vec!["run", "--keep-last", "3", "--yes", "--json"],
        vec!["history", "--json"],
        vec!["hold", "list", "--json"],
        vec!["pin", "system:9", "--json"],
        vec!["pin", "list", "--json"],
        vec!["unpin", "system:9", "--json"],
        vec!["undo", "--json"],
    ] {
        let ran = run(&scratch, &args);
        assert_eq!(ran.status, 0, "{args:?}: {}", ran.stderr);
        let document = json(&ran);
        let schema = document["schema"].as_str().unwrap();
        let name = schema
            .strip_prefix("nix-prune/")
            .and_then(|s| s.split_once('/'))
            .map(|(name, _)| name);
        let schema = nix_prune::render::schema(name.unwrap()).unwrap();
        let schema = jsonschema::validator_for(&serde_json::to_value(schema).unwrap()).unwrap();
        assert!(schema.is_valid(&document), "{args:?}: {document}");
        assert_eq!(ran.stderr, "", "{args:?}");
    }
}

#[test]
fn a_run_without_a_terminal_needs_a_yes() {
    let Some(scratch) = machine() else { return };
    let ran = run(&scratch, &["run", "--keep-last", "1"]);
    refused(&scratch, &ran, 4, "--yes");
    assert!(
        run(&scratch, &["history", "--json"])
            .stdout
            .contains("\"runs\": []")
    );
}

#[test]
fn the_risk_ceiling_refuses_the_whole_plan() {
    let Some(scratch) = machine() else { return };
    let ran = run(
        &scratch,
        &["run", "--keep-last", "1", "--yes", "--max-risk", "medium"],
    );
    refused(&scratch, &ran, 4, "--max-risk high");
    let ran = run(
        &scratch,
        &[
            "run",
            "--keep-last",
            "1",
            "--yes",
            "--undo-window",
            "0s",
            "--max-risk",
            "critical",
        ],
    );
    refused(&scratch, &ran, 4, "safe mode");
}

#[rstest]
#[case::nothing_kept(&["plan", "--keep-last", "0"], "could keep nothing")]
#[case::no_age(&["plan", "--keep-within", "1m"], "1mo")]
#[case::no_profile(&["plan", "--profile", "sytem"], "sytem")]
#[case::no_job(&["plan", "weekly"], "weekly")]
#[case::no_risk(&["run", "--max-risk", "some"], "some")]
#[case::mistyped(&["run", "--dryrun"], "--dry-run")]
#[case::no_generation(&["pin", "system"], "PROFILE:N")]
#[case::no_such_generation(&["pin", "system:77"], "77")]
#[case::no_run(&["history", "../../etc"], "../../etc")]
#[case::unknown_run(&["undo", "20200101T000000Z"], "20200101T000000Z")]
fn what_is_said_wrongly_is_usage(#[case] args: &[&str], #[case] says: &str) {
    let Some(scratch) = machine() else { return };
    refused(&scratch, &run(&scratch, args), 2, says);
}

#[test]
fn a_nix_that_is_missing_or_too_old_is_said_so() {
    let Some(scratch) = machine() else { return };
    let empty = scratch.base().join("empty");
    fs::create_dir(&empty).unwrap();
    let ran = run(
        &scratch,
        &[
            "run",
            "--yes",
            "--keep-last",
            "1",
            "--nix-bin",
            empty.as_str(),
        ],
    );
    refused(&scratch, &ran, 69, "--nix-bin");
    let old = scratch.base().join("old");
    fs::create_dir(&old).unwrap();
    for tool in ["nix", "nix-env", "nix-store", "nix-collect-garbage"] {
        script(&old.join(tool), "echo 'nix (Nix) 2.3.16'");
    }
    let ran = run(
        &scratch,
        &[
            "run",
            "--yes",
            "--keep-last",
            "1",
            "--nix-bin",
            old.as_str(),
        ],
    );
    refused(&scratch, &ran, 69, "2.3.16");
    // What only reads needs none.
    let ran = run(&scratch, &["plan", "--nix-bin", empty.as_str()]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
}

#[rstest]
#[case::not_json("{", "settings")]
#[case::unknown_key(r#"{"version": 2, "jobz": {}}"#, "jobs")]
#[case::unknown_version(r#"{"version": 2, "jobs": {}}"#, "version")]
#[case::keeps_nothing(
    r#"{"version": 2, "jobs": {"a": {"operations": {"generations": {"keep": {"last": 0}}}}}}"#,
    "keep"
)]
#[case::not_yet(
    r#"{"version": 2, "jobs": {"a": {"operations": {"collect": {}, "browse": {}}}}}"#,
    "browse"
)]
#[case::whole_and_recent(
    r#"{"version": 2, "jobs": {"a": {"operations": {"collect": {"method": "full", "keepRecent": "2d"}}}}}"#,
    "needs method selective or auto"
)]
fn settings_that_are_not_valid_stop_everything(#[case] text: &str, #[case] says: &str) {
    let Some(scratch) = machine() else { return };
    let file = scratch.base().join("settings.json");
    fs::write(&file, text).unwrap();
    let ran = run(&scratch, &["run", "--yes", "--config", file.as_str()]);
    refused(&scratch, &ran, 78, says);
}

#[test]
fn settings_that_are_named_and_missing_are_no_defaults() {
    let Some(scratch) = machine() else { return };
    let ran = run(
        &scratch,
        &["run", "--yes", "--config", "/nowhere/settings.json"],
    );
    refused(&scratch, &ran, 78, "/nowhere/settings.json");
    // The same for a file in its usual place that leads nowhere.
    let dir = scratch.home().join(".config/nix-prune");
    fs::create_dir_all(&dir).unwrap();
    symlink("/nowhere", dir.join("config.json")).unwrap();
    refused(
        &scratch,
        &run(&scratch, &["run", "--yes"]),
        78,
        "config.json",
    );
}

#[test]
fn a_second_run_ends_with_75_and_says_who_holds_the_lock() {
    let Some(scratch) = machine() else { return };
    assert_eq!(run(&scratch, &["pin", "system:9"]).status, 0);
    let lock = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(scratch.base().join("state/lock"))
        .unwrap();
    let _lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock)
        .map_err(|(_, e)| e)
        .unwrap();
    let ran = run(&scratch, &["run", "--keep-last", "1", "--yes"]);
    refused(&scratch, &ran, 75, "state/lock");
}

/// The lock of a run that is under way somewhere else.
fn locked(scratch: &Scratch) -> Flock<fs::File> {
    assert_eq!(run(scratch, &["pin", "system:1"]).status, 0);
    let lock = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(scratch.base().join("state/lock"))
        .unwrap();
    Flock::lock(lock, FlockArg::LockExclusiveNonblock)
        .map_err(|(_, e)| e)
        .unwrap()
}

/// Starts our program; gives the first line that it says on standard error, and the lines behind it.
fn started(scratch: &Scratch, args: &[&str]) -> (Child, String, Lines<BufReader<ChildStderr>>) {
    let mut child = program(scratch)
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    let first = said.next().unwrap().unwrap();
    (child, first, said)
}

#[test]
fn a_second_run_waits_as_long_as_it_is_told_to() {
    let Some(scratch) = machine() else { return };
    let lock = locked(&scratch);
    let impatient = ["run", "--keep-last", "1", "--yes", "--wait", "1s"];
    let ran = run(&scratch, &impatient);
    refused(&scratch, &ran, 75, "state/lock");
    let patient = ["run", "--keep-last", "1", "--yes", "--wait", "1d"];
    let (mut child, waits, said) = started(&scratch, &patient);
    assert!(
        waits.contains("waiting: another run holds the lock"),
        "{waits}"
    );
    // What is planned is planned for the world that the other run leaves.
    let path = scratch.add_path("system-10", &[], 1000).unwrap();
    let date = time("2026-01-10T00:00:00Z");
    scratch.set_profile(&system(&scratch), &path, date).unwrap();
    drop(lock);
    // The rest must be read, or it could not be written.
    let rest: Vec<String> = said.map(Result::unwrap).collect();
    assert!(child.wait().unwrap().success(), "{rest:?}");
    assert_eq!(numbers(&scratch), [1, 9, 10]);
}

/// Nix's lock of the collector, held by this process; `None` where the kernel does not list locks.
fn collecting(scratch: &Scratch) -> Option<Flock<fs::File>> {
    let file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(scratch.state_dir().join("gc.lock"))
        .unwrap();
    let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).unwrap();
    if collector(&scratch.state_dir(), Utf8Path::new("/proc")).is_none() {
        skipped("who collects: this kernel lists no locks");
        return None;
    }
    Some(lock)
}

#[test]
fn another_collection_is_named_and_waited_for() {
    let Some(scratch) = machine() else { return };
    scratch.add_path("dead", &[], 10).unwrap();
    let Some(lock) = collecting(&scratch) else {
        return;
    };
    let args = ["run", "--keep-last", "1", "--yes", "--wait"];
    let ran = run(&scratch, &[&args[..], &["1s"]].concat());
    let this = format!("process {}", std::process::id());
    refused(&scratch, &ran, 75, &this);
    assert!(ran.stderr.contains("gc.lock"), "{}", ran.stderr);
    assert!(
        !scratch.base().join("state/runs").exists(),
        "nothing was begun"
    );
    // Only a collection has to wait.
    let ran = run(
        &scratch,
        &["run", "--keep-last", "9", "--no-collect", "--yes"],
    );
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let (mut child, waits, said) = started(&scratch, &[&args[..], &["1d"]].concat());
    assert!(waits.contains("waiting for another collection"), "{waits}");
    drop(lock);
    let rest: Vec<String> = said.map(Result::unwrap).collect();
    assert!(child.wait().unwrap().success(), "{rest:?}");
    let dead = scratch.path_named("dead").unwrap();
    assert!(!dead.to_absolute_path(scratch.store()).exists());
}

/// Both file systems have no device with a driver, and their inodes have the same numbers.
#[test]
fn a_lock_on_another_file_system_is_no_collection() {
    let name = "cli::a_lock_on_another_file_system_is_no_collection";
    on_small_disk(name, "size=4m", || {
        let exclusive = FlockArg::LockExclusiveNonblock;
        let disk = Utf8PathBuf::from_path_buf(std::env::temp_dir()).unwrap();
        let lock = fs::File::create(disk.join("gc.lock")).unwrap();
        let wanted = lock.metadata().unwrap().ino();
        let file = |nth: u32| fs::File::create(disk.join(format!("other/{nth}"))).unwrap();
        let mut files = (0..100).map(file);
        let other = files.find(|file| file.metadata().unwrap().ino() == wanted);
        let _other = Flock::lock(other.unwrap(), exclusive).unwrap();
        let proc = Utf8Path::new("/proc");
        assert_eq!(collector(&disk, proc), None);
        let _lock = Flock::lock(lock, exclusive).unwrap();
        if collector(&disk, proc).is_none() {
            skipped("who collects: this kernel lists no locks");
        }
    });
}

/// How long: `NIX_PRUNE_TEST_LOCKED`, in seconds.
fn a_while() -> Duration {
    let said = std::env::var("NIX_PRUNE_TEST_LOCKED");
    Duration::from_secs(said.map_or(3, |said| said.parse().unwrap()))
}

#[test]
fn a_database_that_somebody_keeps_locked_delays_a_run_and_costs_nothing() {
    with_each_nix(|nix| {
        let scratch = filled(Scratch::new(Some(&nix.bin)).unwrap());
        scratch.add_path("dead", &[], 10).unwrap();
        let file = scratch.state_dir().join("db/db.sqlite");
        let writer = rusqlite::Connection::open(&file).unwrap();
        writer.execute_batch("BEGIN IMMEDIATE").unwrap();
        let begun = Instant::now();
        let waiter = std::thread::spawn(move || {
            std::thread::sleep(a_while());
            writer.execute_batch("ROLLBACK").unwrap();
        });
        let ran = run(&scratch, &["run", "--keep-last", "2", "--yes", "--json"]);
        assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
        assert!(begun.elapsed() >= a_while(), "it did not need the database");
        waiter.join().unwrap();
        let entries = json(&ran)["entries"].as_array().unwrap().clone();
        assert!(
            entries.iter().all(|entry| entry["outcome"] == "done"),
            "{}",
            ran.stdout
        );
        let dead = scratch.path_named("dead").unwrap();
        assert!(!dead.to_absolute_path(scratch.store()).exists());
        assert_eq!(run(&scratch, &["undo"]).status, 0);
        assert_eq!(numbers(&scratch), ALL);
    });
}

#[test]
fn who_waits_can_be_stopped() {
    let Some(scratch) = machine() else { return };
    let _lock = locked(&scratch);
    let (mut child, ..) = started(&scratch, &["undo", "--wait", "1d"]);
    kill(
        Pid::from_raw(child.id().try_into().unwrap()),
        Signal::SIGTERM,
    )
    .unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(Signal::SIGTERM as i32));
}

#[test]
fn what_was_interrupted_is_settled_and_nothing_else_done() {
    let Some(scratch) = machine() else { return };
    let ran = run(&scratch, &["run", "--resume"]);
    assert_eq!(
        (ran.status, ran.stdout.trim_end()),
        (0, "There is no interrupted run.")
    );
    // A run that ended well, as if it had been killed before its last action.
    let ran = run(&scratch, &["run", "--keep-last", "2", "--yes", "--json"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let mut receipt: Value = serde_json::from_str(&ran.stdout).unwrap();
    let name = receipt["run"].as_str().unwrap().to_string();
    let file = scratch.base().join(format!("state/runs/{name}.json"));
    receipt["finishedAt"] = Value::Null;
    let last = receipt["entries"].as_array().unwrap().len() - 1;
    receipt["entries"][last]["outcome"] = "pending".into();
    fs::write(&file, serde_json::to_string(&receipt).unwrap()).unwrap();
    let before = numbers(&scratch);
    let ran = run(&scratch, &["run", "--resume", "--json"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let settled: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(settled["runs"][0]["run"], name.as_str());
    assert_eq!(settled["runs"][0]["skipped"], 1);
    assert_eq!(settled["runs"][0]["pending"], 0);
    let history = run(&scratch, &["history", "--json"]).stdout;
    let history: Value = serde_json::from_str(&history).unwrap();
    assert_eq!(history["runs"].as_array().unwrap().len(), 1);
    assert!(history["runs"][0]["finishedAt"].is_string());
    assert_eq!(numbers(&scratch), before);
    for (rule, value) in [
        ("--keep-last", "1"),
        ("--keep-within", "1d"),
        ("--keep-daily", "1"),
        ("--keep-yearly", "1"),
    ] {
        let ran = run(&scratch, &["run", "--resume", rule, value]);
        assert_eq!(ran.status, 2, "{}", ran.stderr);
        assert!(ran.stderr.contains("cannot be used with"), "{}", ran.stderr);
    }
}

#[test]
fn a_state_directory_that_cannot_be_written_stops_the_run() {
    let Some(scratch) = machine() else { return };
    let file = scratch.base().join("file");
    fs::write(&file, "").unwrap();
    let below = file.join("state");
    let ran = run(
        &scratch,
        &[
            "run",
            "--keep-last",
            "1",
            "--yes",
            "--state-dir",
            below.as_str(),
        ],
    );
    assert!([73, 1, 4].contains(&ran.status), "{}", ran.stderr);
    refused(&scratch, &ran, ran.status, "file");
}

/// A plan that drops six generations, saved.
fn saved(scratch: &Scratch) -> Utf8PathBuf {
    let file = scratch.base().join("plan.json");
    let ran = run(
        scratch,
        &["plan", "--keep-last", "3", "--out", file.as_str()],
    );
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    file
}

#[test]
fn a_saved_plan_is_applied_once() {
    let Some(scratch) = machine() else { return };
    let plan = saved(&scratch);
    let ran = run(&scratch, &["apply", plan.as_str(), "--yes"]);
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(numbers(&scratch), [7, 8, 9]);
    let ran = run(&scratch, &["apply", plan.as_str(), "--yes"]);
    assert_eq!(ran.status, 4, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("stale"), "{}", ran.stderr);
}

#[rstest]
#[case::edited(|text: String| text.replace("\"number\": 2", "\"number\": 9"), "was changed after it was saved")]
#[case::truncated(|text: String| text[..text.len() / 2].to_string(), "plan")]
#[case::empty(|_| String::new(), "plan")]
#[case::another(|_| "{\"schema\": \"nix-prune/receipt/1\"}".to_string(), "plan")]
fn a_saved_plan_that_is_broken_is_refused(#[case] edit: fn(String) -> String, #[case] says: &str) {
    let Some(scratch) = machine() else { return };
    let plan = saved(&scratch);
    let text = edit(fs::read_to_string(&plan).unwrap());
    fs::write(&plan, text).unwrap();
    refused(
        &scratch,
        &run(&scratch, &["apply", plan.as_str(), "--yes"]),
        4,
        says,
    );
}

#[test]
fn a_saved_plan_of_another_machine_is_refused() {
    let (Some(here), Some(there)) = (machine(), machine()) else {
        return;
    };
    let plan = saved(&there);
    refused(
        &here,
        &run(&here, &["apply", plan.as_str(), "--yes"]),
        4,
        "another machine",
    );
}

#[rstest]
#[case::current_switched(|s: &Scratch| drop(by_hand(s, "nix-env", &["-p", system(s).as_str(), "--switch-generation", "3"])), "current")]
#[case::pinned(|s: &Scratch| assert_eq!(run(s, &["pin", "system:2"]).status, 0), "pinned")]
fn a_saved_plan_that_is_stale_is_refused(#[case] change: fn(&Scratch), #[case] says: &str) {
    let Some(scratch) = machine() else { return };
    let plan = saved(&scratch);
    change(&scratch);
    refused(
        &scratch,
        &run(&scratch, &["apply", plan.as_str(), "--yes"]),
        4,
        says,
    );
}

#[test]
fn a_pin_keeps_and_an_unpin_lets_go() {
    let Some(scratch) = machine() else { return };
    let pin = ["pin", "system:2", "--reason", "good", "--until", "30d"];
    assert_eq!(run(&scratch, &pin).status, 0);
    let args = ["run", "--keep-last", "3", "--yes"];
    assert_eq!(run(&scratch, &args).status, 0);
    assert_eq!(numbers(&scratch), [2, 7, 8, 9]);
    assert_eq!(run(&scratch, &["unpin", "system:2"]).status, 0);
    assert_eq!(run(&scratch, &args).status, 0);
    assert_eq!(numbers(&scratch), [7, 8, 9]);
}

#[test]
fn pins_of_the_command_and_of_the_settings_are_listed() {
    let Some(scratch) = machine() else { return };
    let pin = ["pin", "system:2", "--reason", "good", "--until", "30d"];
    assert_eq!(run(&scratch, &pin).status, 0);
    let file = scratch.base().join("settings.json");
    let pins = r#"[{"profile": "system", "number": 3, "reason": "audit"}, {"profile": "/gone", "number": 4}]"#;
    let list = |pins: &str| {
        let text = format!(
            r#"{{"version": 2, "protect": {{"generations": {pins}}}, "jobs": {{"a": {{"operations": {{"collect": {{}}}}}}}}}}"#
        );
        fs::write(&file, text).unwrap();
        run(
            &scratch,
            &["pin", "list", "--json", "--config", file.as_str()],
        )
    };
    let listed = json(&list(pins));
    let rows = listed["pins"].as_array().unwrap().iter();
    let rows: Vec<_> = rows
        .map(|pin| ["number", "source", "reason", "state"].map(|key| pin[key].clone()))
        .collect();
    assert_eq!(
        serde_json::json!(rows),
        serde_json::json!([
            [4, "settings", null, "missing"],
            [2, "command", "good", "active"],
            [3, "settings", "audit", "active"],
        ])
    );
    // A list that lacks the pins of the settings would be wrong.
    assert_eq!(list("4").status, 78);
}

#[test]
fn holds_are_released_by_hand_and_then_nothing_comes_back() {
    let Some(scratch) = machine() else { return };
    assert_eq!(
        run(&scratch, &["run", "--keep-last", "3", "--yes"]).status,
        0
    );
    let holds = json(&run(&scratch, &["hold", "list", "--json"]));
    assert_eq!(holds["holds"].as_array().unwrap().len(), 6);
    let id = holds["holds"][0]["run"].as_str().unwrap().to_string();
    // None has expired, and an open window is not ended without a yes.
    let ran = run(&scratch, &["hold", "release"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(run(&scratch, &["hold", "release", &id]).status, 4);
    let ran = run(&scratch, &["hold", "release", &id, "--yes"]);
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    let said = "Released 6 holds. Now `nix-prune run` frees ";
    assert!(ran.stdout.starts_with(said), "{}", ran.stdout);
    let holds = json(&run(&scratch, &["hold", "list", "--json"]));
    assert_eq!(holds["holds"].as_array().unwrap().len(), 0);
    by_hand(&scratch, "nix-collect-garbage", &[]);
    let ran = run(&scratch, &["undo", &id]);
    assert_eq!(ran.status, 4, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("gone"), "{}", ran.stdout);
    assert_eq!(numbers(&scratch), [7, 8, 9]);
}

#[test]
fn the_whole_job_works_on_a_path_with_a_space() {
    let Some(nix) = nixes().last() else { return };
    let scratch = filled(Scratch::with_space(Some(&nix.bin)).unwrap());
    let args = ["run", "--keep-last", "3", "--yes"];
    let ran = run(&scratch, &args);
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(numbers(&scratch), [7, 8, 9]);
    let ran = run(&scratch, &["undo"]);
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(numbers(&scratch), ALL);
}

#[test]
fn what_cannot_be_read_stops_the_collection_and_the_run_says_so() {
    let Some(scratch) = machine() else { return };
    let strange = scratch.base().join("strange");
    symlink(&strange, &strange).unwrap();
    let auto = scratch.state_dir().join("gcroots/auto");
    fs::create_dir_all(&auto).unwrap();
    symlink(strange.join("result"), auto.join("strange")).unwrap();
    let dead = scratch
        .add_path("dead", &[], 10)
        .unwrap()
        .to_absolute_path(scratch.store());
    let plan = json(&run(&scratch, &["plan", "--json", "--keep-last", "3"]));
    let actions = actions_of(&plan);
    let kinds: Vec<&str> = actions
        .iter()
        .map(|a| a["kind"].as_str().unwrap())
        .collect();
    assert!(!kinds.contains(&"collect"), "{kinds:?}");
    assert_eq!(plan["failedChecks"][0]["code"], "roots.unreadable");
    assert_eq!(plan["skipsCollection"], true);
    let ran = run(&scratch, &["run", "--keep-last", "3", "--yes"]);
    assert_eq!(ran.status, 4, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("strange"), "{}", ran.stderr);
    assert_eq!(
        numbers(&scratch),
        [7, 8, 9],
        "what could be read is thinned out, and held"
    );
    assert!(dead.exists());
    assert!(auto.join("strange").is_symlink());
    // That something failed is told before that.
    let bin = scratch.base().join("bin");
    fs::create_dir(&bin).unwrap();
    for tool in ["nix", "nix-store", "nix-collect-garbage"] {
        symlink(scratch.bin().unwrap().join(tool), bin.join(tool)).unwrap();
    }
    script(&bin.join("nix-env"), "exit 1");
    let failing = ["run", "--keep-last=1", "--yes", "--nix-bin", bin.as_str()];
    let ran = run(&scratch, &failing);
    assert_eq!(ran.status, 1, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("strange"), "{}", ran.stderr);
}

#[test]
fn a_reader_that_goes_away_does_not_stop_the_run() {
    let Some(scratch) = machine() else { return };
    let mut child = program(&scratch)
        .args(["run", "--keep-last", "3", "--yes"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(numbers(&scratch), [7, 8, 9]);
}

#[test]
fn on_a_terminal_it_asks_and_a_yes_goes_on() {
    let Some(scratch) = machine() else { return };
    let args = ["run", "--keep-last", "3", "--color", "never"];
    let mut shown = OnTerminal::start(program(&scratch).args(args));
    let text = shown.until("[y/N]");
    assert!(text.contains("generations (restorable until "), "{text}");
    assert!(text.contains("nix-prune undo"), "{text}");
    shown.terminal.write_all(b"y\n").unwrap();
    let text = shown.until("restores");
    assert!(text.contains("restores"), "{text}");
    assert_eq!(shown.end(), 0);
    assert_eq!(numbers(&scratch), [7, 8, 9]);
}

#[rstest]
#[case::no("n\n", "aborted")]
#[case::nothing("\n", "aborted")]
#[case::end("\u{4}", "interrupted")]
fn on_a_terminal_anything_else_does_nothing(#[case] answer: &str, #[case] says: &str) {
    let Some(scratch) = machine() else { return };
    let mut shown = OnTerminal::start(program(&scratch).args(["run", "--keep-last", "3"]));
    shown.until("[y/N]");
    shown.terminal.write_all(answer.as_bytes()).unwrap();
    let text = shown.until(says);
    assert!(text.contains(says), "{text}");
    assert_eq!(shown.end(), 4);
    assert_eq!(numbers(&scratch), ALL);
}

#[test]
fn an_interrupt_at_the_question_does_nothing() {
    let Some(scratch) = machine() else { return };
    let mut shown = OnTerminal::start(program(&scratch).args(["run", "--keep-last", "3"]));
    shown.until("[y/N]");
    kill(shown.pid(), Signal::SIGINT).unwrap();
    let text = shown.until("interrupted");
    assert!(text.contains("nothing was changed"), "{text}");
    assert_eq!(shown.end(), 4);
    assert_eq!(numbers(&scratch), ALL);
}

/// A directory of Nix's programs whose `nix-env` says that it has begun and takes its time.
fn slow_bin(dir: &Utf8Path) -> Utf8PathBuf {
    let real = nixes().last().unwrap().bin.canonicalize_utf8().unwrap();
    let bin = dir.join("slow");
    fs::create_dir(&bin).unwrap();
    for tool in ["nix", "nix-store", "nix-collect-garbage"] {
        symlink(real.join(tool), bin.join(tool)).unwrap();
    }
    let begun = dir.join("begun");
    let text = format!("touch '{begun}'\nsleep 1\nexec '{real}/nix-env' \"$@\"");
    script(&bin.join("nix-env"), &text);
    bin
}

#[rstest]
#[case(Signal::SIGINT, &[1, 3])]
#[case(Signal::SIGTERM, &[128 + 15])]
#[case(Signal::SIGHUP, &[1, 3])]
fn an_interrupt_in_the_middle_leaves_a_record_that_tells_the_truth(
    #[case] signal: Signal,
    #[case] ends: &[i32],
) {
    let Some(scratch) = machine() else { return };
    let bin = slow_bin(scratch.base());
    let args = [
        "run",
        "--keep-last",
        "3",
        "--yes",
        "--json",
        "--nix-bin",
        bin.as_str(),
    ];
    let child = program(&scratch)
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let child = child.unwrap();
    let begun = scratch.base().join("begun");
    wait_for("nix-env to begin", || begun.exists());
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
    let output = child.wait_with_output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    let receipt: Value = serde_json::from_str(&stdout).unwrap();
    assert!(ends.contains(&status(output.status)), "{stdout}");
    assert_eq!(receipt["stopped"], true);
    let left = numbers(&scratch);
    for entry in receipt["entries"].as_array().unwrap() {
        let Some(number) = entry["action"]["number"].as_u64() else {
            continue;
        };
        let there = left.contains(&u32::try_from(number).unwrap());
        assert_eq!(there, entry["outcome"] != "done", "{entry}");
        assert_ne!(entry["outcome"], "pending");
    }
    assert!(left.len() >= 8, "{left:?}");
    // What was done comes back, and the next run does the rest.
    let _ = run_command(program(&scratch).args(["undo"]));
    assert_eq!(numbers(&scratch), ALL);
    assert_eq!(
        run(&scratch, &["run", "--keep-last", "3", "--yes"]).status,
        0
    );
    assert_eq!(numbers(&scratch), [7, 8, 9]);
}

#[test]
fn a_run_that_is_killed_is_settled_by_the_next_one() {
    let Some(scratch) = machine() else { return };
    let bin = slow_bin(scratch.base());
    let args = [
        "run",
        "--keep-last",
        "3",
        "--yes",
        "--nix-bin",
        bin.as_str(),
    ];
    let mut child = program(&scratch)
        .args(args)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let begun = scratch.base().join("begun");
    wait_for("nix-env to begin", || begun.exists());
    child.kill().unwrap();
    child.wait().unwrap();
    // Its nix-env goes on by itself, and ends its one deed.
    let begun = Instant::now();
    while numbers(&scratch).len() == 9 {
        assert!(begun.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(20));
    }
    let ran = run(&scratch, &["run", "--keep-last", "3", "--yes"]);
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("interrupted"), "{}", ran.stderr);
    assert_eq!(numbers(&scratch), [7, 8, 9]);
    // Two undos: of the one that was ended by us, and of the one that was killed.
    assert_eq!(run(&scratch, &["undo"]).status, 0);
    assert_eq!(run(&scratch, &["undo"]).status, 0);
    assert_eq!(numbers(&scratch), ALL);
}

#[test]
fn every_command_has_a_page_of_the_manual() {
    let Some(scratch) = machine() else { return };
    let dir = scratch.base().join("man");
    let ran = run(&scratch, &["man", "--out", dir.as_str()]);
    assert_eq!((ran.status, ran.stdout.as_str()), (0, ""), "{}", ran.stderr);
    let page = |name: &str| fs::read_to_string(dir.join(name)).unwrap();
    assert_eq!(
        page("nix-prune.1"),
        run(&scratch, &["man"]).stdout,
        "the same page"
    );
    for name in ["nix-prune", "nix-prune-plan", "nix-prune-hold-release"] {
        let page = page(&format!("{name}.1"));
        for section in ["NAME", "OPTIONS", "EXIT STATUS", "FILES", "ENVIRONMENT"] {
            let heading = page.lines().any(|line| {
                line.strip_prefix(".SH ")
                    .is_some_and(|rest| rest.trim_matches('"') == section)
            });
            assert!(heading, "{name} has no {section}: {page}");
        }
    }
    assert!(page("nix-prune-run.1").contains(".SH EXAMPLES"));
    assert!(page("nix-prune-settings.5").contains("undoWindow"));
}

#[test]
fn habits_of_other_tools_work() {
    let Some(scratch) = machine() else { return };
    let ran = run(&scratch, &["run", "-n", "-k", "3", "-K", "1d", "--json"]);
    assert_eq!(json(&ran)["schema"], "nix-prune/plan/2");
    assert_eq!(numbers(&scratch), ALL, "only a plan");
    refused(&scratch, &run(&scratch, &["run", "-a", "-y"]), 2, "--yes");
    refused(&scratch, &run(&scratch, &["run", "-a"]), 4, "--yes");
    let ran = run(&scratch, &["run", "--older-than", "3d"]);
    refused(&scratch, &ran, 2, "'--keep-within'");
    assert!(!ran.stderr.contains("as a value"), "{}", ran.stderr);
    let ran = run(&scratch, &["run", "--keep", "3", "--yes", "-q"]);
    assert_eq!(
        (ran.status, ran.stdout, ran.stderr),
        (0, String::new(), String::new())
    );
    assert_eq!(numbers(&scratch), [7, 8, 9]);
    let ran = run(&scratch, &["plan", "-qq"]);
    assert_eq!((ran.status, ran.stdout), (0, String::new()));
    let ran = run(&scratch, &[]);
    assert_eq!(ran.status, 0);
    assert!(
        ran.stdout.contains("plan") && ran.stdout.len() < 1000,
        "{}",
        ran.stdout
    );
}

#[test]
fn the_demonstration_works_and_leaves_nothing_behind() {
    crate::support::with_each_nix(|nix| {
        let scratch = filled(Scratch::new(Some(&nix.bin)).unwrap());
        let (names, state) = (listing(scratch.base()), listing(&scratch.state_dir()));
        let ran = run(&scratch, &["demo"]);
        assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.contains("to the nanosecond"), "{}", ran.stdout);
        // Not even a user's own records, whose place the environment names.
        let after = listing(scratch.base());
        assert_eq!(
            after.keys().collect::<Vec<_>>(),
            names.keys().collect::<Vec<_>>()
        );
        assert_eq!(listing(&scratch.state_dir()), state);
    });
}

#[test]
fn a_users_settings_that_others_can_write_are_refused_by_root() {
    let Some(scratch) = machine() else { return };
    let file = scratch.base().join("settings.json");
    fs::write(
        &file,
        r#"{"version": 2, "jobs": {"a": {"operations": {"collect": {}}}}}"#,
    )
    .unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    let ran = run(&scratch, &["run", "--yes", "--config", file.as_str()]);
    if crate::support::is_root() {
        refused(&scratch, &ran, 78, "let no other user write");
    } else {
        assert_eq!(ran.status, 0, "{}", ran.stderr);
    }
}

/// Programs of the newest Nix of which `nix-store --delete` says what it deletes and takes its time before it does.
fn slow_to_delete(scratch: &Scratch) -> Utf8PathBuf {
    let real = scratch.bin().unwrap();
    let bin = scratch.base().join("slow-bin");
    fs::create_dir(&bin).unwrap();
    for name in ["nix", "nix-env", "nix-collect-garbage"] {
        symlink(real.join(name), bin.join(name)).unwrap();
    }
    let real = real.join("nix-store");
    let text = format!(
        "case \" $* \" in *\" --delete \"*) printf \"deleting '/a'\\ndeleting '/b'\\n\" >&2; sleep 2;; esac\n\
         exec '{real}' \"$@\""
    );
    script(&bin.join("nix-store"), &text);
    bin
}

#[test]
fn a_terminal_is_told_how_far_a_long_collection_has_come() {
    let Some(scratch) = machine() else { return };
    for n in 1..=3 {
        scratch.add_path(&format!("dead-{n}"), &[], 10).unwrap();
    }
    let bin = format!("--nix-bin={}", slow_to_delete(&scratch));
    let args = [
        "run",
        "--keep-last=9",
        "--yes",
        "--collect-method=selective",
    ];
    let mut terminal =
        OnTerminal::start(program(&scratch).args(args).arg(&bin).env("TERM", "xterm"));
    let seen = terminal.until("Collecting: 2 of 3 paths deleted");
    assert!(seen.ends_with("deleted"), "{seen:?}");
    let seen = terminal.until("Deleted 3 store paths");
    let (line, after) = seen.rsplit_once("\r\x1b[K").unwrap();
    assert!(!after.contains("Collecting"), "{line:?} {after:?}");
    assert_eq!(terminal.end(), 0);
    // Nowhere else is there a line that comes and goes.
    scratch.add_path("dead-4", &[], 10).unwrap();
    let ran = run(&scratch, &[&args[..], &[&bin]].concat());
    assert!(!ran.stderr.contains("Collecting"), "{:?}", ran.stderr);
}

#[rstest]
#[case::all(&["system"], &ALL, 0)]
#[case::one(&["system:4"], &[4], 0)]
#[case::two_ranges(&["system:1..2", "system:8..99"], &[1, 2, 8, 9], 0)]
#[case::none_of_these(&["system:77"], &[], 0)]
#[case::a_slip(&["sytem:1"], &[], 2)]
#[case::no_number(&["system:x"], &[], 2)]
fn generations_are_named_as_everywhere(
    #[case] words: &[&str],
    #[case] listed: &[u32],
    #[case] status: i32,
) {
    let Some(scratch) = machine() else { return };
    let args = [&["generations", "--json", "--no-sizes"], words].concat();
    let ran = run(&scratch, &args);
    assert_eq!(ran.status, status, "{}", ran.stderr);
    if status == 0 {
        let profiles = json(&ran)["profiles"].as_array().unwrap().clone();
        let generations = profiles
            .iter()
            .flat_map(|it| it["generations"].as_array().unwrap());
        let numbers: Vec<u64> = generations
            .map(|it| it["number"].as_u64().unwrap())
            .collect();
        let listed: Vec<u64> = listed.iter().copied().map(u64::from).collect();
        assert_eq!(numbers, listed);
    }
}
