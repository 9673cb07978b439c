//! The boot menu: the program on a scratch store whose systems write a menu.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use nix_prune::adapters::scratch::{NewPath, Scratch};
use nix_prune::domain::measure::Bytes;
use nix_prune::domain::profile::ProfileNames;
use nix_prune::domain::receipt::Outcome;
use nix_prune::settings::Settings;
use serde_json::{Value, json};

use crate::support::{Nix, Ran, run, script, time, with_each_nix};

/// A store with systems 1 to 4, of which the last one is current and writes the menu by this script. `BASE` in it is a
/// directory of ours.
fn machine(nix: &Nix, text: &str) -> Scratch {
    let scratch = Scratch::new(Some(&nix.bin)).unwrap();
    let profile = scratch.state_dir().join("profiles/system");
    for number in 1..=4 {
        let name = format!("nixos-system-{number}");
        let files = ["kernel", "bin/switch-to-configuration"];
        let files = files.map(|file| (file.to_string(), name.clone().into_bytes()));
        let contents = nix_prune::adapters::scratch::Contents::Tree(files.to_vec());
        let new = NewPath {
            contents,
            ..NewPath::file(&name, 0)
        };
        scratch.add_paths(&[new]).unwrap();
        let path = scratch.path_named(&name).unwrap();
        let date = time(&format!("2025-0{number}-01T00:00:00Z"));
        scratch.set_profile(&profile, &path, date).unwrap();
    }
    let top = scratch.path_named("nixos-system-4").unwrap();
    let program = top
        .to_absolute_path(scratch.store())
        .join("bin/switch-to-configuration");
    // Nix closes its store for writing, even to us.
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(program.parent().unwrap(), open).unwrap();
    fs::remove_file(&program).unwrap();
    script(&program, &text.replace("BASE", scratch.base().as_str()));
    let settings = json!({
        "version": 2,
        "jobs": { "daily": { "operations": {
            "generations": { "profiles": ["system"], "keep": { "last": 1 } },
            "collect": {},
            "bootMenu": {}
        } } }
    });
    fs::write(scratch.base().join("settings.json"), settings.to_string()).unwrap();
    scratch
}

fn call(scratch: &Scratch, args: &[&str]) -> Ran {
    let file = scratch.base().join("settings.json");
    run(scratch, &[args, &["--config", file.as_str()]].concat())
}

/// The outcome of the refresh in the last run, with its detail.
fn refresh(scratch: &Scratch) -> (Outcome, String) {
    let ran = call(scratch, &["history", "--json"]);
    let history: Value = serde_json::from_str(&ran.stdout).unwrap();
    let run = history["runs"].as_array().unwrap().last().unwrap()["run"].clone();
    let ran = call(scratch, &["history", run.as_str().unwrap(), "--json"]);
    let receipt: nix_prune::domain::receipt::Receipt = serde_json::from_str(&ran.stdout).unwrap();
    let mut entries = receipt.entries.into_iter();
    let entry = entries.find(|entry| {
        entry.action.operation().describe(&ProfileNames::default()) == "refresh the boot menu"
    });
    let entry = entry.unwrap();
    (entry.outcome, entry.detail.unwrap_or_default())
}

#[test]
fn a_run_refreshes_the_menu_once_and_an_undo_does_it_again() {
    with_each_nix(|nix| {
        let scratch = machine(nix, "echo \"$*\" >>BASE/called; echo updating >&2");
        let called = || fs::read_to_string(scratch.base().join("called")).unwrap_or_default();
        let plan = call(&scratch, &["plan", "daily"]);
        assert!(
            plan.stdout.contains("refresh the boot menu"),
            "{}",
            plan.stdout
        );
        assert!(
            !plan.stdout.contains("nixos-rebuild boot"),
            "{}",
            plan.stdout
        );
        let ran = call(&scratch, &["run", "daily", "--yes"]);
        assert_eq!(
            (ran.status, called().as_str()),
            (0, "boot\n"),
            "{}",
            ran.stderr
        );
        assert_eq!(refresh(&scratch), (Outcome::Done, "updating".to_string()));
        let again = call(&scratch, &["run", "daily", "--yes"]);
        assert_eq!(
            (again.status, called().as_str()),
            (0, "boot\n"),
            "{}",
            again.stderr
        );
        let undone = call(&scratch, &["undo", "--yes"]);
        assert_eq!(
            (undone.status, called().as_str()),
            (0, "boot\nboot\n"),
            "{}",
            undone.stderr
        );
    });
}

#[test]
fn a_menu_that_cannot_be_written_leaves_the_rest_done() {
    with_each_nix(|nix| {
        let scratch = machine(nix, "echo 'No space left on device' >&2; exit 1");
        let ran = call(&scratch, &["run", "daily", "--yes"]);
        assert_eq!(ran.status, 3, "{}", ran.stderr);
        assert!(
            ran.stderr.contains("No space left on device"),
            "{}",
            ran.stderr
        );
        assert!(ran.stderr.contains("nixos-rebuild boot"), "{}", ran.stderr);
        assert_eq!(refresh(&scratch).0, Outcome::Failed);
        let profiles = scratch.state_dir().join("profiles");
        assert!(!profiles.join("system-1-link").is_symlink());
        assert!(profiles.join("system-4-link").is_symlink());
    });
}

#[test]
fn the_examples_of_the_guide_are_jobs_with_a_boot_menu() {
    let guide = include_str!("../../docs/guide/boot-menu.md");
    let examples = guide.split("```json\n").skip(1);
    let examples = examples.filter_map(|rest| rest.split("```").next());
    let found: Vec<Option<Bytes>> = examples
        .filter(|text| text.contains("bootMenu"))
        .map(|text| {
            let (settings, findings) = Settings::parse(text).unwrap();
            assert_eq!(findings, [], "{text}");
            let job = settings.job("daily").unwrap();
            job.operations.boot_menu.unwrap().min_free
        })
        .collect();
    assert_eq!(found, [None, Some(Bytes(100 << 20))]);
}
