//! Jobs with a disk goal, as seen from outside: on real stores of every Nix, and on a real small disk.

#![cfg(test)]

mod small_disk;

use std::fs;

use camino::Utf8PathBuf;
use nix_prune::adapters::scratch::{NewPath, Scratch};
use serde_json::Value;

use crate::support::{Nix, Ran, actions_of, by_hand, nixes, run, time, with_each_nix};

/// How large what a generation alone keeps is, about.
const OWN: u64 = 1 << 20;

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}{}", ran.stdout, ran.stderr))
}

/// The profile of the user who runs the tests.
fn own_profile(scratch: &Scratch) -> Utf8PathBuf {
    let dir = scratch.home().join(".local/state/nix/profiles");
    fs::create_dir_all(&dir).unwrap();
    dir.join("profile")
}

fn thirty(nix: &Nix) -> Scratch {
    filled(nix, 30, own_profile)
}

/// The newest Nix, with so many generations: what does not hang on Nix is tested with one of them.
fn newest(count: u32, profile: impl Fn(&Scratch) -> Utf8PathBuf) -> Option<Scratch> {
    Some(filled(nixes().last()?, count, profile))
}

/// Generations of one profile, a day each, each with a file of its own beside one that all share.
fn filled(nix: &Nix, count: u32, profile: impl Fn(&Scratch) -> Utf8PathBuf) -> Scratch {
    let scratch = Scratch::new(Some(&nix.bin)).unwrap();
    let shared = scratch.path_named("shared").unwrap();
    let mut paths = vec![NewPath::file("shared", 50_000)];
    for n in 1..=count {
        let own = format!("own-{n}");
        let path = scratch.path_named(&own).unwrap();
        paths.push(NewPath::file(&own, OWN));
        paths.push(NewPath::file(&format!("env-{n}"), 1_000).refers_to(&[&shared, &path]));
    }
    scratch.add_paths(&paths).unwrap();
    let profile = profile(&scratch);
    for n in 1..=count {
        let path = scratch.path_named(&format!("env-{n}")).unwrap();
        let date = time(&format!(
            "2026-0{}-{:02}T00:00:00Z",
            1 + (n - 1) / 10,
            1 + (n - 1) % 10
        ));
        scratch.set_profile(&profile, &path, date).unwrap();
    }
    scratch
}

/// The numbers of the generations that are there.
fn numbers(profile: &Utf8PathBuf) -> Vec<u32> {
    let name = format!("{}-", profile.file_name().unwrap());
    let number = |entry: camino::Utf8DirEntry| {
        let number = entry.file_name().strip_prefix(&name)?;
        number.strip_suffix("-link")?.parse().ok()
    };
    let entries = profile.parent().unwrap().read_dir_utf8().unwrap();
    let mut numbers: Vec<u32> = entries.map(Result::unwrap).filter_map(number).collect();
    numbers.sort_unstable();
    numbers
}

/// The size of the store, by its own sizes.
fn store_bytes(scratch: &Scratch) -> u64 {
    let plan = json(&run(scratch, &["plan", "--json", "--max-store", "1K"]));
    plan["budget"]["now"]["storeBytes"].as_u64().unwrap()
}

fn from_to(first: u32, last: u32) -> Vec<u32> {
    (first..=last).collect()
}

#[test]
fn of_thirty_generations_just_enough_of_the_oldest_go() {
    with_each_nix(|nix| {
        let scratch = thirty(nix);
        let profile = own_profile(&scratch);
        // What seven generations keep, less a byte: six are not enough.
        let goal = format!("{}B", store_bytes(&scratch) - 6 * OWN - 100_000);
        let args = [
            "--keep-last",
            "2",
            "--undo-window",
            "0s",
            "--max-store",
            &goal,
        ];
        let plan = json(&run(&scratch, &[&["plan", "--json"], &args[..]].concat()));
        let drops = actions_of(&plan);
        let drops: Vec<u64> = drops.iter().filter_map(|a| a["number"].as_u64()).collect();
        assert_eq!(drops, [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(plan["budget"]["missing"], 0);
        let ran = run(&scratch, &[&["run", "--yes", "--json"], &args[..]].concat());
        assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
        assert_eq!(numbers(&profile), from_to(8, 30));
        let outcome = &json(&ran)["budget"];
        assert_eq!(outcome["missing"], 0);
        assert!(store_bytes(&scratch) <= goal.trim_end_matches('B').parse().unwrap());
        assert_eq!(outcome["after"]["storeBytes"], store_bytes(&scratch));
        // Reached: nothing is done.
        let ran = run(&scratch, &[&["run", "--yes", "--json"], &args[..]].concat());
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        assert_eq!(json(&ran)["entries"], Value::Array(Vec::new()));
        assert_eq!(numbers(&profile), from_to(8, 30));
    });
}

#[test]
fn what_is_held_counts_for_the_day_its_window_ends() {
    let Some(scratch) = newest(12, |scratch| scratch.state_dir().join("profiles/system")) else {
        return;
    };
    let system = scratch.state_dir().join("profiles/system");
    let goal = format!("{}B", store_bytes(&scratch) - 6 * OWN - 100_000);
    let args = ["--keep-last", "2", "--max-store", &goal];
    let run_it = || run(&scratch, &[&["run", "--yes"], &args[..]].concat());
    let ran = run_it();
    assert_eq!(ran.status, 5, "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stderr.contains("the budget is not reached: 6."),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("Undo windows end: "), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("The goal is reached on "),
        "{}",
        ran.stderr
    );
    assert_eq!(numbers(&system), from_to(8, 12));
    // What waits is enough: a second run drops nothing more.
    assert_eq!(run_it().status, 5);
    assert_eq!(numbers(&system), from_to(8, 12));
    let now = [
        &["plan", "--json", "--release-holds", "ifNeeded"],
        &args[..],
    ]
    .concat();
    // A system's undo windows are critical to end, which the safe mode refuses: left out, and said.
    let plan = json(&run(&scratch, &now));
    let actions = actions_of(&plan);
    assert!(
        actions.iter().all(|a| a["kind"] != "releaseEarly"),
        "{plan}"
    );
    assert_eq!(plan["budget"]["tooRisky"][0]["risk"], "critical");
    let undone = run(&scratch, &["undo"]);
    assert_eq!(undone.status, 0, "{}", undone.stderr);
    assert_eq!(numbers(&system), from_to(1, 12));
}

#[test]
fn open_holds_end_for_a_goal_that_needs_it_now() {
    let Some(scratch) = newest(10, own_profile) else {
        return;
    };
    let profile = own_profile(&scratch);
    let all = store_bytes(&scratch);
    let goal = |generations: u64| format!("{}B", all - generations * OWN + 100_000);
    let run_it = |goal: &str, more: &[&str]| {
        let args = [
            "run",
            "--yes",
            "--json",
            "--keep-last",
            "2",
            "--max-store",
            goal,
        ];
        run(&scratch, &[&args, more].concat())
    };
    assert_eq!(run_it(&goal(4), &[]).status, 5);
    assert_eq!(numbers(&profile), from_to(5, 10));
    let ran = run_it(
        &goal(3),
        &["--release-holds", "ifNeeded", "--max-risk", "medium"],
    );
    assert_eq!(ran.status, 5, "{}", ran.stderr);
    assert_eq!(
        json(&ran)["budget"]["planned"]["tooRisky"][0]["risk"],
        "high"
    );
    // Three of the four holds are enough; then all of them, and two generations without a hold.
    for (needed, held, left) in [(3, 1, 5), (6, 0, 7)] {
        let ran = run_it(&goal(needed), &["--release-holds", "ifNeeded"]);
        assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
        let holds = json(&run(&scratch, &["hold", "list", "--json"]));
        assert_eq!(holds["holds"].as_array().unwrap().len(), held);
        assert_eq!(numbers(&profile), from_to(left, 10));
    }
    // Nothing brings back what was ended; what is still held would come back.
    assert_eq!(run(&scratch, &["undo"]).status, 4);
}

#[test]
fn a_goal_out_of_reach_says_what_keeps_the_rest() {
    let Some(scratch) = newest(10, own_profile) else {
        return;
    };
    let args = [
        "run",
        "--yes",
        "--keep-last",
        "2",
        "--undo-window",
        "0s",
        "--max-store",
        "1K",
    ];
    let ran = run(&scratch, &args);
    assert_eq!(ran.status, 5, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(numbers(&own_profile(&scratch)), [9, 10]);
    assert!(
        ran.stderr
            .contains("Waiting alone does not reach the goal."),
        "{}",
        ran.stderr
    );
    let largest = format!("Largest exclusive sizes: {}", own_profile(&scratch));
    assert!(ran.stderr.contains(&largest), "{}", ran.stderr);
}

#[test]
fn a_saved_plan_keeps_its_goal() {
    let Some(scratch) = newest(10, own_profile) else {
        return;
    };
    let goal = format!("{}B", store_bytes(&scratch) - OWN);
    let args = [
        "--keep-last",
        "2",
        "--undo-window",
        "0s",
        "--max-store",
        &goal,
    ];
    let saved = run(
        &scratch,
        &[&["plan", "--out", "plan.json"], &args[..]].concat(),
    );
    assert_eq!(saved.status, 0, "{}", saved.stderr);
    assert!(
        saved.stdout.contains("This plan reaches the goal."),
        "{}",
        saved.stdout
    );
    let ran = run(&scratch, &["apply", "plan.json", "--yes", "--json"]);
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(json(&ran)["budget"]["missing"], 0);
    assert_eq!(numbers(&own_profile(&scratch)), from_to(2, 10));
}

#[test]
fn a_reached_goal_needs_no_database_and_any_other_does() {
    let Some(nix) = nixes().last() else {
        return;
    };
    let scratch = filled(nix, 2, own_profile);
    fs::write(scratch.state_dir().join("db/db.sqlite"), "not a database").unwrap();
    for command in [&["plan"][..], &["run", "--yes"]] {
        let reached = [command, &["--until-free", "1K", "--keep-last", "1"]].concat();
        let ran = run(&scratch, &reached);
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        assert!(ran.stdout.contains("The goal is reached"), "{}", ran.stdout);
        let missed = [command, &["--max-store", "1K", "--keep-last", "1"]].concat();
        let ran = run(&scratch, &missed);
        assert_eq!(ran.status, 69, "{}", ran.stderr);
        assert!(
            ran.stderr
                .contains("cannot determine what the budget needs to remove"),
            "{}",
            ran.stderr
        );
    }
    assert_eq!(numbers(&own_profile(&scratch)), [1, 2]);
}

#[test]
fn goals_on_the_command_line_are_looked_at() {
    let Some(nix) = nixes().last() else {
        return;
    };
    let scratch = Scratch::new(Some(&nix.bin)).unwrap();
    by_hand(&scratch, "nix-store", &["--verify"]);
    for args in [
        &["--until-free", "4%"][..],
        &["--until-free", "50"],
        &["--until-free", "0"],
        &["--max-used", "9"],
        &["--max-used", "96"],
        &["--max-used", "+50"],
        &["--max-store", "20%"],
        &["--max-store", "0"],
        &["--max-used", "50", "--until-free", "1G"],
        &["--release-holds", "always", "--max-used", "50"],
        &["--release-holds", "ifNeeded"],
    ] {
        let ran = run(&scratch, &[&["plan"], args].concat());
        assert_eq!(ran.status, 2, "{args:?}: {}{}", ran.stdout, ran.stderr);
    }
    for args in [
        &["--until-free", "5%"][..],
        &["--max-used", "95%"],
        &["--max-store", "1.5T"],
    ] {
        let ran = run(&scratch, &[&["plan"], args].concat());
        assert_eq!(ran.status, 0, "{args:?}: {}{}", ran.stdout, ran.stderr);
    }
}

/// Under a policy with an undo window nothing that is removed frees space now, so `free` removes nothing but what is dead.
#[test]
fn free_removes_no_generation_that_the_policy_holds() {
    let Some(nix) = nixes().last() else { return };
    let scratch = thirty(nix);
    let config = scratch.home().join(".config/nix-prune");
    fs::create_dir_all(&config).unwrap();
    let settings = r#"{ "version": 2, "policy": { "undoWindow": "3d" }, "jobs": { "default": {
        "operations": { "generations": { "profiles": ["users"], "keep": { "last": 2 } }, "collect": {} } } } }"#;
    fs::write(config.join("config.json"), settings).unwrap();
    let ran = run(&scratch, &["free", "1M", "--yes"]);
    assert!([0, 5].contains(&ran.status), "{}{}", ran.stdout, ran.stderr);
    assert_eq!(numbers(&own_profile(&scratch)), from_to(1, 30));
    assert!(!ran.stdout.contains("nix-prune free"), "{}", ran.stdout);
    let ran = run(&scratch, &["run", "--yes"]);
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(numbers(&own_profile(&scratch)), [29, 30]);
    assert!(
        ran.stdout
            .contains("The policy of this machine does not allow"),
        "{}",
        ran.stdout
    );
    for command in ["status", "plan"] {
        let ran = run(&scratch, &[command]);
        assert!(!ran.stdout.contains("nix-prune free"), "{}", ran.stdout);
    }
}

/// A finding about several files is a warning once, however often a command needs the settings.
#[test]
fn the_settings_are_read_and_warned_about_once() {
    let Some(nix) = nixes().last() else { return };
    let scratch = thirty(nix);
    let config = scratch.home().join(".config/nix-prune");
    fs::create_dir_all(&config).unwrap();
    let settings = |more: &str| {
        let jobs = r#""jobs": { "default": { "operations": { "collect": {} } } }"#;
        format!(r#"{{ "version": 2, {more}, {jobs} }}"#)
    };
    let policy = settings(r#""undoWindow": "3d", "policy": { "undoWindow": "3d" }"#);
    fs::write(config.join("config.json"), policy).unwrap();
    let job = scratch.home().join("job.json");
    fs::write(&job, settings(r#""undoWindow": "1d""#)).unwrap();
    for (command, warnings) in [(&["status"][..], 1), (&["plan"], 1), (&["hold", "list"], 0)] {
        let ran = run(&scratch, &[command, &["--config", job.as_str()]].concat());
        assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
        let found = ran.stderr.matches("the settings together").count();
        assert_eq!(found, warnings, "{command:?}: {}", ran.stderr);
    }
}
