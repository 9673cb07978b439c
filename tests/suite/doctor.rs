//! `doctor`, and jobs that pause: the real program on stores that something is wrong with.

#![cfg(test)]

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use nix_prune::adapters::journal::Journal;
use nix_prune::adapters::scratch::Scratch;
use nix_prune::domain::measure::{Span, Timestamp};
use nix_prune::domain::receipt::Receipt;
use nix_prune::ports::RunJournal;
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{
    Daemon, Nix, Ran, is_root, listing, nixes, program, program_behind, run, run_command, skipped,
    time, with_each_nix,
};

/// A store of the newest Nix with three system generations.
fn machine() -> Option<Scratch> {
    nixes().last().map(machine_of)
}

fn machine_of(nix: &Nix) -> Scratch {
    let scratch = Scratch::new(Some(&nix.bin)).unwrap();
    for n in 1..=3 {
        let path = scratch.add_path(&format!("system-{n}"), &[], 1000).unwrap();
        let date = time(&format!("2026-01-0{n}T00:00:00Z"));
        let system = scratch.state_dir().join("profiles/system");
        scratch.set_profile(&system, &path, date).unwrap();
    }
    scratch
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
    assert_eq!(document["ok"], !wrong);
    assert_eq!(ran.status, i32::from(wrong), "{}", ran.stdout);
    found
}

fn doctor(scratch: &Scratch) -> Ran {
    run(scratch, &["doctor", "--json"])
}

/// Everything below the scratch store but what every Nix touches that opens it: the memory that connections to the
/// database share.
fn untouched(scratch: &Scratch) -> BTreeMap<String, String> {
    let mut entries = listing(scratch.base());
    entries.retain(|name, _| {
        let database = Utf8Path::new(name);
        let is_database =
            database.ends_with("db") || database.parent().is_some_and(|dir| dir.ends_with("db"));
        !is_database
    });
    entries
}

#[test]
fn where_all_is_well_it_says_so_and_changes_nothing() {
    let Some(scratch) = machine() else { return };
    let before = untouched(&scratch);
    let database = scratch.state_dir().join("db");
    let names = || listing(&database).into_keys().collect::<Vec<_>>();
    let names_before = names();
    assert_eq!(found(&doctor(&scratch)), Vec::<String>::new());
    let ran = run(&scratch, &["doctor"]);
    assert_eq!(ran.status, 0);
    for line in [
        "ok       nix       Nix 2.",
        "ok       settings  built in",
        "will be created by the first run",
        "ok       access    Nix can open the store",
        "ok       store     3 valid paths",
    ] {
        assert!(ran.stdout.contains(line), "{line}: {}", ran.stdout);
    }
    assert_eq!(untouched(&scratch), before);
    assert_eq!(names(), names_before);
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
            "store error",
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

fn doctor_with(scratch: &Scratch, variable: (&str, &str), args: &[&str]) -> Ran {
    let mut command = program(scratch);
    command.env(variable.0, variable.1);
    run_command(command.args(["doctor", "--json"]).args(args))
}

/// A store that Nix does not open is an error with a way out, and a run cannot do anything there either.
fn does_not_open(scratch: &Scratch, ran: &Ran, why: &str, hint: &str) {
    let found = found(ran);
    assert!(found.contains(&"access error".to_string()), "{found:?}");
    // The same cause is reported once.
    assert!(
        !found.contains(&"store error".to_string()),
        "{}",
        ran.stdout
    );
    assert!(!ran.stdout.contains("nix config show"), "{}", ran.stdout);
    assert!(
        ran.stdout.contains(why) && ran.stdout.contains(hint),
        "{}",
        ran.stdout
    );
    assert!(!scratch.base().join("state").exists());
}

#[test]
fn a_daemon_that_is_not_there_is_found() {
    with_each_nix(|nix| {
        let scratch = machine_of(nix);
        let remote = ("NIX_REMOTE", "daemon");
        let ran = doctor_with(&scratch, remote, &[]);
        does_not_open(
            &scratch,
            &ran,
            "cannot connect to",
            "systemctl start nix-daemon",
        );
        let mut command = program(&scratch);
        command
            .env(remote.0, remote.1)
            .args(["run", "--yes", "--keep-last=1"]);
        run_without_an_answer(&mut command);
    });
}

/// A run that gets no answer of a daemon does nothing, and its hint is about the daemon.
fn run_without_an_answer(command: &mut Command) {
    let ran = run_command(command);
    assert_eq!(ran.status, 69, "{} {}", ran.stdout, ran.stderr);
    for text in ["does not respond", "systemctl restart nix-daemon"] {
        assert!(ran.stderr.contains(text), "{text}: {}", ran.stderr);
    }
    assert!(!ran.stderr.contains("nix config show"), "{}", ran.stderr);
}

#[test]
fn a_daemon_that_answers_is_enough() {
    with_each_nix(|nix| {
        let scratch = machine_of(nix);
        let socket = scratch.base().join("sock");
        let _daemon = Daemon::start(&scratch, nix, &socket);
        let remote = format!("unix://{socket}");
        let ran = doctor_with(&scratch, ("NIX_REMOTE", &remote), &[]);
        assert!(
            !found(&ran).contains(&"access error".to_string()),
            "{}",
            ran.stdout
        );
        assert!(
            ran.stdout.contains("Nix can open the store"),
            "{}",
            ran.stdout
        );
    });
}

#[test]
fn a_daemon_that_does_not_answer_is_not_waited_for() {
    let Some(scratch) = machine() else { return };
    let socket = scratch.base().join("sock");
    let _mute = UnixListener::bind(&socket).unwrap();
    let remote = format!("unix://{socket}");
    let before = untouched(&scratch);
    thread::scope(|scope| {
        scope.spawn(|| {
            let begun = Instant::now();
            let ran = doctor_with(&scratch, ("NIX_REMOTE", &remote), &[]);
            does_not_open(&scratch, &ran, "timed out after 10 s", "Restart the daemon");
            // 10 s to open the store, and once 20 s for the question whether the daemon serves it.
            assert!(begun.elapsed() < Duration::from_secs(45));
        });
        scope.spawn(|| {
            let mut command = program(&scratch);
            let elsewhere = scratch.base().join("other-state-dir");
            command.env("NIX_REMOTE", &remote).args([
                "run",
                "--yes",
                "--keep-last=1",
                "--state-dir",
                elsewhere.as_str(),
            ]);
            run_without_an_answer(&mut command);
        });
    });
    assert_eq!(untouched(&scratch), before);
}

#[test]
fn a_user_whom_the_daemon_refuses_is_told() {
    if !is_root() {
        return skipped("a user whom the daemon refuses, which takes root");
    }
    with_each_nix(|nix| {
        let scratch = machine_of(nix);
        let socket = scratch.base().join("sock");
        let conf = "extra-experimental-features = nix-command\nallowed-users = root";
        let _daemon = Daemon::start_with(&scratch, nix, &socket, &[("NIX_CONFIG", conf)]);
        let mut command = program(&scratch);
        command.env("NIX_REMOTE", format!("unix://{socket}"));
        let home = scratch.base().join("theirs");
        fs::create_dir(&home).unwrap();
        chown(home.as_std_path(), Some(4711), Some(4711)).unwrap();
        let place = home.join("state");
        command.args(["doctor", "--json", "--state-dir", place.as_str()]);
        let ran = run_command(command.gid(4711).uid(4711));
        does_not_open(&scratch, &ran, "opening the store failed", "allowed-users");
    });
}

#[rstest]
#[case::a_file(|dir: &Utf8Path| { fs::write(dir.join("x"), "").unwrap(); dir.join("x") }, "not a directory")]
#[case::below_a_file(|dir: &Utf8Path| { fs::write(dir.join("x"), "").unwrap(); dir.join("x/y") }, "ot a directory")]
#[case::a_dangling_link(|dir: &Utf8Path| { symlink("/nonexistent", dir.join("x")).unwrap(); dir.join("x") }, "No such file")]
#[case::below_a_dangling_link(|dir: &Utf8Path| { symlink("/nonexistent/y", dir.join("x")).unwrap(); dir.join("x/y/z") }, "No such file")]
#[case::in_proc(|_: &Utf8Path| Utf8PathBuf::from("/proc/nix-prune"), "/proc")]
#[case::below_a_link_without_rights(|dir: &Utf8Path| { fs::create_dir(dir.join("x")).unwrap(); fs::set_permissions(dir.join("x"), Permissions::from_mode(0o777)).unwrap(); dir.join("x/y") }, "others may write")]
fn a_state_directory_that_cannot_be_made_is_an_error(
    #[case] make: fn(&Utf8Path) -> Utf8PathBuf,
    #[case] why: &str,
) {
    let Some(scratch) = machine() else { return };
    let dir = make(scratch.base());
    if why == "others may write" && !is_root() {
        return skipped("a state directory that root must not trust");
    }
    let before = untouched(&scratch);
    let args = ["doctor", "--json", "--state-dir", dir.as_str()];
    let ran = run(&scratch, &args);
    assert!(
        found(&ran).contains(&"state error".to_string()),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains(why), "{}", ran.stdout);
    assert_eq!(untouched(&scratch), before);
    // It is as a run finds it.
    let args = ["run", "--yes", "--keep-last=1", "--state-dir", dir.as_str()];
    assert_ne!(run(&scratch, &args).status, 0);
}

#[test]
fn a_lock_that_is_held_is_named_with_its_holder() {
    let Some(scratch) = machine() else { return };
    assert_eq!(run(&scratch, &["run", "--yes", "--keep-last=2"]).status, 0);
    for lock in [
        state(&scratch).join("lock"),
        scratch.state_dir().join("gc.lock"),
    ] {
        let file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&lock)
            .unwrap();
        let held = nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusive).unwrap();
        let ran = doctor(&scratch);
        if !fs::read_to_string("/proc/locks").is_ok_and(|text| text.contains("FLOCK")) {
            return skipped("who holds a lock: this kernel lists no locks");
        }
        assert_eq!(found(&ran), ["lock warning"], "{}", ran.stdout);
        let says = format!("process {}", std::process::id());
        assert!(
            ran.stdout.contains(&says) && ran.stdout.contains(lock.as_str()),
            "{}",
            ran.stdout
        );
        drop(held);
        assert_eq!(found(&doctor(&scratch)), Vec::<String>::new());
    }
}

/// `doctor` in a mount namespace of its own, behind some words of shell; `None` where that cannot be had.
fn doctor_behind(scratch: &Scratch, words: &str) -> Option<Ran> {
    let mut doctor = program_behind(scratch, &format!("{words} || exit 99"))?;
    let ran = run_command(doctor.args(["doctor", "--json"]));
    assert_ne!(ran.status, 99, "{}", ran.stderr);
    Some(ran)
}

#[rstest]
#[case::full("size=16k", "No space left")]
#[case::no_inodes("nr_inodes=1", "No space left")]
#[case::read_only("ro", "Read-only file system")]
fn a_place_that_takes_no_record_is_an_error(
    #[case] options: &str,
    #[case] why: &str,
    #[values("state", "state/deep/down")] below: &str,
) {
    let Some(scratch) = machine() else { return };
    fs::create_dir(state(&scratch)).unwrap();
    let words = format!(
        "mount -t tmpfs -o mode=755,{options} none '{}' && NIX_PRUNE_STATE_DIR='{}' && export NIX_PRUNE_STATE_DIR",
        state(&scratch),
        scratch.base().join(below)
    );
    let Some(ran) = doctor_behind(&scratch, &words) else {
        return;
    };
    assert!(
        found(&ran).contains(&"state error".to_string()),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains(why), "{}", ran.stdout);
}

#[rstest]
#[case::everything("nix", true)]
#[case::nixs_state("nix/var/nix", true)]
#[case::the_database("nix/var/nix/db", true)]
#[case::profiles("nix/var/nix/profiles", true)]
#[case::roots("nix/var/nix/gcroots", true)]
// As on NixOS: Nix itself makes it writable for its own commands.
#[case::the_store_alone("nix/store", false)]
fn what_nix_cannot_write_is_found(#[case] below: &str, #[case] is_wrong: bool) {
    with_each_nix(|nix| {
        let scratch = machine_of(nix);
        let place = scratch.base().join(below);
        assert!(place.is_dir(), "{place}");
        let words =
            format!("mount --bind '{place}' '{place}' && mount -o remount,bind,ro '{place}'");
        let Some(ran) = doctor_behind(&scratch, &words) else {
            return;
        };
        let found = found(&ran);
        let wrong = found
            .iter()
            .any(|check| check == "access error" || check == "roots error");
        assert_eq!(wrong, is_wrong, "{}", ran.stdout);
    });
}

/// Runs of the default job that ended some minutes ago, each failed or not.
fn ran_before(scratch: &Scratch, failed: &[bool], stopped: bool) {
    let journal = Journal::at(state(scratch));
    let lock = journal.lock().unwrap();
    let now: Timestamp = serde_json::from_value(json!(jiff::Timestamp::now().to_string())).unwrap();
    for (back, failed) in (1..=failed.len()).rev().zip(failed) {
        let began = now.before(Span::minutes(u32::try_from(back).unwrap()));
        let outcome = if *failed { "failed" } else { "done" };
        let mut receipt: Receipt = serde_json::from_value(json!({
            "schema": "nix-prune/receipt/1", "run": "none", "kind": "run", "job": "default", "toolVersion": "0.1.0",
            "nixVersion": "2.34.8", "machine": "m", "store": scratch.store(), "startedAt": began,
            "finishedAt": began, "stopped": stopped, "bytes": {}, "entries": [{
                "action": { "kind": "optimise" }, "risk": "low", "outcome": outcome, "at": began,
                "detail": null, "undo": null, "undoneBy": null,
            }],
        }))
        .unwrap();
        journal.begin(&lock, &mut receipt).unwrap();
    }
}

#[rstest]
#[case::five(&[true; 5], false, true)]
#[case::four(&[true; 4], false, false)]
#[case::the_last_one_did_not(&[true, true, true, true, true, false], false, false)]
#[case::one_between_did_not(&[true, true, true, false, true, true], false, false)]
#[case::six(&[false, true, true, true, true, true, true], false, true)]
#[case::stopped_by_somebody(&[true; 5], true, false)]
fn a_job_whose_last_five_runs_failed_pauses_until_somebody_has_seen_it(
    #[case] failed: &[bool],
    #[case] stopped: bool,
    #[case] pauses: bool,
) {
    let Some(scratch) = machine() else { return };
    ran_before(&scratch, failed, stopped);
    let again = ["run", "--yes", "--keep-last=1"];
    if pauses {
        let ran = run(&scratch, &again);
        assert_eq!(ran.status, 4, "{}{}", ran.stdout, ran.stderr);
        let says = "nothing was done: the job is paused because its last";
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
