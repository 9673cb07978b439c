//! Which profiles a job selects, on real stores, and in the guide.

#![cfg(test)]

use std::collections::BTreeSet;

use camino::Utf8PathBuf;
use nix_prune::adapters::scratch::Scratch;
use nix_prune::domain::job::ProfileSelector;
use nix_prune::settings::Settings;

use crate::support::{run, time, with_each_nix};

const GUIDE: &str = include_str!("../../docs/guide/profiles.md");

fn section() -> &'static str {
    let (_, rest) = GUIDE.split_once("\n## Which profiles\n").unwrap();
    rest.split("\n## ").next().unwrap()
}

#[test]
fn every_entry_of_the_guide_selects_profiles() {
    let rows = section()
        .lines()
        .filter_map(|line| line.strip_prefix("| `"));
    let entries: BTreeSet<&str> = rows.filter_map(|row| row.split('`').next()).collect();
    for entry in &entries {
        let selector = ProfileSelector::parse(entry);
        assert!(selector.is_some(), "{entry}");
    }
    for word in ProfileSelector::WORDS {
        assert!(entries.contains(word), "{word}");
    }
    let kinds = entries.iter().filter_map(|it| ProfileSelector::parse(it));
    let kinds: Vec<ProfileSelector> = kinds.collect();
    let has = |is: fn(&ProfileSelector) -> bool| kinds.iter().any(is);
    assert!(has(|it| matches!(it, ProfileSelector::Pattern(_))));
    assert!(has(|it| matches!(it, ProfileSelector::Path(_))));
}

#[test]
fn the_example_of_the_guide_is_valid() {
    let (_, example) = section().split_once("```json\n").unwrap();
    let (settings, findings) = Settings::parse(example.split("```").next().unwrap()).unwrap();
    assert_eq!(findings, []);
    let job = settings.job("developers").unwrap();
    let operation = job.operations.generations.as_ref().unwrap();
    assert_eq!(operation.users, ["alice", "1001"]);
    assert_eq!(operation.profiles.len(), 2);
}

#[test]
fn the_rule_of_the_guide_for_removed_users_is_valid() {
    let (_, example) = section().split_once("```json\n\"roots\"").unwrap();
    let roots = example.split("```").next().unwrap();
    let text = format!(
        "{{ \"version\": 2, \"jobs\": {{ \"daily\": {{ \"operations\": {{ \"roots\"{roots} }} }} }} }}"
    );
    let (settings, findings) = Settings::parse(&text).unwrap();
    assert_eq!(findings, []);
    let roots = settings.job("daily").unwrap().operations.roots.as_ref();
    assert!(roots.unwrap().removed_users.is_some());
}

/// A scratch store with a profile of six generations at each of these places.
fn with_profiles(scratch: &Scratch, places: &[&str]) -> Vec<Utf8PathBuf> {
    let profiles = scratch.state_dir().join("profiles");
    let mut made = Vec::new();
    for place in places {
        let profile = profiles.join(place);
        for n in 1..=6 {
            let name = format!("{}-{n}", place.replace('/', "-"));
            let path = scratch.add_path(&name, &[], 1000).unwrap();
            let date = time(&format!("2025-0{n}-01T00:00:00Z"));
            scratch.set_profile(&profile, &path, date).unwrap();
        }
        made.push(profile);
    }
    made
}

fn numbers(profile: &Utf8PathBuf) -> Vec<u32> {
    let link =
        |n: &u32| profile.with_file_name(format!("{}-{n}-link", profile.file_name().unwrap()));
    (1..=6).filter(|n| link(n).is_symlink()).collect()
}

const PLACES: [&str; 6] = [
    "system",
    "per-container/web/system",
    "system-manager-profiles/system-manager",
    "nix-on-droid",
    "tools",
    "team/dev-tools",
];

/// A word removes generations of its profiles and of no others, down to the current one and one to go back to; undo restores them.
#[test]
fn words_and_patterns_remove_and_undo_restores() {
    with_each_nix(|nix| {
        let scratch = Scratch::new(Some(&nix.bin)).unwrap();
        let profiles = with_profiles(&scratch, &PLACES);
        let all: Vec<u32> = (1..=6).collect();
        let rows = [
            ("containers", 1, vec![5, 6]),
            ("system-manager", 2, vec![5, 6]),
            ("nix-on-droid", 3, vec![5, 6]),
            ("*/team/dev*", 5, vec![6]),
        ];
        for (selector, which, left) in rows {
            let selector = match selector.strip_prefix('*') {
                Some(below) => format!("{}{below}", scratch.state_dir().join("profiles")),
                None => selector.to_string(),
            };
            let args = ["run", "--yes", "--keep-last", "1", "--profile", &selector];
            let ran = run(&scratch, &args);
            assert_eq!(ran.status, 0, "{selector}: {} {}", ran.stdout, ran.stderr);
            for (n, profile) in profiles.iter().enumerate() {
                let expected = if n == which { &left } else { &all };
                assert_eq!(&numbers(profile), expected, "{selector} {profile}");
            }
            let ran = run(&scratch, &["undo", "--yes"]);
            assert_eq!(ran.status, 0, "{selector}: {} {}", ran.stdout, ran.stderr);
            assert_eq!(numbers(&profiles[which]), all, "{selector}");
        }
        // The name of a container is that of its system.
        let ran = run(&scratch, &["generations", "container/web", "--no-sizes"]);
        assert!(ran.stdout.starts_with("container/web"), "{}", ran.stdout);
        let ran = run(&scratch, &["generations", "system", "--no-sizes"]);
        assert!(!ran.stdout.contains("web"), "{}", ran.stdout);
    });
}
