//! The real program on real stores, with everything that a hostile or unlucky machine can do to it.

#![cfg(test)]

mod accidents;
mod links;
mod meanwhile;
mod names;
mod race;
mod records;
mod roots;
mod traps;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use camino::{Utf8Path, Utf8PathBuf};
use nix_prune::adapters::scratch::{NewPath, Scratch, set_link_time};
use serde_json::Value;

use crate::support::{Nix, Ran, nixes, run, time};

/// A scratch store of the newest Nix that is there.
fn store() -> Option<Scratch> {
    let nix = nixes().last()?;
    Some(store_of(nix))
}

fn store_of(nix: &Nix) -> Scratch {
    Scratch::new(Some(&nix.bin)).unwrap()
}

fn profiles(scratch: &Scratch) -> Utf8PathBuf {
    scratch.state_dir().join("profiles")
}

/// Where our own user keeps profiles: a place that Nix does not look for roots in.
fn home_profiles(scratch: &Scratch) -> Utf8PathBuf {
    scratch.home().join(".local/state/nix/profiles")
}

/// As many generations of a profile, made by Nix, each a day after the one before it.
fn fill(scratch: &Scratch, profile: &Utf8Path, count: usize) {
    let name = |n: usize| format!("{}-{n}", tame(profile));
    let new: Vec<NewPath> = (1..=count).map(|n| NewPath::file(&name(n), 100)).collect();
    scratch.add_paths(&new).unwrap();
    for n in 1..=count {
        let path = scratch.path_named(&name(n)).unwrap();
        let date = time(&format!("2026-01-{n:02}T00:00:00Z"));
        scratch.set_profile(profile, &path, date).unwrap();
    }
}

/// The last two names of a path without what a store path cannot have.
fn tame(path: &Utf8Path) -> String {
    let allowed = |c: &char| c.is_ascii_alphanumeric();
    let names: Vec<&str> = path
        .components()
        .rev()
        .take(2)
        .map(|part| part.as_str())
        .collect();
    let name = names.into_iter().rev().collect::<Vec<_>>().concat();
    name.chars().filter(allowed).collect()
}

/// The links of a profile, its generations' and its own: text, and time to the nanosecond.
fn links(profile: &Utf8Path) -> BTreeMap<String, (Utf8PathBuf, i64, i64)> {
    let own = profile.file_name().unwrap();
    let entries = profile.parent().unwrap().read_dir_utf8().unwrap();
    let links = entries.map(Result::unwrap).filter(|entry| {
        let name = entry.file_name();
        entry.path().is_symlink() && (name == own || name.starts_with(&format!("{own}-")))
    });
    links
        .map(|entry| {
            let data = entry.path().symlink_metadata().unwrap();
            let text = entry.path().read_link_utf8().unwrap();
            let name = entry.file_name().to_string();
            (name, (text, data.mtime(), data.mtime_nsec()))
        })
        .collect()
}

/// The numbers of a profile's generations.
fn numbers(profile: &Utf8Path) -> Vec<u32> {
    let own = profile.file_name().unwrap();
    let mut numbers: Vec<u32> = links(profile)
        .keys()
        .filter_map(|name| {
            let rest = name.strip_prefix(own)?.strip_prefix('-')?;
            rest.strip_suffix("-link")?.parse().ok()
        })
        .collect();
    numbers.sort_unstable();
    numbers
}

/// The one document on standard output.
fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}{}", ran.stdout, ran.stderr))
}

/// Runs our program and sees how it ended.
fn ends(scratch: &Scratch, args: &[&str], status: i32) -> Ran {
    let ran = run(scratch, args);
    assert_eq!(ran.status, status, "{args:?}: {}{}", ran.stdout, ran.stderr);
    ran
}

/// The names of what came out so in a receipt.
fn outcomes(receipt: &Value, outcome: &str) -> usize {
    let entries = receipt["entries"].as_array().unwrap().iter();
    entries.filter(|entry| entry["outcome"] == outcome).count()
}

/// Whether the path that a scratch store makes for a name is there.
fn on_disk(scratch: &Scratch, name: &str) -> bool {
    let path = scratch.path_named(name).unwrap();
    path.to_absolute_path(scratch.store()).exists()
}

/// Makes a link with a time of its own, as no Nix command would.
fn link(path: &Utf8Path, text: impl AsRef<Utf8Path>, date: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    symlink(text.as_ref(), path).unwrap();
    set_link_time(path, time(date)).unwrap();
}
