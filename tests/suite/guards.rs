//! What stops a run, and what lets it pass: the real program on stores that something is wrong with.

#![cfg(test)]

mod accept;
mod brake;
mod elsewhere;
mod hidden;
mod protected;
mod seen;
mod stores;
mod vanished;

use std::fs;
use std::os::unix::fs::symlink;

use camino::Utf8PathBuf;
use nix_prune::adapters::scratch::Scratch;
use serde_json::Value;

use crate::support::{Nix, Ran, nixes, run, time};

/// A store of the newest Nix with five system generations and a dead path.
fn machine() -> Option<Scratch> {
    Some(machine_of(nixes().last()?))
}

fn machine_of(nix: &Nix) -> Scratch {
    let scratch = Scratch::new(Some(&nix.bin)).unwrap();
    for n in 1..=5 {
        let path = scratch.add_path(&format!("system-{n}"), &[], 1000).unwrap();
        let date = time(&format!("2026-01-0{n}T00:00:00Z"));
        scratch.set_profile(&system(&scratch), &path, date).unwrap();
    }
    scratch.add_path("dead", &[], 10).unwrap();
    scratch
}

fn system(scratch: &Scratch) -> Utf8PathBuf {
    scratch.state_dir().join("profiles/system")
}

/// Runs our program and sees how it ended.
fn ends(scratch: &Scratch, args: &[&str], status: i32) -> Ran {
    let ran = run(scratch, args);
    assert_eq!(ran.status, status, "{args:?}: {}{}", ran.stdout, ran.stderr);
    ran
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}{}", ran.stdout, ran.stderr))
}

fn codes(blockers: &Value) -> Vec<&str> {
    let blockers = blockers.as_array().unwrap().iter();
    blockers.map(|r| r["code"].as_str().unwrap()).collect()
}

fn on_disk(scratch: &Scratch, name: &str) -> bool {
    let path = scratch.path_named(name).unwrap();
    path.to_absolute_path(scratch.store()).exists()
}

/// How many system generations there are.
fn generations(scratch: &Scratch) -> usize {
    let entries = scratch
        .state_dir()
        .join("profiles")
        .read_dir_utf8()
        .unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().to_string());
    names.filter(|name| name.starts_with("system-")).count()
}

/// Makes a profile whose current generation cannot be told (trap 12).
fn blur(scratch: &Scratch) {
    let system = system(scratch);
    fs::remove_file(&system).unwrap();
    symlink(system.with_file_name("system-5-link"), &system).unwrap();
}
